//! Weights of convolutions in int8: a quarter of the bytes, and a DequantizeLinear. Our run time multiplies those of a convolution
//! over all channels as they are, and makes floats of depthwise ones, whose products are too few to pay for rounding what goes in.

use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::{GraphProto, ModelProto, TensorProto};

use crate::products::{attribute, floats, operator, raw, values_of};
use crate::quantise::{Granularity, Method, int8};

/// Weights of fewer elements are left alone: scales and a node would cost more than it saves.
const FEWEST: usize = 1024;

/// Stores the weight of every Conv that has 1,024 elements or more as int8 with a scale for each output channel. Returns how many
/// there were.
pub fn store_in_int8(model: &mut ModelProto) -> usize {
    model.graph.as_mut().map_or(0, store)
}

fn store(graph: &mut GraphProto) -> usize {
    let convolutions = graph.node.iter().filter(|node| node.op_type == "Conv");
    let weights: Vec<String> = convolutions
        .filter_map(|node| node.input.get(1).cloned())
        .collect();
    let others = graph.node.iter().filter(|node| node.op_type != "Conv");
    let elsewhere: Vec<&String> = others.flat_map(|node| &node.input).collect();
    let is_wanted = |constant: &TensorProto| {
        weights.contains(&constant.name)
            && !elsewhere.contains(&&constant.name)
            && constant.data_type == DataType::Float as i32
            && constant.dims.iter().product::<i64>() >= FEWEST as i64
    };
    let mut made = Vec::new();
    let mut nodes = Vec::new();
    for constant in &mut graph.initializer {
        if !is_wanted(constant) {
            continue;
        }
        let (name, values) = (constant.name.clone(), values_of(constant));
        let whole = values.len() as i64 == constant.dims.iter().product::<i64>();
        if !whole || !values.iter().all(|value| value.is_finite()) {
            continue;
        }
        let channels = constant.dims[0] as usize;
        let channel = |place| place / (values.len() / channels);
        let rounded = int8(
            &values,
            channels,
            channel,
            Method::Symmetric,
            Granularity::Channel,
        );
        let [stored, scale] = ["int8", "scale"].map(|part| format!("{name}.{part}"));
        let bytes = rounded.integers.into_iter().map(|one| one as u8).collect();
        made.push(floats(&scale, &[channels as i64], &rounded.scales));
        let mut restore = operator("DequantizeLinear", &[&stored, &scale], &[&name]);
        restore.attribute.push(attribute("axis", 0));
        nodes.push(restore);
        *constant = raw(&stored, DataType::Int8, &constant.dims, bytes);
    }
    let count = nodes.len();
    graph.initializer.append(&mut made);
    nodes.append(&mut graph.node);
    graph.node = nodes;
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_weights_of_convolutions_become_int8_by_output_and_nothing_else() {
        let wave = |count: usize, most: f32| -> Vec<f32> {
            let values = (0..count).map(|n| most * (n as f32 * 0.7).sin());
            values.collect()
        };
        let large = [wave(512, 1.0), wave(512, 100.0)].concat();
        let mut model = ModelProto {
            graph: Some(GraphProto {
                node: vec![
                    operator("Conv", &["x", "large", "bias"], &["y"]),
                    operator("Conv", &["y", "small", "bias"], &["z"]),
                    operator("MatMul", &["z", "matrix"], &["out"]),
                ],
                initializer: vec![
                    floats("large", &[2, 512, 1], &large),
                    floats("small", &[2, 3, 1], &wave(6, 1.0)),
                    floats("matrix", &[32, 32], &wave(1024, 1.0)),
                ],
                ..GraphProto::default()
            }),
            ..ModelProto::default()
        };
        assert_eq!(store_in_int8(&mut model), 1);
        let graph = model.graph.unwrap();
        assert_eq!(graph.node[0].op_type, "DequantizeLinear");
        assert_eq!(graph.node[0].output, ["large"]);
        let names: Vec<&str> = graph.initializer.iter().map(|c| &*c.name).collect();
        assert_eq!(names, ["large.int8", "small", "matrix", "large.scale"]);
        let scales = values_of(&graph.initializer[3]);
        let restored = graph.initializer[0].raw_data.iter().enumerate();
        for (at, byte) in restored {
            let scale = scales[at / 512];
            let found = f32::from(byte.cast_signed()) * scale;
            assert!(
                (found - large[at]).abs() <= 0.51 * scale,
                "{found} {}",
                large[at]
            );
        }
    }
}
