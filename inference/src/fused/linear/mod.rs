//! Products with constant weights.

mod chain;

use tract_onnx::pb::NodeProto;

use super::graph::{Constants, attribute, required, required_float, text_of};
use super::operator::{Operator, Past, Workspace};
use super::overlay::LowRank;
use crate::gemm::{
    Activation, Epilogue, FloatWeights, GROUP, Int4Weights, Int8Weights, Left, Scaling, multiply,
    multiply_float, multiply_int4, room,
};

pub(super) use chain::fuse;

pub(super) const KIND: &str = "VocarLinear";
/// What a layer in floats is called in lists.
const FLOAT: &str = "VocarFloatLinear";
/// The attribute that names the layer.
const LAYER: &str = "layer";
const ACTIVATIONS: [Activation; 4] = [
    Activation::None,
    Activation::Relu,
    Activation::Silu,
    Activation::Glu,
];

pub(super) fn build(node: &NodeProto, constants: &Constants) -> Result<Box<dyn Operator>, String> {
    let required = |name| required(node, name);
    let residual = required("residual")? != 0;
    let weight = 1 + usize::from(residual);
    let channels = required("channels")?;
    let (weights, bias) = match required("bits")? {
        8 => (int8(node, constants, weight)?, weight + 2),
        4 => (int4(node, constants, weight)?, weight + 2),
        _ => (float(node, constants, weight)?, weight + 1),
    };
    let mut bias = if required("biased")? != 0 {
        constants.floats(node, bias)?
    } else {
        vec![0.0; channels]
    };
    if bias.len() != channels || weights.outputs() != channels {
        return Err(format!(
            "{} biases and {} channels of the weight instead of {channels}",
            bias.len(),
            weights.outputs()
        ));
    }
    let fixed = fixed(node);
    if let (Some(Scaling { scale, zero }), Weights::Int8(weights)) = (fixed, &weights) {
        for (bias, sum) in bias.iter_mut().zip(weights.scaled_sums()) {
            *bias -= scale * zero as f32 * sum;
        }
    }
    Ok(Box::new(Linear {
        layer: text_of(node, LAYER),
        weights,
        fixed,
        bias,
        activation: ACTIVATIONS[required("activation")? % ACTIVATIONS.len()],
        axis: attribute(node, "axis").and_then(|axis| axis.first().copied()),
        residual,
    }))
}

/// Of an input that has no zero point.
const NOTHING: Scaling = Scaling {
    scale: 0.0,
    zero: 0,
};

/// How the input is quantised, where that is fixed.
fn fixed(node: &NodeProto) -> Option<Scaling> {
    Some(Scaling {
        scale: required_float(node, "input_scale").ok()?,
        zero: *attribute(node, "input_zero")?.first()? as i32,
    })
}

/// Whether the weight is `[channels, inputs]`.
fn is_turned(node: &NodeProto) -> bool {
    attribute(node, "turned").is_some_and(|turned| turned == [1])
}

/// `[rows, columns]` as `[columns, rows]`.
pub(super) fn turned<T: Copy>(values: &[T], columns: usize) -> Vec<T> {
    let column = |n: usize| values[n..].iter().step_by(columns).copied();
    (0..columns).flat_map(column).collect()
}

/// Weights `[inputs, channels]`, or the other way round, and a scale for each channel or one for all.
fn int8(node: &NodeProto, constants: &Constants, at: usize) -> Result<Weights, String> {
    let &[rows, columns] = &constants.shape(node, at)?[..] else {
        return Err("the weight is no matrix".into());
    };
    let (inputs, channels) = if is_turned(node) {
        (columns, rows)
    } else {
        (rows, columns)
    };
    let mut scales = constants.floats(node, at + 1)?;
    if let [one] = scales[..] {
        scales = vec![one; channels];
    }
    if scales.len() != channels {
        return Err(format!("{} scales for {channels} channels", scales.len()));
    }
    let mut bytes = constants.bytes(node, at)?;
    if is_turned(node) {
        bytes = turned(&bytes, columns).into();
    }
    Ok(Weights::Int8(Int8Weights::from_bytes(
        &bytes, inputs, scales,
    )))
}

/// Weights `[channels, groups, 16]`, two in a byte.
fn int4(node: &NodeProto, constants: &Constants, at: usize) -> Result<Weights, String> {
    let &[channels, groups, _] = &constants.shape(node, at)?[..] else {
        return Err("the weight is not in groups".into());
    };
    let scales = constants.floats(node, at + 1)?;
    let inputs = groups * GROUP;
    let bytes = constants.bytes(node, at)?;
    if bytes.len() != channels * inputs / 2 || scales.len() != channels * groups {
        return Err("the weight is not in groups of 32".into());
    }
    Ok(Weights::Int4(Int4Weights::from_bytes(
        &bytes, inputs, channels, &scales,
    )))
}

/// Weights `[inputs, channels]`, or the other way round.
fn float(node: &NodeProto, constants: &Constants, at: usize) -> Result<Weights, String> {
    let &[rows, columns] = &constants.shape(node, at)?[..] else {
        return Err("the weight is no matrix".into());
    };
    let values = constants.floats(node, at)?;
    Ok(Weights::Float(if is_turned(node) {
        FloatWeights::new(&turned(&values, columns), columns, rows)
    } else {
        FloatWeights::new(&values, rows, columns)
    }))
}

/// Packed weights.
#[derive(Debug)]
enum Weights {
    Float(FloatWeights),
    Int8(Int8Weights),
    Int4(Int4Weights),
}

impl Weights {
    /// Row-major `[inputs][outputs]`.
    fn to_floats(&self) -> Vec<f32> {
        match self {
            Weights::Float(weights) => weights.to_floats(),
            Weights::Int8(weights) => weights.to_floats(),
            Weights::Int4(weights) => weights.to_floats(),
        }
    }

    fn inputs(&self) -> usize {
        match self {
            Weights::Float(weights) => weights.inputs(),
            Weights::Int8(weights) => weights.inputs(),
            Weights::Int4(weights) => weights.inputs(),
        }
    }

    fn outputs(&self) -> usize {
        match self {
            Weights::Float(weights) => weights.outputs(),
            Weights::Int8(weights) => weights.outputs(),
            Weights::Int4(weights) => weights.outputs(),
        }
    }
}

/// A layer: rows are multiplied by the weights, quantised before that if these are integers, and scaled back with bias,
/// activation and residual.
#[derive(Debug)]
pub(crate) struct Linear {
    /// Its name in the file.
    layer: String,
    weights: Weights,
    /// How the input is quantised, if not each row by itself.
    fixed: Option<Scaling>,
    /// With what the zero point of the input adds taken off.
    bias: Vec<f32>,
    activation: Activation,
    /// Along which a gate is split off.
    axis: Option<i64>,
    residual: bool,
}

impl Linear {
    /// Its name in the network's file.
    pub fn layer(&self) -> &str {
        &self.layer
    }

    /// Inputs, and outputs before the activation.
    pub fn sizes(&self) -> (usize, usize) {
        (self.weights.inputs(), self.weights.outputs())
    }

    /// The same layer with a low-rank product in its weights. Those of int8 and int4 are rounded to int8 anew: four bits would lose
    /// what is added.
    pub fn merged(&self, low: &LowRank) -> Linear {
        let (inputs, outputs) = self.sizes();
        let mut floats = self.weights.to_floats();
        low.add_to_weight(&mut floats);
        let mut bias = self.bias.clone();
        let weights = match &self.weights {
            Weights::Float(_) => Weights::Float(FloatWeights::new(&floats, inputs, outputs)),
            Weights::Int4(_) => Weights::Int8(Int8Weights::quantise(&floats, inputs, outputs)),
            Weights::Int8(weights) => {
                let merged = Int8Weights::quantise(&floats, inputs, outputs);
                // What the zero point of the input adds is another now.
                let Scaling { scale, zero } = self.fixed.unwrap_or(NOTHING);
                let sums = weights.scaled_sums().zip(merged.scaled_sums());
                for (bias, (before, after)) in bias.iter_mut().zip(sums) {
                    *bias += scale * zero as f32 * (before - after);
                }
                Weights::Int8(merged)
            }
        };
        Linear {
            layer: self.layer.clone(),
            weights,
            fixed: self.fixed,
            bias,
            activation: self.activation,
            axis: self.axis,
            residual: self.residual,
        }
    }

    /// Bytes of its weights.
    pub fn bytes(&self) -> usize {
        match &self.weights {
            Weights::Float(weights) => weights.bytes(),
            Weights::Int8(weights) => weights.bytes(),
            Weights::Int4(weights) => weights.bytes(),
        }
    }

    /// One step, with a low-rank product added to the sums if one is given.
    pub fn apply(
        &self,
        inputs: &[&[f32]],
        low: Option<&LowRank>,
        out: &mut [f32],
        work: &mut Workspace,
    ) {
        let Workspace {
            tier,
            rows,
            sums,
            int4_rows,
            floats: [float_sums, narrow, biased],
        } = work;
        let (tier, input) = (*tier, inputs[0]);
        let bias = match low {
            Some(low) => {
                low.add_to(tier, input, &self.bias, narrow, biased);
                &biased[..]
            }
            None => &self.bias[..],
        };
        let epilogue = Epilogue {
            bias,
            activation: self.activation,
            residual: inputs.get(1).copied(),
        };
        match &self.weights {
            Weights::Int8(weights) => {
                match self.fixed {
                    Some(scaling) => rows.quantise_fixed(input, weights.inputs(), scaling),
                    None => rows.quantise(input, weights.inputs()),
                }
                let sums = multiply(tier, rows, weights, sums);
                epilogue.apply(tier, rows, weights, sums, out);
            }
            Weights::Int4(weights) => {
                int4_rows.quantise(input, weights.inputs());
                let float_sums = multiply_int4(tier, int4_rows, weights, float_sums);
                epilogue.apply_int4(tier, int4_rows, weights, float_sums, out);
            }
            Weights::Float(weights) => {
                let inputs = weights.inputs();
                let size = input.len() / inputs * weights.padded_outputs();
                let float_sums = room(float_sums, size);
                let left = Left::rows(input, inputs, inputs);
                multiply_float(tier, left, weights, float_sums);
                epilogue.apply_float(tier, weights.outputs(), float_sums, out);
            }
        }
    }
}

impl Operator for Linear {
    fn name(&self) -> &'static str {
        match self.weights {
            Weights::Float(_) => FLOAT,
            _ => KIND,
        }
    }

    fn inputs(&self) -> usize {
        1 + usize::from(self.residual)
    }

    fn output(&self, input: &[usize]) -> Result<Vec<usize>, String> {
        let wanted = self.weights.inputs();
        let (Some((&last, rows)), axis) = (input.split_last(), self.axis) else {
            return Err("a layer needs an axis of inputs".into());
        };
        if last != wanted {
            return Err(format!(
                "the input is {input:?}, its last axis not {wanted}"
            ));
        }
        if axis.is_some_and(|axis| axis != -1 && axis != rows.len() as i64) {
            return Err("a gate along another axis than the last".into());
        }
        let outputs = self.activation.outputs(self.weights.outputs());
        Ok([rows, &[outputs]].concat())
    }

    fn takes_any_rows(&self) -> bool {
        self.axis.is_none_or(|axis| axis == -1 || axis == 2)
    }

    fn linear(&self) -> Option<&Linear> {
        Some(self)
    }

    fn run(
        &self,
        inputs: &[&[f32]],
        _: usize,
        _: &mut Past,
        out: &mut [f32],
        work: &mut Workspace,
    ) {
        self.apply(inputs, None, out, work);
    }
}
