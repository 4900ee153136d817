//! Adapters trained by `vocar` itself: what it tells, what it refuses, and that it may be killed at any moment.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use serde_json::Value;
use vocar_nlu::Encoder;
use vocar_nlu::adapter::{self, Adapter, AdapterManifest, Weights};
use vocar_tests::{program, repository};

const DOMAIN: &str = r#"
name = "house"
[[intents]]
name = "door.open"
templates = ["open [up] the (door|gate|garage)", "let me in"]
examples = ["i am home", "could somebody open up please"]
[[intents]]
name = "light.on"
templates = ["(switch|turn) on the light in the {room}", "light up the {room}"]
examples = ["it is too dark in the [kitchen](room)"]
[lists.room]
values = ["kitchen", "bathroom", "cellar", "hall"]
"#;
/// What a writer that is to be killed finds its folder by.
const FOLDER: &str = "VOCAR_TEST_FOLDER";

fn bundle() -> PathBuf {
    repository().join("models/nlu-en")
}

fn domain(dir: &Path, text: &str) -> PathBuf {
    let dir = dir.join("house");
    fs::create_dir_all(&dir).unwrap();
    fs::write(dir.join("domain.toml"), text).unwrap();
    dir
}

/// `vocar` with these arguments, on the bundles of the repository, its adapters in `folder`.
fn command(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(program("vocar"));
    command
        .args(arguments)
        .arg("--json")
        .env("VOCAR_MODEL__UNDERSTANDING", bundle())
        .env("VOCAR_ADAPTERS__FOLDER", folder)
        .env("XDG_CONFIG_HOME", folder);
    command
}

fn said(output: &Output) -> Value {
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}{errors}");
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[test]
fn a_domain_is_built_and_corrected_and_what_cannot_be_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("adapters");
    let house = domain(dir.path(), DOMAIN);
    let house = house.to_str().unwrap();
    let built = command(&folder, &["domain", "build", house])
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&built.stderr).into_owned();
    let built = said(&built);
    assert!(
        !errors.contains('#'),
        "a bar although nobody looks: {errors}"
    );
    assert!(
        built["held_out"]["intent"].as_f64().unwrap() > 0.9,
        "{built}"
    );
    assert!(built["share_of_base"].as_f64().unwrap() < 0.02, "{built}");
    let encoder = Encoder::load(&bundle()).unwrap();
    let adapter = Adapter::load(&folder.join("house"), &encoder).unwrap();
    assert_eq!(adapter.intents(), ["door.open", "light.on"]);

    let correct = |arguments: &[&str]| {
        let all = [&["adapter", "correct"], arguments, &["--domain", house]].concat();
        command(&folder, &all).output().unwrap()
    };
    let unknown = correct(&["brr", "--intent", "heating.on"]);
    let text = String::from_utf8_lossy(&unknown.stderr);
    assert_eq!(unknown.status.code(), Some(4), "{text}");
    assert!(
        text.contains("heating.on") && text.contains("light.on"),
        "{text}"
    );
    let heard = [
        "pitch black down in the cellar",
        "--intent",
        "light.on",
        "--slot",
        "room=cellar",
    ];
    let corrected = said(&correct(&heard));
    assert_eq!(corrected["corrections"], 1);
    assert_eq!(corrected["corrections_understood"], 1, "{corrected}");

    let contrary = DOMAIN.replace("\"i am home\"", "\"i am home\", \"light up the hall\"");
    let contrary = domain(&dir.path().join("contrary"), &contrary);
    let refused = command(&folder, &["adapter", "train", contrary.to_str().unwrap()])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(refused.status.code(), Some(4), "{text}");
    for part in [
        "domain.toml:",
        "light.on",
        "door.open",
        "\"light up the hall\"",
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
    Adapter::load(&folder.join("house"), &encoder).unwrap();
}

#[test]
fn a_training_that_is_killed_again_and_again_leaves_the_old_adapter_and_ends_at_last() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("adapters");
    let house = domain(dir.path(), DOMAIN);
    let house = house.to_str().unwrap();
    let first = ["adapter", "train", house, "--seconds", "1"];
    said(&command(&folder, &first).output().unwrap());
    let encoder = Encoder::load(&bundle()).unwrap();
    let hash = || {
        let adapter = Adapter::load(&folder.join("house"), &encoder).unwrap();
        adapter.manifest().sha256.clone()
    };
    let old = hash();
    let again = ["adapter", "train", house, "--seed", "2"];
    let saved = folder.join(".house.checkpoint");
    for killed in 0..3 {
        let mut child = command(&folder, &again).spawn().unwrap();
        let began = Instant::now();
        let before = fs::metadata(&saved).and_then(|about| about.modified()).ok();
        let newer = || {
            let now = fs::metadata(&saved).and_then(|about| about.modified()).ok();
            now.is_some() && now != before
        };
        let patience = if killed == 0 {
            Duration::from_secs(90)
        } else {
            Duration::from_millis(700 * killed)
        };
        while began.elapsed() < patience && !(killed == 0 && newer()) {
            std::thread::sleep(Duration::from_millis(20));
            assert!(
                child.try_wait().unwrap().is_none(),
                "it ended before it was killed"
            );
        }
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(hash(), old, "after {:?}", began.elapsed());
    }
    assert!(saved.exists(), "no checkpoint");
    let ended = said(&command(&folder, &again).output().unwrap());
    assert_eq!(ended["resumed"], true, "{ended}");
    assert_ne!(hash(), old);
    assert!(!saved.exists(), "the checkpoint of a training that is over");
}

fn weights(dim: usize, value: f32) -> Weights {
    let mut weights = Weights::default();
    for (head, labels) in [("intents", 2), ("tags", 1)] {
        let weight = (vec![labels, dim], vec![value; labels * dim]);
        weights.tensors.insert(format!("{head}.weight"), weight);
        let bias = (vec![labels], vec![value; labels]);
        weights.tensors.insert(format!("{head}.bias"), bias);
    }
    let remarks = [
        ("intents", "none\ndoor.open"),
        ("tags", "O"),
        ("slope", "1"),
        ("offset", "0"),
        ("threshold", "0.5"),
    ];
    let owned = remarks.map(|(name, value)| (name.to_owned(), value.to_owned()));
    weights.remarks.extend(owned);
    weights
}

/// Writes one adapter after the other until it is killed; only for the test below, which starts it as a program of its own.
#[test]
fn a_writer_that_never_ends() {
    let Some(folder) = std::env::var_os(FOLDER).map(PathBuf::from) else {
        eprintln!("SKIPPED: a program for the test that kills it");
        return;
    };
    let encoder = Encoder::load(&bundle()).unwrap();
    let manifest = AdapterManifest::new("house", "house", encoder.base(), 1, 1.0);
    for value in 0u16.. {
        adapter::write(
            &folder,
            &manifest,
            &weights(encoder.dim(), f32::from(value)),
        )
        .unwrap();
    }
}

#[test]
fn whoever_is_killed_while_writing_leaves_a_whole_adapter() {
    let dir = tempfile::tempdir().unwrap();
    let encoder = Encoder::load(&bundle()).unwrap();
    let mut seen = std::collections::BTreeSet::new();
    for round in 0..25u64 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "a_writer_that_never_ends", "--nocapture"])
            .env(FOLDER, dir.path())
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        let manifest = dir.path().join("house/adapter.toml");
        vocar_tests::eventually("a first adapter", Duration::from_secs(60), || {
            manifest.exists().then_some(())
        });
        std::thread::sleep(Duration::from_millis(60 + 7 * round));
        child.kill().unwrap();
        child.wait().unwrap();
        let adapter = Adapter::load(&dir.path().join("house"), &encoder).unwrap();
        seen.insert(adapter.manifest().sha256.clone());
    }
    assert!(seen.len() > 5, "only {} were written", seen.len());
}
