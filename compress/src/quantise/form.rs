//! How a layer is written: every combination that means something and that a runtime executes.

use serde::{Deserialize, Serialize};

use super::Bits;
use crate::calibrate::{Choice, Ranges};

/// Where the integers of a range lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Method {
    /// Nought is nought, and both sides reach equally far.
    Symmetric,
    /// The range is covered as it lies; a zero point stands for nought.
    Asymmetric,
}

/// What shares a scale.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Granularity {
    /// The whole weight.
    Tensor,
    /// What leads to one output.
    Channel,
    /// 32 inputs of one output.
    Group,
}

/// When the scales of activations are found.
#[derive(Debug, Clone, Copy)]
pub enum Activations<'a> {
    /// While the network runs.
    Dynamic,
    /// Beforehand, on recordings.
    Static {
        /// What was found.
        ranges: &'a Ranges,
        /// Which of its ranges count.
        choice: Choice,
        /// int8 around nought, or uint8 with a zero point.
        method: Method,
    },
}

/// How a layer's weights and activations are written.
#[derive(Debug, Clone, Copy)]
pub enum Form<'a> {
    /// Half floats that become floats when the network is loaded.
    Half,
    /// int8 weights of a whole tensor or of each channel.
    Int8 {
        /// Of the weights.
        method: Method,
        /// Of the weights: not [`Granularity::Group`], which [`Form::of`] refuses.
        granularity: Granularity,
        /// Dynamic as DynamicQuantizeLinear and MatMulInteger, static as QuantizeLinear and DequantizeLinear.
        activations: Activations<'a>,
    },
    /// int4 weights in groups of 32 inputs, as MatMulNBits.
    Int4 {
        /// Of the weights.
        method: Method,
    },
}

/// A combination that means nothing or that no runtime of ours executes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FormError {
    /// Half floats with a scale.
    #[error(
        "16 bits are half floats, which have no scales: leave --method, --granularity and --static out"
    )]
    Half,
    /// int8 in groups.
    #[error(
        "int8 with a scale for each group of inputs is executed by no integer kernel: use --granularity channel, which costs less \
         and is as near at 8 bits"
    )]
    Int8Groups,
    /// int4 without groups.
    #[error(
        "int4 with one scale for a whole {0} is too coarse to be of use and MatMulNBits has no such form: use --granularity group"
    )]
    Int4Coarse(&'static str),
    /// int4 with ranges.
    #[error(
        "int4 layers quantise their activations while they run, MatMulNBits takes floats: leave --static out, or use --bits 8"
    )]
    Int4Static,
}

impl<'a> Form<'a> {
    /// The form of so many bits; what is not given is as [`Form::from`] has it.
    ///
    /// # Errors
    /// [`FormError`] for a combination that means nothing or that is not executed.
    pub fn of(
        bits: Bits,
        method: Option<Method>,
        granularity: Option<Granularity>,
        activations: Activations<'a>,
    ) -> Result<Form<'a>, FormError> {
        let fixed = matches!(activations, Activations::Static { .. });
        let symmetric = method.unwrap_or(Method::Symmetric);
        match (bits, granularity) {
            (Bits::Sixteen, None) if method.is_none() && !fixed => Ok(Form::Half),
            (Bits::Sixteen, _) => Err(FormError::Half),
            (Bits::Eight, Some(Granularity::Group)) => Err(FormError::Int8Groups),
            (Bits::Eight, granularity) => Ok(Form::Int8 {
                method: symmetric,
                granularity: granularity.unwrap_or(Granularity::Channel),
                activations,
            }),
            (Bits::Four, Some(Granularity::Tensor)) => Err(FormError::Int4Coarse("tensor")),
            (Bits::Four, Some(Granularity::Channel)) => Err(FormError::Int4Coarse("channel")),
            (Bits::Four, _) if fixed => Err(FormError::Int4Static),
            (Bits::Four, _) => Ok(Form::Int4 { method: symmetric }),
        }
    }
}

impl From<Bits> for Form<'_> {
    /// Symmetric weights, by channel in int8 and by group in int4, and dynamic activations.
    fn from(bits: Bits) -> Self {
        match bits {
            Bits::Sixteen => Form::Half,
            Bits::Eight => Form::Int8 {
                method: Method::Symmetric,
                granularity: Granularity::Channel,
                activations: Activations::Dynamic,
            },
            Bits::Four => Form::Int4 {
                method: Method::Symmetric,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn combinations_that_mean_nothing_are_refused_with_the_mend() {
        let ranges = Ranges::default();
        let fixed = Activations::Static {
            ranges: &ranges,
            choice: Choice::Extremes,
            method: Method::Asymmetric,
        };
        let dynamic = Activations::Dynamic;
        for (bits, method, granularity, activations, part) in [
            (
                Bits::Sixteen,
                Some(Method::Symmetric),
                None,
                dynamic,
                "leave --method",
            ),
            (Bits::Sixteen, None, None, fixed, "--static out"),
            (
                Bits::Eight,
                None,
                Some(Granularity::Group),
                dynamic,
                "--granularity channel",
            ),
            (
                Bits::Four,
                None,
                Some(Granularity::Tensor),
                fixed,
                "--granularity group",
            ),
            (
                Bits::Four,
                None,
                Some(Granularity::Channel),
                dynamic,
                "--granularity group",
            ),
            (Bits::Four, None, None, fixed, "--bits 8"),
        ] {
            let refused = Form::of(bits, method, granularity, activations)
                .unwrap_err()
                .to_string();
            assert!(refused.contains(part), "{refused}");
        }
        assert!(matches!(
            Form::of(Bits::Four, None, None, dynamic),
            Ok(Form::Int4 { .. })
        ));
        assert!(Form::of(Bits::Eight, None, Some(Granularity::Tensor), fixed).is_ok());
    }
}
