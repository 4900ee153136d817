//! `restore`: int8 and int4 back to floats.

use std::path::PathBuf;

use clap::Args;
use prost::Message;
use vocar_compress::restore::restore;
use vocar_compress::{read, write};

use super::Outcome;

/// Write a network whose layers are in int8 or int4 in floats again, to make other precisions from. What rounding took away
/// stays away.
#[derive(Args)]
pub struct Arguments {
    /// A network of `quantise`.
    input: PathBuf,
    /// The file to write.
    output: PathBuf,
}

impl Arguments {
    /// Restores and writes.
    ///
    /// # Errors
    /// When the network cannot be read, is none of int8 or int4 or cannot be written.
    pub fn run(&self) -> Outcome {
        let mut model = read(&self.input)?;
        let count = restore(&mut model).map_err(|e| format!("{}: {e}", self.input.display()))?;
        write(&self.output, &model)?;
        let bytes = model.encoded_len();
        println!("{}: {count} layers, {bytes} bytes", self.output.display());
        Ok(())
    }
}
