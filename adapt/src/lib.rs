//! Training of adapters, on the device, from the shipped base alone.
//!
//! An adapter is what a domain adds to the encoder of [`vocar_nlu::encoder`]: a low-rank correction of some layers
//! (E. Hu et al., 2021) and heads for its intents and slots. [`Base`] is what it begins with, [`Corpus`] what it learns from, a
//! [`Trainer`] learns, and an adapter is what comes of it, measured on sentences that were held out and written so that a
//! folder holds the old one or the new one, never half of it.

mod adamw;
mod base;
mod checkpoint;
mod corpus;
mod correction;
mod domain;
mod job;
mod learn;
mod network;
mod noise;
mod options;
mod parameters;
mod score;
mod targets;

use std::path::PathBuf;

pub use base::{BLOCK_LAYERS, Base, Sizes};
pub use checkpoint::Checkpoint;
pub use corpus::{Corpus, Labels, NONE, Sentence};
pub use correction::{Correction, add, corrections};
pub use job::{Job, Outcome};
pub use learn::Trainer;
pub use noise::Noise;
pub use options::{Options, Progress};
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
    /// The domain contradicts itself, or another domain does.
    #[error(transparent)]
    Domain(#[from] vocar_nlu::DomainError),
    /// The domain's name cannot be an adapter's.
    #[error(
        "the domain \"{name}\" cannot have an adapter: name it with 1 to 64 of the characters a-z, 0-9, _ and -"
    )]
    Name {
        /// The domain's name.
        name: String,
    },
    /// A correction does not fit the domain.
    #[error("\"{text}\": {problem}; {mend}")]
    Correction {
        /// The sentence.
        text: String,
        /// What is wrong.
        problem: String,
        /// What to do about it.
        mend: String,
    },
    /// A line of a file of corrections is none.
    #[error(
        "{}:{line}: {problem}; correct the line or take it out",
        path.display()
    )]
    BadLine {
        /// The file.
        path: PathBuf,
        /// Its line, counted from 1.
        line: usize,
        /// What is wrong with it.
        problem: String,
    },
    /// A file or folder cannot be read or written.
    #[error("{}: {source}; check that it is there and who may write to it", path.display())]
    File {
        /// The file or folder.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// The same adapter is being trained.
    #[error("{}: this adapter is being trained already; wait for the other training or end it", path.display())]
    Busy {
        /// The file that the other training holds.
        path: PathBuf,
    },
    /// Corrections would cost more than they mend.
    #[error(
        "{domain}: with these corrections the score on held-out sentences falls from {before:.1} % to {after:.1} %, the old \
         adapter stays; say the corrections in words that mean nothing else, or take the last one back"
    )]
    Worse {
        /// The domain.
        domain: String,
        /// Accepted and right before, in per cent.
        before: f64,
        /// The same with the corrections.
        after: f64,
    },
    /// The arithmetic failed.
    #[error("the arithmetic failed: {0}")]
    Arithmetic(#[from] candle_core::Error),
}

impl From<vocar_nlu::encoder::BadFile> for TrainError {
    fn from(bad: vocar_nlu::encoder::BadFile) -> TrainError {
        TrainError::Encoder(bad.into())
    }
}
