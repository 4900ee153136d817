//! Layers compute what training in low precision says they do: `training/fake_quant.py` wrote the figures.

use std::path::Path;

use serde::Deserialize;
use vocar_inference::gemm::{
    Activation, Epilogue, Int4Weights, Int8Weights, Rows, Tier, multiply, multiply_int4,
};

#[derive(Deserialize)]
struct Fixture {
    inputs: usize,
    outputs: usize,
    layer: Layer,
    rows: Quantised,
    int8: Computed,
    int4: Computed,
}

#[derive(Deserialize)]
struct Layer {
    activations: Vec<f32>,
    bias: Vec<f32>,
}

#[derive(Deserialize)]
struct Quantised {
    integers: Vec<i8>,
}

#[derive(Deserialize)]
struct Computed {
    integers: Vec<i8>,
    scales: Vec<f32>,
    output: Vec<f32>,
}

impl Fixture {
    fn load() -> Fixture {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/fake-quant.toml");
        toml::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
    }

    fn epilogue(&self) -> Epilogue<'_> {
        Epilogue {
            bias: &self.layer.bias,
            activation: Activation::None,
            residual: None,
        }
    }

    fn check_rows(&self, rows: &Rows, tier: Tier) {
        let found: Vec<i8> = (0..rows.count())
            .flat_map(|row| (0..self.inputs).map(move |input| rows.value(row, input)))
            .collect();
        assert_eq!(found, self.rows.integers, "{tier}");
    }
}

#[test]
fn int8_is_the_same_to_the_last_bit() {
    let fixture = Fixture::load();
    let int8 = &fixture.int8;
    let weights = Int8Weights::from_integers(&int8.integers, fixture.inputs, int8.scales.clone());
    for tier in Tier::available() {
        let mut rows = Rows::new(tier);
        rows.quantise(&fixture.layer.activations, fixture.inputs);
        fixture.check_rows(&rows, tier);
        let (mut sums, mut found) = (Vec::new(), vec![0.0; int8.output.len()]);
        multiply(tier, &rows, &weights, &mut sums);
        fixture
            .epilogue()
            .apply(tier, &rows, &weights, &sums, &mut found);
        assert_eq!(found, int8.output, "{tier}");
    }
}

#[test]
fn int4_is_the_same_but_for_the_order_of_sums() {
    let fixture = Fixture::load();
    let int4 = &fixture.int4;
    let (inputs, outputs) = (fixture.inputs, fixture.outputs);
    let weights = Int4Weights::from_integers(&int4.integers, inputs, outputs, &int4.scales);
    for tier in Tier::available() {
        let mut rows = Rows::for_int4(tier);
        rows.quantise(&fixture.layer.activations, inputs);
        fixture.check_rows(&rows, tier);
        let (mut sums, mut found) = (Vec::new(), vec![0.0; int4.output.len()]);
        multiply_int4(tier, &rows, &weights, &mut sums);
        fixture
            .epilogue()
            .apply_int4(tier, &rows, &weights, &sums, &mut found);
        let rows = found.chunks(outputs).zip(int4.output.chunks(outputs));
        for (found, wanted) in rows {
            let largest = wanted
                .iter()
                .fold(0.0f32, |most, value| most.max(value.abs()));
            for (found, wanted) in found.iter().zip(wanted) {
                assert!(
                    (found - wanted).abs() <= 1e-6 * largest,
                    "{tier}: {found} {wanted}"
                );
            }
        }
    }
}
