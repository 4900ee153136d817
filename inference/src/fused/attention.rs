//! Attention of a chunk of frames over itself and cached frames before it.

use std::cell::RefCell;
use std::sync::Arc;

use tract_onnx::Onnx;
use tract_onnx::model::ParsingContext;
use tract_onnx::pb::NodeProto;
use tract_onnx::tract_hir::internal::*;

use super::graph::{Cache, Net, attribute, float, integer, new_node, required, required_float};
use super::op::{constant, floats, floats_mut, tract_op};
use super::vector::{self, Strided};

const KIND: &str = "VocarAttention";

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
    if as_wanted.contains(&false) || !used_once || width <= chunk || size % 8 != 0 {
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

pub(super) fn register(onnx: &mut Onnx) {
    onnx.op_register
        .insert(KIND, |_: &ParsingContext, node: &NodeProto| {
            let size = |name| required(node, name).map(|value| value as usize);
            let shape = Shape {
                heads: size("heads")?,
                size: size("size")?,
                chunk: size("chunk")?,
                context: size("context")?,
            };
            let scale = required_float(node, "scale")?;
            Ok((expand(Unwired { shape, scale }), vec![]))
        });
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

    fn bias(&self) -> [usize; 4] {
        [1, self.heads, self.chunk, self.width()]
    }

    fn width(&self) -> usize {
        self.context + self.chunk
    }
}

#[derive(Debug, Clone)]
struct Unwired {
    shape: Shape,
    scale: f32,
}

impl Expansion for Unwired {
    fn name(&self) -> StaticName {
        KIND.into()
    }

    fn nboutputs(&self) -> TractResult<usize> {
        Ok(3)
    }

    fn rules<'r, 'p: 'r, 's: 'r>(
        &'s self,
        s: &mut Solver<'r>,
        inputs: &'p [TensorProxy],
        outputs: &'p [TensorProxy],
    ) -> InferenceResult {
        check_input_arity(inputs, 4)?;
        check_output_arity(outputs, 3)?;
        let dims = |shape: &[usize]| shape.iter().map(|dim| dim.to_dim()).collect::<TVec<TDim>>();
        s.equals(&inputs[0].shape, dims(&self.shape.input()))?;
        s.equals(&outputs[0].shape, dims(&self.shape.output()))?;
        for state in [&inputs[1], &inputs[2], &outputs[1], &outputs[2]] {
            s.equals(&state.shape, dims(&self.shape.state()))?;
        }
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
        let bias = constant(prefix, model, inputs, 3)?;
        ensure!(bias.shape() == self.shape.bias(), "{prefix}: odd bias");
        let op = Attention {
            shape: self.shape,
            scale: self.scale,
            bias,
        };
        model.wire_node(prefix, op, &inputs[..3])
    }
}

/// Room for the work on one head, shared by all layers of a thread.
#[derive(Default)]
struct Scratch {
    /// Keys and values: the cached ones and the chunk's.
    joined: [Vec<f32>; 2],
    /// The keys, a column each.
    turned: Vec<f32>,
    weights: Vec<f32>,
    out: Vec<f32>,
}

/// softmax(q kᵀ · scale + bias) v for each head, over the cached frames and the chunk's own.
#[derive(Debug, Clone)]
struct Attention {
    shape: Shape,
    scale: f32,
    bias: Arc<Tensor>,
}

impl Attention {
    const NAME: &'static str = KIND;

    fn facts(&self, inputs: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        let shape = &self.shape;
        for (input, wanted) in
            inputs
                .iter()
                .zip([&shape.input()[..], &shape.state(), &shape.state()])
        {
            ensure!(
                input.shape.as_concrete() == Some(wanted),
                "{:?} instead of {wanted:?}",
                input.shape
            );
        }
        Ok(tvec!(
            f32::fact(shape.output()),
            f32::fact(shape.state()),
            f32::fact(shape.state())
        ))
    }

    fn run(&self, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        thread_local! {
            static SCRATCH: RefCell<Scratch> = RefCell::default();
        }
        let Shape {
            heads,
            size,
            chunk,
            context,
        } = self.shape;
        let (row, width) = (3 * heads * size, self.shape.width());
        let padded = width.next_multiple_of(8);
        let (qkv, bias) = (floats(&inputs[0])?, floats(&self.bias)?);
        let states = [floats(&inputs[1])?, floats(&inputs[2])?];
        let mut mixed = Tensor::zero::<f32>(&self.shape.output())?;
        let mut next = [
            Tensor::zero::<f32>(&self.shape.state())?,
            Tensor::zero::<f32>(&self.shape.state())?,
        ];
        SCRATCH.with_borrow_mut(|scratch| -> TractResult<()> {
            let Scratch {
                joined,
                turned,
                weights,
                out,
            } = scratch;
            turned.resize(size * padded, 0.0);
            weights.resize(chunk * padded, 0.0);
            out.resize(chunk * size, 0.0);
            for head in 0..heads {
                for (part, joined) in joined.iter_mut().enumerate() {
                    let kept = context * size;
                    joined.clear();
                    joined.extend_from_slice(&states[part][head * kept..(head + 1) * kept]);
                    for frame in 0..chunk {
                        let at = frame * row + ((part + 1) * heads + head) * size;
                        joined.extend_from_slice(&qkv[at..at + size]);
                    }
                    floats_mut!(next[part])[head * kept..(head + 1) * kept]
                        .copy_from_slice(&joined[chunk * size..]);
                }
                let [keys, values] = joined;
                for (column, key) in keys.chunks_exact(size).enumerate() {
                    for (turned, value) in turned[column..].iter_mut().step_by(padded).zip(key) {
                        *turned = *value;
                    }
                }
                let queries = Strided {
                    values: &qkv[head * size..],
                    stride: row,
                };
                let turned = Strided {
                    values: turned,
                    stride: padded,
                };
                vector::product(queries, turned, size, padded, weights);
                for (frame, row) in weights.chunks_exact_mut(padded).enumerate() {
                    let bias = &bias[(head * chunk + frame) * width..][..width];
                    vector::attend(row, self.scale, bias);
                }
                let (left, right) = (
                    Strided {
                        values: weights,
                        stride: padded,
                    },
                    Strided {
                        values,
                        stride: size,
                    },
                );
                vector::product(left, right, width, size, out);
                for (frame, out) in out.chunks_exact(size).enumerate() {
                    floats_mut!(mixed)[(frame * heads + head) * size..][..size]
                        .copy_from_slice(out);
                }
            }
            Ok(())
        })?;
        let [keys, values] = next;
        Ok(tvec!(mixed.into(), keys.into(), values.into()))
    }
}

tract_op!(Attention);
