//! Where ranges are taken: the tensors that feed layers with constant weights.

use std::collections::HashSet;

use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::type_proto::{self, Value};
use tract_onnx::pb::{GraphProto, ModelProto, TypeProto, ValueInfoProto};

use crate::products::operator;

/// A tensor that feeds layers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tap {
    /// Its name in the network.
    pub tensor: String,
    /// The output under which it comes out: an input of the network gets another name.
    pub(super) output: String,
    /// Names of the layers that it feeds.
    pub layers: Vec<String>,
}

/// The tensors that feed a MatMul, Gemm or Conv whose weight is a constant of floats, in the network's order.
pub fn taps(model: &ModelProto) -> Vec<Tap> {
    let Some(graph) = &model.graph else {
        return Vec::new();
    };
    let floats = |name: &String| {
        let constant = graph.initializer.iter().find(|c| &c.name == name);
        constant.is_some_and(|c| c.data_type == DataType::Float as i32)
    };
    let inputs: HashSet<String> = inputs(model).into_iter().collect();
    let mut found: Vec<Tap> = Vec::new();
    for node in &graph.node {
        let is_layer = ["MatMul", "Gemm", "Conv"].contains(&&*node.op_type);
        let [tensor, weight, ..] = &node.input[..] else {
            continue;
        };
        if !is_layer || !floats(weight) || floats(tensor) {
            continue;
        }
        match found.iter_mut().find(|tap| &tap.tensor == tensor) {
            Some(tap) => tap.layers.push(node.name.clone()),
            None => found.push(Tap {
                tensor: tensor.clone(),
                output: if inputs.contains(tensor) {
                    format!("{tensor}.tapped")
                } else {
                    tensor.clone()
                },
                layers: vec![node.name.clone()],
            }),
        }
    }
    found
}

/// Names of a network's inputs but for constants.
pub(super) fn inputs(model: &ModelProto) -> Vec<String> {
    let graph = model.graph.iter();
    let named = |graph: &GraphProto| {
        let constants: HashSet<&String> = graph.initializer.iter().map(|c| &c.name).collect();
        let inputs = graph.input.iter().map(|input| &input.name);
        inputs
            .filter(|name| !constants.contains(name))
            .cloned()
            .collect::<Vec<_>>()
    };
    graph.flat_map(named).collect()
}

/// Names of a network's outputs.
pub(super) fn outputs(model: &ModelProto) -> Vec<String> {
    let outputs = model.graph.iter().flat_map(|graph| &graph.output);
    outputs.map(|output| output.name.clone()).collect()
}

/// The network with the tensors among its outputs.
pub(super) fn with_outputs(model: &ModelProto, taps: &[Tap]) -> ModelProto {
    let mut model = model.clone();
    let there: HashSet<String> = outputs(&model).into_iter().collect();
    let graph = model.graph.get_or_insert_default();
    for tap in taps.iter().filter(|tap| !there.contains(&tap.output)) {
        if tap.output != tap.tensor {
            graph
                .node
                .push(operator("Identity", &[&tap.tensor], &[&tap.output]));
        }
        let tensor = type_proto::Tensor {
            elem_type: DataType::Float as i32,
            ..type_proto::Tensor::default()
        };
        graph.output.push(ValueInfoProto {
            name: tap.output.clone(),
            r#type: Some(TypeProto {
                value: Some(Value::TensorType(tensor)),
                ..TypeProto::default()
            }),
            ..ValueInfoProto::default()
        });
    }
    model
}
