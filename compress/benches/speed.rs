//! `cargo bench -p vocar-compress`: the matrix kernels of each tier that the processor has, and one step of the shipped
//! networks with our operators and with stock tract's. One thread.

use std::path::{Path, PathBuf};

use divan::{Bencher, black_box, counter::ItemsCount};
use vocar_compress::bench::made_inputs;
use vocar_inference::gemm::{GROUP, Int4Weights, Int8Weights, Rows, Tier, multiply, multiply_int4};
use vocar_inference::{Network, Operators};

/// Inputs, outputs: of the shipped network's largest layers, and of one twice as wide.
const SIZES: [(usize, usize); 2] = [(160, 480), (512, 512)];
/// Frames in a step.
const FRAMES: usize = 8;

fn main() {
    divan::main();
}

/// A tier with a size.
struct Case {
    tier: Tier,
    inputs: usize,
    outputs: usize,
}

impl std::fmt::Display for Case {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {FRAMES}x{}x{}", self.tier, self.inputs, self.outputs)
    }
}

fn cases() -> Vec<Case> {
    let of = |tier| {
        SIZES.map(|(inputs, outputs)| Case {
            tier,
            inputs,
            outputs,
        })
    };
    Tier::available().flat_map(of).collect()
}

fn wave(count: usize) -> Vec<f32> {
    (0..count).map(|n| (n as f32 * 0.37).sin()).collect()
}

/// Weights of a layer up to this size.
fn integers(case: &Case, most: f32) -> Vec<i8> {
    let values = wave(case.inputs * case.outputs).into_iter();
    values.map(|value| (most * value) as i8).collect()
}

#[divan::bench(args = cases())]
fn int8(bencher: Bencher, case: &Case) {
    let scales = vec![0.01; case.outputs];
    let weights = Int8Weights::from_integers(&integers(case, 127.0), case.inputs, scales);
    let (mut rows, activations) = (Rows::new(case.tier), wave(FRAMES * case.inputs));
    let mut sums = Vec::new();
    bencher
        .counter(ItemsCount::new(FRAMES * case.inputs * case.outputs))
        .bench_local(|| {
            rows.quantise(black_box(&activations), case.inputs);
            multiply(case.tier, &rows, &weights, &mut sums);
        });
}

#[divan::bench(args = cases())]
fn int4(bencher: Bencher, case: &Case) {
    let scales = vec![0.1; case.outputs * case.inputs.div_ceil(GROUP)];
    let weights =
        Int4Weights::from_integers(&integers(case, 7.0), case.inputs, case.outputs, &scales);
    let (mut rows, activations) = (Rows::for_int4(case.tier), wave(FRAMES * case.inputs));
    let mut sums = Vec::new();
    bencher
        .counter(ItemsCount::new(FRAMES * case.inputs * case.outputs))
        .bench_local(|| {
            rows.quantise(black_box(&activations), case.inputs);
            multiply_int4(case.tier, &rows, &weights, &mut sums);
        });
}

fn shipped() -> Vec<String> {
    ["am-f32.onnx", "am-mixed.onnx"].map(str::to_owned).into()
}

fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../models/speech-en")
        .join(name)
}

fn step(bencher: Bencher, name: &str, operators: Operators) {
    let mut network = Network::load(&path(name), operators).expect("a shipped network");
    let inputs = made_inputs(network.inputs());
    bencher.bench_local(|| network.run(black_box(&inputs)).expect("a step"));
}

#[divan::bench(args = shipped())]
fn step_ours(bencher: Bencher, name: &str) {
    step(bencher, name, Operators::Fused);
}

/// In floats alone: stock tract has no int4.
#[divan::bench]
fn step_stock_tract(bencher: Bencher) {
    step(bencher, "am-f32.onnx", Operators::Stock);
}
