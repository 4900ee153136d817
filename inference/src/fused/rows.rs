//! Layer normalisation and softmax over the last axis, each in one pass over its rows.

use tract_onnx::pb::{NodeProto, tensor_proto::DataType};

use super::graph::{Constants, Net, attribute, float, new_node, required_float};
use super::operator::{Operator, Past, Workspace};
use super::vector;

pub(super) const NORM: &str = "VocarLayerNorm";
pub(super) const SOFTMAX: &str = "VocarSoftmax";
pub(super) const LOG_SOFTMAX: &str = "VocarLogSoftmax";

/// Takes over what works on the last axis.
pub(super) fn fuse(net: &mut Net) {
    for number in net.of_kind("LayerNormalization") {
        if let Some(node) = norm(net, number) {
            net.replace(&[number], node);
        }
    }
    for (kind, ours) in [("Softmax", SOFTMAX), ("LogSoftmax", LOG_SOFTMAX)] {
        for number in net.of_kind(kind) {
            if let Some(node) = softmax(net, number, ours) {
                net.replace(&[number], node);
            }
        }
    }
}

fn norm(net: &Net, number: usize) -> Option<NodeProto> {
    let node = net.node(number)?;
    let ([input, gain, shift], [output]) = (&node.input[..], &node.output[..]) else {
        return None;
    };
    if attribute(node, "axis").is_some_and(|axis| axis != [-1]) {
        return None;
    }
    for constant in [gain, shift] {
        let (shape, kind) = net.constant(constant)?;
        if shape.len() != 1 || kind != DataType::Float {
            return None;
        }
    }
    let epsilon = node
        .attribute
        .iter()
        .find(|a| a.name == "epsilon")
        .map_or(1e-5, |a| a.f);
    Some(new_node(
        NORM,
        &[input, gain, shift],
        &[output],
        vec![float("epsilon", epsilon)],
    ))
}

fn softmax(net: &Net, number: usize, kind: &str) -> Option<NodeProto> {
    let node = net.node(number)?;
    let ([input], [output]) = (&node.input[..], &node.output[..]) else {
        return None;
    };
    (attribute(node, "axis")? == [-1]).then(|| new_node(kind, &[input], &[output], vec![]))
}

pub(super) fn build_norm(
    node: &NodeProto,
    constants: &Constants,
) -> Result<Box<dyn Operator>, String> {
    let (gain, shift) = (constants.floats(node, 1)?, constants.floats(node, 2)?);
    if gain.len() != shift.len() || gain.is_empty() {
        return Err(format!("{} gains and {} shifts", gain.len(), shift.len()));
    }
    Ok(Box::new(LayerNorm {
        gain,
        shift,
        epsilon: required_float(node, "epsilon")?,
    }))
}

pub(super) fn build_softmax(_: &NodeProto, _: &Constants) -> Result<Box<dyn Operator>, String> {
    Ok(Box::new(SoftmaxRows { log: false }))
}

pub(super) fn build_log_softmax(_: &NodeProto, _: &Constants) -> Result<Box<dyn Operator>, String> {
    Ok(Box::new(SoftmaxRows { log: true }))
}

/// (x - mean) / sqrt(variance + epsilon) · gain + shift over each row.
#[derive(Debug)]
struct LayerNorm {
    gain: Vec<f32>,
    shift: Vec<f32>,
    epsilon: f32,
}

impl Operator for LayerNorm {
    fn name(&self) -> &'static str {
        NORM
    }

    fn output(&self, input: &[usize]) -> Result<Vec<usize>, String> {
        if input.last() != Some(&self.gain.len()) {
            return Err(format!("{} gains for rows of {input:?}", self.gain.len()));
        }
        Ok(input.to_vec())
    }

    fn takes_any_rows(&self) -> bool {
        true
    }

    fn run(
        &self,
        inputs: &[&[f32]],
        _: usize,
        _: &mut Past,
        out: &mut [f32],
        work: &mut Workspace,
    ) {
        let LayerNorm {
            gain,
            shift,
            epsilon,
        } = self;
        vector::layer_norm(work.tier, inputs[0], gain, shift, *epsilon, out);
    }
}

/// Softmax of each row, or its logarithm.
#[derive(Debug)]
struct SoftmaxRows {
    log: bool,
}

impl Operator for SoftmaxRows {
    fn name(&self) -> &'static str {
        if self.log { LOG_SOFTMAX } else { SOFTMAX }
    }

    fn output(&self, input: &[usize]) -> Result<Vec<usize>, String> {
        match input.last() {
            None | Some(0) => Err("softmax of nothing".into()),
            Some(_) => Ok(input.to_vec()),
        }
    }

    fn takes_any_rows(&self) -> bool {
        true
    }

    fn run(
        &self,
        inputs: &[&[f32]],
        width: usize,
        _: &mut Past,
        out: &mut [f32],
        work: &mut Workspace,
    ) {
        out.copy_from_slice(inputs[0]);
        for row in out.chunks_exact_mut(width) {
            if self.log {
                vector::log_softmax(work.tier, row);
            } else {
                vector::softmax(work.tier, row);
            }
        }
    }
}
