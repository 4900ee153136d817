//! A network whose activations were given fixed scales by ONNX Runtime's quantiser.

use std::path::Path;

use vocar_inference::{Network, Operators};

#[test]
fn layers_with_fixed_scales_compute_what_onnx_runtime_does() {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    let mut network = Network::load(&data.join("tiny-static.onnx"), Operators::Fused).unwrap();
    let found = network.operators();
    // What the layers put out is rounded before the bias is added, so that these stay apart.
    let count = |kind: &str| found.get(kind).copied().unwrap_or(0);
    assert_eq!(
        (count("VocarLinear"), count("VocarRounding")),
        (2, 2),
        "{found:?}"
    );
    // The formula of `make_static.py`.
    let size: usize = network.inputs()[0].iter().product();
    let features: Vec<f32> = (0..size)
        .map(|n| (2.0 * (0.37 * n as f64 + 3.0).sin() + 0.5) as f32)
        .collect();
    let found = network.run(&[features]).unwrap().remove(0);
    let text = std::fs::read_to_string(data.join("tiny-static-expected.toml")).unwrap();
    let table: toml::Table = toml::from_str(&text).unwrap();
    let wanted: Vec<f32> = table["y"].clone().try_into().unwrap();
    assert_eq!(found.len(), wanted.len());
    let largest = wanted.iter().fold(0.0f32, |one, v| one.max(v.abs()));
    for (found, wanted) in found.iter().zip(&wanted) {
        // A value halfway between two steps may round either way.
        assert!((found - wanted).abs() < 0.01 * largest, "{found} {wanted}");
    }
}
