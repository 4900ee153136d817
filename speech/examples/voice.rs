//! Prints the voice activity detector's score of every 16 ms frame of a recording, for measuring it.
//!
//! `cargo run --release -p vocar-speech --example voice -- RECORDING`
//!
//! Output: one score (0 to 1) a line; on standard error the seconds of audio and of computing.

use std::error::Error;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use vocar_speech::source::AudioSource;
use vocar_speech::vad::{FRAME, VadConfig, VoiceActivity};

fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args().nth(1).ok_or("usage: voice RECORDING")?;
    let samples = AudioSource::open(Path::new(&path))?.whole()?;
    let mut voice = VoiceActivity::new(VadConfig::default())?;
    let mut computing = Duration::ZERO;
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    for frame in samples.chunks_exact(FRAME) {
        let started = Instant::now();
        voice.push(frame, &mut |_| {});
        computing += started.elapsed();
        writeln!(out, "{:.5}", voice.score())?;
    }
    eprintln!(
        "{:.1} s of audio, {:.3} s of computing",
        samples.len() as f64 / 16_000.0,
        computing.as_secs_f64()
    );
    Ok(out.flush()?)
}
