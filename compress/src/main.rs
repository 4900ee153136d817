//! `vocar-compress`: smaller networks, and what they cost.

mod pruning;

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};
use prost::Message;
use tract_onnx::pb::ModelProto;
use vocar_compress::factorise::{Thinness, factorise};
use vocar_compress::halves::halve_the_rest;
use vocar_compress::plan::{self, Plan, Width};
use vocar_compress::quantise::{Bits, quantise};
use vocar_compress::trial::Trial;
use vocar_compress::tucker::tucker;
use vocar_compress::{Report, RewriteError, bench, bundle, read, report, write};
use vocar_inference::gemm::Tier;
use vocar_inference::{Bundle, Operators, Precision};
use vocar_speech::resample::Resampler;
use vocar_speech::source::AudioSource;

/// Makes ONNX networks smaller and measures them.
#[derive(Parser)]
#[command(name = "vocar-compress", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Write constant matrix products in half floats, int8 or int4.
    Quantise {
        /// The float network: a file, or a bundle that has one.
        input: PathBuf,
        /// The file to write, or a bundle, which gets it as its network of that precision.
        output: PathBuf,
        /// Bits of a weight.
        #[arg(long, value_enum, default_value = "8")]
        bits: Weight,
        /// Store what is left in floats as half floats.
        #[arg(long, conflicts_with = "plan")]
        halve_the_rest: bool,
        /// Leave layers whose name contains this as they are; may be given more than once.
        #[arg(long, value_name = "PART")]
        keep: Vec<String>,
        /// Do as this plan says for each layer.
        #[arg(long, value_name = "TOML", conflicts_with_all = ["bits", "keep"])]
        plan: Option<PathBuf>,
    },
    /// Find the precision of each layer with which the network stays within a budget.
    Plan {
        /// A bundle with an f32 network.
        bundle: PathBuf,
        /// Recordings of speech to try it on: a table whose first column is `path`.
        recordings: PathBuf,
        /// The plan to write.
        output: PathBuf,
        /// Mean Kullback-Leibler divergence of the posteriors from those of the floats, nats a frame.
        #[arg(long, default_value_t = 0.01)]
        budget: f64,
        /// Seconds of the recordings that are used.
        #[arg(long, default_value_t = 60.0)]
        seconds: f64,
    },
    /// Replace constant matrix products by two thinner ones each, convolutions by up to three.
    Factorise {
        /// The float network: a file, or a bundle that has one.
        input: PathBuf,
        /// The file to write.
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
    },
    /// Take out whole layers, heads, units, channels or single weights that give least.
    Prune(pruning::Arguments),
    /// Make every kind of smaller network, and print what each saves and costs.
    Report {
        /// A bundle with an f32 network.
        bundle: PathBuf,
        /// Recordings of speech to try them on: a table whose first column is `path`.
        recordings: PathBuf,
        /// The plan of the mixed network.
        #[arg(long, value_name = "TOML")]
        plan: Option<PathBuf>,
        /// Seconds of the recordings that are used.
        #[arg(long, default_value_t = 60.0)]
        seconds: f64,
        /// Runs of each that are timed.
        #[arg(long, default_value_t = 500)]
        steps: usize,
        /// A file for the same as JSON.
        #[arg(long)]
        json: Option<PathBuf>,
    },
    /// Time one step of networks with our operators and with stock tract's, on one thread. Memory is the process's: for that of
    /// one network give it alone, with --ours-only.
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
enum Weight {
    #[value(name = "16")]
    Sixteen,
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
            plan: Some(plan),
            ..
        } => run_planned(&input, &output, &plan),
        Command::Quantise {
            input,
            output,
            bits,
            halve_the_rest,
            keep,
            ..
        } => run_quantise(&input, &output, bits, halve_the_rest, &keep),
        Command::Plan {
            bundle,
            recordings,
            output,
            budget,
            seconds,
        } => run_plan(&bundle, &recordings, &output, budget, seconds),
        Command::Factorise {
            input,
            output,
            svd,
            tucker,
            energy,
            rank,
            keep,
        } => {
            let thinness = thinness(energy, rank);
            run_factorise(&input, &output, (svd || !tucker, tucker), thinness, &keep)
        }
        Command::Prune(arguments) => arguments.run(),
        Command::Report {
            bundle,
            recordings,
            plan,
            seconds,
            steps,
            json,
        } => run_report(
            &bundle,
            &recordings,
            plan.as_deref(),
            seconds,
            steps,
            json.as_deref(),
        ),
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
    input: &Path,
    output: &Path,
    bits: Weight,
    rest: bool,
    keep: &[String],
) -> Result<(), Box<dyn Error>> {
    let mut model = floats(input)?;
    let before = model.encoded_len();
    let (bits, precision) = match bits {
        Weight::Sixteen => (Bits::Sixteen, None),
        Weight::Eight => (Bits::Eight, Some(Precision::Int8)),
        Weight::Four => (Bits::Four, Some(Precision::Mixed)),
    };
    let report =
        quantise(&mut model, bits, keep).map_err(|e| format!("{}: {e}", input.display()))?;
    if rest {
        halve_the_rest(&mut model);
    }
    tell(&report);
    put(output, precision, &model, before)
}

fn tell(report: &Report) {
    for (layer, reason) in &report.kept {
        println!("kept {layer}: {reason}");
    }
    let (changed, kept) = (report.changed.len(), report.kept.len());
    println!("{changed} layers of {}", changed + kept);
}

fn run_planned(input: &Path, output: &Path, plan: &Path) -> Result<(), Box<dyn Error>> {
    let mut model = floats(input)?;
    let before = model.encoded_len();
    Plan::load(plan)?.apply(&mut model)?;
    put(output, Some(Precision::Mixed), &model, before)
}

/// The float network of a file or a bundle.
fn floats(input: &Path) -> Result<ModelProto, Box<dyn Error>> {
    Ok(if input.is_dir() {
        bundle::floats(input)?
    } else {
        read(input)?
    })
}

/// Writes a network as a file or into a bundle, and says how large it is.
fn put(
    output: &Path,
    precision: Option<Precision>,
    model: &ModelProto,
    before: usize,
) -> Result<(), Box<dyn Error>> {
    let file = match precision {
        Some(precision) if output.is_dir() => bundle::add(output, precision, model)?,
        None if output.is_dir() => {
            return Err("a bundle has no place for such a network; give a file to write".into());
        }
        _ => {
            write(output, model)?;
            output.to_owned()
        }
    };
    let after = model.encoded_len();
    println!(
        "{}: {before} -> {after} bytes, {:.2} times smaller",
        file.display(),
        before as f64 / after as f64
    );
    Ok(())
}

fn run_plan(
    bundle: &Path,
    recordings: &Path,
    output: &Path,
    budget: f64,
    seconds: f64,
) -> Result<(), Box<dyn Error>> {
    let heard = heard(recordings, seconds)?;
    let bundle = Bundle::open(bundle)?;
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
    if plan.measured > budget {
        return Err(format!(
            "{budget} nats a frame cannot be kept: {:.5} with every layer in floats is the best; the plan that was written \
             is that one",
            plan.measured
        )
        .into());
    }
    Ok(())
}

fn thinness(energy: f64, rank: Option<usize>) -> Thinness {
    rank.map_or(Thinness::Energy(energy), Thinness::Rank)
}

fn run_factorise(
    input: &Path,
    output: &Path,
    (products, convolutions): (bool, bool),
    thinness: Thinness,
    keep: &[String],
) -> Result<(), Box<dyn Error>> {
    if let Thinness::Energy(share) = thinness
        && !(0.0..=1.0).contains(&share)
    {
        return Err(format!("--energy {share}: a share from 0 to 1 is wanted").into());
    }
    let mut model = floats(input)?;
    let before = model.encoded_len();
    let named = |e: RewriteError| format!("{}: {e}", input.display());
    if products {
        tell(&factorise(&mut model, thinness, keep).map_err(named)?);
    }
    if convolutions {
        tell(&tucker(&mut model, thinness, keep).map_err(named)?);
    }
    put(output, None, &model, before)
}

fn run_report(
    bundle: &Path,
    recordings: &Path,
    plan: Option<&Path>,
    seconds: f64,
    steps: usize,
    json: Option<&Path>,
) -> Result<(), Box<dyn Error>> {
    let plan = plan.map(Plan::load).transpose()?;
    let trial = Trial::new(Bundle::open(bundle)?, heard(recordings, seconds)?)?;
    let rows = report::rows(&trial, plan.as_ref(), steps, &mut |line| {
        eprintln!("{line}")
    })?;
    print!("{}", report::table(&rows));
    if let Some(json) = json {
        std::fs::write(json, serde_json::to_string_pretty(&rows)? + "\n")
            .map_err(|e| format!("{}: {e}", json.display()))?;
    }
    Ok(())
}

/// The first so many seconds of the recordings that a table lists.
fn heard(recordings: &Path, seconds: f64) -> Result<Vec<Vec<f32>>, Box<dyn Error>> {
    let table = std::fs::read_to_string(recordings)
        .map_err(|e| format!("{}: {e}", recordings.display()))?;
    let folder = recordings.parent().unwrap_or(Path::new("."));
    let (mut heard, mut wanted) = (Vec::new(), (seconds * 16_000.0) as usize);
    for line in table.lines().skip(1).take_while(|line| !line.is_empty()) {
        if wanted == 0 {
            break;
        }
        let mut samples = samples(&folder.join(line.split('\t').next().unwrap_or(line)))?;
        samples.truncate(wanted);
        wanted -= samples.len();
        heard.push(samples);
    }
    Ok(heard)
}

/// A recording as 16 kHz mono.
fn samples(path: &Path) -> Result<Vec<f32>, Box<dyn Error>> {
    let mut source = AudioSource::open(path)?;
    let mut resampler = Resampler::new(source.rate())?;
    let mut samples = Vec::new();
    while let Some(chunk) = source.next_chunk()? {
        resampler.push(chunk, &mut samples)?;
    }
    resampler.flush(&mut samples)?;
    Ok(samples)
}

fn run_bench(models: &[PathBuf], steps: usize, ours_only: bool) -> Result<(), Box<dyn Error>> {
    let engines = [
        ("ours", Operators::Fused),
        ("stock tract", Operators::Stock),
    ];
    let mut rows = Vec::new();
    for model in models {
        let bytes = std::fs::metadata(model)
            .map_err(|e| format!("{}: {e}", model.display()))?
            .len();
        for (name, operators) in engines {
            if ours_only && operators == Operators::Stock {
                continue;
            }
            rows.push((model, name, bytes, bench::time(model, operators, steps)?));
        }
    }
    // Last, since it takes more memory than any network.
    let bandwidth = bench::bandwidth();
    println!(
        "kernels: {}; one thread reads {:.1} GB/s from memory",
        Tier::best(),
        bandwidth / 1e9
    );
    println!(
        "| network | engine | median ms | p95 ms | bytes | floor by memory, ms | most memory so far, MB |"
    );
    println!("|---|---|---|---|---|---|---|");
    for (model, engine, bytes, row) in rows {
        println!(
            "| {} | {engine} | {:.3} | {:.3} | {bytes} | {:.3} | {:.1} |",
            model.file_name().unwrap_or_default().display(),
            1e3 * row.median.as_secs_f64(),
            1e3 * row.p95.as_secs_f64(),
            1e3 * bytes as f64 / bandwidth,
            row.peak as f64 / 1e6
        );
    }
    Ok(())
}
