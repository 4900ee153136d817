//! Products with constant int8 or int4 weights.

use std::cell::RefCell;
use std::sync::Arc;

use tract_onnx::Onnx;
use tract_onnx::model::ParsingContext;
use tract_onnx::pb::{NodeProto, tensor_proto::DataType};
use tract_onnx::tract_hir::internal::*;

use super::graph::{Net, attribute, integer, new_node, required};
use super::op::{constant, floats, floats_mut, tract_op};
use crate::gemm::{
    Activation, Epilogue, GROUP, Int4Weights, Int8Weights, Rows, Tier, multiply, multiply_int4,
};

const KIND: &str = "VocarLinear";
const ACTIVATIONS: [Activation; 4] = [
    Activation::None,
    Activation::Relu,
    Activation::Silu,
    Activation::Glu,
];

/// A chain of nodes that is one layer.
struct Chain {
    nodes: Vec<usize>,
    /// Float input.
    input: String,
    weight: String,
    /// Scale of each output channel or of all; with int4 weights, of each group of each channel.
    scale: String,
    /// Of a weight, 8 or 4.
    bits: i64,
    bias: Option<String>,
    residual: Option<String>,
    activation: Activation,
    /// Axis along which a gate is split off; the last, which is checked where shapes are known.
    axis: i64,
    /// Output channels before the activation.
    channels: i64,
    output: String,
}

/// Replaces DynamicQuantizeLinear, MatMulInteger, Cast and Mul, which is how quantisers write a layer in int8, or
/// MatMulNBits, which is one in int4, and what follows them.
pub(super) fn fuse(net: &mut Net) {
    let int8 = net
        .of_kind("MatMulInteger")
        .into_iter()
        .map(|product| (product, 8));
    let int4 = net
        .of_kind("MatMulNBits")
        .into_iter()
        .map(|product| (product, 4));
    for (product, bits) in int8.chain(int4).collect::<Vec<_>>() {
        let chain = if bits == 8 {
            quantised_product(net, product)
        } else {
            blocked_product(net, product)
        };
        let Some(mut chain) = chain else {
            continue;
        };
        with_bias(net, &mut chain);
        with_activation(net, &mut chain);
        with_residual(net, &mut chain);
        let mut inputs = vec![&*chain.input, &*chain.weight, &*chain.scale];
        inputs.extend(chain.bias.as_deref());
        inputs.extend(chain.residual.as_deref());
        let activation = ACTIVATIONS
            .iter()
            .position(|&known| known == chain.activation);
        let attributes = vec![
            integer("channels", chain.channels),
            integer("biased", i64::from(chain.bias.is_some())),
            integer("residual", i64::from(chain.residual.is_some())),
            integer("activation", activation.unwrap_or_default() as i64),
            integer("axis", chain.axis),
            integer("bits", chain.bits),
        ];
        let node = new_node(KIND, &inputs, &[&chain.output], attributes);
        net.replace(&chain.nodes, node);
    }
}

/// x → DynamicQuantizeLinear → MatMulInteger → Cast → Mul by (scale of x · scale of the weight).
fn quantised_product(net: &Net, product: usize) -> Option<Chain> {
    let node = net.node(product)?;
    let [quantised, weight, _, zero] = &node.input[..] else {
        return None;
    };
    let &[_, channels] = net.constant(weight)?.0 else {
        return None;
    };
    if net.constant(weight)?.1 != DataType::Int8 || !net.is_zero(zero) {
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
        scale: scale.clone(),
        bits: 8,
        bias: None,
        residual: None,
        activation: Activation::None,
        axis: -1,
        channels,
        output: net.node(scaled)?.output.first()?.clone(),
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
        scale: scale.clone(),
        bits: 4,
        bias: None,
        residual: None,
        activation: Activation::None,
        axis: -1,
        channels,
        output: output.clone(),
    })
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

impl Chain {
    /// Takes more nodes, the last of which makes the output.
    fn extend(&mut self, net: &Net, nodes: &[usize]) -> Option<()> {
        self.output = net.node(*nodes.last()?)?.output.first()?.clone();
        self.nodes.extend(nodes);
        Some(())
    }
}

pub(super) fn register(onnx: &mut Onnx) {
    onnx.op_register
        .insert(KIND, |_: &ParsingContext, node: &NodeProto| {
            let required = |name| required(node, name);
            let layer = Layer {
                channels: required("channels")? as usize,
                biased: required("biased")? != 0,
                residual: required("residual")? != 0,
                activation: ACTIVATIONS[required("activation")? as usize % ACTIVATIONS.len()],
                axis: required("axis")?,
                bits: required("bits")?,
            };
            Ok((expand(layer), vec![]))
        });
}

/// The layer before its weights are known.
#[derive(Debug, Clone)]
struct Layer {
    channels: usize,
    biased: bool,
    residual: bool,
    activation: Activation,
    axis: i64,
    bits: i64,
}

impl Expansion for Layer {
    fn name(&self) -> StaticName {
        KIND.into()
    }

    fn rules<'r, 'p: 'r, 's: 'r>(
        &'s self,
        s: &mut Solver<'r>,
        inputs: &'p [TensorProxy],
        outputs: &'p [TensorProxy],
    ) -> InferenceResult {
        check_input_arity(
            inputs,
            3 + usize::from(self.biased) + usize::from(self.residual),
        )?;
        check_output_arity(outputs, 1)?;
        s.equals(&outputs[0].datum_type, f32::datum_type())?;
        s.given(&inputs[0].shape, move |s, mut shape| {
            let last = shape
                .len()
                .checked_sub(1)
                .context("a layer needs an axis of inputs")?;
            shape[last] = self.activation.outputs(self.channels).to_dim();
            s.equals(&outputs[0].shape, shape)
        })
    }

    fn wire(
        &self,
        prefix: &str,
        model: &mut TypedModel,
        inputs: &[OutletId],
    ) -> TractResult<TVec<OutletId>> {
        let constant = |input| constant(prefix, model, inputs, input);
        let (weight, scale) = (constant(1)?, constant(2)?);
        let (weights, width) = match self.bits {
            8 => self.int8(&weight, floats(&scale)?)?,
            _ => self.int4(&weight, floats(&scale)?)?,
        };
        let bias = if self.biased {
            floats(&*constant(3)?)?.to_vec()
        } else {
            vec![0.0; self.channels]
        };
        ensure!(bias.len() == self.channels, "{prefix}: odd bias");
        let linear = Linear {
            weights,
            bias: bias.into(),
            activation: self.activation,
            residual: self.residual,
        };
        let mut wired = tvec!(inputs[0]);
        let input = model.outlet_fact(inputs[0])?;
        let last = self.axis == -1 || self.axis + 1 == input.rank() as i64;
        ensure!(last, "{prefix}: a gate along another axis than the last");
        ensure!(
            input
                .shape
                .last()
                .is_some_and(|last| *last == width.to_dim()),
            "{prefix}: odd input"
        );
        if self.residual {
            wired.push(inputs[inputs.len() - 1]);
        }
        model.wire_node(prefix, linear, &wired)
    }
}

impl Layer {
    /// Weights `[inputs, channels]` and the number of inputs.
    fn int8(&self, weight: &Tensor, scale: &[f32]) -> TractResult<(Weights, usize)> {
        let &[inputs, channels] = weight.shape() else {
            bail!("weights of the shape {:?}", weight.shape());
        };
        ensure!(
            channels == self.channels,
            "{channels} channels instead of {}",
            self.channels
        );
        let scales = if let [one] = scale {
            vec![*one; channels]
        } else {
            scale.to_vec()
        };
        ensure!(
            scales.len() == channels,
            "{} scales for {channels} channels",
            scales.len()
        );
        let integers = weight.try_as_plain_ram()?.as_slice::<i8>()?;
        Ok((
            Weights::Int8(Arc::new(Int8Weights::from_integers(
                integers, inputs, scales,
            ))),
            inputs,
        ))
    }

    /// Weights `[channels, groups, 16]`, two in a byte, the first in its low half and all of them 8 too high.
    fn int4(&self, weight: &Tensor, scale: &[f32]) -> TractResult<(Weights, usize)> {
        let &[channels, groups, _] = weight.shape() else {
            bail!("weights of the shape {:?}", weight.shape());
        };
        ensure!(
            channels == self.channels,
            "{channels} channels instead of {}",
            self.channels
        );
        let inputs = groups * GROUP;
        let mut integers = vec![0i8; inputs * channels];
        let bytes = weight.try_as_plain_ram()?.as_slice::<u8>()?;
        for (channel, bytes) in bytes.chunks_exact(inputs / 2).enumerate() {
            for (pair, byte) in bytes.iter().enumerate() {
                integers[2 * pair * channels + channel] = (byte & 15) as i8 - 8;
                integers[(2 * pair + 1) * channels + channel] = (byte >> 4) as i8 - 8;
            }
        }
        Ok((
            Weights::Int4(Arc::new(Int4Weights::from_integers(
                &integers, inputs, channels, scale,
            ))),
            inputs,
        ))
    }
}

/// Packed weights.
#[derive(Debug, Clone)]
enum Weights {
    Int8(Arc<Int8Weights>),
    Int4(Arc<Int4Weights>),
}

impl Weights {
    fn outputs(&self) -> usize {
        match self {
            Weights::Int8(weights) => weights.outputs(),
            Weights::Int4(weights) => weights.outputs(),
        }
    }
}

/// Room for rows and sums, shared by all layers of a thread.
struct Scratch {
    rows: Rows,
    sums: Vec<i32>,
    int4_rows: Rows,
    int4_sums: Vec<f32>,
}

/// A layer: rows are quantised, multiplied by low-precision weights, and scaled back with bias, activation and residual.
#[derive(Debug, Clone)]
struct Linear {
    weights: Weights,
    bias: Arc<[f32]>,
    activation: Activation,
    residual: bool,
}

impl Linear {
    const NAME: &'static str = KIND;

    fn shape(&self, input: &[usize]) -> TVec<usize> {
        let mut shape: TVec<usize> = input.into();
        if let Some(last) = shape.last_mut() {
            *last = self.activation.outputs(self.weights.outputs());
        }
        shape
    }

    fn facts(&self, inputs: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        let mut shape = inputs[0].shape.to_tvec();
        if let Some(last) = shape.last_mut() {
            *last = self.activation.outputs(self.weights.outputs()).to_dim();
        }
        if self.residual {
            ensure!(
                inputs[1].shape.to_tvec() == shape,
                "the residual has the shape {:?}, the layer {shape:?}",
                inputs[1].shape
            );
        }
        Ok(tvec!(f32::fact(shape)))
    }

    fn run(&self, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        thread_local! {
            static SCRATCH: RefCell<Scratch> = RefCell::new(Scratch {
                rows: Rows::new(Tier::best()),
                sums: Vec::new(),
                int4_rows: Rows::for_int4(Tier::best()),
                int4_sums: Vec::new(),
            });
        }
        let tier = Tier::best();
        let input = floats(&inputs[0])?;
        let mut output = Tensor::zero::<f32>(&self.shape(inputs[0].shape()))?;
        let residual = if self.residual {
            Some(floats(&inputs[1])?)
        } else {
            None
        };
        let epilogue = Epilogue {
            bias: &self.bias,
            activation: self.activation,
            residual,
        };
        SCRATCH.with_borrow_mut(|scratch| -> TractResult<()> {
            match &self.weights {
                Weights::Int8(weights) => {
                    let Scratch { rows, sums, .. } = scratch;
                    rows.quantise(input, weights.inputs());
                    multiply(tier, rows, weights, sums);
                    epilogue.apply(tier, rows, weights, sums, floats_mut!(output));
                }
                Weights::Int4(weights) => {
                    let Scratch {
                        int4_rows: rows,
                        int4_sums: sums,
                        ..
                    } = scratch;
                    rows.quantise(input, weights.inputs());
                    multiply_int4(tier, rows, weights, sums);
                    epilogue.apply_int4(tier, rows, weights, sums, floats_mut!(output));
                }
            }
            Ok(())
        })?;
        Ok(tvec!(output.into()))
    }
}

tract_op!(Linear);
