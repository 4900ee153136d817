//! Constants that the file stores in less than floats, and what makes floats of them.

use std::collections::{HashMap, HashSet};

use tract_onnx::pb::{GraphProto, NodeProto, TensorProto, tensor_proto::DataType};
use tract_onnx::prelude::f16;

use super::graph::attribute;

/// Turns constants that are stored in less into floats: the nodes that would do it in each run, go.
///
/// * Half floats with a Cast.
/// * int8 with a scale for each output channel and a DequantizeLinear, for a Conv with a group for each channel. That of a
///   product with a matrix or of another Conv is left: it is multiplied as it is.
/// * Values that occur again and again with a Gather of them.
pub fn restore(graph: &mut GraphProto) {
    widen_halves(graph);
    make_floats(graph, |user| {
        user.op_type == "Conv" && attribute(user, "group").is_some_and(|group| group != [1])
    });
}

/// The same for every Conv, where int8 weights of one are left.
pub(super) fn restore_convolutions(graph: &mut GraphProto) {
    make_floats(graph, |user| user.op_type == "Conv");
}

/// Makes constants of nodes that make floats of others; of DequantizeLinear those whose users are all as said.
fn make_floats(graph: &mut GraphProto, dequantised: fn(&NodeProto) -> bool) {
    let made: HashMap<usize, TensorProto> = {
        let file = File::of(graph, dequantised);
        let nodes = graph.node.iter().enumerate();
        let made = nodes.filter_map(|(number, node)| Some((number, file.made_by(node)?)));
        made.collect()
    };
    let mut number = 0;
    graph.node.retain(|_| {
        number += 1;
        !made.contains_key(&(number - 1))
    });
    graph.initializer.extend(made.into_values());
}

/// The constants of a graph and who uses what.
struct File<'a> {
    constants: HashMap<&'a str, &'a TensorProto>,
    users: HashMap<&'a str, Vec<&'a NodeProto>>,
    dequantised: fn(&NodeProto) -> bool,
}

impl<'a> File<'a> {
    fn of(graph: &'a GraphProto, dequantised: fn(&NodeProto) -> bool) -> File<'a> {
        let mut users: HashMap<&str, Vec<&NodeProto>> = HashMap::new();
        for node in &graph.node {
            for input in &node.input {
                users.entry(input).or_default().push(node);
            }
        }
        let constants = graph.initializer.iter();
        File {
            constants: constants.map(|one| (&*one.name, one)).collect(),
            users,
            dequantised,
        }
    }

    /// The constant that a node makes of others, where it is one of those above.
    fn made_by(&self, node: &NodeProto) -> Option<TensorProto> {
        let [output] = &node.output[..] else {
            return None;
        };
        let constant = |number: usize| self.constants.get(&**node.input.get(number)?).copied();
        let (dims, values) = match &*node.op_type {
            "DequantizeLinear" if self.is_dequantised(output) => {
                let zero = constant(2).is_none_or(|zero| zero.raw_data.iter().all(|&b| b == 0));
                let axis = attribute(node, "axis") == Some(vec![0]);
                (axis && zero).then(|| dequantised(constant(0)?, constant(1)?))?
            }
            "Gather" => {
                let axis = attribute(node, "axis").map_or(0, |axis| axis[0]);
                gathered(constant(0)?, constant(1)?, axis)
            }
            _ => None,
        }?;
        Some(floats(output, dims, &values))
    }

    fn is_dequantised(&self, tensor: &str) -> bool {
        let users = self.users.get(tensor);
        users.is_some_and(|users| users.iter().all(|user| (self.dequantised)(user)))
    }
}

/// int8 `[outputs, …]` times a scale for each output.
fn dequantised(stored: &TensorProto, scales: &TensorProto) -> Option<(Vec<i64>, Vec<f32>)> {
    let scales = floats_of(scales)?;
    let outputs = usize::try_from(*stored.dims.first()?).ok()?;
    let bytes = &stored.raw_data;
    let as_wanted = stored.data_type == DataType::Int8 as i32
        && count(stored) == Some(bytes.len())
        && outputs == scales.len();
    let inner = bytes.len().checked_div(outputs).filter(|_| as_wanted)?;
    let channels = bytes.chunks_exact(inner.max(1)).zip(scales);
    let values = channels.flat_map(|(channel, scale)| {
        let integers = channel.iter().map(|byte| byte.cast_signed());
        integers.map(move |integer| f32::from(integer) * scale)
    });
    Some((stored.dims.clone(), values.collect()))
}

/// What an ONNX Gather makes of floats.
fn gathered(stored: &TensorProto, places: &TensorProto, axis: i64) -> Option<(Vec<i64>, Vec<f32>)> {
    let (values, indices) = (floats_of(stored)?, integers_of(places)?);
    let rank = stored.dims.len() as i64;
    let axis = usize::try_from(if axis < 0 { axis + rank } else { axis }).ok()?;
    let (length, after) = stored.dims.get(axis..)?.split_first()?;
    let (length, inner) = (*length, after.iter().product::<i64>() as usize);
    let indices = indices.into_iter().map(|index| {
        let index = if index < 0 { index + length } else { index };
        let index = usize::try_from(index).ok()?;
        (index < length as usize).then_some(index)
    });
    let indices: Vec<usize> = indices.collect::<Option<_>>()?;
    let dims = [&stored.dims[..axis], &places.dims, after].concat();
    let outer = values.chunks_exact((length as usize * inner).max(1));
    let picked = outer.flat_map(|outer| {
        let rows = indices.iter().map(|index| &outer[index * inner..]);
        rows.flat_map(|row| &row[..inner])
    });
    let picked = picked.copied().collect();
    Some((dims, picked))
}

/// Elements of a constant of its shape.
fn count(constant: &TensorProto) -> Option<usize> {
    usize::try_from(constant.dims.iter().product::<i64>()).ok()
}

fn floats_of(constant: &TensorProto) -> Option<Vec<f32>> {
    let values = if constant.float_data.is_empty() {
        let (values, _) = constant.raw_data.as_chunks::<4>();
        values.iter().map(|&b| f32::from_le_bytes(b)).collect()
    } else {
        constant.float_data.clone()
    };
    let whole = constant.data_type == DataType::Float as i32 && count(constant)? == values.len();
    whole.then_some(values)
}

/// Of 32 or 64 bits.
fn integers_of(constant: &TensorProto) -> Option<Vec<i64>> {
    let bytes = &constant.raw_data;
    let values: Vec<i64> = if constant.data_type == DataType::Int32 as i32 {
        let (values, _) = bytes.as_chunks::<4>();
        let values = values.iter().map(|&b| i64::from(i32::from_le_bytes(b)));
        values.collect()
    } else if constant.data_type == DataType::Int64 as i32 {
        let (values, _) = bytes.as_chunks::<8>();
        values.iter().map(|&b| i64::from_le_bytes(b)).collect()
    } else {
        return None;
    };
    (count(constant)? == values.len()).then_some(values)
}

fn floats(name: &str, dims: Vec<i64>, values: &[f32]) -> TensorProto {
    TensorProto {
        name: name.to_owned(),
        dims,
        data_type: DataType::Float as i32,
        raw_data: values.iter().flat_map(|v| v.to_le_bytes()).collect(),
        ..TensorProto::default()
    }
}

/// Turns constants that are stored in half precision into floats: a Cast of such a constant becomes one.
fn widen_halves(graph: &mut GraphProto) {
    let is_widening = |node: &NodeProto| {
        node.op_type == "Cast" && attribute(node, "to") == Some(vec![DataType::Float as i64])
    };
    let mut names: HashMap<String, Vec<String>> = HashMap::new();
    let halves: HashSet<&String> = graph
        .initializer
        .iter()
        .filter(|constant| halves_of(constant).is_some())
        .map(|constant| &constant.name)
        .collect();
    graph
        .node
        .retain(|node| match (&node.input[..], &node.output[..]) {
            ([stored], [used]) if is_widening(node) && halves.contains(stored) => {
                names.entry(stored.clone()).or_default().push(used.clone());
                false
            }
            _ => true,
        });
    let still_used: HashSet<&String> = graph.node.iter().flat_map(|node| &node.input).collect();
    let mut constants = Vec::new();
    for constant in std::mem::take(&mut graph.initializer) {
        let Some(users) = names.get(&constant.name) else {
            constants.push(constant);
            continue;
        };
        let values = halves_of(&constant).unwrap_or_default();
        let widened = |name: &String| floats(name, constant.dims.clone(), &values);
        constants.extend(users.iter().map(widened));
        if still_used.contains(&constant.name) {
            constants.push(constant);
        }
    }
    graph.initializer = constants;
}

/// Values of a constant in half precision that lies in the file as bytes.
fn halves_of(constant: &TensorProto) -> Option<Vec<f32>> {
    let (values, rest) = constant.raw_data.as_chunks::<2>();
    let as_wanted = constant.data_type == DataType::Float16 as i32
        && rest.is_empty()
        && constant.dims.iter().product::<i64>() == values.len() as i64;
    as_wanted.then(|| {
        values
            .iter()
            .map(|&bytes| f16::from_le_bytes(bytes).to_f32())
            .collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fused::graph::{integer, new_node};

    fn half(name: &str, values: &[f32]) -> TensorProto {
        TensorProto {
            name: name.into(),
            dims: vec![values.len() as i64],
            data_type: DataType::Float16 as i32,
            raw_data: values
                .iter()
                .flat_map(|&value| f16::from_f32(value).to_le_bytes())
                .collect(),
            ..TensorProto::default()
        }
    }

    #[test]
    fn a_constant_in_half_precision_becomes_floats_and_other_casts_stay() {
        let cast = |from: &str, to: &str, kind: DataType| {
            new_node("Cast", &[from], &[to], vec![integer("to", kind as i64)])
        };
        let mut graph = GraphProto {
            node: vec![
                cast("stored", "used", DataType::Float),
                cast("stored", "integers", DataType::Int32),
                cast("x", "y", DataType::Float),
            ],
            initializer: vec![half("stored", &[0.5, -3.0])],
            ..GraphProto::default()
        };
        restore(&mut graph);
        let outputs: Vec<&String> = graph.node.iter().flat_map(|node| &node.output).collect();
        assert_eq!(outputs, ["integers", "y"]);
        let [used, stored] = &graph.initializer[..] else {
            panic!("{:?}", graph.initializer);
        };
        let bytes: Vec<u8> = [0.5f32, -3.0]
            .iter()
            .flat_map(|v| v.to_le_bytes())
            .collect();
        assert_eq!(
            (&*used.name, used.data_type, &used.raw_data, &*stored.name),
            ("used", DataType::Float as i32, &bytes, "stored")
        );
    }

    fn constant(name: &str, kind: DataType, dims: &[i64], bytes: Vec<u8>) -> TensorProto {
        TensorProto {
            name: name.into(),
            dims: dims.to_vec(),
            data_type: kind as i32,
            raw_data: bytes,
            ..TensorProto::default()
        }
    }

    fn bytes(values: &[f32]) -> Vec<u8> {
        values.iter().flat_map(|v| v.to_le_bytes()).collect()
    }

    #[test]
    fn the_weight_of_a_convolution_in_int8_becomes_floats_and_that_of_a_product_stays() {
        let integers = constant("w", DataType::Int8, &[2, 1, 2], vec![1, 255, 2, 127]);
        let restored = |kind: &str, axis, groups, restore: fn(&mut GraphProto)| {
            let dequantise = new_node(
                "DequantizeLinear",
                &["w", "scale"],
                &["floats"],
                vec![integer("axis", axis)],
            );
            let mut graph = GraphProto {
                node: vec![
                    dequantise,
                    new_node(
                        kind,
                        &["x", "floats"],
                        &["y"],
                        vec![integer("group", groups)],
                    ),
                ],
                initializer: vec![
                    integers.clone(),
                    constant("scale", DataType::Float, &[2], bytes(&[0.5, 2.0])),
                ],
                ..GraphProto::default()
            };
            restore(&mut graph);
            let found = graph.initializer.into_iter().find(|c| c.name == "floats");
            found.map(|found| (found.dims, found.raw_data))
        };
        let wanted = (vec![2, 1, 2], bytes(&[0.5, -0.5, 4.0, 254.0]));
        assert_eq!(restored("Conv", 0, 2, restore), Some(wanted.clone()));
        assert_eq!(restored("Conv", 0, 1, restore), None);
        assert_eq!(restored("Conv", 0, 1, restore_convolutions), Some(wanted));
        assert_eq!(restored("Conv", 1, 2, restore), None);
        assert_eq!(restored("MatMul", 0, 2, restore_convolutions), None);
    }

    #[test]
    fn constants_are_gathered_as_onnx_says_and_not_beyond_their_ends() {
        let gathered = |indices: &[i32], axis| {
            let places = indices.iter().flat_map(|v| v.to_le_bytes()).collect();
            let places = constant("i", DataType::Int32, &[2, 2], places);
            let mut graph = GraphProto {
                node: vec![new_node(
                    "Gather",
                    &["c", "i"],
                    &["all"],
                    vec![integer("axis", axis)],
                )],
                initializer: vec![
                    constant(
                        "c",
                        DataType::Float,
                        &[2, 3],
                        bytes(&[0.0, 1.0, 2.0, 10.0, 11.0, 12.0]),
                    ),
                    places,
                ],
                ..GraphProto::default()
            };
            restore(&mut graph);
            let found = graph.initializer.into_iter().find(|c| c.name == "all");
            found.map(|found| (found.dims.clone(), floats_of(&found).unwrap()))
        };
        assert_eq!(
            gathered(&[1, 2, 0, -1], 1),
            Some((
                vec![2, 2, 2],
                vec![1.0, 2.0, 0.0, 2.0, 11.0, 12.0, 10.0, 12.0]
            ))
        );
        let rows = gathered(&[1, 0, 0, 0], 0).unwrap();
        assert_eq!(
            (&rows.0[..], &rows.1[..4]),
            (&[2, 2, 3][..], &[10.0, 11.0, 12.0, 0.0][..])
        );
        assert_eq!(gathered(&[0, 0, 0, 3], 1), None);
    }
}
