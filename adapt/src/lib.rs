//! Training of adapters, on the device, from the shipped base alone.
//!
//! An adapter is what a domain adds to the encoder of [`vocar_nlu::encoder`]: a low-rank correction of some layers
//! (E. Hu et al., 2021) and heads for its intents and slots. [`Base`] is what it begins with, [`Corpus`] what it learns from, a
//! [`Trainer`] learns, and [`Adapter`] is what comes of it, measured on sentences that were held out and written so that a
//! folder holds the old one or the new one, never half of it.

mod adamw;
mod base;
mod corpus;
mod learn;
mod network;
mod noise;
mod parameters;
mod score;

use std::path::PathBuf;

pub use base::{BLOCK_LAYERS, Base, Sizes};
pub use corpus::{Corpus, Labels, NONE, Sentence};
pub use learn::{Options, Progress, Trainer};
pub use noise::Noise;
pub use parameters::Method;
pub use score::{Figures, Scores};

/// Why nothing could be learnt.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// The bundle is damaged.
    #[error(transparent)]
    Bundle(#[from] vocar_inference::BundleError),
    /// A file of the bundle cannot be read.
    #[error(transparent)]
    Encoder(#[from] vocar_nlu::EncoderError),
    /// The network of the bundle cannot be read.
    #[error(transparent)]
    Network(#[from] vocar_inference::EngineError),
    /// The network is none that can be trained here.
    #[error("{}: {problem}; adapters are trained on a bundle `nlu-…` of this version", path.display())]
    Base {
        /// File of the network.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// The arithmetic failed.
    #[error("the arithmetic failed: {0}")]
    Arithmetic(#[from] candle_core::Error),
}
