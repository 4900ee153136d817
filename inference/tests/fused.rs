//! The shipped network computes the same with our operators as with tract's, in every precision.

use std::path::{Path, PathBuf};

use vocar_inference::{Network, Operators};

fn shipped(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../models/speech-en")
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
        outputs("am-f32.onnx", Operators::Fused),
        outputs("am-f32.onnx", Operators::Stock),
    );
    let difference = difference(&ours, &stock);
    assert!(difference < 2e-3, "{difference}");
}

#[test]
fn mixed_precision_is_near_to_the_floats() {
    let floats = outputs("am-f32.onnx", Operators::Stock);
    let mixed = outputs("am-mixed.onnx", Operators::Fused);
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
fn nothing_slow_is_left_in_the_mixed_network() {
    let network =
        Network::load(&shipped("am-mixed.onnx"), Operators::Fused).expect("a sound network");
    let found = network.operators();
    let count = |kind: &str| found.get(kind).copied().unwrap_or(0);
    assert_eq!(
        [
            count("VocarLinear"),
            count("VocarAttention"),
            count("VocarDepthwise"),
            count("VocarLayerNorm")
        ],
        [50, 6, 6, 30],
        "{found:?}"
    );
    assert_eq!(
        count("DynamicQuantizeLinearU8") + count("Cast") + count("Softmax"),
        0,
        "{found:?}"
    );
}
