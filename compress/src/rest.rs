//! What no layer of a quantised network holds, in as few bytes as it goes.

use tract_onnx::pb::ModelProto;

use crate::convolutions::store_in_int8;
use crate::halves::halve_the_rest;
use crate::names::shorten;
use crate::quantise::Form;
use crate::repeats::{share, store_diagonals};

/// How the weights of convolutions are stored; they are computed in floats.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Convolutions {
    /// As half floats, like everything else.
    Halves,
    /// As int8, a scale for each output channel.
    Int8,
}

impl Convolutions {
    /// How they are stored beside layers of this form: in int8 beside int8, else in half floats. Beside int4, whose layers have
    /// used up what a network bears, they would save one per cent.
    pub fn beside(form: Form) -> Convolutions {
        match form {
            Form::Int8 { .. } => Convolutions::Int8,
            Form::Half | Form::Int4 { .. } => Convolutions::Halves,
        }
    }
}

/// Stores large weights of convolutions as said, all other constants of 128 elements or more as half floats, constants that
/// repeat once, and gives tensors short names. Names stay on nodes that are called as one of `layers`.
pub fn shrink_the_rest(model: &mut ModelProto, convolutions: Convolutions, layers: &[String]) {
    if convolutions == Convolutions::Int8 {
        store_in_int8(model);
    }
    store_diagonals(model);
    halve_the_rest(model);
    share(model);
    shorten(model, layers);
}
