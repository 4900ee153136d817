//! Which chains of nodes are one layer.

use tract_onnx::pb::{NodeProto, tensor_proto::DataType};

use super::{ACTIVATIONS, KIND, LAYER};
use crate::fused::graph::{Net, attribute, float, integer, new_node, text};
use crate::gemm::{Activation, GROUP};

/// A layer is called after the tensor that product and bias make; what a product alone makes ends in this.
const PRODUCT: &str = ".product";

/// A chain of nodes that is one layer.
struct Chain {
    nodes: Vec<usize>,
    /// Float input.
    input: String,
    weight: String,
    /// Scale of each output channel or of all; with int4 weights, of each group of each channel; with floats, none.
    scale: Option<String>,
    /// Of a weight, 32, 8 or 4.
    bits: i64,
    /// Whether a weight in floats or int8 is `[outputs, inputs]`.
    turned: bool,
    /// Scale and zero point of the input, where they are fixed.
    fixed: Option<(f32, i64)>,
    bias: Option<String>,
    residual: Option<String>,
    activation: Activation,
    /// Axis along which a gate is split off; the last, which is checked where shapes are known.
    axis: i64,
    /// Output channels before the activation.
    channels: i64,
    output: String,
}

/// Replaces products with constant weights and what follows them: DynamicQuantizeLinear, MatMulInteger, Cast and Mul, which is
/// how quantisers write a layer in int8; MatMulNBits, which is one in int4; MatMul and Gemm in floats, or between pairs of
/// QuantizeLinear and DequantizeLinear, which is a layer in int8 whose input has a fixed scale.
pub(in crate::fused) fn fuse(net: &mut Net) {
    type Reader = fn(&Net, usize) -> Option<Chain>;
    const READERS: [(&str, Reader); 6] = [
        ("MatMulInteger", quantised_product),
        ("MatMulNBits", blocked_product),
        ("MatMul", fixed_product),
        ("Gemm", fixed_product),
        ("MatMul", float_product),
        ("Gemm", float_product),
    ];
    for (kind, read) in READERS {
        for product in net.of_kind(kind) {
            if let Some(chain) = read(net, product) {
                let node = chain.grown(net);
                net.replace(&node.0, node.1);
            }
        }
    }
}

/// x → DynamicQuantizeLinear → MatMulInteger → Cast → Mul by (scale of x · scale of the weight).
fn quantised_product(net: &Net, product: usize) -> Option<Chain> {
    let node = net.node(product)?;
    let [quantised, weight, _, zero @ ..] = &node.input[..] else {
        return None;
    };
    let &[_, channels] = net.constant(weight)?.0 else {
        return None;
    };
    let is_symmetric = zero.iter().all(|zero| net.is_zero(zero));
    if net.constant(weight)?.1 != DataType::Int8 || !is_symmetric {
        return None;
    }
    let source = net.node(net.maker(quantised, "DynamicQuantizeLinear")?)?;
    let (input, input_scale) = (source.input.first()?, source.output.get(1)?);
    let cast = net.only_user(node.output.first()?, "Cast")?;
    let scaled = net.only_user(net.node(cast)?.output.first()?, "Mul")?;
    let cast_output = net.node(cast)?.output.first()?;
    let factor = other(net.node(scaled)?, cast_output)?;
    let factors = net.maker(factor, "Mul")?;
    let scale = other(net.node(factors)?, input_scale)?;
    let (shape, kind) = net.constant(scale)?;
    let count: i64 = shape.iter().product();
    if kind != DataType::Float || (count != 1 && count != channels) {
        return None;
    }
    Some(Chain {
        nodes: vec![product, cast, scaled],
        input: input.clone(),
        weight: weight.clone(),
        scale: Some(scale.clone()),
        bits: 8,
        channels,
        output: net.node(scaled)?.output.first()?.clone(),
        ..Chain::default()
    })
}

/// MatMulNBits (of the domain com.microsoft) with four bits in groups of 32 inputs, symmetric, of whole groups.
fn blocked_product(net: &Net, product: usize) -> Option<Chain> {
    let node = net.node(product)?;
    let value = |name| attribute(node, name).and_then(|values| values.first().copied());
    let ([input, weight, scale], [output]) = (&node.input[..], &node.output[..]) else {
        return None;
    };
    let (inputs, channels, group) = (value("K")?, value("N")?, GROUP as i64);
    let as_wanted = value("bits")? == 4
        && value("block_size")? == group
        && inputs % group == 0
        && net.constant(weight)? == (&[channels, inputs / group, group / 2][..], DataType::Uint8)
        && net.constant(scale)?.0.iter().product::<i64>() == channels * inputs / group
        && net.constant(scale)?.1 == DataType::Float;
    as_wanted.then(|| Chain {
        nodes: vec![product],
        input: input.clone(),
        weight: weight.clone(),
        scale: Some(scale.clone()),
        bits: 4,
        channels,
        output: output.clone(),
        ..Chain::default()
    })
}

/// MatMul, or Gemm without factors, with a constant matrix of floats.
fn float_product(net: &Net, product: usize) -> Option<Chain> {
    let node = net.node(product)?;
    let ([input, weight, bias @ ..], [output]) = (&node.input[..], &node.output[..]) else {
        return None;
    };
    let (&[rows, columns], DataType::Float) = net.constant(weight)? else {
        return None;
    };
    let turned = is_turned(node)?;
    let channels = if turned { rows } else { columns };
    if net.constant(input).is_some() || !are_biases(net, bias, channels) {
        return None;
    }
    Some(Chain {
        nodes: vec![product],
        input: input.clone(),
        weight: weight.clone(),
        bits: 32,
        turned,
        bias: bias.first().cloned(),
        channels,
        output: output.clone(),
        ..Chain::default()
    })
}

/// x → QuantizeLinear → DequantizeLinear → MatMul or Gemm by DequantizeLinear of constant int8.
fn fixed_product(net: &Net, product: usize) -> Option<Chain> {
    let node = net.node(product)?;
    let ([input, weight, bias @ ..], [output]) = (&node.input[..], &node.output[..]) else {
        return None;
    };
    let (input, scale, zero) = net.rounded(input)?;
    let weighing = net.node(net.maker(weight, "DequantizeLinear")?)?;
    let [weight, weight_scale, weight_zero @ ..] = &weighing.input[..] else {
        return None;
    };
    let (&[rows, columns], DataType::Int8) = net.constant(weight)? else {
        return None;
    };
    let turned = is_turned(node)?;
    let channels = if turned { rows } else { columns };
    let (shape, kind) = net.constant(weight_scale)?;
    let count: i64 = shape.iter().product();
    let along = attribute(weighing, "axis").unwrap_or(vec![1]);
    let by_channel = count == channels && along == [i64::from(!turned)];
    let as_wanted = kind == DataType::Float
        && (count == 1 || by_channel)
        && weight_zero.iter().all(|zero| net.is_zero(zero))
        && are_biases(net, bias, channels);
    as_wanted.then(|| Chain {
        nodes: vec![product],
        input: input.clone(),
        weight: weight.clone(),
        scale: Some(weight_scale.clone()),
        bits: 8,
        turned,
        fixed: Some((scale, zero)),
        bias: bias.first().cloned(),
        channels,
        output: output.clone(),
        ..Chain::default()
    })
}

/// Whether a MatMul or Gemm has its weight turned; `None` when it does more than multiply and add.
fn is_turned(node: &NodeProto) -> Option<bool> {
    let is_one = |name| {
        let found = node.attribute.iter().find(|a| a.name == name);
        found.is_none_or(|a| a.f == 1.0)
    };
    let flag = |name| attribute(node, name).is_some_and(|values| values == [1]);
    (!flag("transA") && is_one("alpha") && is_one("beta")).then(|| flag("transB"))
}

fn are_biases(net: &Net, biases: &[String], channels: i64) -> bool {
    let shape = [channels];
    let wanted = Some((&shape[..], DataType::Float));
    biases.iter().all(|bias| net.constant(bias) == wanted)
}

/// The other input of a node of two.
fn other<'a>(node: &'a NodeProto, known: &str) -> Option<&'a String> {
    match &node.input[..] {
        [one, other] if one == known => Some(other),
        [other, one] if one == known => Some(other),
        _ => None,
    }
}

fn with_bias(net: &Net, chain: &mut Chain) -> Option<()> {
    let sum = net.only_user(&chain.output, "Add")?;
    let bias = other(net.node(sum)?, &chain.output)?;
    if net.constant(bias)? != (&[chain.channels][..], DataType::Float) {
        return None;
    }
    chain.bias = Some(bias.clone());
    chain.extend(net, &[sum])
}

fn with_activation(net: &Net, chain: &mut Chain) -> Option<()> {
    if let Some(relu) = net.only_user(&chain.output, "Relu") {
        chain.activation = Activation::Relu;
        return chain.extend(net, &[relu]);
    }
    if let Some(split) = net.only_user(&chain.output, "Split") {
        return with_gate(net, chain, split);
    }
    let users = net.users(&chain.output)?;
    let sigmoid = *users
        .iter()
        .find(|&&user| net.node(user).is_some_and(|node| node.op_type == "Sigmoid"))?;
    let product = net.only_user(net.node(sigmoid)?.output.first()?, "Mul")?;
    if users.len() != 2
        || other(net.node(product)?, &chain.output)? != net.node(sigmoid)?.output.first()?
    {
        return None;
    }
    chain.activation = Activation::Silu;
    chain.extend(net, &[sigmoid, product])
}

/// Split in two halves of the last axis, the first times the sigmoid of the second.
fn with_gate(net: &Net, chain: &mut Chain, split: usize) -> Option<()> {
    let node = net.node(split)?;
    let [values, gates] = &node.output[..] else {
        return None;
    };
    let halves = node.input.get(1).map(|sizes| net.integers(sizes));
    let half = chain.channels / 2;
    if halves.is_some_and(|sizes| sizes != Some(vec![half, half])) || chain.channels % 2 != 0 {
        return None;
    }
    let sigmoid = net.only_user(gates, "Sigmoid")?;
    let opened = net.node(sigmoid)?.output.first()?;
    let product = net.only_user(opened, "Mul")?;
    if net.only_user(values, "Mul")? != product || other(net.node(product)?, opened)? != values {
        return None;
    }
    chain.axis = attribute(node, "axis")?.first().copied()?;
    chain.activation = Activation::Glu;
    chain.extend(net, &[split, sigmoid, product])
}

fn with_residual(net: &Net, chain: &mut Chain) -> Option<()> {
    let sum = net.only_user(&chain.output, "Add")?;
    let residual = other(net.node(sum)?, &chain.output)?;
    if residual == &chain.output || net.constant(residual).is_some() {
        return None;
    }
    chain.residual = Some(residual.clone());
    chain.extend(net, &[sum])
}

impl Default for Chain {
    fn default() -> Chain {
        Chain {
            nodes: Vec::new(),
            input: String::new(),
            weight: String::new(),
            scale: None,
            bits: 32,
            turned: false,
            fixed: None,
            bias: None,
            residual: None,
            activation: Activation::None,
            axis: -1,
            channels: 0,
            output: String::new(),
        }
    }
}

impl Chain {
    /// Takes in what follows the product; then the nodes and what takes their place.
    fn grown(mut self, net: &Net) -> (Vec<usize>, NodeProto) {
        if self.bias.is_none() {
            with_bias(net, &mut self);
        }
        let layer = self.output.trim_end_matches(PRODUCT).to_owned();
        with_activation(net, &mut self);
        with_residual(net, &mut self);
        let mut inputs = vec![&*self.input];
        inputs.extend(self.residual.as_deref());
        inputs.push(&*self.weight);
        inputs.extend(self.scale.as_deref());
        inputs.extend(self.bias.as_deref());
        let activation = ACTIVATIONS.iter().position(|&a| a == self.activation);
        let mut attributes = vec![
            integer("channels", self.channels),
            integer("biased", i64::from(self.bias.is_some())),
            integer("residual", i64::from(self.residual.is_some())),
            integer("activation", activation.unwrap_or_default() as i64),
            integer("axis", self.axis),
            integer("bits", self.bits),
            integer("turned", i64::from(self.turned)),
            text(LAYER, &layer),
        ];
        if let Some((scale, zero)) = self.fixed {
            attributes.extend([float("input_scale", scale), integer("input_zero", zero)]);
        }
        let node = new_node(KIND, &inputs, &[&self.output], attributes);
        (self.nodes, node)
    }

    /// Takes more nodes, the last of which makes the output.
    fn extend(&mut self, net: &Net, nodes: &[usize]) -> Option<()> {
        self.output = net.node(*nodes.last()?)?.output.first()?.clone();
        self.nodes.extend(nodes);
        Some(())
    }
}
