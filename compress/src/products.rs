//! The products of a network with constant matrices, and what takes their place.

use std::collections::{HashMap, HashSet};

use tract_onnx::pb::attribute_proto::AttributeType;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::{AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto};

/// What became of a network.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Layers that were rewritten.
    pub changed: Vec<String>,
    /// Layers that stayed as they were, with the reason.
    pub kept: Vec<(String, String)>,
}

/// Why a network cannot be rewritten.
#[derive(Debug, thiserror::Error)]
pub enum RewriteError {
    /// There is nothing to do.
    #[error(
        "the network has no product of floats with a constant matrix{kept}; is it quantised already?"
    )]
    Nothing {
        /// The layers that were kept, if any.
        kept: String,
    },
    /// No convolution gets smaller.
    #[error("no convolution gets smaller by it: {kept}")]
    NoConvolution {
        /// Those that are there, with the reason.
        kept: String,
    },
    /// A weight whose values are not where they should be.
    #[error(
        "weight `{0}` holds no float values of its shape; export the network with its weights inside"
    )]
    Weight(String),
    /// Static scales without a range.
    #[error(
        "missing calibration: layer `{layer}` takes `{tensor}`, for which the file of ranges has none; run `vocar-compress calibrate` on this very network"
    )]
    Calibration {
        /// The layer.
        layer: String,
        /// The tensor that feeds it.
        tensor: String,
    },
    /// Operators that are newer than the network's opset.
    #[error(
        "the network is written for opset {found}, such layers need {needed}: export it again with opset {needed} or later"
    )]
    Opset {
        /// The network's.
        found: i64,
        /// The oldest that has the operators.
        needed: i64,
    },
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

/// The layers that can be quantised, in the network's order.
pub fn layers(model: &ModelProto) -> Vec<Layer> {
    let found = model.graph.as_ref().map(products).unwrap_or_default();
    found.into_iter().map(|product| product.layer).collect()
}

/// A product of floats with a constant matrix: where it is, and the tensors that it takes.
pub(crate) struct Product {
    pub layer: Layer,
    /// Number of its node.
    pub node: usize,
    pub input: String,
    pub weight: String,
}

/// All such products, in the network's order.
pub(crate) fn products(graph: &GraphProto) -> Vec<Product> {
    let work = Work::of(graph);
    let products = graph.node.iter().enumerate();
    products
        .filter(|(_, node)| node.op_type == "MatMul")
        .filter_map(|(number, node)| {
            let Weight {
                inputs, outputs, ..
            } = work.weight(node)?;
            Some(Product {
                layer: Layer {
                    name: node.name.clone(),
                    inputs,
                    outputs,
                },
                node: number,
                input: node.input[0].clone(),
                weight: node.input[1].clone(),
            })
        })
        .collect()
}

/// Shows each product of floats with a constant matrix to `step`, which writes what takes its place to [`Work::nodes`] and
/// [`Work::made`], or gives the reason why it stays. Constants that nobody needs any more go.
///
/// # Errors
/// [`RewriteError`], also when every product stays; the network is then unchanged.
pub(crate) fn rewrite(
    model: &mut ModelProto,
    mut step: impl FnMut(&mut Work, &NodeProto, &Weight) -> Result<Option<String>, RewriteError>,
) -> Result<Report, RewriteError> {
    let mut report = Report::default();
    let graph = model.graph.get_or_insert_default();
    let mut work = Work::of(graph);
    for node in &graph.node {
        let weight = (node.op_type == "MatMul").then(|| work.weight(node));
        let Some(weight) = weight.flatten() else {
            work.nodes.push(node.clone());
            continue;
        };
        match step(&mut work, node, &weight)? {
            None => report.changed.push(node.name.clone()),
            Some(reason) => {
                report.kept.push((node.name.clone(), reason));
                work.nodes.push(node.clone());
            }
        }
    }
    if report.changed.is_empty() {
        let names: Vec<&str> = report.kept.iter().map(|(name, _)| &**name).collect();
        let kept = if names.is_empty() {
            String::new()
        } else {
            format!(" but {}", names.join(", "))
        };
        return Err(RewriteError::Nothing { kept });
    }
    let Work { nodes, made, .. } = work;
    graph.node = nodes;
    graph.initializer.extend(made);
    let used: HashSet<&String> = graph.node.iter().flat_map(|node| &node.input).collect();
    let results: HashSet<&String> = graph.output.iter().map(|output| &output.name).collect();
    graph
        .initializer
        .retain(|weight| used.contains(&weight.name) || results.contains(&weight.name));
    Ok(report)
}

/// A constant matrix `[inputs, outputs]`.
pub(crate) struct Weight<'a> {
    tensor: &'a TensorProto,
    pub inputs: usize,
    pub outputs: usize,
}

/// The same with its values, row-major.
pub(crate) struct Matrix {
    pub name: String,
    pub inputs: usize,
    pub outputs: usize,
    pub values: Vec<f32>,
}

impl Weight<'_> {
    /// Its values.
    pub fn read(&self) -> Result<Matrix, RewriteError> {
        let values = values_of(self.tensor);
        if values.len() != self.inputs * self.outputs
            || values.iter().any(|value| !value.is_finite())
        {
            return Err(RewriteError::Weight(self.tensor.name.clone()));
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

/// Bytes of a constant of bytes that lie in the file.
pub(crate) fn raw_bytes(tensor: &TensorProto) -> Vec<u8> {
    if tensor.int32_data.is_empty() {
        return tensor.raw_data.clone();
    }
    tensor.int32_data.iter().map(|&value| value as u8).collect()
}

/// A graph on its way.
pub(crate) struct Work<'a> {
    weights: HashMap<&'a str, &'a TensorProto>,
    /// Nodes of the new graph, as far as it has come.
    pub nodes: Vec<NodeProto>,
    /// New constants.
    pub made: Vec<TensorProto>,
    /// Names of what has been written and serves other layers, too.
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
            nodes: Vec::new(),
            made: Vec::new(),
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

    /// Whether this is asked for the first time about a name.
    pub fn first(&mut self, name: &str) -> bool {
        self.written.insert(name.to_owned())
    }
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
