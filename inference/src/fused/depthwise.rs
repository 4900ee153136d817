//! Depthwise convolution over time, with the frames it remembers.

use std::cell::RefCell;
use std::sync::Arc;

use tract_onnx::Onnx;
use tract_onnx::model::ParsingContext;
use tract_onnx::pb::NodeProto;
use tract_onnx::tract_hir::internal::*;

use super::graph::{Cache, Net, attribute, integer, new_node, required};
use super::op::{constant, floats, floats_mut, tract_op};
use super::vector;

const KIND: &str = "VocarDepthwise";

/// Replaces Transpose, Concat with a cache and Slice of its successor, Conv with a group a channel, SiLU, Transpose.
pub(super) fn fuse(net: &mut Net) {
    for conv in net.of_kind("Conv") {
        if let Some((nodes, node)) = matched(net, conv) {
            net.replace(&nodes, node);
        }
    }
}

fn matched(net: &Net, conv: usize) -> Option<(Vec<usize>, NodeProto)> {
    let output = |number: usize| net.node(number)?.output.first();
    let node = net.node(conv)?;
    let [joined, weight, bias] = &node.input[..] else {
        return None;
    };
    let &[channels, 1, taps] = net.constant(weight)?.0 else {
        return None;
    };
    let plain =
        |name, value| attribute(node, name).is_none_or(|values| values.iter().all(|&v| v == value));
    if attribute(node, "group")? != [channels]
        || !plain("strides", 1)
        || !plain("dilations", 1)
        || !plain("pads", 0)
    {
        return None;
    }
    let cache = Cache::of(net, joined, taps - 1)?;
    let turned = net.maker(cache.newest, "Transpose")?;
    let sigmoid = *net
        .users(output(conv)?)?
        .iter()
        .find(|&&u| net.node(u).is_some_and(|n| n.op_type == "Sigmoid"))?;
    let silu = net.only_user(output(sigmoid)?, "Mul")?;
    let back = net.only_user(output(silu)?, "Transpose")?;
    let as_wanted = [
        net.users(cache.newest)?.len() == 1,
        net.users(output(conv)?)?.len() == 2 && net.node(silu)?.input.contains(output(conv)?),
        attribute(net.node(turned)?, "perm")? == [0, 2, 1],
        attribute(net.node(back)?, "perm")? == [0, 2, 1],
    ];
    if as_wanted.contains(&false) {
        return None;
    }
    let inputs = [net.node(turned)?.input.first()?, cache.state, weight, bias].map(|name| &**name);
    let outputs = [output(back)?, cache.successor].map(|name| &**name);
    let attributes = vec![integer("channels", channels), integer("taps", taps)];
    let node = new_node(KIND, &inputs, &outputs, attributes);
    Some((
        [turned, conv, sigmoid, silu, back]
            .into_iter()
            .chain(cache.nodes)
            .collect(),
        node,
    ))
}

pub(super) fn register(onnx: &mut Onnx) {
    onnx.op_register
        .insert(KIND, |_: &ParsingContext, node: &NodeProto| {
            let size = |name| required(node, name).map(|value| value as usize);
            Ok((
                expand(Unwired {
                    channels: size("channels")?,
                    taps: size("taps")?,
                }),
                vec![],
            ))
        });
}

#[derive(Debug, Clone)]
struct Unwired {
    channels: usize,
    taps: usize,
}

impl Expansion for Unwired {
    fn name(&self) -> StaticName {
        KIND.into()
    }

    fn nboutputs(&self) -> TractResult<usize> {
        Ok(2)
    }

    fn rules<'r, 'p: 'r, 's: 'r>(
        &'s self,
        s: &mut Solver<'r>,
        inputs: &'p [TensorProxy],
        outputs: &'p [TensorProxy],
    ) -> InferenceResult {
        check_input_arity(inputs, 4)?;
        check_output_arity(outputs, 2)?;
        let state: TVec<TDim> = tvec!(1.to_dim(), self.channels.to_dim(), (self.taps - 1).to_dim());
        s.equals(&inputs[0].shape, &outputs[0].shape)?;
        s.equals(&inputs[1].shape, state.clone())?;
        s.equals(&outputs[1].shape, state)?;
        for tensor in inputs.iter().chain(outputs) {
            s.equals(&tensor.datum_type, f32::datum_type())?;
        }
        Ok(())
    }

    fn wire(
        &self,
        prefix: &str,
        model: &mut TypedModel,
        inputs: &[OutletId],
    ) -> TractResult<TVec<OutletId>> {
        let constant = |input| constant(prefix, model, inputs, input);
        let (weight, bias) = (constant(2)?, constant(3)?);
        let weight = floats(&weight)?;
        let by_tap = (0..self.taps)
            .flat_map(|tap| (0..self.channels).map(move |n| weight[n * self.taps + tap]));
        let op = Depthwise {
            channels: self.channels,
            weights: by_tap.collect(),
            bias: floats(&bias)?.into(),
        };
        model.wire_node(prefix, op, &inputs[..2])
    }
}

/// Frames `[1, frames, channels]` and the state `[1, channels, taps - 1]` to SiLU of their convolution, and the next state.
#[derive(Debug, Clone)]
struct Depthwise {
    channels: usize,
    /// A row of channels for each tap.
    weights: Arc<[f32]>,
    bias: Arc<[f32]>,
}

impl Depthwise {
    const NAME: &'static str = KIND;

    fn past(&self) -> usize {
        self.weights.len() / self.channels - 1
    }

    fn facts(&self, inputs: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        let state = [1, self.channels, self.past()];
        let frames = inputs[0].shape.as_concrete().context("an open shape")?;
        ensure!(
            matches!(frames, [1, _, channels] if *channels == self.channels),
            "frames are {frames:?}"
        );
        ensure!(
            inputs[1].shape.as_concrete() == Some(&state),
            "the state is {:?}, not {state:?}",
            inputs[1].shape
        );
        Ok(tvec!(f32::fact(frames), f32::fact(state)))
    }

    fn run(&self, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        thread_local! {
            /// The frames of the state and the new ones, shared by all layers of a thread.
            static WINDOW: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
        }
        let (channels, past) = (self.channels, self.past());
        let (frames, state) = (floats(&inputs[0])?, floats(&inputs[1])?);
        let mut output = Tensor::zero::<f32>(inputs[0].shape())?;
        let mut next = Tensor::zero::<f32>(inputs[1].shape())?;
        WINDOW.with_borrow_mut(|window| -> TractResult<()> {
            window.clear();
            for tap in 0..past {
                window.extend(state.iter().skip(tap).step_by(past));
            }
            window.extend_from_slice(frames);
            let taps = self.weights.len();
            for (frame, out) in floats_mut!(output).chunks_exact_mut(channels).enumerate() {
                let window = &window[frame * channels..][..taps];
                vector::depthwise(window, &self.weights, &self.bias, true, out);
            }
            let newest = &window[window.len() - past * channels..];
            for (channel, kept) in floats_mut!(next).chunks_exact_mut(past).enumerate() {
                for (tap, value) in kept.iter_mut().enumerate() {
                    *value = newest[tap * channels + channel];
                }
            }
            Ok(())
        })?;
        Ok(tvec!(output.into(), next.into()))
    }
}

tract_op!(Depthwise);
