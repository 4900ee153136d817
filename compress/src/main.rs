//! `vocar-compress`: smaller networks, and what they cost.

mod cli;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Makes ONNX networks smaller and measures them.
#[derive(Parser)]
#[command(name = "vocar-compress", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Calibrate(cli::calibrate::Arguments),
    Quantise(cli::quantise::Arguments),
    Restore(cli::restore::Arguments),
    Plan(cli::plan::Arguments),
    Factorise(cli::factorise::Arguments),
    Prune(cli::prune::Arguments),
    Report(cli::report::Arguments),
    Bench(cli::bench::Arguments),
    Energy(cli::energy::Arguments),
    #[command(hide = true)]
    Time(cli::time::Arguments),
}

fn main() -> ExitCode {
    let done = match Arguments::parse().command {
        Command::Calibrate(arguments) => arguments.run(),
        Command::Quantise(arguments) => arguments.run(),
        Command::Restore(arguments) => arguments.run(),
        Command::Plan(arguments) => arguments.run(),
        Command::Factorise(arguments) => arguments.run(),
        Command::Prune(arguments) => arguments.run(),
        Command::Report(arguments) => arguments.run(),
        Command::Bench(arguments) => arguments.run(),
        Command::Energy(arguments) => arguments.run(),
        Command::Time(arguments) => arguments.run(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("vocar-compress: {e}");
            ExitCode::FAILURE
        }
    }
}
