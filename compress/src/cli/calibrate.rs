//! `calibrate`: ranges of activations for static scales.

use std::path::PathBuf;

use clap::Args;
use vocar_compress::calibrate::{Speech, calibrate};
use vocar_compress::{bundle, recordings};
use vocar_inference::Bundle;

use super::Outcome;

/// Find the ranges of what feeds each layer, for `quantise --static`.
#[derive(Args)]
pub struct Arguments {
    /// A bundle with an f32 network.
    bundle: PathBuf,
    /// Recordings of speech to run it on: a table with a column `path`.
    recordings: PathBuf,
    /// The TOML file to write.
    output: PathBuf,
    /// Share of the values, per cent, that the range called percentile holds.
    #[arg(long, default_value_t = 99.99)]
    percentile: f64,
    /// Seconds of the recordings that are used.
    #[arg(long, default_value_t = 120.0)]
    seconds: f64,
}

impl Arguments {
    /// Runs the network and writes the ranges.
    ///
    /// # Errors
    /// When the bundle, the recordings or the output are no good.
    pub fn run(&self) -> Outcome {
        if !(50.0..=100.0).contains(&self.percentile) {
            return Err(format!("--percentile {}: 50 to 100 is wanted", self.percentile).into());
        }
        let bundle = Bundle::open(&self.bundle)?;
        let model = bundle::floats_of(&bundle)?;
        let speech = Speech::new(&bundle, recordings::heard(&self.recordings, self.seconds)?);
        let ranges = calibrate(&model, &speech, self.percentile, &mut |stream, streams| {
            eprint!("\rrecording {} of {streams}", stream + 1);
        })?;
        eprintln!();
        std::fs::write(&self.output, ranges.to_toml())
            .map_err(|e| format!("{}: {e}", self.output.display()))?;
        println!(
            "{} tensors over {} steps; written to {}",
            ranges.tensors.len(),
            ranges.runs,
            self.output.display()
        );
        Ok(())
    }
}
