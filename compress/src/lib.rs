//! Makes ONNX networks smaller: ONNX in, ONNX out, in forms that other runtimes execute, too.
//!
//! * [`quantise`]: constant matrix products in int8 or int4.
//! * [`plan`]: which layer gets which precision, within a budget.
//! * [`bench`](mod@bench): how long a network takes with our engine and with stock tract, beside what memory allows.

pub mod bench;
mod file;
pub mod plan;
pub mod quantise;

pub use file::{FileError, read, write};
