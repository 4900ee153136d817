//! What several tests of the tool need.

use std::path::{Path, PathBuf};

use vocar_inference::{Bundle, Network, Operators};
use vocar_speech::source::AudioSource;

/// The shipped float network.
pub fn shipped() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/speech-en-f32/am-f32.onnx")
}

/// The shipped bundle.
pub fn bundle() -> Bundle {
    Bundle::open(shipped().parent().unwrap()).unwrap()
}

/// The first two seconds of a bundled recording.
pub fn speech() -> Vec<f32> {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/recordings/set-temperature.wav");
    let mut samples = AudioSource::open(&path).unwrap().whole().unwrap();
    samples.truncate(32_000);
    samples
}

/// Log posteriors of one step on made features and empty states.
pub fn scores(path: &Path, operators: Operators) -> Vec<f32> {
    let mut network = Network::load(path, operators).expect("a sound network");
    let sizes: Vec<usize> = network
        .inputs()
        .iter()
        .map(|shape| shape.iter().product())
        .collect();
    let inputs: Vec<Vec<f32>> = sizes
        .iter()
        .enumerate()
        .map(|(which, &size)| {
            if which > 0 {
                return vec![0.0; size];
            }
            (0..size)
                .map(|n| (n as f32 * 0.37).sin() * 2.0 - 6.0)
                .collect()
        })
        .collect();
    // The scores are the first output, the states follow.
    let outputs = network.run(&inputs).expect("a run");
    outputs.into_iter().next().expect("an output")
}

/// Mean distance of values from others.
pub fn mean_difference(one: &[f32], other: &[f32]) -> f32 {
    assert_eq!(one.len(), other.len());
    one.iter()
        .zip(other)
        .map(|(one, other)| (one - other).abs())
        .sum::<f32>()
        / one.len() as f32
}
