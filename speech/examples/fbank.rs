//! Writes the features of a recording as raw little-endian 32-bit floats, frame after frame, to standard output.
//!
//! `cargo run --release -p vocar-speech --example fbank -- RECORDING [BUNDLE] > features.f32`
//!
//! With a bundle folder its `[features]` are used, else those of the shipped English model. Training compares its own
//! features with these, so that the model is fed in the car what it was trained on.

use std::error::Error;
use std::io::Write;
use std::path::Path;

use vocar_inference::Bundle;
use vocar_speech::frontend::{FeatureSpec, LogMel};
use vocar_speech::source::AudioSource;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args_os().skip(1);
    let recording = arguments.next().ok_or("usage: fbank RECORDING [BUNDLE]")?;
    let spec = match arguments.next() {
        Some(folder) => FeatureSpec::from(&Bundle::open(Path::new(&folder))?.manifest().features),
        None => FeatureSpec::default(),
    };
    let samples = AudioSource::open(Path::new(&recording))?.whole()?;
    let mut features = Vec::new();
    LogMel::new(&spec)?.push(&samples, &mut features);
    let bytes: Vec<u8> = features
        .iter()
        .flat_map(|feature| feature.to_le_bytes())
        .collect();
    std::io::stdout().write_all(&bytes)?;
    Ok(())
}
