//! Time of one step of a bundle's acoustic model in every precision it has, on one thread.
//!
//! `cargo run --release -p vocar-inference --example bench -- models/speech-en [steps]`

use std::error::Error;
use std::time::{Duration, Instant};

use vocar_inference::{AcousticModel, Bundle, Manifest, Precision};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let dir = arguments.next().ok_or("usage: bench BUNDLE [STEPS]")?;
    let steps = arguments.next().map_or(Ok(500), |n| n.parse::<usize>())?;
    let bundle = Bundle::open(&dir)?;
    let audio = seconds_per_step(bundle.manifest());
    println!(
        "{}: {:.0} ms of audio a step, {steps} steps",
        bundle.manifest().name,
        1000.0 * audio
    );
    println!(
        "{:>5} {:>9} {:>9} {:>9} {:>9} {:>8} {:>9}",
        "", "load ms", "median ms", "p95 ms", "clone µs", "rtf", "rss MB"
    );
    for precision in bundle.precisions() {
        report(&bundle, precision, steps, audio)?;
    }
    Ok(())
}

fn seconds_per_step(manifest: &Manifest) -> f64 {
    let samples = manifest.acoustic.frames_per_step() * manifest.features.hop;
    samples as f64 / f64::from(manifest.features.sample_rate)
}

fn report(
    bundle: &Bundle,
    precision: Precision,
    steps: usize,
    audio: f64,
) -> Result<(), Box<dyn Error>> {
    let start = Instant::now();
    let model = AcousticModel::load(bundle, precision)?;
    let load = start.elapsed();
    let mut session = model.session();
    let signature = model.signature();
    let features: Vec<f32> = (0..signature.frames * signature.mels)
        .map(|n| (n as f32 * 0.37).sin() - 5.0)
        .collect();
    let mut times = Vec::with_capacity(steps);
    for _ in 0..steps.max(1) {
        let start = Instant::now();
        std::hint::black_box(session.step(&features)?);
        times.push(start.elapsed());
    }
    let start = Instant::now();
    let clone = session.clone();
    let cloning = start.elapsed();
    drop(clone);
    times.sort_unstable();
    let median = times[times.len() / 2];
    let p95 = times[times.len() * 95 / 100];
    println!(
        "{:>5} {:>9.0} {:>9.3} {:>9.3} {:>9.1} {:>8.4} {:>9.1}",
        precision.to_string(),
        milliseconds(load),
        milliseconds(median),
        milliseconds(p95),
        1000.0 * milliseconds(cloning),
        median.as_secs_f64() / audio,
        resident_megabytes(),
    );
    Ok(())
}

fn milliseconds(time: Duration) -> f64 {
    1000.0 * time.as_secs_f64()
}

/// Of the whole process, with all models loaded so far and freed again; 0 where /proc is absent.
fn resident_megabytes() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let kilobytes = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    kilobytes
        .and_then(|rest| rest.split_whitespace().next()?.parse::<f64>().ok())
        .unwrap_or(0.0)
        / 1000.0
}
