//! The shipped network through the tool: smaller, and close to what it was.

mod common;

use std::path::Path;

use common::{mean_difference, scores, shipped, speech};
use tempfile::TempDir;
use tract_onnx::pb::ModelProto;
use vocar_compress::bundle;
use vocar_compress::check::{Second, check};
use vocar_compress::factorise::{Thinness, factorise};
use vocar_compress::halves::halve_the_rest;
use vocar_compress::plan::{Width, find};
use vocar_compress::quantise::{Bits, quantise};
use vocar_compress::rest::{Convolutions, Names, shrink_the_rest};
use vocar_compress::trial::Trial;
use vocar_compress::tucker::tucker;
use vocar_compress::{read, write};
use vocar_inference::{Bundle, Network, Operators, Precision};

#[test]
fn each_precision_is_as_small_and_as_close_as_it_should_be() {
    let folder = TempDir::new().unwrap();
    let floats = scores(&shipped(), Operators::Stock);
    let size = |path: &Path| std::fs::metadata(path).unwrap().len() as f64;
    for (bits, fused, smaller, close) in [
        (Bits::Sixteen, 0, 2.0, 0.01),
        (Bits::Eight, 50, 3.9, 0.1),
        (Bits::Four, 50, 6.6, 0.6),
    ] {
        let mut model = read(&shipped()).unwrap();
        let report = quantise(&mut model, bits, &[]).unwrap();
        assert_eq!((report.changed.len(), report.kept.len()), (50, 0));
        let convolutions = Convolutions::beside(bits.into());
        shrink_the_rest(&mut model, convolutions, Names::Short, &report.changed);
        let path = folder.path().join("small.onnx");
        write(&path, &model).unwrap();
        assert!(
            size(&shipped()) / size(&path) > smaller,
            "{bits:?}: {} bytes",
            size(&path)
        );
        let difference = mean_difference(&scores(&path, Operators::Fused), &floats);
        assert!(
            difference > 0.0 && difference < close,
            "{bits:?}: {difference}"
        );
        let found = Network::load(&path, Operators::Fused).unwrap().operators();
        let linear = found.get("VocarLinear").copied().unwrap_or(0);
        assert_eq!(linear, fused, "{found:?}");
    }
}

#[test]
fn stock_tract_runs_the_int8_file_too_and_agrees() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("small.onnx");
    let mut model = read(&shipped()).unwrap();
    quantise(&mut model, Bits::Eight, &[]).unwrap();
    shrink_the_rest(&mut model, Convolutions::Int8, Names::Short, &[]);
    write(&path, &model).unwrap();
    let difference = mean_difference(
        &scores(&path, Operators::Fused),
        &scores(&path, Operators::Stock),
    );
    assert!(difference < 0.1, "{difference}");
}

#[test]
fn repeats_and_short_names_change_no_bit() {
    let folder = TempDir::new().unwrap();
    let mut model = read(&shipped()).unwrap();
    quantise(&mut model, Bits::Eight, &[]).unwrap();
    let mut halved = model.clone();
    halve_the_rest(&mut halved);
    shrink_the_rest(&mut model, Convolutions::Halves, Names::Short, &[]);
    let bits = |name: &str, model: &ModelProto| -> Vec<u32> {
        let path = folder.path().join(name);
        write(&path, model).unwrap();
        let scores = scores(&path, Operators::Fused);
        scores.into_iter().map(f32::to_bits).collect()
    };
    assert_eq!(bits("halved.onnx", &halved), bits("shrunk.onnx", &model));
}

#[test]
fn layers_can_be_kept_and_a_second_time_is_refused() {
    let mut model = read(&shipped()).unwrap();
    let report = quantise(&mut model, Bits::Eight, &["attention".into(), "out".into()]).unwrap();
    assert!(
        report.changed.len() < 50
            && report
                .kept
                .iter()
                .any(|(name, _)| name.contains("attention.qkv"))
    );
    let mut model = read(&shipped()).unwrap();
    quantise(&mut model, Bits::Eight, &[]).unwrap();
    let refused = quantise(&mut model, Bits::Eight, &[])
        .unwrap_err()
        .to_string();
    assert!(refused.contains("quantised already"), "{refused}");
}

#[test]
fn what_is_no_network_is_refused_by_name() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("notes.txt");
    std::fs::write(&path, "hello").unwrap();
    let refused = read(&path).unwrap_err().to_string();
    assert!(
        refused.contains("notes.txt") && refused.contains("no ONNX"),
        "{refused}"
    );
    assert!(read(&folder.path().join("nowhere.onnx")).is_err());
}

#[test]
fn a_plan_keeps_its_budget_and_makes_a_network_between_int4_and_int8() {
    let trial = |recordings| Trial::new(common::bundle(), recordings);
    let budget = 0.003;
    let plan = find(&trial(vec![speech()]).unwrap(), budget, &mut |_| {}).unwrap();
    let count = |wanted: Width| {
        plan.layers
            .values()
            .filter(|width| **width == wanted)
            .count()
    };
    assert!(
        plan.measured <= budget && plan.layers.len() == 50,
        "{plan:?}"
    );
    assert!(count(Width::Int4) > 0 && count(Width::Int8) > 0, "{plan:?}");
    let folder = TempDir::new().unwrap();
    let size = |name: &str, make: &dyn Fn(&mut ModelProto)| {
        let mut model = read(&shipped()).unwrap();
        make(&mut model);
        let path = folder.path().join(name);
        write(&path, &model).unwrap();
        std::fs::metadata(&path).unwrap().len()
    };
    let int8 = size("int8.onnx", &|model| {
        quantise(model, Bits::Eight, &[]).unwrap();
        halve_the_rest(model);
    });
    let int4 = size("int4.onnx", &|model| {
        quantise(model, Bits::Four, &[]).unwrap();
        halve_the_rest(model);
    });
    let mixed = size("mixed.onnx", &|model| plan.apply(model).unwrap());
    assert!(int4 < mixed && mixed < int8, "{int4} {mixed} {int8}");

    let mut wrong = plan;
    wrong.layers.insert("block9.up".into(), Width::Int8);
    let refused = wrong
        .apply(&mut read(&shipped()).unwrap())
        .unwrap_err()
        .to_string();
    assert!(
        refused.contains("block9.up") && refused.contains("block0.first.up"),
        "{refused}"
    );
    assert!(trial(vec![]).is_err(), "no recordings");
}

#[test]
fn low_rank_factors_are_smaller_and_near_and_can_be_quantised() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("thin.onnx");
    let mut model = read(&shipped()).unwrap();
    let report = factorise(&mut model, Thinness::Energy(0.8), &["out".into()]).unwrap();
    assert!(report.changed.len() > 20, "{report:?}");
    let kept = report.kept.iter().find(|(name, _)| name == "out.product");
    assert_eq!(kept.map(|(_, reason)| &**reason), Some("asked for"));
    write(&path, &model).unwrap();
    let whole = std::fs::metadata(shipped()).unwrap().len();
    assert!(std::fs::metadata(&path).unwrap().len() < whole * 9 / 10);
    let floats = scores(&shipped(), Operators::Stock);
    let difference = mean_difference(&scores(&path, Operators::Fused), &floats);
    assert!(difference > 1e-3 && difference < 1.0, "{difference}");
    let report = quantise(&mut model, Bits::Four, &[]).unwrap();
    assert_eq!(report.kept, []);
}

#[test]
fn tucker_factors_of_the_front_end_are_smaller_and_near() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("thin.onnx");
    let mut model = read(&shipped()).unwrap();
    let report = tucker(&mut model, Thinness::Energy(0.9), &[]).unwrap();
    assert_eq!(report.changed, ["subsampling.first", "subsampling.second"]);
    write(&path, &model).unwrap();
    let whole = std::fs::metadata(shipped()).unwrap().len();
    assert!(std::fs::metadata(&path).unwrap().len() < whole - 4 * 5000);
    let floats = scores(&shipped(), Operators::Stock);
    let difference = mean_difference(&scores(&path, Operators::Fused), &floats);
    assert!(difference > 1e-3 && difference < 1.0, "{difference}");
    let refused = tucker(&mut model, Thinness::Rank(32), &[]).unwrap_err();
    assert!(
        refused.to_string().contains("subsampling.second"),
        "{refused}"
    );
}

#[test]
fn a_rank_that_saves_nothing_is_refused() {
    let mut model = read(&shipped()).unwrap();
    let refused = factorise(&mut model, Thinness::Rank(160), &[]).unwrap_err();
    assert!(refused.to_string().contains("out.product"), "{refused}");
}

#[test]
fn a_bundle_gets_a_smaller_network_and_stays_sound() {
    let folder = TempDir::new().unwrap();
    for file in std::fs::read_dir(shipped().parent().unwrap()).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), folder.path().join(file.file_name())).unwrap();
    }
    let comments = |text: &str| text.lines().filter(|line| line.starts_with('#')).count();
    let manifest = || std::fs::read_to_string(folder.path().join("manifest.toml")).unwrap();
    let before = manifest();
    let mut model = bundle::floats(folder.path()).unwrap();
    quantise(&mut model, Bits::Eight, &[]).unwrap();
    let path = bundle::add(folder.path(), Precision::Int8, &model).unwrap();
    assert_eq!(path.file_name().unwrap(), "am-int8.onnx");
    assert_eq!(comments(&before), comments(&manifest()));
    let bundle = Bundle::open(folder.path()).unwrap();
    assert!(bundle.precisions().any(|one| one == Precision::Int8));
}

#[test]
fn a_bundle_without_floats_is_refused_by_name() {
    let folder = TempDir::new().unwrap();
    let refused = bundle::floats(folder.path()).unwrap_err().to_string();
    assert!(refused.contains("manifest.toml"), "{refused}");
}

#[test]
fn an_operator_that_is_not_known_is_refused_with_the_file_and_the_mend() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("odd.onnx");
    let mut model = read(&shipped()).unwrap();
    let nodes = &mut model.graph.as_mut().unwrap().node;
    let sigmoid = nodes.iter_mut().find(|node| node.op_type == "Sigmoid");
    sigmoid.unwrap().op_type = "Frobnicate".into();
    write(&path, &model).unwrap();
    let refused = check(&path).unwrap_err().to_string();
    assert!(
        refused.contains("odd.onnx") && refused.contains("operators this build supports"),
        "{refused}"
    );
}

#[test]
fn a_network_that_was_written_is_checked_and_its_fused_layers_are_counted() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("int8.onnx");
    let mut model = read(&shipped()).unwrap();
    quantise(&mut model, Bits::Eight, &[]).unwrap();
    write(&path, &model).unwrap();
    let checked = check(&path).unwrap();
    assert!(checked.fused >= 50, "{checked:?}");
    if let Second::Apart(apart) = checked.second {
        assert!(apart > 0.0 && apart < 0.05, "{apart}");
    } else {
        eprintln!(
            "not compared with ONNX Runtime: ORT_DYLIB_PATH names none and the system has none"
        );
    }
    let constants = &mut model.graph.as_mut().unwrap().initializer;
    let scale = constants
        .iter_mut()
        .find(|constant| constant.name == "out.weight.scale");
    let (values, _) = scale.unwrap().raw_data.as_chunks_mut::<4>();
    values.fill(f32::NAN.to_le_bytes());
    write(&path, &model).unwrap();
    let refused = check(&path).unwrap_err().to_string();
    assert!(
        refused.contains("int8.onnx") && refused.contains("no numbers"),
        "{refused}"
    );
}
