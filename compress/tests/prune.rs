//! Pruning the shipped network, through the tool and through the library.

#[path = "common/pruning.rs"]
mod pruning;

use std::path::{Path, PathBuf};

use pruning::{assert_better_than_by_size, pruned, tool, wishes};
use tempfile::TempDir;
use tract_onnx::pb::ModelProto;
use vocar_compress::prune::{Heard, PruneError, Wishes, prune};
use vocar_compress::quantise::{Bits, quantise};
use vocar_compress::trial::Trial;
use vocar_compress::{read, write};
use vocar_inference::{Bundle, Network, Operators};
use vocar_speech::resample::Resampler;
use vocar_speech::source::AudioSource;

fn root(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

fn shipped() -> ModelProto {
    read(&root("models/speech-en-f32/am-f32.onnx")).unwrap()
}

/// A bundled recording, 16 kHz mono.
fn spoken(name: &str) -> Vec<f32> {
    let mut source = AudioSource::open(&root("tests/recordings").join(name)).unwrap();
    let mut resampler = Resampler::new(source.rate()).unwrap();
    let mut samples = Vec::new();
    while let Some(chunk) = source.next_chunk().unwrap() {
        resampler.push(chunk, &mut samples).unwrap();
    }
    samples
}

fn heard() -> Heard {
    let trial = |names: &[&str]| {
        let bundle = Bundle::open(root("models/speech-en-f32")).unwrap();
        let recordings = names.iter().map(|name| spoken(name)).collect();
        Trial::new(bundle, recordings).unwrap()
    };
    let more = [
        "ac-on.flac",
        "call.opus",
        "cruise.opus",
        "dial.opus",
        "range.opus",
        "seat-heating.flac",
    ];
    Heard {
        calibration: Some(trial(&more)),
        judge: trial(&["set-temperature.wav", "open-window.wav"]),
    }
}

fn loaded(model: &ModelProto) -> Network {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("pruned.onnx");
    write(&path, model).unwrap();
    let network = Network::load(&path, Operators::Fused).unwrap();
    let other = Network::load(&path, Operators::Stock).unwrap();
    assert_eq!(network.inputs(), other.inputs());
    network
}

/// Shape of a constant.
fn shape<'a>(model: &'a ModelProto, name: &str) -> &'a [i64] {
    let mut constants = model.graph.as_ref().unwrap().initializer.iter();
    &constants.find(|one| one.name == name).unwrap().dims
}

#[test]
fn the_tool_prunes_all_structures_and_the_network_still_runs_fused() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("pruned.onnx");
    let bundle = root("models/speech-en-f32");
    let shares = "heads=0.3,ffn=0.4,layers=0.5,channels=0.2";
    let done = tool(&[
        "prune",
        bundle.to_str().unwrap(),
        path.to_str().unwrap(),
        "--magnitude",
        "--structured",
        shares,
    ]);
    let (out, err) = (
        String::from_utf8_lossy(&done.stdout),
        String::from_utf8_lossy(&done.stderr),
    );
    assert!(done.status.success(), "{out}{err}");
    assert!(
        out.contains("| widths | ") && err.contains("goes"),
        "{out}{err}"
    );
    let bytes = |path: &Path| std::fs::metadata(path).unwrap().len() as f64;
    let smaller = bytes(&bundle.join("am-f32.onnx")) / bytes(&path);
    assert!(smaller > 2.5, "{smaller}");
    let model = read(&path).unwrap();
    let found = loaded(&model).operators();
    assert_eq!(found["VocarAttention"], 3, "{found:?}");
    assert_eq!(found["VocarDepthwise"], 3, "{found:?}");
    let mut small = model;
    assert_eq!(quantise(&mut small, Bits::Four, &[]).unwrap().kept, []);
    assert_eq!(loaded(&small).operators()["VocarLinear"], 3 * 8 + 2);
}

#[test]
fn shares_are_kept_and_whatever_hangs_on_a_width_shrinks_with_it() {
    let mut wishes = wishes(&["heads=0.4", "ffn=0.5", "channels=0.2"]);
    wishes.keep = vec!["block5".into()];
    let (model, _) = pruned(shipped(), &wishes, None);
    let blocks = || (0..5).map(|number| format!("block{number}"));
    let sum = |name: &str, axis: usize| -> i64 {
        blocks()
            .map(|block| shape(&model, &format!("{block}.{name}"))[axis])
            .sum()
    };
    assert_eq!(sum("attention.distance", 1), 15);
    assert_eq!(sum("attention.qkv.weight", 1), 15 * 96);
    assert_eq!(sum("attention.qkv.bias", 0), 15 * 96);
    assert_eq!(sum("attention.out.weight", 0), 15 * 32);
    assert_eq!(sum("first.up.weight", 1) + sum("second.up.weight", 1), 1600);
    assert_eq!(
        sum("first.down.weight", 0) + sum("second.down.weight", 0),
        1600
    );
    assert_eq!(
        sum("convolution.gate.weight", 1),
        2 * sum("convolution.out.weight", 0)
    );
    assert_eq!(sum("convolution.depthwise.weight", 0), 640);
    assert_eq!(shape(&model, "block5.first.up.weight"), [160, 320]);
    let network = loaded(&model);
    let states: usize = network.inputs()[1..]
        .iter()
        .map(|one| one.iter().product::<usize>())
        .sum();
    let kept = 2 * 80 + 2 * (15 + 5) * 48 * 32 + (640 + 160) * 8;
    assert_eq!(states, kept);
}

#[test]
fn recordings_decide_better_than_the_size_of_weights() {
    let heard = heard();
    let wishes = wishes(&["heads=0.2", "ffn=0.3", "channels=0.2", "layers=0.17"]);
    let (mut by_size, _) = pruned(shipped(), &wishes, None);
    let (model, stages) = pruned(shipped(), &wishes, Some(&heard));
    let names: Vec<&str> = stages.iter().map(|stage| &*stage.name).collect();
    assert_eq!(names, ["as it was", "layers", "widths"]);
    assert!(
        stages[2].parameters < stages[1].parameters && stages[1].parameters < stages[0].parameters
    );
    assert_better_than_by_size(&heard, &by_size, (&model, &stages), 1e-3);

    // What was pruned can be pruned again.
    let again = Wishes {
        structured: vec!["ffn=0.5".parse().unwrap()],
        granule: 32,
        ..Wishes::default()
    };
    let stages = prune(&mut by_size, &again, None, &mut |_| {}).unwrap();
    assert!(stages[1].parameters < stages[0].parameters);
}

#[test]
fn single_weights_go_by_share_or_by_group_and_the_tool_says_how_many() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("sparse.onnx");
    let (input, output) = (
        root("models/speech-en-f32/am-f32.onnx"),
        path.to_str().unwrap(),
    );
    let run = |more: &[&str]| {
        let mut arguments = vec!["prune", input.to_str().unwrap(), output, "--magnitude"];
        arguments.extend(more);
        tool(&arguments)
    };
    assert!(
        run(&["--n:m", "2:4", "--keep", "out.product"])
            .status
            .success()
    );
    let model = read(&path).unwrap();
    let constants = &model.graph.as_ref().unwrap().initializer;
    let weight = constants
        .iter()
        .find(|one| one.name == "block0.first.up.weight")
        .unwrap();
    let values: Vec<f32> = weight
        .raw_data
        .as_chunks::<4>()
        .0
        .iter()
        .map(|&b| f32::from_le_bytes(b))
        .collect();
    for column in 0..320 {
        let column: Vec<f32> = values[column..].iter().step_by(320).copied().collect();
        assert!(
            column
                .chunks(4)
                .all(|few| few.iter().filter(|value| **value != 0.0).count() == 2)
        );
    }
    let done = run(&["--unstructured", "0.5"]);
    let out = String::from_utf8_lossy(&done.stdout);
    let row = out
        .lines()
        .find(|line| line.starts_with("| single weights"))
        .unwrap();
    let cells: Vec<f64> = row
        .split('|')
        .filter_map(|cell| cell.trim().parse().ok())
        .collect();
    assert!((0.5..0.52).contains(&(cells[1] / cells[0])), "{row}");

    for (wrong, hint) in [
        (&["--structured", "legs=0.3"][..], "heads=0.3"),
        (&["--structured", "ffn=1.5"], "share"),
        (&["--unstructured", "1.5"], "share"),
        (&["--n-m", "4:2"], "2:4"),
        (&[], "nothing is to go"),
    ] {
        let refused = run(wrong);
        let said = String::from_utf8_lossy(&refused.stderr);
        assert!(
            !refused.status.success() && said.contains(hint),
            "{wrong:?}: {said}"
        );
    }
}

#[test]
fn a_layer_that_is_unlike_is_named() {
    let mut model = shipped();
    let graph = model.graph.as_mut().unwrap();
    for node in &mut graph.node {
        if node.name == "block2.attention.biased" {
            node.op_type = "Sub".into();
        }
    }
    let refused = prune(
        &mut model.clone(),
        &wishes(&["heads=0.3"]),
        None,
        &mut |_| {},
    );
    let refused = refused.unwrap_err();
    assert!(matches!(refused, PruneError::Unlike { .. }));
    assert!(
        refused.to_string().contains("`block2.attention.softmax`"),
        "{refused}"
    );
    let mut wishes = wishes(&["heads=0.3"]);
    wishes.keep = vec!["block2".into()];
    assert!(prune(&mut model, &wishes, None, &mut |_| {}).is_ok());

    let mut empty = ModelProto::default();
    for structure in ["heads=0.3", "ffn=0.3", "channels=0.3", "layers=0.3"] {
        let wishes = Wishes {
            structured: vec![structure.parse().unwrap()],
            ..Wishes::default()
        };
        let refused = prune(&mut empty, &wishes, None, &mut |_| {})
            .unwrap_err()
            .to_string();
        assert!(refused.contains("has no"), "{refused}");
    }
}
