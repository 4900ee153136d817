//! Scores of a streaming network over features, step by step, as the recogniser computes them: to compare training with
//! the run time.
//!
//! `cargo run --release -p vocar-inference --example stream -- NETWORK.onnx FEATURES.f32 SCORES.f32`
//!
//! Files of scores and features are 32-bit floats, little-endian, row-major, whole steps of them. The network has the
//! features as its first input and the scores as its first output; its other outputs are the inputs of the next step.

use std::error::Error;
use std::path::Path;

use vocar_inference::{Network, Operators};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [network, features, scores] = &arguments[..] else {
        return Err("usage: stream NETWORK.onnx FEATURES.f32 SCORES.f32".into());
    };
    let mut network = Network::load(Path::new(network), Operators::Fused)?;
    let sizes = network
        .inputs()
        .iter()
        .map(|shape| shape.iter().product::<usize>());
    let mut inputs: Vec<Vec<f32>> = sizes.map(|size| vec![0.0; size]).collect();
    let read = floats(&std::fs::read(features)?);
    let step = inputs.first().ok_or("the network has no input")?.len();
    if step == 0 || !read.len().is_multiple_of(step) {
        return Err(format!(
            "{features}: {} values are no whole steps of {step}",
            read.len()
        )
        .into());
    }
    let mut written = Vec::new();
    for features in read.chunks_exact(step) {
        inputs[0] = features.to_vec();
        let mut outputs = network.run(&inputs)?.into_iter();
        let scores = outputs.next().ok_or("the network has no output")?;
        written.extend(scores.iter().flat_map(|score| score.to_le_bytes()));
        inputs.truncate(1);
        inputs.extend(outputs);
    }
    std::fs::write(scores, written)?;
    Ok(())
}

fn floats(bytes: &[u8]) -> Vec<f32> {
    let (values, _) = bytes.as_chunks::<4>();
    values
        .iter()
        .map(|&bytes| f32::from_le_bytes(bytes))
        .collect()
}
