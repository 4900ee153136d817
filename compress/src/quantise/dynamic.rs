//! Layers whose activations are quantised while the network runs.

use tract_onnx::pb::NodeProto;
use tract_onnx::pb::tensor_proto::DataType;

use super::grid::{GROUP, int4, int8};
use super::{Granularity, MICROSOFT, Method};
use crate::products::{Matrix, Work, attribute, floats, operator, raw};

/// DynamicQuantizeLinear, MatMulInteger, Cast and Mul. Layers of one input share its quantisation.
pub(super) fn write_int8(
    work: &mut Work,
    node: &NodeProto,
    weight: &Matrix,
    method: Method,
    granularity: Granularity,
) {
    let (input, output) = (&node.input[0], &node.output[0]);
    // A zero point that is not given is nought.
    let zeros = method == Method::Asymmetric;
    let [weight_int8, weight_scale, weight_zero] =
        integers(work, weight, method, granularity, zeros);
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
    let inputs = [&*quantised, &weight_int8, &zero, &weight_zero];
    let given = if zeros { &inputs[..] } else { &inputs[..3] };
    work.nodes
        .push(operator("MatMulInteger", given, &[&integer]));
    let mut cast = operator("Cast", &[&integer], &[&float]);
    cast.attribute.push(attribute("to", DataType::Float as i64));
    work.nodes.push(cast);
    work.nodes
        .push(operator("Mul", &[&scale, &weight_scale], &[&factor]));
    let mut product = operator("Mul", &[&float, &factor], &[output]);
    product.name.clone_from(&node.name);
    work.nodes.push(product);
}

/// Writes a weight's integers and scales once, and its zero points if wanted; returns their names.
pub(super) fn integers(
    work: &mut Work,
    weight: &Matrix,
    method: Method,
    granularity: Granularity,
    zeros: bool,
) -> [String; 3] {
    let name = &weight.name;
    let names = ["int8", "scale", "zero"].map(|part| format!("{name}.{part}"));
    if work.first(name) {
        let channel = |place| place % weight.outputs;
        let made = int8(&weight.values, weight.outputs, channel, method, granularity);
        let shape = [weight.inputs as i64, weight.outputs as i64];
        let each = [made.scales.len() as i64];
        // One for the whole weight is a scalar.
        let each = match granularity {
            Granularity::Tensor => &each[..0],
            _ => &each[..],
        };
        let bytes = |integers: Vec<i8>| integers.into_iter().map(|one| one as u8).collect();
        work.made.extend([
            raw(&names[0], DataType::Int8, &shape, bytes(made.integers)),
            floats(&names[1], each, &made.scales),
        ]);
        if zeros {
            let zeros = bytes(made.zeros);
            work.made.push(raw(&names[2], DataType::Int8, each, zeros));
        }
    }
    names
}

/// MatMulNBits of the domain `com.microsoft`.
pub(super) fn write_int4(work: &mut Work, node: &NodeProto, weight: &Matrix, method: Method) {
    let (name, groups) = (&weight.name, weight.inputs / GROUP);
    let [integers, scales, zeros] = ["int4", "scale", "zero"].map(|part| format!("{name}.{part}"));
    if work.first(name) {
        let made = int4(weight, method);
        let shape = [weight.outputs as i64, groups as i64, (GROUP / 2) as i64];
        let count = [(weight.outputs * groups) as i64];
        work.made.extend([
            raw(&integers, DataType::Uint8, &shape, made.bytes),
            floats(&scales, &count, &made.scales),
        ]);
        if method == Method::Asymmetric {
            let count = [made.zeros.len() as i64];
            work.made
                .push(raw(&zeros, DataType::Uint8, &count, made.zeros));
        }
    }
    let mut inputs = vec![&*node.input[0], &integers, &scales];
    if method == Method::Asymmetric {
        inputs.push(&zeros);
    }
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
