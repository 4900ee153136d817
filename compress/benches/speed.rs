//! `cargo bench -p vocar-compress`: the matrix kernels of each tier that the processor has, and one step of the shipped networks with
//! our operators, with stock tract's and, where `ORT_DYLIB_PATH` names it, with ONNX Runtime. One thread. `VOCAR_SYNTHETIC` names
//! a large network of `python -m training.synthetic`, to be timed in f32, int8 and int4 too.

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use divan::{Bencher, black_box, counter::ItemsCount};
use tempfile::TempDir;
use tract_onnx::pb::ModelProto;
use vocar_compress::bench::made_inputs;
use vocar_compress::quantise::{Bits, quantise};
use vocar_compress::restore::restore;
use vocar_compress::runtime::Runtime;
use vocar_compress::sizes::fix;
use vocar_compress::{read, write};
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

/// Networks of fixed shapes, by name: what is shipped, and a large one.
struct Networks {
    files: Vec<(String, PathBuf)>,
    _folder: TempDir,
}

static NETWORKS: LazyLock<Networks> = LazyLock::new(|| {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let shipped = |name: &str| {
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../models")
            .join(name)
    };
    let mut files = vec![
        (
            "speech f32".to_owned(),
            shipped("speech-en-f32/am-f32.onnx"),
        ),
        (
            "speech mixed".to_owned(),
            shipped("speech-en/am-mixed.onnx"),
        ),
    ];
    let mut add = |name: String, model: &ModelProto| {
        let path = folder.path().join(format!("{name}.onnx"));
        write(&path, model).expect("room for a network");
        files.push((name, path));
    };
    let mut words = read(&shipped("nlu-en/encoder-mixed.onnx")).expect("a shipped network");
    fix(&mut words, &["length=9".parse().expect("a size")]);
    add("words mixed".into(), &words);
    restore(&mut words).expect("a network of ours");
    add("words f32".into(), &words);
    if let Some(file) = std::env::var_os("VOCAR_SYNTHETIC") {
        let floats = read(Path::new(&file)).expect("the network that VOCAR_SYNTHETIC names");
        for (name, bits) in [("int8", Bits::Eight), ("int4", Bits::Four)] {
            let mut model = floats.clone();
            quantise(&mut model, bits, &[]).expect("a network in floats");
            add(format!("synthetic {name}"), &model);
        }
        add("synthetic f32".into(), &floats);
    }
    Networks {
        files,
        _folder: folder,
    }
});

fn names() -> Vec<String> {
    NETWORKS
        .files
        .iter()
        .map(|(name, _)| name.clone())
        .collect()
}

/// None where the library is not there.
fn names_for_runtime() -> Vec<String> {
    Runtime::available().map_or(Vec::new(), |()| names())
}

fn path(name: &str) -> &'static Path {
    let mut files = NETWORKS.files.iter();
    let found = files.find(|(other, _)| other == name);
    &found.expect("one of the names").1
}

fn step(bencher: Bencher, name: &str, operators: Operators) {
    let mut network = Network::load(path(name), operators).expect("a sound network");
    let inputs = made_inputs(network.inputs());
    network.set(&inputs).expect("inputs of its shapes");
    bencher.bench_local(|| network.step().expect("a step"));
}

#[divan::bench(args = names())]
fn step_ours(bencher: Bencher, name: &str) {
    step(bencher, name, Operators::Fused);
}

#[divan::bench(args = names())]
fn step_stock_tract(bencher: Bencher, name: &str) {
    step(bencher, name, Operators::Stock);
}

#[divan::bench(args = names_for_runtime())]
fn step_onnx_runtime(bencher: Bencher, name: &str) {
    let mut runtime = Runtime::load(path(name)).expect("a sound network");
    let inputs = made_inputs(runtime.inputs());
    bencher.bench_local(|| runtime.step(&inputs).expect("a step"));
}
