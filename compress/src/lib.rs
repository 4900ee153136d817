//! Makes ONNX networks smaller: ONNX in, ONNX out, in forms that other runtimes execute, too.
//!
//! * [`calibrate`](mod@calibrate): ranges of activations, for static scales.
//! * [`quantise`](mod@quantise): constant matrix products in half floats, int8 or int4.
//! * [`rest`]: all other constants as [`halves`] or, those of [`convolutions`], as int8; what [`repeats`], once; short [`names`].
//! * [`restore`](mod@restore): int8 back to floats; [`sizes`]: sizes for open dimensions.
//! * [`bundle`]: a smaller network beside the float one of a bundle.
//! * [`factorise`](mod@factorise): constant matrix products as two thinner ones.
//! * [`tucker`](mod@tucker): convolutions as up to three smaller ones.
//! * [`prune`](mod@prune): layers, heads, units, channels or single weights that give least go.
//! * [`report`]: what each of these saves and costs.
//! * [`plan`]: which layer gets which precision, within a budget.
//! * [`bench`](mod@bench): how long a network takes with our engine, stock tract and ONNX Runtime, beside what memory allows.
//! * [`check`](mod@check): whether our run time and ONNX Runtime agree about a network.

pub mod bench;
pub mod bundle;
pub mod calibrate;
pub mod check;
pub mod convolutions;
pub mod factorise;
mod file;
pub mod halves;
pub mod names;
pub mod plan;
mod products;
pub mod prune;
pub mod quantise;
pub mod recordings;
pub mod repeats;
pub mod report;
pub mod rest;
pub mod restore;
pub mod runtime;
pub mod sentences;
pub mod sizes;
pub mod texts;
pub mod trial;
pub mod tucker;

pub use file::{FileError, read, write};
pub use products::{Layer, Report, RewriteError, layers};
