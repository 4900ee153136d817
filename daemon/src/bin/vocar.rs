//! `vocar`, Vocar's command line.

use clap::Parser;
use std::process::ExitCode;
use vocar_daemon::cli::{Cli, execute};

fn main() -> ExitCode {
    match execute(Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}
