//! From acoustic scores to sentences: token passing over a graph compiled from a word graph and a lexicon.
//!
//! [`DecodingGraph`] is what may be said, spelled in phones; it is compiled once and shared. [`Decoder`] holds the
//! tokens of one utterance. A loop over all phones ([`Background`]) hears the same frames: how much better the
//! sentence explains them than any sounds whatever is the [`Evidence`] on which it is accepted or rejected.

mod background;
mod evidence;
mod graph;
pub(crate) mod history;
mod nbest;
pub(crate) mod paths;
mod search;

#[cfg(test)]
pub(crate) mod synthetic;
#[cfg(test)]
mod tests;

pub use background::{Background, BackgroundSearch};
pub use evidence::{ConfidenceScale, Evidence};
pub use graph::{Continuation, DecodingGraph};
pub use nbest::{Decoded, DecodedSentence, DecodedWord};
pub use search::{Decoder, DecoderConfig, Progress};
