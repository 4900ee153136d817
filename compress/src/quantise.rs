//! Constant matrix products in low precision.
//!
//! int8 is written as DynamicQuantizeLinear, MatMulInteger, Cast and Mul, with a scale for each output channel; int4 as
//! MatMulNBits of the domain `com.microsoft`, in groups of 32 inputs. Both are symmetric; activations are quantised while
//! the network runs. In 16 bits a weight is stored as half floats with a Cast, and the product is computed in floats. What is
//! no product with a constant matrix stays as it is; [`crate::halves`] makes it smaller, too.

use std::collections::{HashMap, HashSet};

use tract_onnx::pb::attribute_proto::AttributeType;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::{
    AttributeProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorProto,
};

use crate::halves::halve;

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

/// What became of a network.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Layers in the wanted precision.
    pub quantised: Vec<String>,
    /// Layers that stayed as they were, with the reason.
    pub kept: Vec<(String, String)>,
}

/// Why a network cannot be quantised.
#[derive(Debug, thiserror::Error)]
pub enum QuantiseError {
    /// There is nothing to do.
    #[error(
        "the network has no product of floats with a constant matrix{kept}; is it quantised already?"
    )]
    Nothing {
        /// The layers that were kept on request, if any.
        kept: String,
    },
    /// A weight whose values are not where they should be.
    #[error(
        "weight `{0}` holds no float values of its shape; export the network with its weights inside"
    )]
    Weight(String),
}

/// Writes every product with a constant matrix in fewer bits but those whose name contains one of `keep`.
///
/// # Errors
/// [`QuantiseError`]; the network is then unchanged.
pub fn quantise(
    model: &mut ModelProto,
    bits: Bits,
    keep: &[String],
) -> Result<Report, QuantiseError> {
    let kept = |layer: &str| keep.iter().any(|part| layer.contains(part));
    quantise_each(model, |layer| (!kept(layer)).then_some(bits))
}

/// A product with a constant matrix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layer {
    /// Name of its node.
    pub name: String,
    /// Rows of the matrix.
    pub inputs: usize,
    /// Columns of the matrix.
    pub outputs: usize,
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

/// The layers that can be quantised, in the network's order.
pub fn layers(model: &ModelProto) -> Vec<Layer> {
    let Some(graph) = &model.graph else {
        return Vec::new();
    };
    let work = Work::of(graph);
    let products = graph.node.iter().filter(|node| node.op_type == "MatMul");
    products
        .filter_map(|node| {
            let Weight {
                inputs, outputs, ..
            } = work.weight(node)?;
            Some(Layer {
                name: node.name.clone(),
                inputs,
                outputs,
            })
        })
        .collect()
}

/// Quantises each product with a constant matrix to as many bits as `choose` says for its name, if any.
///
/// # Errors
/// [`QuantiseError`]; the network is then unchanged.
pub fn quantise_each(
    model: &mut ModelProto,
    choose: impl Fn(&str) -> Option<Bits>,
) -> Result<Report, QuantiseError> {
    let mut report = Report::default();
    let Some(graph) = &model.graph else {
        return Err(QuantiseError::Nothing {
            kept: String::new(),
        });
    };
    let mut work = Work::of(graph);
    let mut nodes = Vec::new();
    let mut four = false;
    let mut stored_halves = HashSet::new();
    for node in &graph.node {
        let weight = (node.op_type == "MatMul")
            .then(|| work.weight(node))
            .flatten();
        let Some(weight) = weight else {
            nodes.push(node.clone());
            continue;
        };
        let bits = choose(&node.name);
        let reason = match bits {
            None => Some("asked for".to_owned()),
            Some(Bits::Four) if weight.inputs % GROUP != 0 => Some(format!(
                "{} inputs are no whole groups of {GROUP}",
                weight.inputs
            )),
            Some(_) => None,
        };
        let (Some(bits), None) = (bits, &reason) else {
            report
                .kept
                .push((node.name.clone(), reason.unwrap_or_default()));
            nodes.push(node.clone());
            continue;
        };
        let weight = weight.read()?;
        four |= bits == Bits::Four;
        match bits {
            Bits::Sixteen => {
                stored_halves.insert(weight.name.clone());
                nodes.push(node.clone());
            }
            Bits::Eight => work.int8(node, &weight, &mut nodes),
            Bits::Four => work.int4(node, &weight, &mut nodes),
        }
        report.quantised.push(node.name.clone());
    }
    if report.quantised.is_empty() {
        let names: Vec<&str> = report.kept.iter().map(|(name, _)| &**name).collect();
        let kept = if names.is_empty() {
            String::new()
        } else {
            format!(" but {}", names.join(", "))
        };
        return Err(QuantiseError::Nothing { kept });
    }
    let made = work.made;
    if let Some(graph) = &mut model.graph {
        graph.node = nodes;
        graph.initializer.extend(made);
        let used: HashSet<String> = graph
            .node
            .iter()
            .flat_map(|node| node.input.clone())
            .collect();
        let results: HashSet<String> = graph
            .output
            .iter()
            .map(|output| output.name.clone())
            .collect();
        graph
            .initializer
            .retain(|weight| used.contains(&weight.name) || results.contains(&weight.name));
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

/// A constant matrix `[inputs, outputs]`.
struct Weight<'a> {
    tensor: &'a TensorProto,
    inputs: usize,
    outputs: usize,
}

/// The same with its values, row-major.
struct Matrix {
    name: String,
    inputs: usize,
    outputs: usize,
    values: Vec<f32>,
}

impl Weight<'_> {
    fn read(&self) -> Result<Matrix, QuantiseError> {
        let values = values_of(self.tensor);
        if values.len() != self.inputs * self.outputs
            || values.iter().any(|value| !value.is_finite())
        {
            return Err(QuantiseError::Weight(self.tensor.name.clone()));
        }
        Ok(Matrix {
            name: self.tensor.name.clone(),
            inputs: self.inputs,
            outputs: self.outputs,
            values,
        })
    }
}

/// Values of a constant of floats that lie in the file.
pub(crate) fn values_of(tensor: &TensorProto) -> Vec<f32> {
    if !tensor.float_data.is_empty() {
        return tensor.float_data.clone();
    }
    let (values, _) = tensor.raw_data.as_chunks::<4>();
    values
        .iter()
        .map(|&bytes| f32::from_le_bytes(bytes))
        .collect()
}

/// A graph on its way.
struct Work<'a> {
    weights: HashMap<&'a str, &'a TensorProto>,
    made: Vec<TensorProto>,
    /// Inputs that have been quantised to 8 bits for some layer.
    quantised: HashSet<String>,
    /// Weights that have been written.
    written: HashSet<String>,
}

impl<'a> Work<'a> {
    fn of(graph: &'a GraphProto) -> Work<'a> {
        let weights = graph
            .initializer
            .iter()
            .map(|tensor| (&*tensor.name, tensor))
            .collect();
        Work {
            weights,
            made: Vec::new(),
            quantised: HashSet::new(),
            written: HashSet::new(),
        }
    }

    fn weight(&self, node: &NodeProto) -> Option<Weight<'a>> {
        let [input, weight] = &node.input[..] else {
            return None;
        };
        let tensor = *self.weights.get(&**weight)?;
        let &[inputs, outputs] = &tensor.dims[..] else {
            return None;
        };
        let floats =
            tensor.data_type == DataType::Float as i32 && !self.weights.contains_key(&**input);
        floats.then_some(Weight {
            tensor,
            inputs: inputs as usize,
            outputs: outputs as usize,
        })
    }

    fn int8(&mut self, node: &NodeProto, weight: &Matrix, nodes: &mut Vec<NodeProto>) {
        let (input, output, name) = (&node.input[0], &node.output[0], &weight.name);
        if self.written.insert(name.clone()) {
            let (integers, scales) = int8_of(weight);
            let shape = [weight.inputs as i64, weight.outputs as i64];
            self.made.push(raw(
                &format!("{name}.int8"),
                DataType::Int8,
                &shape,
                integers,
            ));
            self.made.push(floats(
                &format!("{name}.scale"),
                &[weight.outputs as i64],
                &scales,
            ));
            let zeros = vec![0; weight.outputs];
            self.made.push(raw(
                &format!("{name}.zero"),
                DataType::Int8,
                &[weight.outputs as i64],
                zeros,
            ));
        }
        let [quantised, scale, zero] =
            ["quantised", "scale", "zero"].map(|part| format!("{input}.{part}"));
        if self.quantised.insert(input.clone()) {
            nodes.push(operator(
                "DynamicQuantizeLinear",
                &[input],
                &[&quantised, &scale, &zero],
            ));
        }
        let [integer, float, factor] =
            ["integer", "float", "factor"].map(|part| format!("{output}.{part}"));
        let [weight_int8, weight_scale, weight_zero] =
            ["int8", "scale", "zero"].map(|part| format!("{name}.{part}"));
        nodes.push(operator(
            "MatMulInteger",
            &[&quantised, &weight_int8, &zero, &weight_zero],
            &[&integer],
        ));
        let mut cast = operator("Cast", &[&integer], &[&float]);
        cast.attribute.push(attribute("to", DataType::Float as i64));
        nodes.push(cast);
        nodes.push(operator("Mul", &[&scale, &weight_scale], &[&factor]));
        let mut product = operator("Mul", &[&float, &factor], &[output]);
        product.name.clone_from(&node.name);
        nodes.push(product);
    }

    fn int4(&mut self, node: &NodeProto, weight: &Matrix, nodes: &mut Vec<NodeProto>) {
        let (name, groups) = (&weight.name, weight.inputs / GROUP);
        if self.written.insert(name.clone()) {
            let (bytes, scales) = int4_of(weight);
            let shape = [weight.outputs as i64, groups as i64, (GROUP / 2) as i64];
            self.made
                .push(raw(&format!("{name}.int4"), DataType::Uint8, &shape, bytes));
            let count = (weight.outputs * groups) as i64;
            self.made
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
        nodes.push(product);
    }
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

/// A node without a name: its outputs have theirs, and names fill files.
pub(crate) fn operator(kind: &str, inputs: &[&str], outputs: &[&str]) -> NodeProto {
    NodeProto {
        op_type: kind.into(),
        input: inputs.iter().map(|&name| name.to_owned()).collect(),
        output: outputs.iter().map(|&name| name.to_owned()).collect(),
        ..NodeProto::default()
    }
}

pub(crate) fn attribute(name: &str, value: i64) -> AttributeProto {
    AttributeProto {
        name: name.into(),
        r#type: AttributeType::Int as i32,
        i: value,
        ..AttributeProto::default()
    }
}

pub(crate) fn raw(name: &str, kind: DataType, shape: &[i64], bytes: Vec<u8>) -> TensorProto {
    TensorProto {
        name: name.into(),
        data_type: kind as i32,
        dims: shape.to_vec(),
        raw_data: bytes,
        ..TensorProto::default()
    }
}

pub(crate) fn floats(name: &str, shape: &[i64], values: &[f32]) -> TensorProto {
    let bytes = values
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect();
    raw(name, DataType::Float, shape, bytes)
}

#[cfg(test)]
mod tests {
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
