//! `factorise`: thinner products and convolutions in the place of one.

use std::path::PathBuf;

use clap::Args;
use prost::Message;
use vocar_compress::RewriteError;
use vocar_compress::factorise::{Thinness, factorise};
use vocar_compress::tucker::tucker;

use super::{Outcome, Written, floats, put, tell};

/// Replace constant matrix products by two thinner ones each, convolutions by up to three.
#[derive(Args)]
pub struct Arguments {
    /// The float network: a file, or a bundle that has one.
    input: PathBuf,
    /// The file to write, or a folder for a new bundle with it as the float network.
    output: PathBuf,
    /// Factorise matrix products (singular values): what happens without --tucker.
    #[arg(long)]
    svd: bool,
    /// Factorise convolutions (Tucker): alone, unless --svd is there, too.
    #[arg(long)]
    tucker: bool,
    /// Share of the sum of squared singular values that is kept, from 0 to 1.
    #[arg(long, default_value_t = 0.95)]
    energy: f64,
    /// The same rank for all instead.
    #[arg(long, conflicts_with = "energy")]
    rank: Option<usize>,
    /// Leave layers whose name contains this as they are; may be given more than once.
    #[arg(long, value_name = "PART")]
    keep: Vec<String>,
}

impl Arguments {
    fn thinness(&self) -> Result<Thinness, String> {
        match self.rank {
            Some(rank) => Ok(Thinness::Rank(rank)),
            None if (0.0..=1.0).contains(&self.energy) => Ok(Thinness::Energy(self.energy)),
            None => Err(format!(
                "--energy {}: a share from 0 to 1 is wanted",
                self.energy
            )),
        }
    }

    /// Factorises and writes.
    ///
    /// # Errors
    /// When the network cannot be read, factorised or written.
    pub fn run(&self) -> Outcome {
        let thinness = self.thinness()?;
        let mut model = floats(&self.input)?;
        let before = model.encoded_len();
        let named = |e: RewriteError| format!("{}: {e}", self.input.display());
        if self.svd || !self.tucker {
            tell(&factorise(&mut model, thinness, &self.keep).map_err(named)?);
        }
        if self.tucker {
            tell(&tucker(&mut model, thinness, &self.keep).map_err(named)?);
        }
        let to = Written {
            input: &self.input,
            output: &self.output,
            precision: None,
            alone: false,
        };
        put(&to, &model, before)?;
        Ok(())
    }
}
