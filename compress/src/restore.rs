//! A network in int8 becomes one in floats again: where nothing else was kept, to make other precisions from.

use std::collections::{HashMap, HashSet};

use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::{GraphProto, ModelProto, NodeProto, TensorProto};

use crate::products::{floats, operator, raw_bytes, values_of};

/// Why a network cannot be restored.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RestoreError {
    /// There is nothing in int8.
    #[error(
        "the network has no MatMulInteger; it is none that `vocar-compress quantise --bits 8` wrote"
    )]
    Nothing,
    /// A layer is written in another way.
    #[error(
        "`{0}` is no layer as `vocar-compress quantise --bits 8` writes it: symmetric int8 with float scales for its outputs, without --halve-the-rest"
    )]
    Layer(String),
}

/// Writes every layer of DynamicQuantizeLinear, MatMulInteger, Cast and Mul as a MatMul by floats. Returns how many there were.
///
/// # Errors
/// [`RestoreError`]; the network is then unchanged.
pub fn restore(model: &mut ModelProto) -> Result<usize, RestoreError> {
    let graph = model.graph.get_or_insert_default();
    let products: Vec<Product> = {
        let net = Net::of(graph);
        let layers = graph.node.iter().enumerate();
        let layers = layers.filter(|(_, node)| node.op_type == "MatMulInteger");
        let read = |(number, node): (usize, &NodeProto)| {
            let wrong = || RestoreError::Layer(node.output.join(", "));
            net.product(number, node).ok_or_else(wrong)
        };
        layers.map(read).collect::<Result<_, _>>()?
    };
    if products.is_empty() {
        return Err(RestoreError::Nothing);
    }
    let count = products.len();
    let gone: HashSet<usize> = products.iter().flat_map(|one| one.nodes).collect();
    let mut made: HashMap<usize, Product> = HashMap::new();
    for product in products {
        made.insert(product.nodes[2], product);
    }
    let mut nodes = Vec::new();
    for (number, node) in std::mem::take(&mut graph.node).into_iter().enumerate() {
        if let Some(product) = made.remove(&number) {
            nodes.push(product.node);
            if graph
                .initializer
                .iter()
                .all(|one| one.name != product.weight.name)
            {
                graph.initializer.push(product.weight);
            }
        } else if !gone.contains(&number) {
            nodes.push(node);
        }
    }
    graph.node = nodes;
    drop_unused(graph);
    Ok(count)
}

/// A layer in floats, and the nodes that it takes the place of: MatMulInteger, Cast, Mul.
struct Product {
    nodes: [usize; 3],
    node: NodeProto,
    weight: TensorProto,
}

struct Net<'a> {
    nodes: &'a [NodeProto],
    constants: HashMap<&'a str, &'a TensorProto>,
}

impl<'a> Net<'a> {
    fn of(graph: &'a GraphProto) -> Net<'a> {
        let constants = graph.initializer.iter();
        Net {
            nodes: &graph.node,
            constants: constants.map(|one| (&*one.name, one)).collect(),
        }
    }

    fn maker(&self, tensor: &str, kind: &str) -> Option<&'a NodeProto> {
        let makes = |node: &&NodeProto| node.output.iter().any(|output| output == tensor);
        self.nodes
            .iter()
            .find(makes)
            .filter(|node| node.op_type == kind)
    }

    fn user(&self, tensor: &str, kind: &str) -> Option<(usize, &'a NodeProto)> {
        let mut nodes = self.nodes.iter().enumerate();
        nodes.find(|(_, node)| node.op_type == kind && node.input.iter().any(|one| one == tensor))
    }

    fn product(&self, number: usize, node: &NodeProto) -> Option<Product> {
        let [quantised, stored, _, zero @ ..] = &node.input[..] else {
            return None;
        };
        let input = self.maker(quantised, "DynamicQuantizeLinear")?;
        let stored = self.constants.get(&**stored)?;
        let symmetric = zero.iter().all(|zero| {
            let zero = self.constants.get(&**zero);
            zero.is_some_and(|zero| raw_bytes(zero).iter().all(|&byte| byte == 0))
        });
        let (cast, cast_node) = self.user(node.output.first()?, "Cast")?;
        let integer = cast_node.output.first()?;
        let (scaled, scaled_node) = self.user(integer, "Mul")?;
        let factor = scaled_node.input.iter().find(|one| *one != integer)?;
        let factors = self.maker(factor, "Mul")?;
        let scale = factors
            .input
            .iter()
            .find_map(|one| self.constants.get(&**one))?;
        let weight = weight(stored, scale).filter(|_| symmetric)?;
        let mut product = operator(
            "MatMul",
            &[input.input.first()?, &weight.name],
            &[scaled_node.output.first()?],
        );
        product.name.clone_from(&scaled_node.name);
        Some(Product {
            nodes: [number, cast, scaled],
            node: product,
            weight,
        })
    }
}

/// int8 `[inputs, outputs]` times a scale for each output or for all.
fn weight(stored: &TensorProto, scale: &TensorProto) -> Option<TensorProto> {
    let &[inputs, outputs] = &stored.dims[..] else {
        return None;
    };
    let (bytes, scales) = (raw_bytes(stored), values_of(scale));
    let as_wanted = stored.data_type == DataType::Int8 as i32
        && scale.data_type == DataType::Float as i32
        && bytes.len() as i64 == inputs * outputs
        && (scales.len() == 1 || scales.len() as i64 == outputs);
    let scales = scales.iter().cycle();
    let values = bytes.iter().zip(scales);
    let values = values.map(|(byte, scale)| f32::from(byte.cast_signed()) * scale);
    let values: Vec<f32> = values.collect();
    let name = stored.name.trim_end_matches(".int8");
    as_wanted.then(|| floats(name, &stored.dims, &values))
}

/// Takes away nodes whose outputs nobody uses, and constants.
fn drop_unused(graph: &mut GraphProto) {
    let results: HashSet<String> = graph.output.iter().map(|one| one.name.clone()).collect();
    loop {
        let used: HashSet<String> = graph.node.iter().flat_map(|n| n.input.clone()).collect();
        let needed = |name: &String| used.contains(name) || results.contains(name);
        let before = graph.node.len();
        graph.node.retain(|node| node.output.iter().any(needed));
        if graph.node.len() == before {
            graph.initializer.retain(|constant| needed(&constant.name));
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::products::layers;
    use crate::quantise::{Bits, quantise};

    /// Two layers of one input.
    fn network() -> ModelProto {
        let wave = |from: usize| -> Vec<f32> {
            let values = (from..from + 64).map(|n| (n as f32 * 0.7).sin());
            values.collect()
        };
        let node = |name: &str, inputs: [&str; 2]| {
            let mut node = operator("MatMul", &inputs, &[&format!("{name}.out")]);
            node.name = name.into();
            node
        };
        ModelProto {
            opset_import: vec![tract_onnx::pb::OperatorSetIdProto {
                domain: String::new(),
                version: 17,
            }],
            graph: Some(GraphProto {
                node: vec![
                    node("first", ["x", "v"]),
                    node("second", ["x", "w"]),
                    operator("Add", &["first.out", "second.out"], &["y"]),
                ],
                initializer: vec![
                    floats("v", &[32, 2], &wave(0)),
                    floats("w", &[32, 2], &wave(9)),
                ],
                output: vec![tract_onnx::pb::ValueInfoProto {
                    name: "y".into(),
                    ..Default::default()
                }],
                ..GraphProto::default()
            }),
            ..ModelProto::default()
        }
    }

    #[test]
    fn a_restored_network_has_its_layers_again_and_quantises_to_the_same_integers() {
        let mut small = network();
        quantise(&mut small, Bits::Eight, &[]).unwrap();
        let mut restored = small.clone();
        assert_eq!(restore(&mut restored), Ok(2));
        assert_eq!(layers(&restored), layers(&network()));
        assert_eq!(restored.graph.as_ref().unwrap().node.len(), 3);
        let mut again = restored;
        quantise(&mut again, Bits::Eight, &[]).unwrap();
        let integers = |model: &ModelProto| -> Vec<Vec<u8>> {
            let constants = model.graph.iter().flat_map(|graph| &graph.initializer);
            let mut found: Vec<_> = constants
                .filter(|one| one.name.ends_with(".int8"))
                .collect();
            found.sort_by_key(|one| &one.name);
            found.iter().map(|one| one.raw_data.clone()).collect()
        };
        assert_eq!(integers(&again), integers(&small));
    }

    #[test]
    fn what_is_not_in_int8_or_has_zero_points_is_refused() {
        assert_eq!(restore(&mut network()), Err(RestoreError::Nothing));
        let mut small = network();
        quantise(&mut small, Bits::Eight, &[]).unwrap();
        let graph = small.graph.as_mut().unwrap();
        graph.initializer.retain(|one| one.name != "w.scale");
        let before = small.clone();
        let refused = restore(&mut small).unwrap_err().to_string();
        assert!(refused.contains("second.out.integer"), "{refused}");
        assert_eq!(small, before);
    }
}
