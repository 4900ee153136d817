//! Scales found beforehand: from recordings to a network that runs.

mod common;

use common::{bundle, mean_difference, scores, shipped, speech};
use tempfile::TempDir;
use vocar_compress::calibrate::{CalibrationError, Choice, Ranges, Speech, calibrate};
use vocar_compress::quantise::{Activations, Bits, Form, Granularity, Method, quantise};
use vocar_compress::trial::Trial;
use vocar_compress::{read, write};
use vocar_inference::Operators;

fn ranges() -> Ranges {
    let model = read(&shipped()).unwrap();
    let material = Speech::new(&bundle(), vec![speech()]);
    let mut seen = Vec::new();
    let ranges = calibrate(&model, &material, 99.9, &mut |at, of| seen.push((at, of))).unwrap();
    assert_eq!(seen, [(0, 1)]);
    ranges
}

fn form(ranges: &Ranges, method: Method, choice: Choice) -> Form<'_> {
    Form::Int8 {
        method: Method::Symmetric,
        granularity: Granularity::Channel,
        activations: Activations::Static {
            ranges,
            choice,
            method,
        },
    }
}

#[test]
fn ranges_are_found_and_a_network_with_them_is_close_to_the_floats() {
    let ranges = ranges();
    // Eight steps of 240 ms in two seconds; 50 products, some of one input, and 8 convolutions.
    assert_eq!(ranges.runs, 8);
    let fed: usize = ranges
        .tensors
        .values()
        .map(|range| range.layers.len())
        .sum();
    assert_eq!(fed, 58, "{:?}", ranges.tensors.keys());
    for (name, range) in &ranges.tensors {
        let [low, high] = range.extremes;
        assert!(low < high, "{name}: {range:?}");
        for [least, most] in [range.percentile, range.entropy] {
            assert!(
                low <= least && most <= high && least < most,
                "{name}: {range:?}"
            );
        }
    }
    let swish = &ranges.tensors["block0.first.silu"];
    assert!(
        swish.extremes[0] > -0.3 && swish.extremes[1] > 0.5,
        "{swish:?}"
    );

    let trial = Trial::new(bundle(), vec![speech()]).unwrap();
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("fixed.onnx");
    let floats = scores(&shipped(), Operators::Stock);
    for method in [Method::Symmetric, Method::Asymmetric] {
        let mut model = read(&shipped()).unwrap();
        let report = quantise(&mut model, form(&ranges, method, Choice::Percentile), &[]).unwrap();
        assert_eq!((report.changed.len(), report.kept.len()), (50, 0));
        write(&path, &model).unwrap();
        let size = std::fs::metadata(&path).unwrap().len();
        assert!(3 * size < std::fs::metadata(shipped()).unwrap().len());
        let stock = scores(&path, Operators::Stock);
        let ours = scores(&path, Operators::Fused);
        // Made features are nothing that was calibrated on: only that both run times agree is to be expected.
        assert!(
            mean_difference(&stock, &floats) > 1e-4,
            "something was rounded"
        );
        assert!(mean_difference(&ours, &stock) < 0.1, "{method:?}");
        let distance = trial.compare(&model).unwrap();
        assert!(
            distance.divergence < 0.05 && distance.same > 0.9,
            "{method:?}: {distance:?}"
        );
    }
}

#[test]
fn a_layer_that_was_not_calibrated_is_named() {
    let mut ranges = ranges();
    ranges.tensors.remove("block3.first.silu");
    let mut model = read(&shipped()).unwrap();
    let whole = model.clone();
    let form = form(&ranges, Method::Asymmetric, Choice::Extremes);
    let refused = quantise(&mut model, form, &[]).unwrap_err().to_string();
    assert!(
        refused.contains("missing calibration") && refused.contains("`block3.first.down.product`"),
        "{refused}"
    );
    assert!(model == whole, "a network that was refused stays as it is");
}

#[test]
fn what_cannot_be_calibrated_is_refused_with_the_reason() {
    let whole = read(&shipped()).unwrap();
    let refused = |model, recordings| {
        calibrate(
            model,
            &Speech::new(&bundle(), recordings),
            99.9,
            &mut |_, _| {},
        )
        .unwrap_err()
    };
    let nothing = refused(&whole, vec![vec![0.0; 100]]);
    assert!(matches!(nothing, CalibrationError::Nothing), "{nothing}");
    let mut quantised = whole.clone();
    quantise(&mut quantised, Bits::Sixteen, &[]).unwrap();
    quantised
        .graph
        .as_mut()
        .unwrap()
        .node
        .retain(|node| node.op_type != "Conv");
    assert!(matches!(
        refused(&quantised, vec![speech()]),
        CalibrationError::NoLayer
    ));
    let mut renamed = whole.clone();
    let graph = renamed.graph.as_mut().unwrap();
    let output = graph
        .output
        .iter_mut()
        .find(|output| output.name == "next.features")
        .unwrap();
    output.name = "after.features".into();
    for node in &mut graph.node {
        let outputs = node
            .output
            .iter_mut()
            .filter(|output| *output == "next.features");
        outputs.for_each(|output| *output = "after.features".into());
    }
    let lost = refused(&renamed, vec![speech()]).to_string();
    assert!(
        lost.contains("`state.features`") && lost.contains("`next.features`"),
        "{lost}"
    );
}

#[test]
fn every_form_of_int8_and_int4_runs_and_is_near() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("form.onnx");
    let floats = scores(&shipped(), Operators::Stock);
    let eight = |method, granularity| Form::Int8 {
        method,
        granularity,
        activations: Activations::Dynamic,
    };
    let (one, each) = (Granularity::Tensor, Granularity::Channel);
    for (form, near) in [
        (eight(Method::Symmetric, one), 0.2),
        (eight(Method::Asymmetric, one), 0.2),
        (eight(Method::Asymmetric, each), 0.1),
        (
            Form::Int4 {
                method: Method::Asymmetric,
            },
            0.6,
        ),
    ] {
        let mut model = read(&shipped()).unwrap();
        quantise(&mut model, form, &[]).unwrap();
        write(&path, &model).unwrap();
        let difference = mean_difference(&scores(&path, Operators::Fused), &floats);
        assert!(
            difference > 1e-4 && difference < near,
            "{form:?}: {difference}"
        );
    }
}
