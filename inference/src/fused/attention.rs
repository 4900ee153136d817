//! Attention of a chunk of frames over itself and cached frames before it.

use tract_onnx::pb::NodeProto;

use super::graph::{
    Cache, Constants, Net, attribute, float, integer, new_node, required, required_float,
};
use super::operator::{Operator, Past, Workspace};
use super::vector;
use crate::gemm::{Left, Right, product};

pub(super) const KIND: &str = "VocarAttention";

/// Replaces the chain from queries, keys and values in one tensor to the mixed values: Reshape to heads, Transpose, Split,
/// scaling, Concat with both caches and Slice of their successors, product, Add of a bias by distance, Softmax, product,
/// Transpose, Reshape.
pub(super) fn fuse(net: &mut Net) {
    for softmax in net.of_kind("Softmax") {
        if let Some((nodes, node)) = matched(net, softmax) {
            net.replace(&nodes, node);
        }
    }
}

fn matched(net: &Net, softmax: usize) -> Option<(Vec<usize>, NodeProto)> {
    let input = |number: usize, which: usize| net.node(number)?.input.get(which);
    let output = |number: usize| net.node(number)?.output.first();

    let biased = net.maker(input(softmax, 0)?, "Add")?;
    let (product, bias) = (net.maker(input(biased, 0)?, "MatMul")?, input(biased, 1)?);
    let &[1, heads, chunk, width] = net.constant(bias)?.0 else {
        return None;
    };
    let scaled = net.maker(input(product, 0)?, "Mul")?;
    let scale = net.float(input(scaled, 1)?)?;
    let turned_keys = net.maker(input(product, 1)?, "Transpose")?;
    let mixed = net.only_user(output(softmax)?, "MatMul")?;
    let back = net.only_user(output(mixed)?, "Transpose")?;
    let flat = net.only_user(output(back)?, "Reshape")?;

    let keys = Cache::of(net, input(turned_keys, 0)?, width - chunk)?;
    let values = Cache::of(net, input(mixed, 1)?, width - chunk)?;
    let split = net.maker(input(scaled, 0)?, "Split")?;
    let [q, k, v] = &net.node(split)?.output[..] else {
        return None;
    };
    let turned = net.maker(input(split, 0)?, "Transpose")?;
    let reshaped = net.maker(input(turned, 0)?, "Reshape")?;
    let shape = net.integers(input(reshaped, 1)?)?;
    let &[1, frames, all_heads, size] = &shape[..] else {
        return None;
    };
    let permutation = |number: usize| attribute(net.node(number)?, "perm");
    let as_wanted = [
        input(scaled, 0)? == q && keys.newest == k && values.newest == v,
        frames == chunk && all_heads == 3 * heads,
        net.integers(input(split, 1)?)? == [heads; 3]
            && attribute(net.node(split)?, "axis")? == [1],
        permutation(turned)? == [0, 2, 1, 3] && permutation(back)? == [0, 2, 1, 3],
        permutation(turned_keys)? == [0, 1, 3, 2],
        attribute(net.node(softmax)?, "axis")? == [-1]
            || attribute(net.node(softmax)?, "axis")? == [3],
        net.integers(input(flat, 1)?)? == [1, chunk, heads * size],
    ];
    // Nothing in the chain may be needed elsewhere.
    let used_once = [
        q,
        k,
        v,
        output(scaled)?,
        output(turned_keys)?,
        output(product)?,
        output(biased)?,
        output(turned)?,
    ]
    .iter()
    .all(|tensor| net.users(tensor).is_some_and(|users| users.len() == 1))
        && net.users(output(reshaped)?)?.len() == 1;
    if as_wanted.contains(&false) || !used_once || width <= chunk || size % 16 != 0 {
        return None;
    }
    let inputs = [input(reshaped, 0)?, keys.state, values.state, bias].map(|name| &**name);
    let outputs = [output(flat)?, keys.successor, values.successor].map(|name| &**name);
    let attributes = vec![
        integer("heads", heads),
        integer("size", size),
        integer("chunk", chunk),
        integer("context", width - chunk),
        float("scale", scale),
    ];
    let chain = [
        reshaped,
        turned,
        split,
        scaled,
        turned_keys,
        product,
        biased,
        softmax,
        mixed,
        back,
        flat,
    ];
    let nodes = chain
        .into_iter()
        .chain(keys.nodes)
        .chain(values.nodes)
        .collect();
    Some((nodes, new_node(KIND, &inputs, &outputs, attributes)))
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

/// Writes one column of a matrix whose rows are `stride` long.
fn write_column(matrix: &mut [f32], stride: usize, column: usize, values: &[f32]) {
    for (target, value) in matrix[column..].iter_mut().step_by(stride).zip(values) {
        *target = *value;
    }
}
