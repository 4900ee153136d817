//! Depthwise convolution over time, with the frames it remembers.

use tract_onnx::pb::NodeProto;

use super::graph::{Cache, Constants, Net, attribute, integer, new_node, required};
use super::operator::{Operator, Past, Workspace};
use super::vector;

pub(super) const KIND: &str = "VocarDepthwise";

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

pub(super) fn build(node: &NodeProto, constants: &Constants) -> Result<Box<dyn Operator>, String> {
    let (channels, taps) = (required(node, "channels")?, required(node, "taps")?);
    let (weight, bias) = (constants.floats(node, 2)?, constants.floats(node, 3)?);
    if weight.len() != channels * taps || bias.len() != channels || taps < 2 {
        return Err(format!(
            "{} weights and {} biases for {channels} channels and {taps} taps",
            weight.len(),
            bias.len()
        ));
    }
    let by_tap = (0..taps).flat_map(|tap| weight[tap..].iter().step_by(taps).copied());
    Ok(Box::new(Depthwise {
        channels,
        weights: by_tap.collect(),
        bias,
    }))
}

/// Frames `[1, frames, channels]` and the state `[1, channels, taps - 1]` to SiLU of their convolution, and the next state.
/// What it remembers has a row for each frame.
#[derive(Debug)]
struct Depthwise {
    channels: usize,
    /// A row of channels for each tap.
    weights: Vec<f32>,
    bias: Vec<f32>,
}

impl Depthwise {
    fn past_frames(&self) -> usize {
        self.weights.len() / self.channels - 1
    }
}

impl Operator for Depthwise {
    fn name(&self) -> &'static str {
        KIND
    }

    fn output(&self, input: &[usize]) -> Result<Vec<usize>, String> {
        match *input {
            [1, _, channels] if channels == self.channels => Ok(input.to_vec()),
            _ => Err(format!("the frames are {input:?}")),
        }
    }

    fn states(&self) -> Vec<Vec<usize>> {
        vec![vec![1, self.channels, self.past_frames()]]
    }

    fn past(&self) -> Past {
        Past {
            values: vec![0.0; self.channels * self.past_frames()],
            oldest: 0,
        }
    }

    fn import(&self, states: &[&[f32]], past: &mut Past) {
        let frames = self.past_frames();
        for (frame, row) in past.values.chunks_exact_mut(self.channels).enumerate() {
            for (value, kept) in row.iter_mut().zip(states[0].chunks_exact(frames)) {
                *value = kept[frame];
            }
        }
    }

    fn export(&self, past: &Past, states: &mut [&mut [f32]]) {
        let frames = self.past_frames();
        for (frame, row) in past.values.chunks_exact(self.channels).enumerate() {
            for (value, kept) in row.iter().zip(states[0].chunks_exact_mut(frames)) {
                kept[frame] = *value;
            }
        }
    }

    fn run(
        &self,
        inputs: &[&[f32]],
        _: usize,
        past: &mut Past,
        out: &mut [f32],
        work: &mut Workspace,
    ) {
        let window = &mut work.floats[0];
        window.clear();
        window.extend_from_slice(&past.values);
        window.extend_from_slice(inputs[0]);
        vector::depthwise(work.tier, window, &self.weights, &self.bias, true, out);
        let newest = window.len() - past.values.len();
        past.values.copy_from_slice(&window[newest..]);
    }
}
