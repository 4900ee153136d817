//! How long one step of a network takes, on one thread.

use std::hint::black_box;
use std::path::Path;
use std::time::{Duration, Instant};

use vocar_inference::{EngineError, Network, Operators};

/// Step times of one way to run a network.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    /// Middle of the step times.
    pub median: Duration,
    /// 95th percentile.
    pub p95: Duration,
    /// Most memory that the process has held until then, bytes; nought where the system does not tell.
    pub peak: u64,
}

/// Runs a network so often and times each step, states staying with the network as in a stream; the first tenth warms up.
///
/// # Errors
/// [`EngineError`] when the network cannot be loaded or run.
pub fn time(path: &Path, operators: Operators, steps: usize) -> Result<Row, EngineError> {
    let mut network = Network::load(path, operators)?;
    let inputs: Vec<Vec<f32>> = network
        .inputs()
        .iter()
        .map(|shape| {
            (0..shape.iter().product())
                .map(|n| (n as f32 * 0.37).sin())
                .collect()
        })
        .collect();
    network.set(&inputs)?;
    for _ in 0..steps / 10 + 1 {
        network.step()?;
    }
    let mut times = Vec::with_capacity(steps);
    for _ in 0..steps.max(1) {
        let start = Instant::now();
        network.step()?;
        times.push(start.elapsed());
    }
    times.sort_unstable();
    Ok(Row {
        median: times[times.len() / 2],
        p95: times[times.len() * 95 / 100],
        peak: peak(),
    })
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
