//! Networks over words, pruned and calibrated on sentences: the shipped one.

#[path = "common/pruning.rs"]
mod pruning;

use std::path::{Path, PathBuf};
use std::process::Output;

use pruning::{assert_better_than_by_size, pruned, tool, wishes};
use tempfile::TempDir;
use tract_onnx::pb::ModelProto;
use vocar_compress::bundle::{self, derive};
use vocar_compress::calibrate::{Choice, calibrate};
use vocar_compress::plan::{Plan, Width};
use vocar_compress::prune::Heard;
use vocar_compress::quantise::{Activations, Form, Granularity, Method, quantise};
use vocar_compress::rest::Names;
use vocar_compress::sentences::Sentence;
use vocar_compress::texts::Texts;
use vocar_compress::trial::Trial;
use vocar_compress::{read, write};
use vocar_inference::{Precision, TextBundle, WordNetwork};
use vocar_nlu::Encoder;

fn shipped() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/nlu-en")
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// What the tool says where it must succeed.
fn done(arguments: &[&str]) -> Output {
    let done = tool(arguments);
    let refused = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{refused}");
    done
}

/// Sentences of several lengths, every other one of which is to judge.
fn said() -> Vec<String> {
    let mut found = Vec::new();
    for what in [
        "the window",
        "the sunroof",
        "the trunk",
        "the rear left window",
        "my seat heating",
        "the lights in the back",
    ] {
        for how in [
            "open {}",
            "please close {} now",
            "turn on {}",
            "switch {} off",
            "could you set {} to level two",
        ] {
            found.push(how.replace("{}", what));
        }
    }
    for more in [
        "call anna on her mobile",
        "navigate to the nearest charging station",
        "play some jazz",
        "make it warmer",
        "how far can i still drive",
        "set the temperature to twenty one degrees",
        "what time is it",
        "skip this song",
    ] {
        found.push(more.into());
    }
    found
}

fn sentences() -> Vec<Sentence> {
    let sentence = |text: String| Sentence {
        words: text.split(' ').map(str::to_owned).collect(),
        intent: None,
        spans: Vec::new(),
    };
    said().into_iter().map(sentence).collect()
}

/// The table of the sentences in a folder.
fn table(folder: &TempDir) -> PathBuf {
    let path = folder.path().join("sentences.tsv");
    let rows: Vec<String> = said().iter().map(|text| format!("{text}\tnone")).collect();
    std::fs::write(&path, format!("text\tintent\n{}\n", rows.join("\n"))).unwrap();
    path
}

fn trial(every: usize) -> Trial {
    let some: Vec<Sentence> = sentences().into_iter().skip(every).step_by(2).collect();
    let texts = Texts::new(&shipped(), "car", &some).unwrap();
    Trial::reading(&shipped(), texts).unwrap()
}

fn floats() -> ModelProto {
    bundle::floats(&shipped()).unwrap()
}

/// Shape of a constant.
fn shape<'a>(model: &'a ModelProto, name: &str) -> &'a [i64] {
    let mut constants = model.graph.as_ref().unwrap().initializer.iter();
    &constants.find(|one| one.name == name).unwrap().dims
}

#[test]
fn a_pruned_network_of_fewer_heads_units_and_layers_is_read_with() {
    let folder = TempDir::new().unwrap();
    let (table, out) = (table(&folder), folder.path().join("pruned"));
    let done = done(&[
        "prune",
        text(&shipped()),
        text(&out),
        "--recordings",
        text(&table),
        "--structured",
        "layers=0.25,heads=0.35,ffn=0.5",
    ]);
    let (printed, said) = (
        String::from_utf8_lossy(&done.stdout),
        String::from_utf8_lossy(&done.stderr),
    );
    assert!(printed.contains("same intent or tag") && printed.contains("| widths | "));
    let bundle = TextBundle::open(&out).unwrap();
    let (precision, file) = bundle.lightest();
    assert_eq!(precision, Precision::F32);
    let model = read(&file).unwrap();
    let kept: Vec<usize> = (0..4)
        .filter(|number| said.contains(&format!("\nblock{number}: ")))
        .collect();
    assert_eq!(kept.len(), 3, "{said}");
    let sum = |name: &str, axis: usize| -> i64 {
        let blocks = kept.iter().map(|number| format!("block{number}.{name}"));
        blocks.map(|name| shape(&model, &name)[axis]).sum()
    };
    assert_eq!(sum("qkv.weight", 1), 12 * 96);
    assert_eq!(sum("qkv.bias", 0), 12 * 96);
    assert_eq!(sum("out.weight", 0), 12 * 32);
    assert_eq!(
        (sum("up.weight", 1), sum("down.weight", 0)),
        (3 * 384, 3 * 384)
    );
    let network = WordNetwork::load(&file, 33).unwrap();
    assert_eq!(network.layers().count(), 3 * 4 + 1);
    let words: Vec<String> = "open the rear left window"
        .split(' ')
        .map(str::to_owned)
        .collect();
    let guess = |dir: &Path| {
        let encoder = Encoder::load(dir).unwrap();
        encoder.read("car", &words, |_| true).unwrap().unwrap()
    };
    let (found, wanted) = (guess(&out), guess(&shipped()));
    assert_eq!(found.intents[0].0, wanted.intents[0].0);
    assert_eq!(found.spans, wanted.spans);
}

#[test]
fn sentences_decide_better_than_the_size_of_weights() {
    let heard = Heard {
        calibration: Some(trial(0)),
        judge: trial(1),
    };
    let wishes = wishes(&["layers=0.25", "heads=0.35", "ffn=0.5"]);
    let (by_size, _) = pruned(floats(), &wishes, None);
    let (model, stages) = pruned(floats(), &wishes, Some(&heard));
    assert_better_than_by_size(&heard, &by_size, (&model, &stages), 1e-4);
}

#[test]
fn static_scales_from_sentences_leave_their_reading_as_it_was() {
    let model = floats();
    let texts = Texts::new(&shipped(), "car", &sentences()).unwrap();
    let ranges = calibrate(&model, &texts, 99.99, &mut |_, _| {}).unwrap();
    assert_eq!(ranges.runs, sentences().len());
    assert_eq!(ranges.tensors.len(), 17);
    let mut small = model;
    let form = Form::Int8 {
        method: Method::Symmetric,
        granularity: Granularity::Channel,
        activations: Activations::Static {
            ranges: &ranges,
            choice: Choice::Percentile,
            method: Method::Asymmetric,
        },
    };
    assert_eq!(quantise(&mut small, form, &[]).unwrap().kept, []);
    let distance = trial(1).compare(&small).unwrap();
    assert!(
        distance.divergence < 0.01 && distance.same > 0.98,
        "{distance:?}"
    );
    let mut coarse = ranges.clone();
    for range in coarse.tensors.values_mut() {
        range.percentile = range.percentile.map(|edge| edge / 50.0);
    }
    let mut cut = floats();
    let form = Form::Int8 {
        method: Method::Symmetric,
        granularity: Granularity::Channel,
        activations: Activations::Static {
            ranges: &coarse,
            choice: Choice::Percentile,
            method: Method::Asymmetric,
        },
    };
    quantise(&mut cut, form, &[]).unwrap();
    assert!(trial(1).compare(&cut).unwrap().divergence > 10.0 * distance.divergence);
}

#[test]
fn the_report_takes_static_scales_and_bundles_of_their_own() {
    let folder = TempDir::new().unwrap();
    let table = table(&folder);
    let [ranges, json] = ["ranges.toml", "report.json"].map(|name| folder.path().join(name));
    done(&["calibrate", text(&shipped()), text(&table), text(&ranges)]);
    let (narrow, _) = pruned(floats(), &wishes(&["ffn=0.75"]), None);
    let (file, own) = (
        folder.path().join("narrow.onnx"),
        folder.path().join("narrow"),
    );
    write(&file, &narrow).unwrap();
    derive(&shipped(), &own, Precision::F32, &narrow).unwrap();
    let words = std::fs::read(own.join("words.txt")).unwrap().len();
    done(&[
        "report",
        text(&shipped()),
        text(&table),
        "--ranges",
        text(&ranges),
        "--steps",
        "3",
        "--rounds",
        "1",
        "--network",
        &format!("file={}", text(&file)),
        "--network",
        &format!("folder={}", text(&own)),
        "--json",
        text(&json),
    ]);
    let found: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(&json).unwrap()).unwrap();
    let named = |name: &str, key: &str| {
        let mut rows = found["rows"].as_array().unwrap().iter();
        rows.find(|row| row["name"] == name).unwrap()[key]
            .as_f64()
            .unwrap()
    };
    assert!(named("int8, static", "same") > 0.9);
    for key in ["bytes", "beside_bytes", "same"] {
        assert_eq!(named("file", key), named("folder", key));
    }
    assert!(named("folder", "bytes") < 0.6 * named("f32", "bytes"));
    assert!(named("folder", "beside_bytes") > 10.0 * words as f64);
}

#[test]
fn a_plan_for_words_keeps_its_budget_and_the_names_of_layers() {
    let folder = TempDir::new().unwrap();
    let (table, planned) = (table(&folder), folder.path().join("plan.toml"));
    let found = |budget: &str| {
        done(&[
            "plan",
            text(&shipped()),
            text(&table),
            text(&planned),
            "--budget",
            budget,
        ]);
        Plan::load(&planned).unwrap()
    };
    let (coarse, fine) = (found("1"), found("0.00001"));
    let of = |plan: &Plan, width| plan.layers.values().filter(|one| **one == width).count();
    assert_eq!((of(&coarse, Width::Int4), coarse.names), (17, Names::Kept));
    assert!(
        of(&fine, Width::Int4) < 17 && fine.measured <= 0.00001,
        "{fine:?}"
    );
    let out = folder.path().join("smaller");
    done(&[
        "quantise",
        text(&shipped()),
        text(&out),
        "--plan",
        text(&planned),
        "--alone",
    ]);
    let (precision, file) = TextBundle::open(&out).unwrap().lightest();
    assert_eq!(precision, Precision::Mixed);
    let network = WordNetwork::load(&file, 33).unwrap();
    let layers: Vec<&str> = network.layers().map(|(name, ..)| name).collect();
    assert!(
        layers.len() == 17 && layers.contains(&"block0.qkv"),
        "{layers:?}"
    );
    assert!(Encoder::load(&out).is_ok());
}

#[test]
fn what_is_wrong_is_told_with_what_to_do() {
    let folder = TempDir::new().unwrap();
    let (table, out) = (table(&folder), folder.path().join("out.onnx"));
    let bare = folder.path().join("bare.onnx");
    write(&bare, &floats()).unwrap();
    let refused = |input: &Path, more: &[&str]| {
        let mut arguments = vec!["prune", text(input), text(&out)];
        arguments.extend(more);
        let done = tool(&arguments);
        assert!(!done.status.success(), "{more:?}");
        String::from_utf8_lossy(&done.stderr).into_owned()
    };
    let recordings = ["--recordings", text(&table)];
    for (input, more, hint) in [
        (
            shipped(),
            &["--structured", "channels=0.3"][..],
            "no channels",
        ),
        (
            shipped(),
            &["--structured", "ffn=0.3", "--domain", "boat"],
            "--domain: car",
        ),
        (bare, &["--structured", "ffn=0.3"], "give a bundle"),
    ] {
        let said = refused(&input, &[&recordings[..], more].concat());
        assert!(said.contains(hint), "{more:?}: {said}");
    }
    let spoken = folder.path().join("spoken.tsv");
    std::fs::write(&spoken, "path\ttext\na.wav\thello\n").unwrap();
    let said = refused(
        &shipped(),
        &["--recordings", text(&spoken), "--structured", "ffn=0.3"],
    );
    assert!(said.contains("`intent`"), "{said}");
}
