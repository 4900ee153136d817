//! Makes parts of a network narrower: constants, shapes and states lose what belonged to the groups that go.

use std::collections::HashMap;

use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::tensor_shape_proto::dimension;
use tract_onnx::pb::type_proto::Value;
use tract_onnx::pb::{GraphProto, TensorProto, ValueInfoProto};

use super::PruneError;
use super::index::integers;
use super::structure::{Edit, Part};
use crate::products::{floats, raw, values_of};

/// Keeps these groups of a part, given in order, and nothing of the others.
///
/// # Errors
/// [`PruneError::Unlike`] when a size is no multiple of the part's groups; the network may then be half cut.
pub(super) fn narrow(
    graph: &mut GraphProto,
    part: &Part,
    kept: &[usize],
) -> Result<(), PruneError> {
    // Shapes of tensors on the way would no longer be true, and everybody infers them anew.
    graph.value_info.clear();
    for edit in &part.edits {
        apply(graph, edit, part.groups, kept).map_err(|problem| PruneError::Unlike {
            layer: part.name.clone(),
            problem,
        })?;
    }
    Ok(())
}

fn apply(graph: &mut GraphProto, edit: &Edit, groups: usize, kept: &[usize]) -> Result<(), String> {
    let scaled = |size: i64| scaled(size, groups, kept.len());
    match edit {
        &Edit::Floats {
            node,
            input,
            axis,
            rows,
        } => change(graph, node, input, |constant| {
            picked(constant, axis, rows, groups, kept)
        }),
        &Edit::Integers { node, input, at } => change(graph, node, input, |constant| {
            let mut values = integers(constant);
            for (place, value) in values.iter_mut().enumerate() {
                if at.is_none_or(|at| at == place) {
                    *value = scaled(*value)?;
                }
            }
            let bytes = values
                .iter()
                .flat_map(|value| value.to_le_bytes())
                .collect();
            Ok(raw(&constant.name, DataType::Int64, &constant.dims, bytes))
        }),
        Edit::Outside { tensor, axis } => {
            let size = outside(graph, tensor, *axis)?;
            *size = scaled(*size)?;
            Ok(())
        }
        &Edit::Group { node } => {
            let attributes = graph.node[node].attribute.iter_mut();
            for attribute in attributes.filter(|one| one.name == "group") {
                attribute.i = scaled(attribute.i)?;
            }
            Ok(())
        }
    }
}

/// A size that was a multiple of so many groups, for fewer.
fn scaled(size: i64, groups: usize, kept: usize) -> Result<i64, String> {
    let groups = groups as i64;
    if size <= 0 || size % groups != 0 {
        return Err(format!("the size {size} is no multiple of {groups}"));
    }
    Ok(size / groups * kept as i64)
}

/// Puts another constant in the place of one: under its name, or under a new one when others use it, too.
fn change(
    graph: &mut GraphProto,
    node: usize,
    input: usize,
    make: impl FnOnce(&TensorProto) -> Result<TensorProto, String>,
) -> Result<(), String> {
    let name = graph.node[node].input[input].clone();
    let uses = graph.node.iter().flat_map(|node| &node.input);
    let shared = uses.filter(|&used| *used == name).count() > 1;
    let constant = graph.initializer.iter_mut().find(|one| one.name == name);
    let constant = constant.ok_or_else(|| format!("`{name}` is no constant"))?;
    let mut made = make(constant)?;
    if shared {
        made.name = format!("{name}.{node}");
        graph.node[node].input[input].clone_from(&made.name);
        graph.initializer.push(made);
    } else {
        *constant = made;
    }
    Ok(())
}

/// The kept groups of a constant whose axis holds so many rows of all of them.
fn picked(
    constant: &TensorProto,
    axis: usize,
    rows: usize,
    groups: usize,
    kept: &[usize],
) -> Result<TensorProto, String> {
    let shape: Vec<usize> = constant.dims.iter().map(|&size| size as usize).collect();
    let values = values_of(constant);
    let long = shape.get(axis).copied().unwrap_or(0);
    if long == 0 || long % (rows * groups) != 0 || values.len() != shape.iter().product::<usize>() {
        return Err(format!(
            "`{}` of the shape {shape:?} does not hold {rows} times {groups} along axis {axis}",
            constant.name
        ));
    }
    let size = long / (rows * groups);
    let inner: usize = shape[axis + 1..].iter().product();
    let mut left = Vec::with_capacity(values.len() / groups * kept.len());
    for outer in values.chunks_exact(long * inner) {
        for row in outer.chunks_exact(groups * size * inner) {
            for group in kept {
                left.extend_from_slice(&row[group * size * inner..(group + 1) * size * inner]);
            }
        }
    }
    let mut dims = constant.dims.clone();
    dims[axis] = (rows * kept.len() * size) as i64;
    Ok(floats(&constant.name, &dims, &left))
}

/// Size along an axis of a tensor that is fed in or given out.
fn outside<'a>(
    graph: &'a mut GraphProto,
    tensor: &str,
    axis: usize,
) -> Result<&'a mut i64, String> {
    let mut all = graph.input.iter_mut().chain(&mut graph.output);
    let info = all.find(|info| info.name == tensor);
    info.and_then(|info| size_of(info, axis))
        .ok_or_else(|| format!("`{tensor}` has no fixed size along axis {axis}"))
}

fn size_of(info: &mut ValueInfoProto, axis: usize) -> Option<&mut i64> {
    let Some(Value::TensorType(tensor)) = info.r#type.as_mut()?.value.as_mut() else {
        return None;
    };
    match tensor.shape.as_mut()?.dim.get_mut(axis)?.value.as_mut()? {
        dimension::Value::DimValue(size) => Some(size),
        dimension::Value::DimParam(_) => None,
    }
}

/// Takes out the nodes of a stretch whose result is `last`, which takes `first` instead; what only they used goes with them.
pub(super) fn bypass(
    graph: &mut GraphProto,
    nodes: std::ops::Range<usize>,
    first: &str,
    last: &str,
) {
    graph.value_info.clear();
    let removed: Vec<_> = graph.node.drain(nodes).collect();
    for node in &mut graph.node {
        for input in node.input.iter_mut().filter(|input| *input == last) {
            first.clone_into(input);
        }
    }
    let mut uses: HashMap<&str, usize> = HashMap::new();
    for input in graph.node.iter().flat_map(|node| &node.input) {
        *uses.entry(input).or_default() += 1;
    }
    let gone = |tensor: &str| {
        !uses.contains_key(tensor)
            && removed
                .iter()
                .any(|node| node.input.iter().any(|input| input == tensor))
    };
    graph.initializer.retain(|constant| !gone(&constant.name));
    graph.input.retain(|input| !gone(&input.name));
    let made = |tensor: &str| {
        removed
            .iter()
            .any(|node| node.output.iter().any(|one| one == tensor))
    };
    graph.output.retain(|output| !made(&output.name));
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::products::operator;

    #[test]
    fn rows_of_each_kept_group_stay_together() {
        // Two rows of three groups of two along axis 1, beside an outer and an inner axis.
        let values: Vec<f32> = (0..2 * 12 * 2).map(|n| n as f32).collect();
        let constant = floats("w", &[2, 12, 2], &values);
        let found = picked(&constant, 1, 2, 3, &[0, 2]).unwrap();
        assert_eq!(found.dims, [2, 8, 2]);
        let wanted: Vec<f32> = [0..4, 8..16, 20..28, 32..40, 44..48]
            .into_iter()
            .flatten()
            .map(|n| n as f32)
            .collect();
        assert_eq!(values_of(&found), wanted);
        let refused = picked(&constant, 1, 5, 3, &[0]).unwrap_err();
        assert!(
            refused.contains("`w`") && refused.contains("[2, 12, 2]"),
            "{refused}"
        );
    }

    #[test]
    fn sizes_shrink_with_the_groups() {
        assert_eq!(scaled(480, 5, 3), Ok(288));
        assert!(scaled(481, 5, 3).is_err() && scaled(-1, 1, 1).is_err());
    }

    #[test]
    fn a_constant_that_others_use_stays_for_them() {
        let mut graph = GraphProto {
            node: vec![
                operator("Add", &["x", "b"], &["y"]),
                operator("Add", &["z", "b"], &["r"]),
            ],
            initializer: vec![floats("b", &[3], &[1.0, 2.0, 3.0])],
            ..GraphProto::default()
        };
        let part = Part {
            name: "p".into(),
            groups: 3,
            readers: Vec::new(),
            edits: vec![Edit::Floats {
                node: 0,
                input: 1,
                axis: 0,
                rows: 1,
            }],
        };
        narrow(&mut graph, &part, &[2]).unwrap();
        let [whole, own] = &graph.initializer[..] else {
            panic!("{:?}", graph.initializer);
        };
        assert_eq!(
            (values_of(whole), values_of(own)),
            (vec![1.0, 2.0, 3.0], vec![3.0])
        );
        assert_eq!(
            (&*graph.node[0].input[1], &*graph.node[1].input[1]),
            (&*own.name, "b")
        );
        let refused = narrow(&mut graph, &Part { groups: 2, ..part }, &[0]).unwrap_err();
        assert!(refused.to_string().contains("layer `p`"), "{refused}");
    }

    #[test]
    fn a_bypassed_stretch_takes_its_constants_and_states_along() {
        let info = |name: &str| ValueInfoProto {
            name: name.into(),
            ..ValueInfoProto::default()
        };
        let mut graph = GraphProto {
            node: vec![
                operator("Tanh", &["x"], &["a"]),
                operator("Mul", &["a", "w"], &["m"]),
                operator("Add", &["m", "state"], &["next"]),
                operator("Add", &["m", "next"], &["b"]),
                operator("Mul", &["b", "v"], &["y"]),
            ],
            initializer: vec![floats("w", &[1], &[2.0]), floats("v", &[1], &[3.0])],
            input: vec![info("x"), info("state")],
            output: vec![info("y"), info("next")],
            ..GraphProto::default()
        };
        bypass(&mut graph, 1..4, "a", "b");
        let names =
            |infos: &[ValueInfoProto]| infos.iter().map(|one| one.name.clone()).collect::<Vec<_>>();
        assert_eq!(
            (names(&graph.input), names(&graph.output)),
            (vec!["x".to_owned()], vec!["y".to_owned()])
        );
        assert_eq!(graph.node[1].input, ["a", "v"]);
        assert_eq!(graph.initializer.len(), 1);
    }

    proptest! {
        #[test]
        fn keeping_all_changes_nothing(groups in 1usize..6, rows in 1usize..4, size in 1usize..4, inner in 1usize..4) {
            let long = groups * rows * size;
            let values: Vec<f32> = (0..long * inner).map(|n| n as f32).collect();
            let constant = floats("w", &[long as i64, inner as i64], &values);
            let all: Vec<usize> = (0..groups).collect();
            prop_assert_eq!(picked(&constant, 0, rows, groups, &all).unwrap(), constant);
        }
    }
}
