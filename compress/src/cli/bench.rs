//! `bench`: engines side by side.

use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;
use vocar_compress::bench::{self, Engine};
use vocar_compress::runtime::Runtime;
use vocar_compress::sizes::{Size, fix};
use vocar_compress::{read, write};
use vocar_inference::gemm::Tier;

use super::Outcome;

/// Time one step of networks with our operators, with stock tract's and with ONNX Runtime, on one thread, each in a process
/// of its own.
#[derive(Args)]
pub struct Arguments {
    /// ONNX files.
    #[arg(required = true)]
    models: Vec<PathBuf>,
    /// Runs of each.
    #[arg(long, default_value_t = 500)]
    steps: usize,
    /// Rounds over all of them; the least of each figure counts.
    #[arg(long, default_value_t = 1)]
    rounds: usize,
    /// Leave the other engines out: stock tract's int8 can take minutes.
    #[arg(long, conflicts_with = "without_stock")]
    ours_only: bool,
    /// Leave stock tract out.
    #[arg(long)]
    without_stock: bool,
    /// Size of an open dimension, such as the words of a sentence; may be given more than once.
    #[arg(long, value_name = "NAME=NUMBER")]
    size: Vec<Size>,
    /// A file for the same as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// A file for the same as comma-separated values.
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,
}

#[derive(Serialize)]
struct Row {
    network: String,
    engine: Engine,
    median_ms: f64,
    p95_ms: f64,
    bytes: u64,
    /// Time to read the file's bytes from memory once.
    floor_ms: f64,
    peak_bytes: u64,
}

#[derive(Serialize)]
struct Table {
    kernels: String,
    bandwidth_gb_s: f64,
    steps: usize,
    rounds: usize,
    rows: Vec<Row>,
}

impl Arguments {
    /// Prints the table, and writes it where asked to.
    ///
    /// # Errors
    /// When a network cannot be read or our engine cannot run it.
    pub fn run(&self) -> Outcome {
        let engines = self.engines();
        let bandwidth = bench::bandwidth();
        let folder = tempfile::tempdir()?;
        let mut rows = Vec::new();
        for model in &self.models {
            let bytes = std::fs::metadata(model)
                .map_err(|e| format!("{}: {e}", model.display()))?
                .len();
            let sized = self.sized(model, folder.path())?;
            for &engine in &engines {
                let times = match bench::apart(&sized, engine, self.steps, self.rounds) {
                    Ok(times) => times,
                    Err(e) if engine != Engine::Ours => {
                        eprintln!("left out: {e}");
                        continue;
                    }
                    Err(e) => return Err(e.into()),
                };
                rows.push(Row {
                    network: name(model),
                    engine,
                    median_ms: times.median_ms,
                    p95_ms: times.p95_ms,
                    bytes,
                    floor_ms: 1e3 * bytes as f64 / bandwidth,
                    peak_bytes: times.peak,
                });
            }
        }
        let table = Table {
            kernels: Tier::best().to_string(),
            bandwidth_gb_s: bandwidth / 1e9,
            steps: self.steps,
            rounds: self.rounds,
            rows,
        };
        print!("{}", table.markdown());
        let text = [
            (&self.json, serde_json::to_string_pretty(&table)? + "\n"),
            (&self.csv, table.csv()),
        ];
        for (file, text) in text {
            if let Some(file) = file {
                std::fs::write(file, text).map_err(|e| format!("{}: {e}", file.display()))?;
            }
        }
        Ok(())
    }

    /// The file, or a copy in the folder whose open dimensions have the sizes that were given.
    fn sized(&self, model: &Path, folder: &Path) -> Result<PathBuf, Box<dyn std::error::Error>> {
        if self.size.is_empty() {
            return Ok(model.to_owned());
        }
        let mut network = read(model)?;
        fix(&mut network, &self.size);
        let copy = folder.join(name(model));
        write(&copy, &network)?;
        Ok(copy)
    }

    /// The engines that are wanted and there; says what is not.
    fn engines(&self) -> Vec<Engine> {
        let mut engines = vec![Engine::Ours];
        if self.ours_only {
            return engines;
        }
        if !self.without_stock {
            engines.push(Engine::StockTract);
        }
        match Runtime::available() {
            Err(absent) => eprintln!("left out: {absent}"),
            Ok(()) => engines.push(Engine::OnnxRuntime),
        }
        engines
    }
}

fn name(model: &Path) -> String {
    model
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}

impl Table {
    fn markdown(&self) -> String {
        let mut text = format!(
            "kernels: {}; one thread reads {:.1} GB/s from memory\n\
             | network | engine | median ms | p95 ms | bytes | floor by memory, ms | most memory, MB |\n\
             |---|---|---|---|---|---|---|\n",
            self.kernels, self.bandwidth_gb_s
        );
        for row in &self.rows {
            text += &format!(
                "| {} | {} | {:.3} | {:.3} | {} | {:.3} | {:.1} |\n",
                row.network,
                row.engine,
                row.median_ms,
                row.p95_ms,
                row.bytes,
                row.floor_ms,
                row.peak_bytes as f64 / 1e6
            );
        }
        text
    }

    fn csv(&self) -> String {
        let mut text = String::from("network,engine,median_ms,p95_ms,bytes,floor_ms,peak_bytes\n");
        for row in &self.rows {
            text += &format!(
                "\"{}\",{},{:.4},{:.4},{},{:.4},{}\n",
                row.network.replace('"', "\"\""),
                row.engine,
                row.median_ms,
                row.p95_ms,
                row.bytes,
                row.floor_ms,
                row.peak_bytes
            );
        }
        text
    }
}
