//! `plan`: the precision of each layer within a budget.

use std::error::Error;
use std::path::PathBuf;

use clap::Args;
use vocar_compress::bundle::Kind;
use vocar_compress::plan::{self, Width};
use vocar_compress::recordings;
use vocar_compress::trial::Trial;
use vocar_inference::Bundle;

use super::{Outcome, Reading};

/// Find the precision of each layer with which the network stays within a budget.
#[derive(Args)]
pub struct Arguments {
    /// A bundle with an f32 network.
    bundle: PathBuf,
    /// Recordings of speech to try it on, a table with a column `path`; for a bundle of words sentences, a table with the columns
    /// `text` and `intent`.
    recordings: PathBuf,
    /// The plan to write.
    output: PathBuf,
    /// Mean Kullback-Leibler divergence of the posteriors from those of the floats, nats a frame; of sentences, an intent or tag.
    #[arg(long, default_value_t = 0.01)]
    budget: f64,
    /// Seconds of the recordings that are used.
    #[arg(long, default_value_t = 60.0)]
    seconds: f64,
    #[command(flatten)]
    reading: Reading,
}

impl Arguments {
    /// Finds and writes the plan.
    ///
    /// # Errors
    /// Also when the budget cannot be kept; the best plan there is has been written then.
    pub fn run(&self) -> Outcome {
        let (budget, output) = (self.budget, &self.output);
        let plan = plan::find(&self.trial()?, budget, &mut |line| eprintln!("{line}"))?;
        std::fs::write(output, plan.to_toml()).map_err(|e| format!("{}: {e}", output.display()))?;
        for width in Width::ALL {
            println!(
                "{width:?}: {} layers",
                plan.layers.values().filter(|one| **one == width).count()
            );
        }
        println!(
            "{:.5} nats of {budget} allowed; written to {}",
            plan.measured,
            output.display()
        );
        Ok(plan.within_budget()?)
    }

    fn trial(&self) -> Result<Trial, Box<dyn Error>> {
        if Kind::of(&self.bundle) == Kind::Words {
            let sentences = self.reading.list(&self.recordings)?;
            let texts = self.reading.texts(&self.bundle, &sentences)?;
            return Ok(Trial::reading(&self.bundle, texts)?);
        }
        let heard = recordings::heard(&self.recordings, self.seconds)?;
        Ok(Trial::new(Bundle::open(&self.bundle)?, heard)?)
    }
}
