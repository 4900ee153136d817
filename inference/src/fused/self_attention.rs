//! Attention of the rows of a sentence over each other, with a mask.

use tract_onnx::pb::NodeProto;

use super::graph::{Constants, Net, float, integer, new_node, required, required_float};
use super::heads::Heads;
use super::operator::{Operator, Past, Workspace};
use super::turn::Matrix;
use super::vector;
use crate::gemm::{Left, Right, product};

pub(super) const KIND: &str = "VocarSelfAttention";

/// Replaces attention whose keys and values are the rows' own and whose bias is a mask that comes as an input.
pub(super) fn fuse(net: &mut Net) {
    for softmax in net.of_kind("Softmax") {
        let chain = Heads::around(net, softmax)
            .filter(|chain| chain.attended == chain.newest && net.constant(chain.bias).is_none());
        let Some(chain) = chain else {
            continue;
        };
        let attributes = vec![
            integer("heads", chain.heads),
            integer("size", chain.size),
            float("scale", chain.scale),
        ];
        let node = new_node(
            KIND,
            &[chain.input, chain.bias],
            &[chain.output],
            attributes,
        );
        let nodes = chain.nodes;
        net.replace(&nodes, node);
    }
}

pub(super) fn build(node: &NodeProto, _: &Constants) -> Result<Box<dyn Operator>, String> {
    let (heads, size) = (required(node, "heads")?, required(node, "size")?);
    if heads == 0 || size == 0 || size % 16 != 0 {
        return Err(format!("{heads} heads of {size} columns"));
    }
    Ok(Box::new(SelfAttention {
        heads,
        size,
        scale: required_float(node, "scale")?,
    }))
}

/// softmax(q kᵀ · scale + mask) v for each head (A. Vaswani et al., 2017), from rows that hold queries, keys and values, each
/// head by head. The mask is `[1, 1, 1, rows]`, one value for each row that is attended to.
#[derive(Debug)]
struct SelfAttention {
    heads: usize,
    /// Columns of a head, a multiple of 16.
    size: usize,
    scale: f32,
}

impl Operator for SelfAttention {
    fn name(&self) -> &'static str {
        KIND
    }

    fn inputs(&self) -> usize {
        2
    }

    fn output(&self, input: &[usize]) -> Result<Vec<usize>, String> {
        let columns = self.heads * self.size;
        match *input {
            [1, rows, width] if width == 3 * columns => Ok(vec![1, rows, columns]),
            _ => Err(format!(
                "the input is {input:?} for {} heads of {}",
                self.heads, self.size
            )),
        }
    }

    fn beside(&self, input: &[usize]) -> Result<Vec<usize>, String> {
        Ok(vec![1, 1, 1, self.output(input)?[1]])
    }

    fn takes_any_rows(&self) -> bool {
        true
    }

    fn run(
        &self,
        inputs: &[&[f32]],
        _: usize,
        _: &mut Past,
        out: &mut [f32],
        work: &mut Workspace,
    ) {
        let SelfAttention { heads, size, scale } = *self;
        let (qkv, mask, row) = (inputs[0], inputs[1], 3 * heads * size);
        let rows = qkv.len() / row;
        let padded = rows.next_multiple_of(16);
        // A column for each row that attends: where rows are few, its own softmax would be shorter than a vector.
        let [weights, queries, _] = &mut work.floats;
        weights.resize(rows * padded, 0.0);
        queries.resize(size * padded, 0.0);
        for head in 0..heads {
            let part = |part: usize| &qkv[(part * heads + head) * size..];
            let own = Matrix {
                values: part(0),
                stride: row,
                rows,
                columns: size,
            };
            own.turn(queries, padded);
            let turned = Right {
                values: queries,
                stride: padded,
                columns: padded,
                first: 0,
            };
            let keys = Left::rows(part(1), row, size);
            product(work.tier, keys, turned, weights, padded);
            vector::attend_by_column(work.tier, weights, padded, scale, mask);
            let values = Right {
                values: part(2),
                stride: row,
                columns: size,
                first: head * size,
            };
            let weights = Left {
                values: weights,
                stride: 1,
                segments: rows,
                apart: padded,
                inner: 1,
            };
            product(work.tier, weights, values, out, heads * size);
        }
    }
}
