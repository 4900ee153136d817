//! The shipped network computes the same with our operators as with tract's, in every precision.

use std::path::{Path, PathBuf};

use vocar_inference::{Network, Operators};

fn shipped(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../models")
        .join(name)
}

/// Inputs of the sizes that features and states have.
fn inputs(network: &Network) -> Vec<Vec<f32>> {
    let wave = |seed: usize, n: usize| {
        ((n * (seed + 3)) as f32 * 0.37).sin() * 2.0 - if seed == 0 { 6.0 } else { 0.0 }
    };
    let sizes = network
        .inputs()
        .iter()
        .map(|shape| shape.iter().product::<usize>());
    sizes
        .enumerate()
        .map(|(seed, size)| (0..size).map(|n| wave(seed, n)).collect())
        .collect()
}

/// Largest difference of the outputs.
fn difference(one: &[Vec<f32>], other: &[Vec<f32>]) -> f32 {
    assert_eq!(one.len(), other.len());
    let pairs = one.iter().flatten().zip(other.iter().flatten());
    pairs
        .map(|(one, other)| (one - other).abs())
        .fold(0.0, f32::max)
}

fn outputs(name: &str, operators: Operators) -> Vec<Vec<f32>> {
    let mut network = Network::load(&shipped(name), operators).expect("a sound network");
    let inputs = inputs(&network);
    network.run(&inputs).expect("a run")
}

#[test]
fn floats_are_the_same() {
    let (ours, stock) = (
        outputs("speech-en-f32/am-f32.onnx", Operators::Fused),
        outputs("speech-en-f32/am-f32.onnx", Operators::Stock),
    );
    let difference = difference(&ours, &stock);
    assert!(difference < 2e-3, "{difference}");
}

#[test]
fn mixed_precision_is_near_to_the_floats() {
    let floats = outputs("speech-en-f32/am-f32.onnx", Operators::Stock);
    let mixed = outputs("speech-en/am-mixed.onnx", Operators::Fused);
    let mean = |rows: &[Vec<f32>]| {
        let values = rows.iter().flatten().map(|value| value.abs());
        values.sum::<f32>() / rows.iter().flatten().count() as f32
    };
    let apart: Vec<Vec<f32>> = floats
        .iter()
        .zip(&mixed)
        .map(|(one, other)| one.iter().zip(other).map(|(a, b)| a - b).collect())
        .collect();
    let share = mean(&apart) / mean(&floats);
    assert!(share > 1e-4 && share < 0.1, "{share}");
}

#[test]
fn all_of_the_shipped_network_is_ours() {
    for (name, linear) in [
        ("speech-en-f32/am-f32.onnx", "VocarFloatLinear"),
        ("speech-en/am-mixed.onnx", "VocarLinear"),
    ] {
        let network = Network::load(&shipped(name), Operators::Fused).expect("a sound network");
        assert!(network.is_program(), "{name}: {:?}", network.operators());
        let wanted = [
            ("VocarAttention", 6),
            ("VocarConvolutions", 1),
            ("VocarDepthwise", 6),
            ("VocarFrames", 1),
            ("VocarLayerNorm", 30),
            (linear, 50),
            ("VocarLogSoftmax", 1),
        ];
        let wanted = wanted.map(|(kind, count)| (kind.to_owned(), count));
        assert_eq!(network.operators(), wanted.into(), "{name}");
    }
}

/// The memory goes round while tract's moves along: twice around and more.
#[test]
fn a_stream_of_steps_is_that_of_stock_tract() {
    let mut stock = Network::load(&shipped("speech-en-f32/am-f32.onnx"), Operators::Stock).unwrap();
    let mut ours = Network::load(&shipped("speech-en-f32/am-f32.onnx"), Operators::Fused).unwrap();
    let mut inputs = inputs(&stock);
    ours.set(&inputs).unwrap();
    for step in 0..17 {
        let wanted = stock.run(&inputs).unwrap();
        ours.step().unwrap();
        let found = ours.get().unwrap();
        let apart = difference(&found, &wanted);
        assert!(apart < 5e-3, "step {step}: {apart}");
        // The scores are the first output and the features the first input; states follow in the same order.
        inputs[1..].clone_from_slice(&wanted[1..]);
    }
    // Taken out and put in elsewhere, the memory goes on as before.
    let states = ours.get().unwrap();
    let mut other = Network::load(&shipped("speech-en-f32/am-f32.onnx"), Operators::Fused).unwrap();
    inputs[1..].clone_from_slice(&states[1..]);
    other.set(&inputs).unwrap();
    other.step().unwrap();
    ours.step().unwrap();
    let apart = difference(&other.get().unwrap(), &ours.get().unwrap());
    assert!(apart < 1e-3, "{apart}");
}
