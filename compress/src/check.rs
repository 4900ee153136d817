//! Whether a network that was written is sound: our run time loads and runs it, and ONNX Runtime, where it is there, agrees.

use std::path::Path;

use vocar_inference::{EngineError, Network, Operators};

use crate::bench::made_inputs;
use crate::runtime::{Runtime, RuntimeError};

/// The run time's name for a layer with constant weights.
const LAYER: &str = "VocarLinear";
/// Results further apart than this, in units of the results' own root mean square, are no matter of rounding.
const APART: f64 = 0.25;

/// Why a network is not sound.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// Our run time refuses it.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// ONNX Runtime refuses it.
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
    /// A result is not finite.
    #[error("{0}: the network gives values that are no numbers; its weights or ranges are damaged")]
    NotFinite(String),
    /// They compute different things.
    #[error(
        "{file}: ours and ONNX Runtime are {:.0} % of the result's size apart; one of them reads the file wrongly, which is a bug to report",
        100.0 * apart
    )]
    Disagree {
        /// The network.
        file: String,
        /// Root mean square of the difference, as a share of that of the result.
        apart: f64,
    },
}

/// What was found out about a sound network.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Checked {
    /// Layers that are one operator of ours each; tract's own operators run the rest.
    pub fused: usize,
    /// What ONNX Runtime says.
    pub second: Second,
}

/// What ONNX Runtime says of a network.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Second {
    /// ONNX Runtime is not there.
    Absent,
    /// Its result differs by this share of the result's root mean square.
    Apart(f64),
}

/// Runs a network once with our run time on made inputs and, where it is there, with ONNX Runtime.
///
/// # Errors
/// [`CheckError`] when one of them refuses the network or they do not agree.
pub fn check(path: &Path) -> Result<Checked, CheckError> {
    let file = || path.display().to_string();
    let mut network = Network::load(path, Operators::Fused)?;
    let inputs = made_inputs(network.inputs());
    let ours = network.run(&inputs)?;
    if ours.iter().flatten().any(|value| !value.is_finite()) {
        return Err(CheckError::NotFinite(file()));
    }
    let fused = network.operators().get(LAYER).copied().unwrap_or(0);
    let theirs = match Runtime::load(path) {
        Err(RuntimeError::Absent(_)) => {
            return Ok(Checked {
                fused,
                second: Second::Absent,
            });
        }
        runtime => runtime?.run(&inputs)?,
    };
    let apart = apart(&ours.concat(), &theirs.concat());
    if apart.is_nan() || apart > APART {
        return Err(CheckError::Disagree {
            file: file(),
            apart,
        });
    }
    Ok(Checked {
        fused,
        second: Second::Apart(apart),
    })
}

/// Root mean square of the difference, as a share of that of the first.
fn apart(one: &[f32], other: &[f32]) -> f64 {
    if one.len() != other.len() {
        return f64::INFINITY;
    }
    let power = |values: &mut dyn Iterator<Item = f32>| -> f64 {
        values.map(|value| f64::from(value).powi(2)).sum()
    };
    let difference = power(&mut one.iter().zip(other).map(|(one, other)| one - other));
    (difference / power(&mut one.iter().copied()).max(f64::MIN_POSITIVE)).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_distance_is_a_share_of_the_result() {
        assert_eq!(apart(&[3.0, 4.0], &[3.0, 4.0]), 0.0);
        assert!((apart(&[3.0, 4.0], &[3.0, 3.0]) - 0.2).abs() < 1e-9);
        assert_eq!(apart(&[1.0], &[]), f64::INFINITY);
    }
}
