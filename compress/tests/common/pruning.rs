//! What the tests of pruning share, of networks over speech and over words.

use std::process::{Command, Output};

use tract_onnx::pb::ModelProto;
use vocar_compress::prune::{Heard, Stage, Wishes, prune};

/// Runs `vocar-compress`.
pub fn tool(arguments: &[&str]) -> Output {
    let tool = env!("CARGO_BIN_EXE_vocar-compress");
    Command::new(tool).args(arguments).output().unwrap()
}

pub fn wishes(structured: &[&str]) -> Wishes {
    Wishes {
        structured: structured.iter().map(|one| one.parse().unwrap()).collect(),
        granule: 32,
        ..Wishes::default()
    }
}

pub fn pruned(
    mut model: ModelProto,
    wishes: &Wishes,
    heard: Option<&Heard>,
) -> (ModelProto, Vec<Stage>) {
    let stages = prune(&mut model, wishes, heard, &mut |_| {}).unwrap();
    (model, stages)
}

/// Of a network whose layers went, at a cost of `noticed` nats at least, and then its widths: it is what its stages say, and
/// nearer to the floats than one pruned by the size of its weights.
pub fn assert_better_than_by_size(
    heard: &Heard,
    by_size: &ModelProto,
    (model, stages): (&ModelProto, &[Stage]),
    noticed: f64,
) {
    let distances: Vec<f64> = stages
        .iter()
        .map(|stage| stage.distance.unwrap().divergence)
        .collect();
    assert!(
        distances[0] < 1e-6 && distances[1] > noticed && distances[2] > distances[1],
        "{stages:?}"
    );
    let blind = heard.judge.compare(by_size).unwrap().divergence;
    assert!(
        distances[2] < 0.7 * blind,
        "{} against {blind}",
        distances[2]
    );
    assert_eq!(heard.judge.compare(model).unwrap().divergence, distances[2]);
}
