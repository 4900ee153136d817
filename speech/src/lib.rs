//! Hearing: from samples to words.
//!
//! Audio enters through [`source`] (files, standard input) or [`capture`] (microphones), becomes 16 kHz mono in
//! [`resample`], features in [`frontend`] and stretches of speech in [`vad`]. What may be said is a [`grammar`], spelled by
//! the [`lexicon`] (and [`g2p`] for other words) and searched by the [`decoder`]; [`wake`] finds the wake phrase and
//! [`endpoint`] the end. The [`recogniser`] puts them together and reports [`event`]s. [`dictation`] hears any words in any
//! order. Nothing here knows of intents or D-Bus.

pub mod cabin;
pub mod capture;
pub mod decoder;
pub mod dictation;
pub mod echo;
pub mod endpoint;
pub mod event;
pub mod free;
pub mod frontend;
pub mod g2p;
pub mod grammar;
pub mod lexicon;
pub mod pcm;
pub mod phones;
pub mod recogniser;
pub mod resample;
pub mod resource;
pub mod source;
pub mod vad;
pub mod wake;
pub mod zones;
