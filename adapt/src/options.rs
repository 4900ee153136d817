//! How a training is done, and how far it is.

use std::time::Duration;

use crate::parameters::Method;

/// How to learn.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    /// What is learnt besides the heads.
    pub method: Method,
    /// Steps.
    pub steps: usize,
    /// Sentences a step.
    pub batch: usize,
    /// Largest step size of the heads.
    pub head_rate: f32,
    /// Largest step size of everything else.
    pub rate: f32,
    /// Chance that a number of an input row, or of a state that a head reads, is nought in training.
    pub dropout: f32,
    /// The same number gives the same adapter, unless time runs out.
    pub seed: u64,
    /// Ends after so much time, if that is sooner than the steps.
    pub limit: Option<Duration>,
    /// Threads to use.
    pub threads: usize,
}

impl Options {
    /// What was chosen for adapters; see `adapt/examples/compare.rs`.
    pub fn usual(method: Method) -> Options {
        Options {
            method,
            steps: 300,
            batch: 64,
            head_rate: 1e-2,
            rate: 1e-2,
            dropout: 0.2,
            seed: 1,
            limit: None,
            threads: 2,
        }
    }

    /// A small domain is learnt in fewer steps, a large one in more.
    pub fn for_intents(self, intents: usize) -> Options {
        Options {
            steps: (100 + 10 * intents).min(600),
            ..self
        }
    }

    /// For heads of the base that learn a few corrections and are to forget nothing.
    pub fn correcting(method: Method) -> Options {
        Options {
            steps: 120,
            head_rate: 1e-3,
            rate: 5e-3,
            dropout: 0.0,
            ..Options::usual(method)
        }
    }
}

/// How far it is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Progress {
    /// Share of the work that is done, 0 to 1.
    pub done: f32,
    /// Steps that were made.
    pub step: usize,
    /// What was last measured on a batch of what is learnt; falls.
    pub loss: f32,
    /// How long it took so far, earlier runs included.
    pub spent: Duration,
}
