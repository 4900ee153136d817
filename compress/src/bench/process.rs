//! Each network in a process of its own, so that its memory is its own and nothing that ran before warms or clutters it.

use std::path::Path;
use std::process::Command;

use super::{BenchError, Engine, Times};

/// Times a network in a process of its own, as many times as there are rounds; of each figure the least counts, since other
/// work on the machine only ever adds to it. The program that calls this must answer to `time FILE ENGINE STEPS` with
/// [`Times`] as JSON, which is what the hidden command `time` of `vocar-compress` does.
///
/// # Errors
/// [`BenchError::Process`] with what the process said on standard error.
pub fn apart(
    path: &Path,
    engine: Engine,
    steps: usize,
    rounds: usize,
) -> Result<Times, BenchError> {
    let mut best = once(path, engine, steps)?;
    for _ in 1..rounds {
        let other = once(path, engine, steps)?;
        best = Times {
            median_ms: best.median_ms.min(other.median_ms),
            p95_ms: best.p95_ms.min(other.p95_ms),
            peak: best.peak.min(other.peak),
        };
    }
    Ok(best)
}

fn once(path: &Path, engine: Engine, steps: usize) -> Result<Times, BenchError> {
    let failed = |problem: String| BenchError::Process {
        engine,
        file: path.display().to_string(),
        problem,
    };
    let this = std::env::current_exe().map_err(|e| failed(e.to_string()))?;
    let done = Command::new(this)
        .arg("time")
        .arg(path)
        .args([engine.to_string(), steps.to_string()])
        .output()
        .map_err(|e| failed(e.to_string()))?;
    if !done.status.success() {
        let said = String::from_utf8_lossy(&done.stderr);
        let said = said.trim().trim_start_matches("vocar-compress: ");
        return Err(failed(said.to_owned()));
    }
    serde_json::from_slice(&done.stdout).map_err(|e| failed(e.to_string()))
}
