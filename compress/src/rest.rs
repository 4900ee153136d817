//! What no layer of a quantised network holds, in as few bytes as it goes.

use serde::{Deserialize, Serialize};
use tract_onnx::pb::ModelProto;

use crate::bundle::Kind;
use crate::convolutions::store_in_int8;
use crate::halves::halve_the_rest;
use crate::names::shorten;
use crate::quantise::Form;
use crate::repeats::{share, store_diagonals};

/// How the weights of convolutions are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Convolutions {
    /// As half floats, like everything else.
    Halves,
    /// As int8, a scale for each output channel.
    Int8,
}

impl Convolutions {
    /// How they are stored beside layers of this form: in int8 beside integers, else in half floats.
    pub fn beside(form: Form) -> Convolutions {
        match form {
            Form::Int8 { .. } | Form::Int4 { .. } => Convolutions::Int8,
            Form::Half => Convolutions::Halves,
        }
    }
}

/// What becomes of the names of tensors and nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Names {
    /// As short as they go; a layer keeps that of its product.
    #[default]
    Short,
    /// They stay: adapters address layers of a network over words by them.
    Kept,
}

impl Names {
    /// Those of a bundle's networks.
    pub fn of(kind: Kind) -> Names {
        match kind {
            Kind::Speech => Names::Short,
            Kind::Words => Names::Kept,
        }
    }
}

/// Stores large weights of convolutions as said, all other constants of 128 elements or more as half floats, and constants that
/// repeat once. Short names stay on nodes that are called as one of `layers`.
pub fn shrink_the_rest(
    model: &mut ModelProto,
    convolutions: Convolutions,
    names: Names,
    layers: &[String],
) {
    if convolutions == Convolutions::Int8 {
        store_in_int8(model);
    }
    store_diagonals(model);
    halve_the_rest(model);
    share(model);
    if names == Names::Short {
        shorten(model, layers);
    }
}
