//! Layers whose activations have scales found beforehand: QuantizeLinear and DequantizeLinear around the product, as static
//! quantisers write it and other runtimes and accelerators fuse it.

use tract_onnx::pb::NodeProto;
use tract_onnx::pb::tensor_proto::DataType;

use super::dynamic::integers;
use super::grid::Step;
use super::{Granularity, Method};
use crate::products::{Matrix, Work, attribute, floats, operator, raw};

/// A range of activations, from nought or below to nought or above, and how it is covered.
pub(super) struct Fixed {
    pub range: [f32; 2],
    pub method: Method,
}

/// DequantizeLinear of the rounded input times DequantizeLinear of the weight. Layers of one input share its rounding.
pub(super) fn write_int8(
    work: &mut Work,
    node: &NodeProto,
    weight: &Matrix,
    method: Method,
    granularity: Granularity,
    fixed: &Fixed,
) {
    let rounded = round_input(work, &node.input[0], fixed);
    let [int8, scale, zero] = integers(work, weight, method, granularity, true);
    let restored = format!("{}.restored", weight.name);
    if work.first(&restored) {
        let mut restore = operator("DequantizeLinear", &[&int8, &scale, &zero], &[&restored]);
        restore.attribute.push(attribute("axis", 1));
        work.nodes.push(restore);
    }
    let mut product = operator("MatMul", &[&rounded, &restored], &[&node.output[0]]);
    product.name.clone_from(&node.name);
    work.nodes.push(product);
}

/// Writes QuantizeLinear and DequantizeLinear of a tensor once; returns the name of what comes out.
fn round_input(work: &mut Work, input: &str, fixed: &Fixed) -> String {
    let [quantised, scale, zero, rounded] =
        ["quantised", "scale", "zero", "rounded"].map(|part| format!("{input}.{part}"));
    if work.first(&quantised) {
        let [low, high] = fixed.range;
        let (kind, step) = match fixed.method {
            Method::Symmetric => {
                let step = Step::covering(low, high, -127, 127, fixed.method);
                (DataType::Int8, step)
            }
            Method::Asymmetric => {
                let step = Step::covering(low, high, 0, 255, fixed.method);
                (DataType::Uint8, step)
            }
        };
        work.made.extend([
            floats(&scale, &[], &[step.scale]),
            raw(&zero, kind, &[], vec![step.zero as u8]),
        ]);
        let quantise = operator("QuantizeLinear", &[input, &scale, &zero], &[&quantised]);
        let restore = operator(
            "DequantizeLinear",
            &[&quantised, &scale, &zero],
            &[&rounded],
        );
        work.nodes.extend([quantise, restore]);
    }
    rounded
}
