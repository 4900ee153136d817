//! What a stream remembers, taken out and put into another: the stream goes on there as if nothing had been.

mod common;

use std::path::{Path, PathBuf};

use common::bundle;
use vocar_inference::{Bundle, CpuEngine, Engine, EngineError, Precision, State, acoustic_file};

fn engine(dir: &Path, precision: Precision) -> CpuEngine {
    let bundle = Bundle::open(dir).expect("a sound bundle");
    let file = acoustic_file(&bundle, precision).expect("a network");
    CpuEngine::load(&file, bundle.manifest()).expect("a network that runs")
}

fn features(engine: &dyn Engine, step: usize) -> Vec<f32> {
    let signature = engine.signature();
    let count = signature.frames * signature.mels;
    let value = |at: usize| ((step * count + at) as f32 * 0.37).sin() - 6.0;
    (0..count).map(value).collect()
}

fn remembered(engine: &dyn Engine) -> usize {
    engine.states().iter().map(State::len).sum()
}

/// Steps of `from`, then the memory moves to a stream of `to`; both go on.
fn moved(from: &dyn Engine, to: &dyn Engine) -> (Vec<f32>, Vec<f32>) {
    assert_eq!(from.states(), to.states());
    let mut here = from.start().expect("a stream");
    for step in 0..3 {
        here.step(&features(from, step)).expect("a step");
    }
    let mut memory = vec![f32::NAN; remembered(from)];
    here.export(&mut memory).expect("a memory");
    let mut there = to.start().expect("a stream");
    there.step(&features(to, 9)).expect("a step");
    there.import(&memory).expect("a memory that fits");
    let next = features(from, 3);
    let stayed = here.step(&next).expect("a step").to_vec();
    (stayed, there.step(&next).expect("a step").to_vec())
}

/// The shipped bundles that are there, and the precision of each one's network.
fn shipped() -> impl Iterator<Item = (PathBuf, Precision)> {
    let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models");
    let bundles = [
        ("speech-en-f32", Precision::F32),
        ("speech-en", Precision::Mixed),
    ];
    bundles.into_iter().filter_map(move |(name, precision)| {
        let path = models.join(name);
        if !path.join("manifest.toml").exists() {
            eprintln!(
                "SKIPPED: the shipped network: {} is not there",
                path.display()
            );
            return None;
        }
        Some((path, precision))
    })
}

/// The tiny networks, and the shipped one, which runs as a program of our operators.
fn networks() -> Vec<(PathBuf, Precision, Option<tempfile::TempDir>)> {
    let tiny = bundle();
    let path = tiny.path().to_path_buf();
    let mut list = vec![
        (path.clone(), Precision::F32, None),
        (path, Precision::Int8, Some(tiny)),
    ];
    list.extend(shipped().map(|(path, precision)| (path, precision, None)));
    list
}

/// Memories that go round are put in from their beginning, so that sums are taken in another order: not to the bit.
#[test]
fn a_stream_goes_on_elsewhere() {
    for (dir, precision, _tiny) in &networks() {
        let engine = engine(dir, *precision);
        let (stayed, went) = moved(&engine, &engine);
        let apart = stayed.iter().zip(&went).map(|(a, b)| (a - b).abs());
        let apart = apart.fold(0.0, f32::max);
        assert!(apart < 1e-2, "{} {precision}: {apart}", dir.display());
    }
}

#[test]
fn a_memory_of_another_length_is_refused() {
    for (dir, precision, _tiny) in &networks() {
        let engine = engine(dir, *precision);
        let mut session = engine.start().expect("a stream");
        let mut short = vec![0.0; remembered(&engine) - 1];
        let refused = session.import(&short);
        assert!(matches!(refused, Err(EngineError::Length { .. })));
        let refused = session.export(&mut short);
        assert!(matches!(refused, Err(EngineError::Length { .. })));
    }
}

#[test]
fn the_shipped_networks_remember_alike() {
    let engines: Vec<_> = shipped()
        .map(|(path, precision)| engine(&path, precision))
        .collect();
    let [floats, mixed] = &engines[..] else {
        return;
    };
    let (stayed, went) = moved(floats, mixed);
    let apart = stayed
        .iter()
        .zip(&went)
        .map(|(a, b)| (a.exp() - b.exp()).abs());
    let rows = floats.signature().chunk as f32;
    let apart = apart.sum::<f32>() / rows / 2.0;
    assert!(apart < 0.2, "{apart} of the probability lies elsewhere");
}
