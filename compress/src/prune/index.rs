//! A graph that can be asked who makes and who uses a tensor.

use std::collections::{HashMap, HashSet};

use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::{GraphProto, NodeProto, TensorProto};

/// An index over a graph.
pub(super) struct Index<'a> {
    pub graph: &'a GraphProto,
    made_by: HashMap<&'a str, usize>,
    used_by: HashMap<&'a str, Vec<usize>>,
    constants: HashMap<&'a str, &'a TensorProto>,
    results: HashSet<&'a str>,
}

impl<'a> Index<'a> {
    pub fn of(graph: &'a GraphProto) -> Index<'a> {
        let (mut made_by, mut used_by) = (HashMap::new(), HashMap::<&str, Vec<usize>>::new());
        for (number, node) in graph.node.iter().enumerate() {
            for output in &node.output {
                made_by.insert(&**output, number);
            }
            for input in &node.input {
                used_by.entry(input).or_default().push(number);
            }
        }
        let constants = graph.initializer.iter().map(|one| (&*one.name, one));
        Index {
            graph,
            made_by,
            used_by,
            constants: constants.collect(),
            results: graph.output.iter().map(|one| &*one.name).collect(),
        }
    }

    pub fn node(&self, number: usize) -> &'a NodeProto {
        &self.graph.node[number]
    }

    /// The node that makes a tensor.
    pub fn maker(&self, tensor: &str) -> Option<usize> {
        self.made_by.get(tensor).copied()
    }

    /// The nodes that use a tensor, one entry for each use.
    pub fn users(&self, tensor: &str) -> &[usize] {
        self.used_by.get(tensor).map_or(&[], Vec::as_slice)
    }

    pub fn is_result(&self, tensor: &str) -> bool {
        self.results.contains(tensor)
    }

    pub fn constant(&self, tensor: &str) -> Option<&'a TensorProto> {
        self.constants.get(tensor).copied()
    }

    /// Shape of a constant of floats.
    pub fn floats(&self, tensor: &str) -> Option<&'a [i64]> {
        let constant = self.constant(tensor)?;
        (constant.data_type == DataType::Float as i32).then_some(&constant.dims[..])
    }

    pub fn is_constant(&self, tensor: &str) -> bool {
        self.constants.contains_key(tensor)
    }

    /// Whether a tensor is fed into the graph rather than made by it.
    pub fn is_fed(&self, tensor: &str) -> bool {
        self.graph.input.iter().any(|input| input.name == tensor) && !self.is_constant(tensor)
    }

    /// The only node that makes a tensor of this kind, or what is there instead.
    pub fn made(&self, tensor: &str, kind: &str) -> Result<usize, String> {
        match self.maker(tensor) {
            Some(number) if self.node(number).op_type == kind => Ok(number),
            Some(number) => Err(format!(
                "`{tensor}` comes from {} and not from {kind}",
                self.node(number).op_type
            )),
            None => Err(format!(
                "`{tensor}` is made by no node, {kind} was expected"
            )),
        }
    }

    /// The one node that uses a tensor, when it is of this kind.
    pub fn user(&self, tensor: &str, kind: &str) -> Result<usize, String> {
        match self.users(tensor) {
            [number] if self.node(*number).op_type == kind && !self.is_result(tensor) => {
                Ok(*number)
            }
            _ => Err(format!("`{tensor}` is not used by one {kind} alone")),
        }
    }
}

/// Values of a constant of 64-bit integers.
pub(super) fn integers(constant: &TensorProto) -> Vec<i64> {
    if !constant.int64_data.is_empty() {
        return constant.int64_data.clone();
    }
    let (values, _) = constant.raw_data.as_chunks::<8>();
    values
        .iter()
        .map(|&bytes| i64::from_le_bytes(bytes))
        .collect()
}

/// Which input of a node a tensor is.
pub(super) fn place(node: &NodeProto, tensor: &str) -> Option<usize> {
    node.input.iter().position(|input| input == tensor)
}

/// The other input of a node of two.
pub(super) fn other<'a>(node: &'a NodeProto, known: &str) -> Option<&'a String> {
    match &node.input[..] {
        [one, other] if one == known => Some(other),
        [other, one] if one == known => Some(other),
        _ => None,
    }
}
