//! The program itself.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;
use vocar_inference::{Bundle, Precision};

fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

/// The shipped bundle.
fn bundle() -> PathBuf {
    repository("models/speech-en-f32")
}

fn tool(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_vocar-compress"))
        .args(arguments)
        .env_remove("ORT_DYLIB_PATH")
        .output()
        .unwrap()
}

/// What it prints when all is well.
fn done(arguments: &[&str]) -> String {
    let output = tool(arguments);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {said}");
    String::from_utf8(output.stdout).unwrap()
}

/// What it says when something is wrong.
fn refused(arguments: &[&str]) -> String {
    let output = tool(arguments);
    assert!(!output.status.success(), "{arguments:?}");
    String::from_utf8(output.stderr).unwrap()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// A table of one recording with its text.
fn table(folder: &TempDir) -> PathBuf {
    let path = folder.path().join("table.tsv");
    let recording = repository("tests/recordings/set-temperature.wav");
    let row = format!(
        "{}\tset the temperature to twenty one degrees\n",
        recording.canonicalize().unwrap().display()
    );
    std::fs::write(&path, format!("path\ttext\n{row}")).unwrap();
    path
}

#[test]
fn bench_prints_and_writes_a_row_for_each_engine() {
    let folder = TempDir::new().unwrap();
    let (json, csv) = (
        folder.path().join("bench.json"),
        folder.path().join("bench.csv"),
    );
    let printed = done(&[
        "bench",
        text(&bundle().join("am-f32.onnx")),
        "--steps",
        "3",
        "--json",
        text(&json),
        "--csv",
        text(&csv),
    ]);
    assert!(printed.contains("| am-f32.onnx | ours |"), "{printed}");
    let found: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(&json).unwrap()).unwrap();
    let rows = found["rows"].as_array().unwrap();
    let engines: Vec<&str> = rows
        .iter()
        .map(|row| row["engine"].as_str().unwrap())
        .collect();
    assert_eq!(engines[..2], ["ours", "stock-tract"]);
    for row in rows {
        assert!(
            row["median_ms"].as_f64().unwrap() > 0.0 && row["floor_ms"].as_f64().unwrap() > 0.0
        );
        assert!(row["p95_ms"].as_f64() >= row["median_ms"].as_f64());
    }
    let lines = std::fs::read_to_string(&csv).unwrap();
    assert_eq!(lines.lines().count(), 1 + rows.len());
}

#[test]
fn a_combination_that_means_nothing_is_refused_before_anything_is_read() {
    let said = refused(&[
        "quantise",
        "nowhere.onnx",
        "out.onnx",
        "--bits",
        "4",
        "--granularity",
        "tensor",
    ]);
    assert!(said.contains("--granularity group"), "{said}");
    let said = refused(&[
        "quantise",
        text(&bundle().join("am-f32.onnx")),
        "out.onnx",
        "--static",
        "nowhere.toml",
    ]);
    assert!(
        said.contains("nowhere.toml") && said.contains("calibrate"),
        "{said}"
    );
}

#[test]
fn ranges_of_the_tool_make_a_network_in_a_bundle() {
    let folder = TempDir::new().unwrap();
    let bundle = bundle();
    let bundle = text(&bundle);
    let thin = folder.path().join("thin");
    let printed = done(&["factorise", bundle, text(&thin), "--energy", "0.8"]);
    assert!(
        printed.contains("checked: our run time runs it"),
        "{printed}"
    );
    let made = Bundle::open(&thin).unwrap();
    assert_eq!(made.precisions().collect::<Vec<_>>(), [Precision::F32]);
    assert!(made.path("lexicon.txt").exists() && !made.path("am-mixed.onnx").exists());

    let ranges = folder.path().join("ranges.toml");
    done(&[
        "calibrate",
        text(&thin),
        text(&table(&folder)),
        text(&ranges),
        "--seconds",
        "2",
    ]);
    done(&[
        "quantise",
        text(&thin),
        text(&thin),
        "--static",
        text(&ranges),
    ]);
    let made = Bundle::open(&thin).unwrap();
    assert!(made.precisions().any(|one| one == Precision::Int8));

    let vehicle = folder.path().join("vehicle");
    done(&[
        "quantise",
        text(&thin),
        text(&vehicle),
        "--bits",
        "4",
        "--alone",
    ]);
    let made = Bundle::open(&vehicle).unwrap();
    assert_eq!(made.precisions().collect::<Vec<_>>(), [Precision::Mixed]);
    assert!(made.path("lexicon.txt").exists() && !made.path("am-f32.onnx").exists());
    let network = thin.join("am-f32.onnx");
    let said = refused(&["quantise", text(&network), text(&vehicle), "--alone"]);
    assert!(said.contains("give a bundle as input"), "{said}");

    std::fs::write(&ranges, "runs = 1\npercentile = 99.9\n[tensors]\n").unwrap();
    let said = refused(&["quantise", bundle, text(&thin), "--static", text(&ranges)]);
    assert!(said.contains("missing calibration"), "{said}");
    let said = refused(&["factorise", bundle, bundle, "--energy", "0.8"]);
    assert!(said.contains("another folder"), "{said}");
}

#[test]
fn the_report_has_a_row_for_each_network_with_all_its_columns() {
    let folder = TempDir::new().unwrap();
    let bundle = bundle();
    let bundle = text(&bundle);
    let (table, json) = (table(&folder), folder.path().join("report.json"));
    let plan = Path::new(env!("CARGO_MANIFEST_DIR")).join("plans/speech-en.toml");
    let network = format!("elsewhere={bundle}/am-f32.onnx");
    let printed = done(&[
        "report",
        bundle,
        text(&table),
        "--seconds",
        "2",
        "--steps",
        "3",
        "--rounds",
        "1",
        "--plan",
        text(&plan),
        "--network",
        &network,
        "--recognise",
        text(&table),
        "--energy",
        "20",
        "--json",
        text(&json),
    ]);
    assert!(printed.contains("sa8155p prime"), "{printed}");
    let found: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(&json).unwrap()).unwrap();
    let rows = found["rows"].as_array().unwrap();
    let named = |name: &str| {
        rows.iter()
            .find(|row| row["name"] == name)
            .unwrap_or_else(|| panic!("{name}: {printed}"))
    };
    for name in ["f32", "f16", "int8, dynamic", "int4", "mixed", "elsewhere"] {
        let row = named(name);
        let number = |key: &str| row[key].as_f64().unwrap();
        assert!(
            number("bytes") > 1e6 && number("median_ms") > 0.0 && number("rtf") < 1.0,
            "{row}"
        );
        assert!(number("peak_bytes") > number("bytes"), "{row}");
        assert_eq!(row["recognition"]["asked"], 1);
    }
    assert_eq!(named("elsewhere")["divergence"].as_f64(), Some(0.0));
    // With one sentence to choose from, it is the best one.
    assert_eq!(
        named("f32")["recognition"]["best_right"].as_f64(),
        Some(1.0)
    );
    let energy = &found["energy"];
    assert!(
        energy["cascade_s"].as_f64() < energy["always_on_s"].as_f64(),
        "{energy}"
    );
}

#[test]
fn a_network_of_an_open_length_is_written_and_said_to_be_unchecked() {
    let folder = TempDir::new().unwrap();
    let written = folder.path().join("encoder-int8.onnx");
    let encoder = repository("nlu/testdata/encoder/encoder-f32.onnx");
    let said = done(&["quantise", text(&encoder), text(&written)]);
    assert!(
        said.contains("not checked: the shape of input `rows` is open"),
        "{said}"
    );
    let size = |path: &Path| std::fs::metadata(path).unwrap().len();
    assert!(2 * size(&written) < size(&encoder), "{said}");
}

#[test]
fn the_report_of_a_bundle_of_words_reads_its_sentences_with_each_network() {
    let folder = TempDir::new().unwrap();
    let (table, json) = (
        folder.path().join("sentences.tsv"),
        folder.path().join("report.json"),
    );
    let rows = [
        "text\tintent\tspans",
        "let the rear left window down\twindow.open\t{\"zone\": [2, 4]}",
        "could you blow at twenty two\tfan.set\t{\"level\": [4, 6]}",
        "the rain in spain\tstrange.none\t{}",
    ];
    std::fs::write(&table, rows.join("\n")).unwrap();
    let bundle = repository("nlu/testdata/encoder");
    let report = |domain: &str| {
        tool(&[
            "report",
            text(&bundle),
            text(&table),
            "--domain",
            domain,
            "--steps",
            "3",
            "--rounds",
            "1",
            "--json",
            text(&json),
        ])
    };
    let output = report("car");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let found: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(&json).unwrap()).unwrap();
    let rows = found["rows"].as_array().unwrap();
    let names: Vec<&str> = rows.iter().filter_map(|row| row["name"].as_str()).collect();
    for name in ["f32", "f16", "int8, dynamic", "int4"] {
        assert!(names.contains(&name), "{names:?}");
    }
    for row in rows {
        let number = |key: &str| row[key].as_f64().unwrap();
        assert!(
            number("median_ms") > 0.0 && number("peak_bytes") > number("bytes"),
            "{row}"
        );
        assert_eq!(
            (&row["reading"]["asked"], &row["reading"]["others"]),
            (&2.into(), &1.into())
        );
    }
    assert_eq!(rows[0]["same"], 1.0);
    assert_eq!(rows[0]["reading"]["slot_f1"], 1.0);
    let refused = String::from_utf8(report("boat").stderr).unwrap();
    assert!(
        refused.contains("`boat`") && refused.contains("car"),
        "{refused}"
    );
}

#[test]
fn the_shipped_encoder_is_restored_and_timed_at_a_length() {
    let folder = TempDir::new().unwrap();
    let restored = folder.path().join("f32.onnx");
    let shipped = repository("models/nlu-en/encoder-mixed.onnx");
    let said = done(&["restore", text(&shipped), text(&restored)]);
    assert!(said.contains("17 layers"), "{said}");
    let bench = [
        "bench",
        text(&restored),
        text(&shipped),
        "--steps",
        "3",
        "--ours-only",
    ];
    assert!(!refused(&bench).is_empty());
    let printed = done(&[&bench[..], &["--size", "length=9"]].concat());
    assert!(
        printed.contains("| f32.onnx | ours |")
            && printed.contains("| encoder-mixed.onnx | ours |"),
        "{printed}"
    );
}
