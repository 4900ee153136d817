//! `time`: what `bench` and `report` start for each network; prints JSON.

use std::path::PathBuf;

use clap::Args;
use vocar_compress::bench::{self, Engine};

use super::Outcome;

/// Time one network in this process.
#[derive(Args)]
pub struct Arguments {
    /// An ONNX file.
    model: PathBuf,
    /// What runs it.
    engine: Engine,
    /// How often.
    steps: usize,
}

impl Arguments {
    /// Prints the times as JSON.
    ///
    /// # Errors
    /// When the network cannot be loaded or run.
    pub fn run(&self) -> Outcome {
        let times = bench::time(&self.model, self.engine, self.steps)?;
        println!("{}", serde_json::to_string(&times)?);
        Ok(())
    }
}
