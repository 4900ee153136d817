//! `vocar-compress`: smaller networks, and what they cost.

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};
use vocar_compress::quantise::{Bits, quantise};
use vocar_compress::{bench, read, write};
use vocar_inference::Operators;
use vocar_inference::gemm::Tier;

/// Makes ONNX networks smaller and measures them.
#[derive(Parser)]
#[command(name = "vocar-compress", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Write constant matrix products in int8 or int4.
    Quantise {
        /// The float network.
        input: PathBuf,
        /// The file to write.
        output: PathBuf,
        /// Bits of a weight.
        #[arg(long, value_enum, default_value = "8")]
        bits: Width,
        /// Leave layers whose name contains this as they are; may be given more than once.
        #[arg(long, value_name = "PART")]
        keep: Vec<String>,
    },
    /// Time one step of networks with our operators and with stock tract's, on one thread.
    Bench {
        /// ONNX files.
        #[arg(required = true)]
        models: Vec<PathBuf>,
        /// Runs of each.
        #[arg(long, default_value_t = 500)]
        steps: usize,
        /// Leave stock tract out: its int8 can take minutes.
        #[arg(long)]
        ours_only: bool,
    },
}

#[derive(Clone, Copy, ValueEnum)]
enum Width {
    #[value(name = "8")]
    Eight,
    #[value(name = "4")]
    Four,
}

fn main() -> ExitCode {
    let done = match Arguments::parse().command {
        Command::Quantise {
            input,
            output,
            bits,
            keep,
        } => run_quantise(&input, &output, bits, &keep),
        Command::Bench {
            models,
            steps,
            ours_only,
        } => run_bench(&models, steps, ours_only),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("vocar-compress: {e}");
            ExitCode::FAILURE
        }
    }
}

fn run_quantise(
    input: &PathBuf,
    output: &PathBuf,
    bits: Width,
    keep: &[String],
) -> Result<(), Box<dyn Error>> {
    let mut model = read(input)?;
    let bits = match bits {
        Width::Eight => Bits::Eight,
        Width::Four => Bits::Four,
    };
    let report =
        quantise(&mut model, bits, keep).map_err(|e| format!("{}: {e}", input.display()))?;
    write(output, &model)?;
    for (layer, reason) in &report.kept {
        println!("kept {layer}: {reason}");
    }
    let (before, after) = (
        std::fs::metadata(input)?.len(),
        std::fs::metadata(output)?.len(),
    );
    println!(
        "{} layers of {}; {before} -> {after} bytes, {:.2} times smaller",
        report.quantised.len(),
        report.quantised.len() + report.kept.len(),
        before as f64 / after as f64
    );
    Ok(())
}

fn run_bench(models: &[PathBuf], steps: usize, ours_only: bool) -> Result<(), Box<dyn Error>> {
    let bandwidth = bench::bandwidth();
    println!(
        "kernels: {}; one thread reads {:.1} GB/s from memory",
        Tier::best(),
        bandwidth / 1e9
    );
    println!("| network | engine | median ms | p95 ms | bytes | floor by memory, ms |");
    println!("|---|---|---|---|---|---|");
    for model in models {
        let bytes = std::fs::metadata(model)
            .map_err(|e| format!("{}: {e}", model.display()))?
            .len();
        for (name, operators) in [
            ("ours", Operators::Fused),
            ("stock tract", Operators::Stock),
        ] {
            if ours_only && operators == Operators::Stock {
                continue;
            }
            let row = bench::time(model, operators, steps)?;
            println!(
                "| {} | {name} | {:.3} | {:.3} | {bytes} | {:.3} |",
                model.file_name().unwrap_or_default().display(),
                1e3 * row.median.as_secs_f64(),
                1e3 * row.p95.as_secs_f64(),
                1e3 * bytes as f64 / bandwidth
            );
        }
    }
    Ok(())
}
