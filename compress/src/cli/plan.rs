//! `plan`: the precision of each layer within a budget.

use std::path::PathBuf;

use clap::Args;
use vocar_compress::plan::{self, Width};
use vocar_compress::recordings;
use vocar_inference::Bundle;

use super::Outcome;

/// Find the precision of each layer with which the network stays within a budget.
#[derive(Args)]
pub struct Arguments {
    /// A bundle with an f32 network.
    bundle: PathBuf,
    /// Recordings of speech to try it on: a table with a column `path`.
    recordings: PathBuf,
    /// The plan to write.
    output: PathBuf,
    /// Mean Kullback-Leibler divergence of the posteriors from those of the floats, nats a frame.
    #[arg(long, default_value_t = 0.01)]
    budget: f64,
    /// Seconds of the recordings that are used.
    #[arg(long, default_value_t = 60.0)]
    seconds: f64,
}

impl Arguments {
    /// Finds and writes the plan.
    ///
    /// # Errors
    /// Also when the budget cannot be kept; the best plan there is has been written then.
    pub fn run(&self) -> Outcome {
        let (budget, output) = (self.budget, &self.output);
        let heard = recordings::heard(&self.recordings, self.seconds)?;
        let bundle = Bundle::open(&self.bundle)?;
        let plan = plan::find(bundle, heard, budget, &mut |line| eprintln!("{line}"))?;
        std::fs::write(output, plan.to_toml()).map_err(|e| format!("{}: {e}", output.display()))?;
        for width in Width::ALL {
            println!(
                "{width:?}: {} layers",
                plan.layers.values().filter(|one| **one == width).count()
            );
        }
        println!(
            "{:.5} nats a frame of {budget} allowed; written to {}",
            plan.measured,
            output.display()
        );
        Ok(plan.within_budget()?)
    }
}
