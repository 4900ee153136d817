//! Number formats of a network's weights.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Number format of a network's weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// 32-bit floats throughout.
    F32,
    /// 8-bit weights, activations quantised as they come.
    Int8,
    /// 4-bit or 8-bit weights, layer by layer as a plan says, activations quantised as they come.
    Mixed,
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Precision::F32 => "f32",
            Precision::Int8 => "int8",
            Precision::Mixed => "mixed",
        })
    }
}
