//! Words to intents.
//!
//! A [`Domain`] is a folder of TOML: intents, the sentences people say for them, and the types of the values in those
//! sentences. From one source come two things that can never disagree: the [`SentenceGraph`] that the recogniser
//! listens for, and the [`Understander`] that turns recognised or typed words into an [`Intent`] with typed slots.

pub mod adapter;
pub mod automaton;
pub mod builtin;
pub mod check;
pub mod dialogue;
pub mod domain;
pub mod encoder;
pub mod graph;
pub mod lessons;
pub mod random;
pub mod sample;
pub mod template;
pub mod understand;
pub mod value;
pub mod words;

pub use adapter::{Adapter, AdapterError, AdapterStore};
pub use check::{Report, check};
pub use domain::{Domain, DomainError};
pub use encoder::{Encoder, EncoderError};
pub use graph::{SentenceArc, SentenceGraph};
pub use sample::{Sample, sample};
pub use understand::{Choice, Context, Follows, Intent, Last, Pending, Understander, UnknownName};
pub use value::{Entities, EntityValue, SlotValue, TemperatureUnit};
