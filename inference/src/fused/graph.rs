//! An ONNX graph that can be asked who makes and who uses a tensor, and whose chains can be replaced.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use tract_onnx::pb::attribute_proto::AttributeType;
use tract_onnx::pb::{AttributeProto, GraphProto, NodeProto, TensorProto, tensor_proto::DataType};

/// The nodes of a graph with an index over them.
pub(super) struct Net {
    /// `None` where a node was replaced.
    nodes: Vec<Option<NodeProto>>,
    made_by: HashMap<String, usize>,
    used_by: HashMap<String, Vec<usize>>,
    constants: Vec<TensorProto>,
    /// Numbers of the constants by name.
    named: HashMap<String, usize>,
    results: HashSet<String>,
}

impl Net {
    /// Takes the nodes and constants out of a graph; [`Net::write`] puts them back.
    pub fn of(graph: &mut GraphProto) -> Net {
        let (nodes, constants) = (
            std::mem::take(&mut graph.node),
            std::mem::take(&mut graph.initializer),
        );
        let mut net = Net {
            made_by: HashMap::new(),
            used_by: HashMap::new(),
            named: constants
                .iter()
                .enumerate()
                .map(|(number, constant)| (constant.name.clone(), number))
                .collect(),
            results: graph
                .output
                .iter()
                .map(|output| output.name.clone())
                .collect(),
            constants,
            nodes: Vec::new(),
        };
        for (number, node) in nodes.iter().enumerate() {
            for output in &node.output {
                net.made_by.insert(output.clone(), number);
            }
            for input in &node.input {
                net.used_by.entry(input.clone()).or_default().push(number);
            }
        }
        net.nodes = nodes.into_iter().map(Some).collect();
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

    fn tensor(&self, name: &str) -> Option<&TensorProto> {
        Some(&self.constants[*self.named.get(name)?])
    }

    /// Shape and element type of a constant.
    pub fn constant(&self, tensor: &str) -> Option<(&[i64], DataType)> {
        let constant = self.tensor(tensor)?;
        Some((&constant.dims, DataType::try_from(constant.data_type).ok()?))
    }

    /// Values of a constant of 64-bit integers.
    pub fn integers(&self, tensor: &str) -> Option<Vec<i64>> {
        let constant = self.tensor(tensor)?;
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
        let constant = self.tensor(tensor)?;
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

    /// The scale and the zero point of a QuantizeLinear or DequantizeLinear node to or from bytes, where each is one for all
    /// values; the zero point as if the bytes were signed.
    pub fn scaling(&self, number: usize) -> Option<(f32, i64, DataType)> {
        let [_, scale, zero] = &self.node(number)?.input[..] else {
            return None;
        };
        let (scale, zero) = (self.float(scale)?, self.tensor(zero)?);
        let byte = match (&zero.int32_data[..], &zero.raw_data[..]) {
            (&[value], _) => value as u8,
            (_, &[byte]) => byte,
            _ => return None,
        };
        let kind = DataType::try_from(zero.data_type).ok()?;
        let zero = match kind {
            DataType::Int8 => i64::from(byte as i8),
            DataType::Uint8 => i64::from(byte) - 128,
            _ => return None,
        };
        (scale.is_finite() && scale > 0.0).then_some((scale, zero, kind))
    }

    /// What goes into a pair of QuantizeLinear and DequantizeLinear that makes a tensor, with its scale and zero point.
    pub fn rounded(&self, tensor: &str) -> Option<(&String, f32, i64)> {
        let back = self.maker(tensor, "DequantizeLinear")?;
        let there = self.maker(self.node(back)?.input.first()?, "QuantizeLinear")?;
        let (scale, zero, _) = self
            .scaling(back)
            .filter(|s| self.scaling(there) == Some(*s))?;
        Some((self.node(there)?.input.first()?, scale, zero))
    }

    /// Whether all elements of an integer constant are nought.
    pub fn is_zero(&self, tensor: &str) -> bool {
        self.tensor(tensor).is_some_and(|constant| {
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
        self.constants.retain(|constant| {
            used.contains(&constant.name) || self.results.contains(&constant.name)
        });
        graph.initializer = self.constants;
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

/// Frames kept from step to step along an axis: the Concat of a state with the newest frames, and the Slice of its end
/// that is the next state.
pub(super) struct Cache<'a> {
    pub nodes: [usize; 2],
    pub state: &'a String,
    pub newest: &'a String,
    pub successor: &'a String,
}

impl<'a> Cache<'a> {
    /// The cache behind a tensor that one more node uses, and how many frames it keeps of this axis.
    pub fn kept(net: &'a Net, joined: &str, along: i64) -> Option<(Cache<'a>, i64)> {
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
        let &[from] = &net.integers(from)?[..] else {
            return None;
        };
        let as_wanted = [
            users.len() == 2 && from < 0,
            attribute(net.node(concat)?, "axis")? == [along] && net.integers(axis)? == [along],
            net.integers(to)?[..] >= [i64::from(i32::MAX)][..],
        ];
        let cache = Cache {
            nodes: [concat, slice],
            state,
            newest,
            successor: net.node(slice)?.output.first()?,
        };
        (!as_wanted.contains(&false)).then_some((cache, -from))
    }

    /// The cache behind a tensor, if it keeps so many frames of axis 2.
    pub fn of(net: &'a Net, joined: &str, wanted: i64) -> Option<Cache<'a>> {
        let (cache, kept) = Cache::kept(net, joined, 2)?;
        (kept == wanted).then_some(cache)
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

/// A text attribute.
pub(super) fn text(name: &str, value: &str) -> AttributeProto {
    AttributeProto {
        name: name.to_owned(),
        r#type: AttributeType::String as i32,
        s: value.as_bytes().to_vec(),
        ..AttributeProto::default()
    }
}

/// An attribute's text; empty when there is none.
pub(super) fn text_of(node: &NodeProto, name: &str) -> String {
    let attribute = node.attribute.iter().find(|a| a.name == name);
    attribute.map_or_else(String::new, |a| String::from_utf8_lossy(&a.s).into_owned())
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

/// A list of integers as an attribute.
pub(super) fn integers(name: &str, values: &[i64]) -> AttributeProto {
    AttributeProto {
        name: name.to_owned(),
        r#type: AttributeType::Ints as i32,
        ints: values.to_vec(),
        ..AttributeProto::default()
    }
}

/// An attribute's only integer, for a node of ours.
pub(super) fn required(node: &NodeProto, name: &str) -> Result<usize, String> {
    let value = attribute(node, name).and_then(|values| values.first().copied());
    let value = value.and_then(|value| usize::try_from(value).ok());
    value.ok_or_else(|| format!("attribute {name} is missing"))
}

/// An attribute's float, for a node of ours.
pub(super) fn required_float(node: &NodeProto, name: &str) -> Result<f32, String> {
    let attribute = node
        .attribute
        .iter()
        .find(|attribute| attribute.name == name);
    Ok(attribute
        .ok_or_else(|| format!("attribute {name} is missing"))?
        .f)
}

/// The constants of a graph, for the nodes of ours.
pub(crate) struct Constants<'a>(HashMap<&'a str, &'a TensorProto>);

impl<'a> Constants<'a> {
    /// Those of a graph.
    pub fn of(graph: &'a GraphProto) -> Constants<'a> {
        let constants = graph.initializer.iter();
        Constants(constants.map(|t| (&*t.name, t)).collect())
    }

    /// Those of one node.
    pub fn among(node: &NodeProto, all: &'a HashMap<String, TensorProto>) -> Constants<'a> {
        let constants = node.input.iter().filter_map(|name| all.get_key_value(name));
        Constants(constants.map(|(name, tensor)| (&**name, tensor)).collect())
    }

    /// Input `number` of a node.
    fn of_node(&self, node: &NodeProto, number: usize) -> Result<&'a TensorProto, String> {
        let name = node.input.get(number).map_or("", |name| &**name);
        let found = self.0.get(name).copied();
        found.ok_or_else(|| format!("input {number}, `{name}`, is no constant"))
    }

    /// Shape of input `number` of a node.
    pub fn shape(&self, node: &NodeProto, number: usize) -> Result<Vec<usize>, String> {
        let constant = self.of_node(node, number)?;
        Ok(constant.dims.iter().map(|&dim| dim as usize).collect())
    }

    /// Element type of input `number` of a node.
    pub fn kind(&self, node: &NodeProto, number: usize) -> Result<DataType, String> {
        let constant = self.of_node(node, number)?;
        let kind = DataType::try_from(constant.data_type);
        kind.map_err(|_| format!("`{}` is of an unknown type", constant.name))
    }

    /// Floats of input `number` of a node.
    pub fn floats(&self, node: &NodeProto, number: usize) -> Result<Vec<f32>, String> {
        let constant = self.of_node(node, number)?;
        let count = constant.dims.iter().product::<i64>() as usize;
        let values = if constant.float_data.is_empty() {
            let (values, _) = constant.raw_data.as_chunks::<4>();
            values.iter().map(|&b| f32::from_le_bytes(b)).collect()
        } else {
            constant.float_data.clone()
        };
        if constant.data_type != DataType::Float as i32 || values.len() != count {
            return Err(format!("`{}` holds no floats of its shape", constant.name));
        }
        Ok(values)
    }

    /// Elements of input `number` of a node, bytes.
    pub fn bytes(&self, node: &NodeProto, number: usize) -> Result<Cow<'a, [u8]>, String> {
        let constant = self.of_node(node, number)?;
        let count = constant.dims.iter().product::<i64>() as usize;
        let bytes = if constant.raw_data.is_empty() {
            Cow::Owned(constant.int32_data.iter().map(|&v| v as u8).collect())
        } else {
            Cow::Borrowed(&constant.raw_data[..])
        };
        let kinds = [DataType::Int8 as i32, DataType::Uint8 as i32];
        if !kinds.contains(&constant.data_type) || bytes.len() != count {
            return Err(format!("`{}` holds no bytes of its shape", constant.name));
        }
        Ok(bytes)
    }
}
