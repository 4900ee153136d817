//! An ONNX graph that can be asked who makes and who uses a tensor, and whose chains can be replaced.

use std::collections::{HashMap, HashSet};

use tract_onnx::pb::attribute_proto::AttributeType;
use tract_onnx::pb::{AttributeProto, GraphProto, NodeProto, TensorProto, tensor_proto::DataType};
use tract_onnx::tract_hir::internal::*;

/// Turns constants that are stored in half precision into floats: a Cast of such a constant becomes one.
pub(super) fn widen_halves(graph: &mut GraphProto) {
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
        constants.extend(users.iter().map(|name| {
            TensorProto {
                name: name.clone(),
                dims: constant.dims.clone(),
                data_type: DataType::Float as i32,
                raw_data: values
                    .iter()
                    .flat_map(|value| value.to_le_bytes())
                    .collect(),
                ..TensorProto::default()
            }
        }));
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

/// The nodes of a graph with an index over them.
pub(super) struct Net {
    /// `None` where a node was replaced.
    nodes: Vec<Option<NodeProto>>,
    made_by: HashMap<String, usize>,
    used_by: HashMap<String, Vec<usize>>,
    constants: HashMap<String, TensorProto>,
    results: HashSet<String>,
}

impl Net {
    /// The index of a graph.
    pub fn of(graph: &GraphProto) -> Net {
        let mut net = Net {
            nodes: graph.node.iter().cloned().map(Some).collect(),
            made_by: HashMap::new(),
            used_by: HashMap::new(),
            constants: graph
                .initializer
                .iter()
                .map(|t| (t.name.clone(), t.clone()))
                .collect(),
            results: graph
                .output
                .iter()
                .map(|output| output.name.clone())
                .collect(),
        };
        for (number, node) in graph.node.iter().enumerate() {
            for output in &node.output {
                net.made_by.insert(output.clone(), number);
            }
            for input in &node.input {
                net.used_by.entry(input.clone()).or_default().push(number);
            }
        }
        net
    }

    /// Numbers of the nodes of this kind.
    pub fn of_kind(&self, kind: &str) -> Vec<usize> {
        let is_kind = |number: &usize| {
            self.nodes[*number]
                .as_ref()
                .is_some_and(|node| node.op_type == kind)
        };
        (0..self.nodes.len()).filter(is_kind).collect()
    }

    /// A node that was not replaced yet.
    pub fn node(&self, number: usize) -> Option<&NodeProto> {
        self.nodes[number].as_ref()
    }

    /// The node of this kind that makes a tensor.
    pub fn maker(&self, tensor: &str, kind: &str) -> Option<usize> {
        let number = *self.made_by.get(tensor)?;
        (self.nodes[number].as_ref()?.op_type == kind).then_some(number)
    }

    /// The one node that uses a tensor, when it is of this kind and the tensor is no result of the graph.
    pub fn only_user(&self, tensor: &str, kind: &str) -> Option<usize> {
        match self.users(tensor)?[..] {
            [number] if self.nodes[number].as_ref()?.op_type == kind => Some(number),
            _ => None,
        }
    }

    /// The nodes that use a tensor; `None` when it is a result of the graph, too.
    pub fn users(&self, tensor: &str) -> Option<Vec<usize>> {
        let users = self.used_by.get(tensor).cloned().unwrap_or_default();
        (!self.results.contains(tensor)).then_some(users)
    }

    /// Shape and element type of a constant.
    pub fn constant(&self, tensor: &str) -> Option<(&[i64], DataType)> {
        let constant = self.constants.get(tensor)?;
        Some((&constant.dims, DataType::try_from(constant.data_type).ok()?))
    }

    /// Values of a constant of 64-bit integers.
    pub fn integers(&self, tensor: &str) -> Option<Vec<i64>> {
        let constant = self.constants.get(tensor)?;
        if constant.data_type != DataType::Int64 as i32 {
            return None;
        }
        if !constant.int64_data.is_empty() {
            return Some(constant.int64_data.clone());
        }
        let (values, rest) = constant.raw_data.as_chunks::<8>();
        rest.is_empty().then(|| {
            values
                .iter()
                .map(|&bytes| i64::from_le_bytes(bytes))
                .collect()
        })
    }

    /// The value of a constant of one float.
    pub fn float(&self, tensor: &str) -> Option<f32> {
        let constant = self.constants.get(tensor)?;
        if constant.data_type != DataType::Float as i32
            || constant.dims.iter().product::<i64>() != 1
        {
            return None;
        }
        match (&constant.float_data[..], &constant.raw_data[..]) {
            ([value], _) => Some(*value),
            (_, bytes) => Some(f32::from_le_bytes(bytes.try_into().ok()?)),
        }
    }

    /// Whether all elements of an integer constant are nought.
    pub fn is_zero(&self, tensor: &str) -> bool {
        self.constants.get(tensor).is_some_and(|constant| {
            constant.int32_data.iter().all(|&value| value == 0)
                && constant.raw_data.iter().all(|&byte| byte == 0)
        })
    }

    /// Puts a node in the place of others; it takes the name of the last of them.
    pub fn replace(&mut self, old: &[usize], mut new: NodeProto) {
        let Some(&last) = old.iter().max() else {
            return;
        };
        if let Some(node) = &self.nodes[last] {
            new.name.clone_from(&node.name);
        }
        for &number in old {
            self.remove(number);
        }
        for output in &new.output {
            self.made_by.insert(output.clone(), last);
        }
        for input in &new.input {
            self.used_by.entry(input.clone()).or_default().push(last);
        }
        self.nodes[last] = Some(new);
    }

    /// Writes the nodes back, without those whose outputs nobody needs any more, and without the constants that no node uses.
    pub fn write(mut self, graph: &mut GraphProto) {
        for number in (0..self.nodes.len()).rev() {
            let Some(node) = &self.nodes[number] else {
                continue;
            };
            let needed = node.output.iter().any(|output| {
                self.results.contains(output)
                    || self
                        .used_by
                        .get(output)
                        .is_some_and(|users| !users.is_empty())
            });
            if !needed {
                self.remove(number);
            }
        }
        graph.node = self.nodes.into_iter().flatten().collect();
        let used: HashSet<&String> = graph.node.iter().flat_map(|node| &node.input).collect();
        graph.initializer.retain(|constant| {
            used.contains(&constant.name) || self.results.contains(&constant.name)
        });
    }

    /// Takes a node out and forgets that it used its inputs.
    fn remove(&mut self, number: usize) {
        if let Some(node) = self.nodes[number].take() {
            for input in &node.input {
                if let Some(users) = self.used_by.get_mut(input) {
                    users.retain(|&user| user != number);
                }
            }
        }
    }
}

/// Frames kept from step to step along axis 2: the Concat of a state with the newest frames, and the Slice of its end
/// that is the next state.
pub(super) struct Cache<'a> {
    pub nodes: [usize; 2],
    pub state: &'a String,
    pub newest: &'a String,
    pub successor: &'a String,
}

impl<'a> Cache<'a> {
    /// The cache behind a tensor that one more node uses, if it keeps so many frames.
    pub fn of(net: &'a Net, joined: &str, kept: i64) -> Option<Cache<'a>> {
        let concat = net.maker(joined, "Concat")?;
        let [state, newest] = &net.node(concat)?.input[..] else {
            return None;
        };
        let users = net.users(joined)?;
        let is_slice = |user: &&usize| net.node(**user).is_some_and(|node| node.op_type == "Slice");
        let slice = *users.iter().find(is_slice)?;
        let [_, from, to, axis] = &net.node(slice)?.input[..] else {
            return None;
        };
        let as_wanted = [
            users.len() == 2,
            attribute(net.node(concat)?, "axis")? == [2] && net.integers(axis)? == [2],
            net.integers(from)? == [-kept],
            net.integers(to)?[..] >= [i64::from(i32::MAX)][..],
        ];
        (!as_wanted.contains(&false)).then_some(Cache {
            nodes: [concat, slice],
            state,
            newest,
            successor: net.node(slice)?.output.first()?,
        })
    }
}

/// A node of ours, nameless as yet.
pub(super) fn new_node(
    kind: &str,
    inputs: &[&str],
    outputs: &[&str],
    attributes: Vec<AttributeProto>,
) -> NodeProto {
    NodeProto {
        op_type: kind.to_owned(),
        input: inputs.iter().map(|&name| name.to_owned()).collect(),
        output: outputs.iter().map(|&name| name.to_owned()).collect(),
        attribute: attributes,
        ..NodeProto::default()
    }
}

/// An integer attribute.
pub(super) fn integer(name: &str, value: i64) -> AttributeProto {
    AttributeProto {
        name: name.to_owned(),
        r#type: AttributeType::Int as i32,
        i: value,
        ..AttributeProto::default()
    }
}

/// A float attribute.
pub(super) fn float(name: &str, value: f32) -> AttributeProto {
    AttributeProto {
        name: name.to_owned(),
        r#type: AttributeType::Float as i32,
        f: value,
        ..AttributeProto::default()
    }
}

/// An attribute's integers: of a list, or a single one.
pub(super) fn attribute(node: &NodeProto, name: &str) -> Option<Vec<i64>> {
    let attribute = node
        .attribute
        .iter()
        .find(|attribute| attribute.name == name)?;
    Some(if attribute.ints.is_empty() {
        vec![attribute.i]
    } else {
        attribute.ints.clone()
    })
}

/// An attribute's only integer, for a node of ours.
pub(super) fn required(node: &NodeProto, name: &str) -> TractResult<i64> {
    let value = attribute(node, name).and_then(|values| values.first().copied());
    value.with_context(|| format!("attribute {name}"))
}

/// An attribute's float, for a node of ours.
pub(super) fn required_float(node: &NodeProto, name: &str) -> TractResult<f32> {
    let attribute = node
        .attribute
        .iter()
        .find(|attribute| attribute.name == name);
    Ok(attribute.with_context(|| format!("attribute {name}"))?.f)
}

#[cfg(test)]
mod tests {
    use super::*;

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
        widen_halves(&mut graph);
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
}
