//! Networks with fewer, larger operators.
//!
//! An ONNX file says what a network computes in small steps, each of which tract would run with memory and bookkeeping of
//! its own. [`fuse`] replaces the chains that cost most by operators of ours, in the file's own terms:
//!
//! * normalised feature frames behind those of the step before: [`frames`];
//! * convolutions over time and frequency in int8 or floats with their activations: [`convolution`];
//! * products with constant weights in int8, int4 or floats, together with the quantisation of their input, bias, activation
//!   (ReLU, SiLU, GLU) and residual: [`linear`];
//! * attention over cached keys and values, with its caches: [`attention`]; of the rows of a sentence over each other:
//!   [`self_attention`];
//! * depthwise convolution over time, with its cache and SiLU: [`depthwise`];
//! * layer normalisation and softmax over the last axis: [`rows`];
//! * values rounded to a quantiser's steps: [`rounding`].
//!
//! A network that consists of nothing else becomes a [`Program`], which runs without tract and without allocating. Otherwise
//! tract runs what is left, with our operators among its own ([`register`]).
//!
//! Constants that are stored in less than floats become floats before that: [`stored`].

mod attention;
mod convolution;
mod depthwise;
mod frames;
mod graph;
mod heads;
mod linear;
mod op;
mod operator;
mod overlay;
mod program;
mod rounding;
mod rows;
mod self_attention;
mod stored;
mod turn;
mod vector;

use tract_onnx::Onnx;
use tract_onnx::pb::{ModelProto, NodeProto};

use graph::{Constants, Net};
use operator::Operator;

pub use overlay::{LowRank, Overlay, OverlayError};
pub(crate) use program::{Program, Stream, Tensor};
pub use stored::restore;

/// Makes an operator out of its node; the error is a sentence.
type Builder = fn(&NodeProto, &Constants) -> Result<Box<dyn Operator>, String>;

/// Our kinds of nodes.
const KINDS: [(&str, Builder); 10] = [
    (frames::KIND, frames::build),
    (convolution::KIND, convolution::build),
    (linear::KIND, linear::build),
    (attention::KIND, attention::build),
    (self_attention::KIND, self_attention::build),
    (depthwise::KIND, depthwise::build),
    (rounding::KIND, rounding::build),
    (rows::NORM, rows::build_norm),
    (rows::SOFTMAX, rows::build_softmax),
    (rows::LOG_SOFTMAX, rows::build_log_softmax),
];

/// The operator of a node of ours.
fn build(node: &NodeProto, constants: &Constants) -> Result<Box<dyn Operator>, String> {
    let kind = KINDS.iter().find(|(kind, _)| *kind == node.op_type);
    let (_, builder) = kind.ok_or_else(|| format!("{} is none of our operators", node.op_type))?;
    builder(node, constants).map_err(|problem| format!("{}: {problem}", node.name))
}

/// Replaces the chains of operators that we know a faster way for.
pub(crate) fn fuse(model: &mut ModelProto) {
    let Some(graph) = model.graph.as_mut() else {
        return;
    };
    stored::restore(graph);
    let mut net = Net::of(graph);
    frames::fuse(&mut net);
    convolution::fuse(&mut net);
    linear::fuse(&mut net);
    attention::fuse(&mut net);
    self_attention::fuse(&mut net);
    depthwise::fuse(&mut net);
    rows::fuse(&mut net);
    rounding::fuse(&mut net);
    net.write(graph);
    stored::restore_convolutions(graph);
}

/// Teaches a parser to read what [`fuse`] writes.
pub(crate) fn register(onnx: &mut Onnx) {
    op::register(onnx);
}

/// Writes one column of a matrix whose rows are `stride` long.
fn write_column(matrix: &mut [f32], stride: usize, column: usize, values: &[f32]) {
    for (target, value) in matrix[column..].iter_mut().step_by(stride).zip(values) {
        *target = *value;
    }
}
