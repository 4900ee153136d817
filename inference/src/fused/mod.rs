//! Networks with fewer, larger operators.
//!
//! An ONNX file says what a network computes in small steps, each of which tract would run with memory and bookkeeping of
//! its own. Before tract sees the file, [`fuse`] replaces the chains that cost most by operators of ours, in the file's own
//! terms, and [`register`] tells tract how to build those:
//!
//! * products with constant int8 weights, together with the quantisation of their input, bias, activation (ReLU, SiLU, GLU)
//!   and residual: [`linear`];
//! * attention over cached keys and values, with its caches: [`attention`];
//! * depthwise convolution over time, with its cache and SiLU: [`depthwise`];
//! * layer normalisation and softmax over the last axis: [`rows`].
//!
//! Constants that are stored in half precision become floats before that.
//!
//! What fits no pattern is left as it is. The rest of the crate cannot tell the difference, but by the clock.

mod attention;
mod depthwise;
mod graph;
mod linear;
mod op;
mod rows;
mod vector;

use tract_onnx::Onnx;
use tract_onnx::pb::ModelProto;

use graph::{Net, widen_halves};

/// Replaces the chains of operators that we know a faster way for.
pub(crate) fn fuse(model: &mut ModelProto) {
    let Some(graph) = model.graph.as_mut() else {
        return;
    };
    widen_halves(graph);
    let mut net = Net::of(graph);
    linear::fuse(&mut net);
    attention::fuse(&mut net);
    depthwise::fuse(&mut net);
    rows::fuse(&mut net);
    net.write(graph);
}

/// Teaches a parser to read what [`fuse`] writes.
pub(crate) fn register(onnx: &mut Onnx) {
    linear::register(onnx);
    attention::register(onnx);
    depthwise::register(onnx);
    rows::register(onnx);
}
