//! Numbers of the streaming networks against those that numpy gave, and how sessions keep apart.

mod common;

use std::fs;
use std::sync::Arc;

use common::{bundle, bundle_of, data, seal};
use vocar_inference::{AcousticModel, Bundle, EngineError, LoadError, Precision, Signature};

const MELS: usize = 8;
const FRAMES: usize = 12;

/// Features of step `step`, the formula of `make_tiny.py`.
fn features(step: usize) -> Vec<f32> {
    let first = step * FRAMES * MELS;
    (first..first + FRAMES * MELS)
        .map(|n| n as f64)
        .map(|n| (2.0 * (0.37 * n).sin() + (0.011 * n * n).cos()) as f32)
        .collect()
}

fn model(precision: Precision) -> Arc<AcousticModel> {
    let dir = bundle();
    AcousticModel::load(&Bundle::open(dir.path()).expect("sound bundle"), precision)
        .expect("loadable model")
}

fn expected(precision: Precision) -> Vec<Vec<f32>> {
    let text = fs::read_to_string(data("tiny-expected.toml")).expect("tiny-expected.toml");
    let table: toml::Table = toml::from_str(&text).expect("expected values");
    let steps = table[&precision.to_string()].clone();
    steps.try_into().expect("an array of arrays of numbers")
}

fn largest_difference(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter()
        .zip(b)
        .map(|(a, b)| (a - b).abs())
        .fold(0.0, f32::max)
}

/// A value exactly between two quantisation steps may round either way on another CPU: hence 0.01 for int8,
/// a tenth of what separates int8 from f32 here.
fn tolerance(precision: Precision) -> f32 {
    match precision {
        Precision::F32 => 1e-4,
        Precision::Int8 | Precision::Mixed => 0.01,
    }
}

#[test]
fn every_step_of_a_stream_gives_the_values_of_numpy() {
    for precision in [Precision::F32, Precision::Int8] {
        let model = model(precision);
        assert_eq!(
            model.signature(),
            Signature {
                frames: FRAMES,
                mels: MELS,
                chunk: 4,
                columns: 6
            }
        );
        assert_eq!(model.units(), 3);
        let mut session = model.session();
        for (step, expected) in expected(precision).iter().enumerate() {
            let found = session.step(&features(step)).expect("a step");
            let difference = largest_difference(found, expected);
            assert!(
                difference < tolerance(precision),
                "{precision} step {step}: off by {difference}"
            );
        }
    }
}

#[test]
fn int8_is_really_int8() {
    let apart = expected(Precision::F32)
        .iter()
        .zip(&expected(Precision::Int8))
        .map(|(a, b)| largest_difference(a, b))
        .fold(0.0, f32::max);
    assert!(
        apart > 5.0 * tolerance(Precision::Int8),
        "the int8 check could not tell the two apart: {apart}"
    );
}

#[test]
fn reset_forgets_the_past() {
    let expected = expected(Precision::F32);
    let mut session = model(Precision::F32).session();
    session.step(&features(0)).expect("a step");
    let second = session.step(&features(0)).expect("a step").to_vec();
    assert!(
        largest_difference(&second, &expected[0]) > 0.01,
        "the state has no effect"
    );
    session.reset();
    let again = session.step(&features(0)).expect("a step");
    assert!(largest_difference(again, &expected[0]) < 1e-4);
}

#[test]
fn a_clone_goes_its_own_way_from_the_same_past() {
    let expected = expected(Precision::F32);
    let mut session = model(Precision::F32).session();
    session.step(&features(0)).expect("a step");
    let mut guess = session.clone();
    guess.step(&vec![0.0; FRAMES * MELS]).expect("a step");
    guess.step(&vec![0.0; FRAMES * MELS]).expect("a step");
    let on = session.step(&features(1)).expect("a step");
    assert!(
        largest_difference(on, &expected[1]) < 1e-4,
        "the clone disturbed its original"
    );
    let mut other = session.clone();
    drop(session);
    assert!(largest_difference(other.step(&features(2)).expect("a step"), &expected[2]) < 1e-4);
}

#[test]
fn sessions_run_on_several_threads_at_once() {
    let model = model(Precision::Int8);
    let expected = expected(Precision::Int8);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mut session = model.session();
                for (step, expected) in expected.iter().enumerate() {
                    let found = session.step(&features(step)).expect("a step");
                    assert!(largest_difference(found, expected) < tolerance(Precision::Int8));
                }
            });
        }
    });
}

#[test]
fn a_step_of_the_wrong_length_is_refused_and_harms_nothing() {
    let expected = expected(Precision::F32);
    let mut session = model(Precision::F32).session();
    session.step(&features(0)).expect("a step");
    let refused = session.step(&features(1)[1..]).map(<[f32]>::to_vec);
    assert!(
        matches!(
            refused,
            Err(EngineError::Length {
                expected: 96,
                found: 95
            })
        ),
        "{refused:?}"
    );
    let on = session.step(&features(1)).expect("a step");
    assert!(largest_difference(on, &expected[1]) < 1e-4);
}

#[test]
fn infinite_and_nan_features_do_not_outlive_a_reset() {
    let expected = expected(Precision::F32);
    let mut session = model(Precision::F32).session();
    let mut wild = features(0);
    wild[3] = f32::NAN;
    wild[7] = f32::INFINITY;
    session.step(&wild).expect("arithmetic on NaN is no error");
    session.reset();
    let again = session.step(&features(0)).expect("a step");
    assert!(largest_difference(again, &expected[0]) < 1e-4);
}

/// The error of loading the f32 model of a bundle with this manifest.
fn refusal(manifest: &str) -> String {
    let dir = bundle_of(manifest);
    let bundle = Bundle::open(dir.path()).expect("the bundle itself is sound");
    AcousticModel::load(&bundle, Precision::F32)
        .expect_err("must be refused")
        .to_string()
}

#[test]
fn a_network_unlike_its_manifest_is_refused_by_name() {
    let change = |from: &str, to: &str| {
        assert!(common::MANIFEST.contains(from), "nothing to change: {from}");
        refusal(&common::MANIFEST.replace(from, to))
    };
    for (from, to, said) in [
        (
            "input = \"features\"",
            "input = \"audio\"",
            "no input `audio` among features",
        ),
        (
            "output = \"log_posteriors\"",
            "output = \"scores\"",
            "no output `scores`",
        ),
        (
            "mels = 8",
            "mels = 40",
            "[1, 12, 8], the manifest makes it [1, 12, 40]",
        ),
        (
            "state_prefix = \"state.\"",
            "state_prefix = \"cache.\"",
            "`state.attention` is neither `features` nor starts with `cache.`",
        ),
        (
            "next_prefix = \"next.\"",
            "next_prefix = \"new.\"",
            "no output `new.attention`",
        ),
        (
            "subsampling = 3\nchunk = 4",
            "subsampling = 4\nchunk = 3",
            "[1, 4, 6], it should be [1, 3",
        ),
    ] {
        let message = change(from, to);
        assert!(
            message.contains(said) && message.contains("tiny-f32.onnx"),
            "{message}"
        );
    }
}

#[test]
fn a_file_that_is_no_network_is_refused() {
    let dir = bundle();
    fs::write(dir.path().join("tiny-f32.onnx"), b"\x00not a network").expect("write");
    seal(dir.path(), common::MANIFEST);
    let bundle = Bundle::open(dir.path()).expect("hashes are right");
    let error = AcousticModel::load(&bundle, Precision::F32).expect_err("must be refused");
    assert!(
        matches!(error, LoadError::Engine(EngineError::Load { .. })),
        "{error}"
    );
    AcousticModel::load(&bundle, Precision::Int8).expect("the other model is untouched");
}

#[test]
fn a_missing_precision_is_named_with_those_there_are() {
    let dir = bundle_of(&common::MANIFEST.replace("f32 = \"tiny-f32.onnx\"\n", ""));
    let bundle = Bundle::open(dir.path()).expect("sound bundle");
    let error = AcousticModel::load(&bundle, Precision::F32).expect_err("must be refused");
    assert!(
        error.to_string().contains("no f32 model, only int8"),
        "{error}"
    );
}
