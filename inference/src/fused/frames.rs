//! Normalised feature frames behind the newest of the step before.

use tract_onnx::pb::{NodeProto, tensor_proto::DataType};

use super::graph::{Cache, Constants, Net, integer, new_node, required};
use super::operator::{Operator, Past, Workspace};

pub(super) const KIND: &str = "VocarFrames";

/// Replaces Sub of a mean, Mul by a scale, Concat with a cache along the frames and Slice of its successor.
pub(super) fn fuse(net: &mut Net) {
    for concat in net.of_kind("Concat") {
        if let Some((nodes, node)) = matched(net, concat) {
            net.replace(&nodes, node);
        }
    }
}

fn matched(net: &Net, concat: usize) -> Option<(Vec<usize>, NodeProto)> {
    let joined = net.node(concat)?.output.first()?;
    let (cache, kept) = Cache::kept(net, joined, 1)?;
    let scaled = net.maker(cache.newest, "Mul")?;
    let [centred, scale] = &net.node(scaled)?.input[..] else {
        return None;
    };
    let centring = net.maker(centred, "Sub")?;
    let [features, mean] = &net.node(centring)?.input[..] else {
        return None;
    };
    let &[width] = net.constant(scale)?.0 else {
        return None;
    };
    let constant = (&[width][..], DataType::Float);
    let used_once = |tensor| net.users(tensor).is_some_and(|users| users.len() == 1);
    if net.constant(mean)? != constant
        || net.constant(scale)? != constant
        || !used_once(centred)
        || !used_once(cache.newest)
    {
        return None;
    }
    let inputs = [features, cache.state, mean, scale].map(|name| &**name);
    let outputs = [joined, cache.successor].map(|name| &**name);
    let node = new_node(KIND, &inputs, &outputs, vec![integer("kept", kept)]);
    let nodes = [scaled, centring].into_iter().chain(cache.nodes);
    Some((nodes.collect(), node))
}

pub(super) fn build(node: &NodeProto, constants: &Constants) -> Result<Box<dyn Operator>, String> {
    Ok(Box::new(Frames {
        kept: required(node, "kept")?,
        mean: constants.floats(node, 2)?,
        scale: constants.floats(node, 3)?,
    }))
}

/// Frames `[1, frames, width]` and the state `[1, kept, width]` to `[1, kept + frames, width]`, of which the last are the next
/// state.
#[derive(Debug)]
struct Frames {
    kept: usize,
    mean: Vec<f32>,
    scale: Vec<f32>,
}

impl Operator for Frames {
    fn name(&self) -> &'static str {
        KIND
    }

    fn output(&self, input: &[usize]) -> Result<Vec<usize>, String> {
        match *input {
            [1, frames, width] if width == self.mean.len() && frames >= self.kept => {
                Ok(vec![1, self.kept + frames, width])
            }
            _ => Err(format!("the frames are {input:?}")),
        }
    }

    fn states(&self) -> Vec<Vec<usize>> {
        vec![vec![1, self.kept, self.mean.len()]]
    }

    fn past(&self) -> Past {
        Past {
            values: vec![0.0; self.kept * self.mean.len()],
            oldest: 0,
        }
    }

    fn import(&self, states: &[&[f32]], past: &mut Past) {
        past.values.copy_from_slice(states[0]);
    }

    fn export(&self, past: &Past, states: &mut [&mut [f32]]) {
        states[0].copy_from_slice(&past.values);
    }

    fn run(
        &self,
        inputs: &[&[f32]],
        _: usize,
        past: &mut Past,
        out: &mut [f32],
        _: &mut Workspace,
    ) {
        let (kept, fresh) = out.split_at_mut(past.values.len());
        kept.copy_from_slice(&past.values);
        let width = self.mean.len();
        for (out, frame) in fresh.chunks_exact_mut(width).zip(inputs[0].chunks(width)) {
            for (n, (out, value)) in out.iter_mut().zip(frame).enumerate() {
                *out = (value - self.mean[n]) * self.scale[n];
            }
        }
        let newest = out.len() - past.values.len();
        past.values.copy_from_slice(&out[newest..]);
    }
}
