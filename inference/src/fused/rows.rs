//! Layer normalisation and softmax over the last axis, each in one pass over its rows.

use std::sync::Arc;

use tract_onnx::Onnx;
use tract_onnx::model::ParsingContext;
use tract_onnx::pb::{NodeProto, tensor_proto::DataType};
use tract_onnx::tract_hir::internal::*;

use super::graph::{Net, attribute, float, new_node, required_float};
use super::op::{constant, floats, floats_mut, tract_op};
use super::vector;

const NORM: &str = "VocarLayerNorm";
const SOFTMAX: &str = "VocarSoftmax";
const LOG_SOFTMAX: &str = "VocarLogSoftmax";

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

pub(super) fn register(onnx: &mut Onnx) {
    onnx.op_register
        .insert(NORM, |_: &ParsingContext, node: &NodeProto| {
            let epsilon = required_float(node, "epsilon")?;
            Ok((expand(Norm { epsilon }), vec![]))
        });
    onnx.op_register.insert(SOFTMAX, |_, _| {
        Ok((expand(Normalised { log: false }), vec![]))
    });
    onnx.op_register.insert(LOG_SOFTMAX, |_, _| {
        Ok((expand(Normalised { log: true }), vec![]))
    });
}

/// Output like the first input.
fn same<'r, 'p: 'r>(
    s: &mut Solver<'r>,
    inputs: &'p [TensorProxy],
    outputs: &'p [TensorProxy],
) -> InferenceResult {
    check_output_arity(outputs, 1)?;
    s.equals(&inputs[0].datum_type, &outputs[0].datum_type)?;
    s.equals(&inputs[0].datum_type, f32::datum_type())?;
    s.equals(&inputs[0].shape, &outputs[0].shape)
}

#[derive(Debug, Clone)]
struct Norm {
    epsilon: f32,
}

impl Expansion for Norm {
    fn name(&self) -> StaticName {
        NORM.into()
    }

    fn rules<'r, 'p: 'r, 's: 'r>(
        &'s self,
        s: &mut Solver<'r>,
        inputs: &'p [TensorProxy],
        outputs: &'p [TensorProxy],
    ) -> InferenceResult {
        check_input_arity(inputs, 3)?;
        same(s, inputs, outputs)
    }

    fn wire(
        &self,
        prefix: &str,
        model: &mut TypedModel,
        inputs: &[OutletId],
    ) -> TractResult<TVec<OutletId>> {
        let constant = |input| -> TractResult<Arc<[f32]>> {
            Ok(floats(&*constant(prefix, model, inputs, input)?)?.into())
        };
        let op = LayerNorm {
            gain: constant(1)?,
            shift: constant(2)?,
            epsilon: self.epsilon,
        };
        let input = model.outlet_fact(inputs[0])?;
        let width = op.gain.len();
        ensure!(
            op.shift.len() == width
                && input
                    .shape
                    .last()
                    .is_some_and(|last| *last == width.to_dim()),
            "{prefix}: odd gain or shift"
        );
        model.wire_node(prefix, op, &inputs[..1])
    }
}

/// (x - mean) / sqrt(variance + epsilon) · gain + shift over each row.
#[derive(Debug, Clone)]
struct LayerNorm {
    gain: Arc<[f32]>,
    shift: Arc<[f32]>,
    epsilon: f32,
}

impl LayerNorm {
    const NAME: &'static str = NORM;

    fn facts(&self, inputs: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        Ok(tvec!(f32::fact(inputs[0].shape.clone())))
    }

    fn run(&self, mut inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        let mut rows = inputs.remove(0).into_tensor();
        for row in floats_mut!(rows).chunks_exact_mut(self.gain.len()) {
            vector::layer_norm(row, &self.gain, &self.shift, self.epsilon);
        }
        Ok(tvec!(rows.into()))
    }
}

tract_op!(LayerNorm);

#[derive(Debug, Clone)]
struct Normalised {
    log: bool,
}

impl Expansion for Normalised {
    fn name(&self) -> StaticName {
        SOFTMAX.into()
    }

    fn rules<'r, 'p: 'r, 's: 'r>(
        &'s self,
        s: &mut Solver<'r>,
        inputs: &'p [TensorProxy],
        outputs: &'p [TensorProxy],
    ) -> InferenceResult {
        check_input_arity(inputs, 1)?;
        same(s, inputs, outputs)
    }

    fn wire(
        &self,
        prefix: &str,
        model: &mut TypedModel,
        inputs: &[OutletId],
    ) -> TractResult<TVec<OutletId>> {
        ensure!(
            model.outlet_fact(inputs[0])?.rank() > 0,
            "{prefix}: softmax of a scalar"
        );
        model.wire_node(prefix, SoftmaxRows { log: self.log }, inputs)
    }
}

/// Softmax of each row, or its logarithm.
#[derive(Debug, Clone)]
struct SoftmaxRows {
    log: bool,
}

impl SoftmaxRows {
    const NAME: &'static str = SOFTMAX;

    fn facts(&self, inputs: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        Ok(tvec!(f32::fact(inputs[0].shape.clone())))
    }

    fn run(&self, mut inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        let mut rows = inputs.remove(0).into_tensor();
        let width = rows.shape().last().copied().unwrap_or(1).max(1);
        for row in floats_mut!(rows).chunks_exact_mut(width) {
            if self.log {
                vector::log_softmax(row)
            } else {
                vector::softmax(row)
            }
        }
        Ok(tvec!(rows.into()))
    }
}

tract_op!(SoftmaxRows);
