//! Attention of a chunk of frames over itself and cached frames before it.

use tract_onnx::pb::NodeProto;

use super::graph::{Cache, Constants, Net, float, integer, new_node, required, required_float};
use super::heads::Heads;
use super::operator::{Operator, Past, Workspace};
use super::{vector, write_column};
use crate::gemm::{Left, Right, product};

pub(super) const KIND: &str = "VocarAttention";

/// Replaces attention whose keys and values are joined to those of earlier frames, with the Concat with both caches and the
/// Slice of their successors, and whose bias goes by distance.
pub(super) fn fuse(net: &mut Net) {
    for softmax in net.of_kind("Softmax") {
        if let Some((nodes, node)) = matched(net, softmax) {
            net.replace(&nodes, node);
        }
    }
}

fn matched(net: &Net, softmax: usize) -> Option<(Vec<usize>, NodeProto)> {
    let chain = Heads::around(net, softmax)?;
    let &[1, heads, chunk, width] = net.constant(chain.bias)?.0 else {
        return None;
    };
    let [keys, values] = chain.attended;
    let keys = Cache::of(net, keys, width - chunk)?;
    let values = Cache::of(net, values, width - chunk)?;
    let as_wanted =
        [keys.newest, values.newest] == chain.newest && (heads, chunk) == (chain.heads, chain.rows);
    if !as_wanted || width <= chunk {
        return None;
    }
    let inputs = [chain.input, keys.state, values.state, chain.bias].map(|name| &**name);
    let outputs = [chain.output, keys.successor, values.successor].map(|name| &**name);
    let attributes = vec![
        integer("heads", heads),
        integer("size", chain.size),
        integer("chunk", chunk),
        integer("context", width - chunk),
        float("scale", chain.scale),
    ];
    let node = new_node(KIND, &inputs, &outputs, attributes);
    let nodes = chain
        .nodes
        .into_iter()
        .chain(keys.nodes)
        .chain(values.nodes);
    Some((nodes.collect(), node))
}

pub(super) fn build(node: &NodeProto, constants: &Constants) -> Result<Box<dyn Operator>, String> {
    let size = |name| required(node, name);
    let shape = Shape {
        heads: size("heads")?,
        size: size("size")?,
        chunk: size("chunk")?,
        context: size("context")?,
    };
    let bias = constants.floats(node, 3)?;
    if bias.len() != shape.heads * shape.chunk * shape.width() {
        return Err(format!("{} biases for {shape:?}", bias.len()));
    }
    Ok(Box::new(Attention {
        shape,
        scale: required_float(node, "scale")?,
        bias,
    }))
}

/// Sizes of an attention: heads of so many columns, a chunk of frames and the frames kept before it.
#[derive(Debug, Clone, Copy)]
struct Shape {
    heads: usize,
    size: usize,
    chunk: usize,
    context: usize,
}

impl Shape {
    fn input(&self) -> [usize; 3] {
        [1, self.chunk, 3 * self.heads * self.size]
    }

    fn output(&self) -> [usize; 3] {
        [1, self.chunk, self.heads * self.size]
    }

    fn state(&self) -> [usize; 4] {
        [1, self.heads, self.context, self.size]
    }

    /// Frames that are attended to.
    fn width(&self) -> usize {
        self.context + self.chunk
    }

    /// The same filled up to what the kernels take.
    fn padded(&self) -> usize {
        self.width().next_multiple_of(16)
    }
}

/// softmax(q kᵀ · scale + bias) v for each head, over the cached frames and the chunk's own.
///
/// What it remembers are, for each head, the keys, a column each, and the values, a row each, of so many frames as are
/// attended to. They go round: a chunk's frames take the place of the oldest, and nothing else moves.
#[derive(Debug)]
struct Attention {
    shape: Shape,
    scale: f32,
    /// `[heads, chunk, width]`, the oldest frame first.
    bias: Vec<f32>,
}

impl Attention {
    /// Floats of the keys of a head, and of both.
    fn parts(&self) -> (usize, usize) {
        let keys = self.shape.size * self.shape.padded();
        (keys, keys + self.shape.size * self.shape.width())
    }

    /// Where a frame lies that is so much younger than the oldest.
    fn slot(&self, past: &Past, frame: usize) -> usize {
        (past.oldest + frame) % self.shape.width()
    }
}

impl Operator for Attention {
    fn name(&self) -> &'static str {
        KIND
    }

    fn output(&self, input: &[usize]) -> Result<Vec<usize>, String> {
        if input != self.shape.input() {
            return Err(format!("the input is {input:?} for {:?}", self.shape));
        }
        Ok(self.shape.output().to_vec())
    }

    fn states(&self) -> Vec<Vec<usize>> {
        vec![self.shape.state().to_vec(); 2]
    }

    fn past(&self) -> Past {
        Past {
            values: vec![0.0; self.shape.heads * self.parts().1],
            oldest: 0,
        }
    }

    fn import(&self, states: &[&[f32]], past: &mut Past) {
        let (Shape { size, context, .. }, (keys, both)) = (self.shape, self.parts());
        past.oldest = 0;
        for (head, part) in past.values.chunks_exact_mut(both).enumerate() {
            let (turned, values) = part.split_at_mut(keys);
            for frame in 0..context {
                let at = (head * context + frame) * size;
                write_column(
                    turned,
                    self.shape.padded(),
                    frame,
                    &states[0][at..at + size],
                );
                values[frame * size..][..size].copy_from_slice(&states[1][at..at + size]);
            }
        }
    }

    fn export(&self, past: &Past, states: &mut [&mut [f32]]) {
        let (Shape { size, context, .. }, (keys, both)) = (self.shape, self.parts());
        for (head, part) in past.values.chunks_exact(both).enumerate() {
            let (turned, values) = part.split_at(keys);
            for frame in 0..context {
                let (at, slot) = ((head * context + frame) * size, self.slot(past, frame));
                let column = turned[slot..].iter().step_by(self.shape.padded());
                for (kept, value) in states[0][at..at + size].iter_mut().zip(column) {
                    *kept = *value;
                }
                states[1][at..at + size].copy_from_slice(&values[slot * size..][..size]);
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
        let Shape {
            heads,
            size,
            chunk,
            context,
        } = self.shape;
        let (row, width, padded) = (3 * heads * size, self.shape.width(), self.shape.padded());
        let (qkv, (keys, both)) = (inputs[0], self.parts());
        let weights = &mut work.floats[0];
        weights.resize(chunk * padded, 0.0);
        let (oldest, newest) = (past.oldest, self.slot(past, context));
        for (head, part) in past.values.chunks_exact_mut(both).enumerate() {
            let (turned, values) = part.split_at_mut(keys);
            for frame in 0..chunk {
                let slot = (newest + frame) % width;
                let of = |part: usize| &qkv[frame * row + (part * heads + head) * size..][..size];
                write_column(turned, padded, slot, of(1));
                values[slot * size..][..size].copy_from_slice(of(2));
            }
            let queries = Left::rows(&qkv[head * size..], row, size);
            let turned = Right {
                values: turned,
                stride: padded,
                columns: padded,
                first: 0,
            };
            product(work.tier, queries, turned, weights, padded);
            let bias = &self.bias[head * chunk * width..][..chunk * width];
            vector::attend(work.tier, weights, padded, self.scale, bias, width, oldest);
            let values = Right {
                values,
                stride: size,
                columns: size,
                first: head * size,
            };
            let weights = Left::rows(weights, padded, width);
            product(work.tier, weights, values, out, heads * size);
        }
        past.oldest = (oldest + chunk) % width;
    }
}
