//! Products with constant int8 weights.

use std::cell::RefCell;
use std::sync::Arc;

use tract_onnx::Onnx;
use tract_onnx::model::ParsingContext;
use tract_onnx::pb::{NodeProto, tensor_proto::DataType};
use tract_onnx::tract_hir::internal::*;

use super::graph::{Net, attribute, integer, new_node};
use super::op::{floats_mut, tract_op};
use crate::gemm::{Activation, Epilogue, Int8Weights, Rows, Tier, multiply};

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
    /// Scale of each output channel, or of all.
    scale: String,
    bias: Option<String>,
    residual: Option<String>,
    activation: Activation,
    /// Axis along which a gate is split off; the last, which is checked where shapes are known.
    axis: i64,
    /// Output channels before the activation.
    channels: i64,
    output: String,
}

/// Replaces DynamicQuantizeLinear, MatMulInteger, Cast and Mul, which is how quantisers write a layer, and what follows
/// them.
pub(super) fn fuse(net: &mut Net) {
    for product in net.of_kind("MatMulInteger") {
        let Some(mut chain) = quantised_product(net, product) else {
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
        bias: None,
        residual: None,
        activation: Activation::None,
        axis: -1,
        channels,
        output: net.node(scaled)?.output.first()?.clone(),
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
            let value = |name| attribute(node, name).and_then(|values| values.first().copied());
            let required = |name| value(name).with_context(|| format!("attribute {name}"));
            let layer = Layer {
                channels: required("channels")? as usize,
                biased: required("biased")? != 0,
                residual: required("residual")? != 0,
                activation: ACTIVATIONS[required("activation")? as usize % ACTIVATIONS.len()],
                axis: required("axis")?,
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
        let constant = |input: usize| -> TractResult<Arc<Tensor>> {
            let fact = model.outlet_fact(inputs[input])?;
            fact.konst
                .clone()
                .with_context(|| format!("input {input} of {prefix} is no constant"))
        };
        let weight = constant(1)?;
        let scale = constant(2)?.cast_to::<f32>()?.into_owned();
        let mut scales = floats(&scale)?.to_vec();
        if scales.len() == 1 {
            scales = vec![scales[0]; self.channels];
        }
        let shape = weight.shape();
        ensure!(
            shape.len() == 2 && shape[1] == self.channels && scales.len() == shape[1],
            "{prefix}: odd weights"
        );
        let integers = weight.try_as_plain_ram()?.as_slice::<i8>()?;
        let bias = if self.biased {
            floats(&*constant(3)?)?.to_vec()
        } else {
            vec![0.0; self.channels]
        };
        ensure!(bias.len() == self.channels, "{prefix}: odd bias");
        let linear = Linear {
            weights: Arc::new(Int8Weights::from_integers(integers, shape[0], scales)),
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
                .is_some_and(|last| *last == shape[0].to_dim()),
            "{prefix}: odd input"
        );
        if self.residual {
            wired.push(inputs[inputs.len() - 1]);
        }
        model.wire_node(prefix, linear, &wired)
    }
}

/// A layer: rows are quantised, multiplied by int8 weights, and scaled back with bias, activation and residual.
#[derive(Debug, Clone)]
struct Linear {
    weights: Arc<Int8Weights>,
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
            /// Room for rows and sums, shared by all layers of a thread.
            static SCRATCH: RefCell<(Rows, Vec<i32>)> = RefCell::new((Rows::new(Tier::best()), Vec::new()));
        }
        let mut output = Tensor::zero::<f32>(&self.shape(inputs[0].shape()))?;
        let residual = if self.residual {
            Some(floats(&inputs[1])?)
        } else {
            None
        };
        SCRATCH.with_borrow_mut(|(rows, sums)| -> TractResult<()> {
            rows.quantise(floats(&inputs[0])?, self.weights.inputs());
            multiply(Tier::best(), rows, &self.weights, sums);
            let epilogue = Epilogue {
                bias: &self.bias,
                activation: self.activation,
                residual,
            };
            epilogue.apply(Tier::best(), rows, &self.weights, sums, floats_mut!(output));
            Ok(())
        })?;
        Ok(tvec!(output.into()))
    }
}

tract_op!(Linear);

pub(super) fn floats(tensor: &Tensor) -> TractResult<&[f32]> {
    tensor.try_as_plain_ram()?.as_slice::<f32>()
}
