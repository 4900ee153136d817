//! A network in int8, int4 and half floats becomes one in floats again: where nothing else was kept, to make other precisions from.

use std::collections::{HashMap, HashSet};

use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::{GraphProto, ModelProto, NodeProto, TensorProto};
use vocar_inference::gemm::{GROUP, Int4Weights};
use vocar_inference::restore_constants;

use crate::products::{floats, operator, raw_bytes, values_of};

/// Why a network cannot be restored.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RestoreError {
    /// There is nothing in int8 or int4.
    #[error(
        "the network has no MatMulInteger and no MatMulNBits; it is none that `vocar-compress quantise` wrote"
    )]
    Nothing,
    /// A layer is written in another way.
    #[error(
        "`{0}` is no layer as `vocar-compress quantise` writes it: symmetric int8 with scales for its outputs, or int4 with scales for each 32 inputs"
    )]
    Layer(String),
}

/// Writes every layer of DynamicQuantizeLinear, MatMulInteger, Cast and Mul, and every MatMulNBits, as a MatMul by floats, and
/// constants as [`restore_constants`] does. Returns how many layers there were.
///
/// # Errors
/// [`RestoreError`]; the network is then unchanged.
pub fn restore(model: &mut ModelProto) -> Result<usize, RestoreError> {
    let mut graph = model.graph.clone().unwrap_or_default();
    restore_constants(&mut graph);
    let products: Vec<Product> = {
        let net = Net::of(&graph);
        let layers = graph.node.iter().enumerate();
        let read = |(number, node): (usize, &NodeProto)| {
            let product = match &*node.op_type {
                "MatMulInteger" => net.product(number, node),
                "MatMulNBits" => net.blocked(number, node),
                _ => return None,
            };
            Some(product.ok_or_else(|| RestoreError::Layer(node.output.join(", "))))
        };
        layers.filter_map(read).collect::<Result<_, _>>()?
    };
    if products.is_empty() {
        return Err(RestoreError::Nothing);
    }
    let count = products.len();
    let gone: HashSet<usize> = products.iter().flat_map(|one| one.gone.clone()).collect();
    let made = products.into_iter().map(|one| (one.at, one));
    let mut made: HashMap<usize, Product> = made.collect();
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
    drop_unused(&mut graph);
    model.graph = Some(graph);
    Ok(count)
}

/// A layer in floats.
struct Product {
    /// The node that it takes the place of: the Mul that ends a layer in int8, or a MatMulNBits.
    at: usize,
    /// Nodes that go with it: MatMulInteger and Cast.
    gone: Vec<usize>,
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
            at: scaled,
            gone: vec![number, cast],
            node: product,
            weight,
        })
    }

    fn blocked(&self, number: usize, node: &NodeProto) -> Option<Product> {
        let [input, stored, scale] = &node.input[..] else {
            return None;
        };
        let stored = self.constants.get(&**stored)?;
        let weight = grouped(stored, self.constants.get(&**scale)?)?;
        let mut product = operator("MatMul", &[input, &weight.name], &[node.output.first()?]);
        product.name.clone_from(&node.name);
        Some(Product {
            at: number,
            gone: Vec::new(),
            node: product,
            weight,
        })
    }
}

/// Bytes `[outputs, groups, 16]`, two integers in each, times a scale for each group.
fn grouped(stored: &TensorProto, scale: &TensorProto) -> Option<TensorProto> {
    let &[outputs, groups, 16] = &stored.dims[..] else {
        return None;
    };
    let (bytes, scales) = (raw_bytes(stored), values_of(scale));
    let as_wanted = stored.data_type == DataType::Uint8 as i32
        && bytes.len() as i64 == outputs * groups * 16
        && scales.len() as i64 == outputs * groups;
    let inputs = groups * GROUP as i64;
    as_wanted.then(|| {
        let weights = Int4Weights::from_bytes(&bytes, inputs as usize, outputs as usize, &scales);
        let name = stored.name.trim_end_matches(".int4");
        floats(name, &[inputs, outputs], &weights.to_floats())
    })
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
    use crate::halves::halve;
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
    fn a_restored_network_has_its_layers_again_and_int8_quantises_to_the_same_integers() {
        for bits in [Bits::Eight, Bits::Four] {
            let mut small = network();
            quantise(&mut small, bits, &[]).unwrap();
            let mut restored = small.clone();
            assert_eq!(restore(&mut restored), Ok(2));
            assert_eq!(layers(&restored), layers(&network()));
            assert_eq!(restored.graph.as_ref().unwrap().node.len(), 3);
            let step = if bits == Bits::Eight {
                1.0 / 127.0
            } else {
                1.0 / 5.25
            };
            for name in ["v", "w"] {
                let (found, wanted) = (values(&restored, name), values(&network(), name));
                for (found, wanted) in found.iter().zip(&wanted) {
                    assert!((found - wanted).abs() <= 0.51 * step, "{found} {wanted}");
                }
            }
        }
        let mut small = network();
        quantise(&mut small, Bits::Eight, &[]).unwrap();
        let mut again = small.clone();
        restore(&mut again).unwrap();
        quantise(&mut again, Bits::Eight, &[]).unwrap();
        let constants = |model: &ModelProto| {
            let graph = model.graph.clone().unwrap();
            let mut found = graph.initializer;
            found.sort_by(|one, other| one.name.cmp(&other.name));
            found
        };
        assert_eq!(constants(&again), constants(&small));
    }

    fn values(model: &ModelProto, name: &str) -> Vec<f32> {
        let mut constants = model.graph.iter().flat_map(|graph| &graph.initializer);
        constants
            .find(|one| one.name == name)
            .map(values_of)
            .unwrap()
    }

    #[test]
    fn half_floats_become_floats_again() {
        let mut small = network();
        quantise(&mut small, Bits::Eight, &[]).unwrap();
        let stored = small.clone();
        halve(small.graph.as_mut().unwrap(), |one| one.name == "v.scale");
        assert_ne!(small, stored);
        assert_eq!(restore(&mut small), Ok(2));
        let graph = small.graph.unwrap();
        assert!(graph.node.iter().all(|node| node.op_type != "Cast"));
        let names: HashSet<&str> = graph.initializer.iter().map(|one| &*one.name).collect();
        assert_eq!(names, HashSet::from(["v", "w"]));
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
