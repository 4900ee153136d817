//! Constant matrix products in low precision.
//!
//! int8 is written as DynamicQuantizeLinear, MatMulInteger, Cast and Mul, with a scale for each output channel; int4 as
//! MatMulNBits of the domain `com.microsoft`, in groups of 32 inputs. Both are symmetric; activations are quantised while
//! the network runs. In 16 bits a weight is stored as half floats with a Cast, and the product is computed in floats. What is
//! no product with a constant matrix stays as it is; [`crate::halves`] makes it smaller, too.

use std::collections::HashSet;

use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::{ModelProto, NodeProto, OperatorSetIdProto};

use crate::halves::halve;
use crate::products::{
    Layer, Matrix, Report, RewriteError, Work, attribute, floats, operator, raw, rewrite,
};

/// Inputs that share a scale in int4.
const GROUP: usize = 32;
const MICROSOFT: &str = "com.microsoft";

/// Bits of a weight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bits {
    /// Half floats.
    Sixteen,
    /// A scale for each output channel.
    Eight,
    /// A scale for each 32 inputs of an output channel.
    Four,
}

/// Writes every product with a constant matrix in fewer bits but those whose name contains one of `keep`.
///
/// # Errors
/// [`RewriteError`]; the network is then unchanged.
pub fn quantise(
    model: &mut ModelProto,
    bits: Bits,
    keep: &[String],
) -> Result<Report, RewriteError> {
    let kept = |layer: &str| keep.iter().any(|part| layer.contains(part));
    quantise_each(model, |layer| (!kept(layer)).then_some(bits))
}

impl Layer {
    /// Bytes of its weights with their scales, in float when no bits are given.
    pub fn bytes(&self, bits: Option<Bits>) -> usize {
        let count = self.inputs * self.outputs;
        match bits {
            None => 4 * count,
            Some(Bits::Sixteen) => 2 * count,
            Some(Bits::Eight) => count + 4 * self.outputs,
            Some(Bits::Four) => count / 2 + 4 * count.div_ceil(GROUP),
        }
    }

    /// Whether its inputs are whole groups, as int4 wants them.
    pub fn fits_int4(&self) -> bool {
        self.inputs.is_multiple_of(GROUP)
    }
}

/// Quantises each product with a constant matrix to as many bits as `choose` says for its name, if any.
///
/// # Errors
/// [`RewriteError`]; the network is then unchanged.
pub fn quantise_each(
    model: &mut ModelProto,
    choose: impl Fn(&str) -> Option<Bits>,
) -> Result<Report, RewriteError> {
    let mut four = false;
    let mut stored_halves = HashSet::new();
    let report = rewrite(model, |work, node, weight| {
        let Some(bits) = choose(&node.name) else {
            return Ok(Some("asked for".into()));
        };
        if bits == Bits::Four && weight.inputs % GROUP != 0 {
            let inputs = weight.inputs;
            return Ok(Some(format!(
                "{inputs} inputs are no whole groups of {GROUP}"
            )));
        }
        let weight = weight.read()?;
        match bits {
            Bits::Sixteen => {
                work.nodes.push(node.clone());
                stored_halves.insert(weight.name);
            }
            Bits::Eight => write_int8(work, node, &weight),
            Bits::Four => {
                write_int4(work, node, &weight);
                four = true;
            }
        }
        Ok(None)
    })?;
    if let Some(graph) = &mut model.graph {
        halve(graph, |weight| stored_halves.contains(&weight.name));
    }
    if four && model.opset_import.iter().all(|set| set.domain != MICROSOFT) {
        model.opset_import.push(OperatorSetIdProto {
            domain: MICROSOFT.into(),
            version: 1,
        });
    }
    Ok(report)
}

fn write_int8(work: &mut Work, node: &NodeProto, weight: &Matrix) {
    let (input, output, name) = (&node.input[0], &node.output[0], &weight.name);
    if work.first(name) {
        let (integers, scales) = int8_of(weight);
        let shape = [weight.inputs as i64, weight.outputs as i64];
        work.made.push(raw(
            &format!("{name}.int8"),
            DataType::Int8,
            &shape,
            integers,
        ));
        work.made.push(floats(
            &format!("{name}.scale"),
            &[weight.outputs as i64],
            &scales,
        ));
        let zeros = vec![0; weight.outputs];
        work.made.push(raw(
            &format!("{name}.zero"),
            DataType::Int8,
            &[weight.outputs as i64],
            zeros,
        ));
    }
    let [quantised, scale, zero] =
        ["quantised", "scale", "zero"].map(|part| format!("{input}.{part}"));
    if work.first(&quantised) {
        work.nodes.push(operator(
            "DynamicQuantizeLinear",
            &[input],
            &[&quantised, &scale, &zero],
        ));
    }
    let [integer, float, factor] =
        ["integer", "float", "factor"].map(|part| format!("{output}.{part}"));
    let [weight_int8, weight_scale, weight_zero] =
        ["int8", "scale", "zero"].map(|part| format!("{name}.{part}"));
    work.nodes.push(operator(
        "MatMulInteger",
        &[&quantised, &weight_int8, &zero, &weight_zero],
        &[&integer],
    ));
    let mut cast = operator("Cast", &[&integer], &[&float]);
    cast.attribute.push(attribute("to", DataType::Float as i64));
    work.nodes.push(cast);
    work.nodes
        .push(operator("Mul", &[&scale, &weight_scale], &[&factor]));
    let mut product = operator("Mul", &[&float, &factor], &[output]);
    product.name.clone_from(&node.name);
    work.nodes.push(product);
}

fn write_int4(work: &mut Work, node: &NodeProto, weight: &Matrix) {
    let (name, groups) = (&weight.name, weight.inputs / GROUP);
    if work.first(name) {
        let (bytes, scales) = int4_of(weight);
        let shape = [weight.outputs as i64, groups as i64, (GROUP / 2) as i64];
        work.made
            .push(raw(&format!("{name}.int4"), DataType::Uint8, &shape, bytes));
        let count = (weight.outputs * groups) as i64;
        work.made
            .push(floats(&format!("{name}.scale"), &[count], &scales));
    }
    let [integers, scales] = ["int4", "scale"].map(|part| format!("{name}.{part}"));
    let inputs = [&*node.input[0], &integers, &scales];
    let mut product = operator("MatMulNBits", &inputs, &[&node.output[0]]);
    product.name.clone_from(&node.name);
    product.domain = MICROSOFT.into();
    let sizes = [
        ("K", weight.inputs),
        ("N", weight.outputs),
        ("bits", 4),
        ("block_size", GROUP),
        ("accuracy_level", 4),
    ];
    product.attribute = sizes
        .map(|(name, value)| attribute(name, value as i64))
        .into();
    work.nodes.push(product);
}

/// Integers `[inputs][outputs]` and a scale for each output: the largest of a channel becomes 127.
fn int8_of(weight: &Matrix) -> (Vec<u8>, Vec<f32>) {
    let mut scales = vec![0.0f32; weight.outputs];
    for row in weight.values.chunks(weight.outputs) {
        for (scale, value) in scales.iter_mut().zip(row) {
            *scale = scale.max(value.abs() / 127.0);
        }
    }
    // A channel of noughts needs some scale that other runtimes can divide by.
    scales
        .iter_mut()
        .filter(|scale| **scale == 0.0)
        .for_each(|scale| *scale = 1.0);
    let integer = |(value, scale): (&f32, &f32)| {
        (value / scale).round_ties_even().clamp(-127.0, 127.0) as i8 as u8
    };
    let rows = weight.values.chunks(weight.outputs);
    (
        rows.flat_map(|row| row.iter().zip(&scales))
            .map(integer)
            .collect(),
        scales,
    )
}

/// Half bytes `[outputs][groups][16]` and scales `[outputs][groups]`. Of a few scales, with which the largest of a group becomes
/// -8 or a little less, the one with the least squared error is taken.
fn int4_of(weight: &Matrix) -> (Vec<u8>, Vec<f32>) {
    let groups = weight.inputs / GROUP;
    let (mut bytes, mut scales) = (Vec::new(), Vec::new());
    for output in 0..weight.outputs {
        for group in 0..groups {
            let values: [f32; GROUP] = std::array::from_fn(|place| {
                weight.values[(group * GROUP + place) * weight.outputs + output]
            });
            let scale = int4_scale(&values);
            let half = |value: f32| (int4(value, scale) + 8.0) as u8;
            bytes.extend(
                values
                    .chunks(2)
                    .map(|pair| half(pair[0]) | (half(pair[1]) << 4)),
            );
            scales.push(scale);
        }
    }
    (bytes, scales)
}

fn int4(value: f32, scale: f32) -> f32 {
    if scale == 0.0 {
        0.0
    } else {
        (value / scale).round_ties_even().clamp(-8.0, 7.0)
    }
}

fn int4_scale(values: &[f32]) -> f32 {
    let largest = values.iter().fold(
        0.0f32,
        |one, &other| if other.abs() > one.abs() { other } else { one },
    );
    let error = |scale: f32| {
        values
            .iter()
            .map(|&value| (int4(value, scale) * scale - value).powi(2))
            .sum::<f32>()
    };
    let candidates = (0..12).map(|step| largest / (-8.0 + 0.25 * step as f32));
    candidates
        .min_by(|one, other| error(*one).total_cmp(&error(*other)))
        .unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use tract_onnx::pb::GraphProto;

    use super::*;

    #[test]
    fn int4_uses_its_steps_and_is_never_worse_than_the_plain_scale() {
        let values: Vec<f32> = (0..GROUP).map(|n| (n as f32 * 1.7).sin()).collect();
        let error = |scale: f32| {
            values
                .iter()
                .map(|&v| (int4(v, scale) * scale - v).powi(2))
                .sum::<f32>()
        };
        let largest = values
            .iter()
            .fold(0.0f32, |a, &b| if b.abs() > a.abs() { b } else { a });
        let chosen = int4_scale(&values);
        assert!(
            error(chosen) <= error(largest / -8.0) && error(chosen) < 0.2,
            "{}",
            error(chosen)
        );
        assert_eq!(int4_scale(&[0.0; GROUP]).abs(), 0.0);
    }

    #[test]
    fn int8_rounds_each_channel_to_its_largest() {
        let values = vec![1.0, 0.0, -0.5, 0.0];
        let (integers, scales) = int8_of(&Matrix {
            name: "w".into(),
            inputs: 2,
            outputs: 2,
            values,
        });
        let integers: Vec<i8> = integers.into_iter().map(|byte| byte as i8).collect();
        assert_eq!(
            (integers, scales),
            (vec![127, 0, -64, 0], vec![1.0 / 127.0, 1.0])
        );
    }

    #[derive(serde::Deserialize)]
    struct Fixture {
        inputs: usize,
        outputs: usize,
        layer: Floats,
        int8: Grid,
        int4: Grid,
    }

    #[derive(serde::Deserialize)]
    struct Floats {
        weight: Vec<f32>,
    }

    #[derive(serde::Deserialize)]
    struct Grid {
        integers: Vec<i8>,
        scales: Vec<f32>,
    }

    /// What `training/fake_quant.py` trains with is what comes out here.
    #[test]
    fn training_in_low_precision_finds_the_same_integers_and_scales() {
        let path = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../inference/tests/data/fake-quant.toml"
        );
        let fixture: Fixture = toml::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        let Fixture {
            inputs, outputs, ..
        } = fixture;
        let weight = Matrix {
            name: "w".into(),
            inputs,
            outputs,
            values: fixture.layer.weight,
        };
        let (bytes, scales) = int8_of(&weight);
        let integers: Vec<i8> = bytes.into_iter().map(|byte| byte as i8).collect();
        assert_eq!(
            (integers, scales),
            (fixture.int8.integers, fixture.int8.scales)
        );
        let (bytes, scales) = int4_of(&weight);
        let half = |input: usize, output: usize| {
            let byte = bytes[(output * inputs + input) / 2];
            ((byte >> (input % 2 * 4)) & 15) as i8 - 8
        };
        let integers: Vec<i8> = (0..inputs)
            .flat_map(|input| (0..outputs).map(move |output| (input, output)))
            .map(|(input, output)| half(input, output))
            .collect();
        assert_eq!(
            (integers, scales),
            (fixture.int4.integers, fixture.int4.scales)
        );
    }

    #[test]
    fn a_network_without_products_is_refused() {
        let mut model = ModelProto {
            graph: Some(GraphProto::default()),
            ..ModelProto::default()
        };
        let refused = quantise(&mut model, Bits::Eight, &[])
            .unwrap_err()
            .to_string();
        assert!(refused.contains("no product"), "{refused}");
    }
}
