//! `calibrate`: ranges of activations for static scales.

use std::path::PathBuf;

use clap::Args;
use vocar_compress::bundle::Kind;
use vocar_compress::calibrate::{Material, Speech, calibrate};
use vocar_compress::{bundle, recordings};
use vocar_inference::Bundle;

use super::{Outcome, Reading};

/// Find the ranges of what feeds each layer, for `quantise --static`.
#[derive(Args)]
pub struct Arguments {
    /// A bundle with an f32 network; one of words may have it in int8 alone.
    bundle: PathBuf,
    /// What to run it on: recordings of speech, a table with a column `path`; for a bundle of words sentences, a table with the
    /// columns `text` and `intent`.
    table: PathBuf,
    /// The TOML file to write.
    output: PathBuf,
    /// Share of the values, per cent, that the range called percentile holds.
    #[arg(long, default_value_t = 99.99)]
    percentile: f64,
    /// Seconds of the recordings that are used.
    #[arg(long, default_value_t = 120.0)]
    seconds: f64,
    #[command(flatten)]
    reading: Reading,
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
        let model = bundle::floats(&self.bundle)?;
        let (material, stream): (Box<dyn Material>, _) = match Kind::of(&self.bundle) {
            Kind::Speech => {
                let bundle = Bundle::open(&self.bundle)?;
                let heard = recordings::heard(&self.table, self.seconds)?;
                (Box::new(Speech::new(&bundle, heard)), "recording")
            }
            Kind::Words => {
                let sentences = self.reading.list(&self.table)?;
                let texts = self.reading.texts(&self.bundle, &sentences)?;
                (Box::new(texts), "length")
            }
        };
        let progress = &mut |number, all| eprint!("\r{stream} {} of {all}", number + 1);
        let ranges = calibrate(&model, &*material, self.percentile, progress)?;
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
