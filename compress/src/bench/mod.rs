//! How long one step of a network takes, on one thread, and how much memory it needs.

mod process;

pub use process::apart;

use std::fmt;
use std::hint::black_box;
use std::path::Path;
use std::str::FromStr;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use vocar_inference::{EngineError, Network, Operators};

use crate::runtime::{Runtime, RuntimeError};

/// What runs a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Engine {
    /// tract with our operators, as the recogniser runs it.
    Ours,
    /// tract with its own alone.
    StockTract,
    /// ONNX Runtime.
    OnnxRuntime,
}

impl Engine {
    /// All of them.
    pub const ALL: [Engine; 3] = [Engine::Ours, Engine::StockTract, Engine::OnnxRuntime];
}

impl fmt::Display for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Engine::Ours => "ours",
            Engine::StockTract => "stock tract",
            Engine::OnnxRuntime => "ONNX Runtime",
        })
    }
}

impl FromStr for Engine {
    type Err = String;

    /// From its [`Display`](fmt::Display) form.
    fn from_str(text: &str) -> Result<Engine, String> {
        let found = Engine::ALL.into_iter().find(|one| one.to_string() == text);
        found.ok_or_else(|| {
            format!(
                "{text:?} is none of {:?}",
                Engine::ALL.map(|one| one.to_string())
            )
        })
    }
}

/// Why a network could not be timed.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// tract refuses it.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// ONNX Runtime refuses it or is not there.
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
    /// The process that was to time it failed.
    #[error("{engine} on {file}: {problem}")]
    Process {
        /// What was to run it.
        engine: Engine,
        /// The network.
        file: String,
        /// What it said on standard error, or why it could not be started.
        problem: String,
    },
}

/// Step times of one way to run a network.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Times {
    /// Middle of the step times, milliseconds.
    pub median_ms: f64,
    /// 95th percentile, milliseconds.
    pub p95_ms: f64,
    /// Most memory that the process has held until then, bytes; nought where the system does not tell.
    pub peak: u64,
}

/// A network that is loaded and ready to run.
enum Loaded {
    Tract(Network),
    Runtime(Runtime),
}

impl Loaded {
    fn load(path: &Path, engine: Engine) -> Result<Loaded, BenchError> {
        Ok(match engine {
            Engine::Ours => Loaded::Tract(Network::load(path, Operators::Fused)?),
            Engine::StockTract => Loaded::Tract(Network::load(path, Operators::Stock)?),
            Engine::OnnxRuntime => Loaded::Runtime(Runtime::load(path)?),
        })
    }

    fn inputs(&self) -> &[Vec<usize>] {
        match self {
            Loaded::Tract(network) => network.inputs(),
            Loaded::Runtime(runtime) => runtime.inputs(),
        }
    }

    /// Inputs for the next step. Our states then stay with the network as in a stream.
    fn set(&mut self, inputs: &[Vec<f32>]) -> Result<(), BenchError> {
        if let Loaded::Tract(network) = self {
            network.set(inputs)?;
        }
        Ok(())
    }

    fn step(&mut self, inputs: &[Vec<f32>]) -> Result<(), BenchError> {
        match self {
            Loaded::Tract(network) => network.step()?,
            Loaded::Runtime(runtime) => runtime.step(inputs)?,
        }
        Ok(())
    }
}

/// Runs a network so often in this process and times each run; a tenth as many before that warm up.
///
/// # Errors
/// [`BenchError`] when the network cannot be loaded or run.
pub fn time(path: &Path, engine: Engine, steps: usize) -> Result<Times, BenchError> {
    let mut network = Loaded::load(path, engine)?;
    let inputs = made_inputs(network.inputs());
    network.set(&inputs)?;
    for _ in 0..steps / 10 + 1 {
        network.step(&inputs)?;
    }
    let mut times = Vec::with_capacity(steps);
    for _ in 0..steps.max(1) {
        let start = Instant::now();
        network.step(&inputs)?;
        times.push(start.elapsed());
    }
    times.sort_unstable();
    let milliseconds = |time: Duration| 1e3 * time.as_secs_f64();
    Ok(Times {
        median_ms: milliseconds(times[times.len() / 2]),
        p95_ms: milliseconds(times[times.len() * 95 / 100]),
        peak: peak(),
    })
}

/// Values between -1 and 1 for inputs of these shapes, the same each time.
pub fn made_inputs(shapes: &[Vec<usize>]) -> Vec<Vec<f32>> {
    let values = |shape: &Vec<usize>| {
        (0..shape.iter().product())
            .map(|n: usize| (n as f32 * 0.37).sin())
            .collect()
    };
    shapes.iter().map(values).collect()
}

/// Most memory that this process has held, bytes.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes = line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok());
    1024 * kilobytes.unwrap_or(0)
}

/// Bytes a second that one thread reads from memory: the best of a few passes over 256 MB.
pub fn bandwidth() -> f64 {
    let words = vec![1u64; 32 << 20];
    let pass = || {
        let start = Instant::now();
        let lanes = words
            .as_chunks::<8>()
            .0
            .iter()
            .fold([0u64; 8], |mut lanes, chunk| {
                lanes
                    .iter_mut()
                    .zip(chunk)
                    .for_each(|(lane, word)| *lane ^= word);
                lanes
            });
        black_box(lanes);
        size_of_val(&words[..]) as f64 / start.elapsed().as_secs_f64()
    };
    (0..5).map(|_| pass()).fold(0.0, f64::max)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_engine_is_found_by_the_name_it_prints() {
        for engine in Engine::ALL {
            assert_eq!(engine.to_string().parse(), Ok(engine));
        }
        let refused = "tensors".parse::<Engine>().unwrap_err();
        assert!(refused.contains("stock tract"), "{refused}");
    }

    #[test]
    fn this_process_has_held_some_memory() {
        assert!(!cfg!(target_os = "linux") || peak() > 1 << 20);
    }
}
