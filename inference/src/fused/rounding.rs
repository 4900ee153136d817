//! Values rounded to the steps of a quantiser, where no layer takes the integers.

use tract_onnx::pb::NodeProto;

use super::graph::{Constants, Net, attribute, float, integer, new_node, required_float};
use super::operator::{Operator, Past, Workspace};
use crate::gemm::Scaling;

pub(super) const KIND: &str = "VocarRounding";

/// Replaces pairs of QuantizeLinear and DequantizeLinear with one scale and zero point.
pub(super) fn fuse(net: &mut Net) {
    for back in net.of_kind("DequantizeLinear") {
        let Some(node) = matched(net, back) else {
            continue;
        };
        net.replace(&[back], node);
    }
}

fn matched(net: &Net, back: usize) -> Option<NodeProto> {
    let output = net.node(back)?.output.first()?;
    let (input, scale, zero) = net.rounded(output)?;
    let attributes = vec![float("scale", scale), integer("zero", zero)];
    Some(new_node(KIND, &[input], &[output], attributes))
}

pub(super) fn build(node: &NodeProto, _: &Constants) -> Result<Box<dyn Operator>, String> {
    let zero = attribute(node, "zero").and_then(|values| values.first().copied());
    Ok(Box::new(Rounding(Scaling {
        scale: required_float(node, "scale")?,
        zero: zero.ok_or("attribute zero is missing")? as i32,
    })))
}

/// Each value as the nearest one that has an integer.
#[derive(Debug)]
struct Rounding(Scaling);

impl Operator for Rounding {
    fn name(&self) -> &'static str {
        KIND
    }

    fn output(&self, input: &[usize]) -> Result<Vec<usize>, String> {
        Ok(input.to_vec())
    }

    fn takes_any_rows(&self) -> bool {
        true
    }

    fn run(&self, inputs: &[&[f32]], _: usize, _: &mut Past, out: &mut [f32], _: &mut Workspace) {
        let (lowest, highest) = self.0.limits();
        for (out, value) in out.iter_mut().zip(inputs[0]) {
            let steps = (value / self.0.scale).round_ties_even();
            *out = steps.clamp(lowest, highest) * self.0.scale;
        }
    }
}
