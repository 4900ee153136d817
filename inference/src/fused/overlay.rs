//! Low-rank additions to the layers of a network (E. Hu et al., "LoRA", 2021), kept apart from its weights.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Program;
use super::linear::turned;
use crate::gemm::{FloatWeights, Left, Tier, multiply_float};

/// A layer's product of two narrow matrices, added to its output before bias and activation.
#[derive(Debug, Clone)]
pub struct LowRank {
    /// `[inputs, rank]`.
    down: FloatWeights,
    /// `[rank, outputs]`, with the scale in it.
    up: FloatWeights,
}

impl LowRank {
    /// `scale · b a` for a layer whose weight is `[outputs, inputs]`: `a` is row-major `[rank][inputs]`, `b` `[outputs][rank]`.
    ///
    /// # Errors
    /// A sentence, when the rank is nought, a length is no multiple of it, or a value is not finite.
    pub fn new(a: &[f32], b: &[f32], rank: usize, scale: f32) -> Result<LowRank, String> {
        if rank == 0 || !a.len().is_multiple_of(rank) || !b.len().is_multiple_of(rank) {
            return Err(format!(
                "{} and {} values are no matrices of the rank {rank}",
                a.len(),
                b.len()
            ));
        }
        let scaled: Vec<f32> = b.iter().map(|value| value * scale).collect();
        if !a.iter().chain(&scaled).all(|value| value.is_finite()) {
            return Err("holds values that are no numbers".into());
        }
        let (inputs, outputs) = (a.len() / rank, b.len() / rank);
        Ok(LowRank {
            down: FloatWeights::new(&turned(a, inputs), inputs, rank),
            up: FloatWeights::new(&turned(&scaled, rank), rank, outputs),
        })
    }

    /// Inputs of the layer it is for.
    pub fn inputs(&self) -> usize {
        self.down.inputs()
    }

    /// Outputs of the layer it is for.
    pub fn outputs(&self) -> usize {
        self.up.outputs()
    }

    /// Bytes of its matrices.
    pub fn bytes(&self) -> usize {
        self.down.bytes() + self.up.bytes()
    }

    /// What it adds to each row of inputs, with `bias` added to it: `[rows][outputs filled up to 16]`, in `biased`. `narrow` is
    /// room to work in.
    pub(super) fn add_to(
        &self,
        tier: Tier,
        input: &[f32],
        bias: &[f32],
        narrow: &mut Vec<f32>,
        biased: &mut Vec<f32>,
    ) {
        let (inputs, rank) = (self.down.inputs(), self.up.inputs());
        let (rows, between) = (input.len() / inputs, self.down.padded_outputs());
        let width = self.up.padded_outputs();
        narrow.resize(rows * between, 0.0);
        biased.resize(rows * width, 0.0);
        let left = Left::rows(input, inputs, inputs);
        multiply_float(tier, left, &self.down, narrow);
        let left = Left::rows(narrow, between, rank);
        multiply_float(tier, left, &self.up, biased);
        for row in biased.chunks_exact_mut(width) {
            for (value, bias) in row.iter_mut().zip(bias) {
                *value += bias;
            }
        }
    }

    /// The product itself, `[inputs][outputs]`, added to a weight.
    pub(super) fn add_to_weight(&self, weight: &mut [f32]) {
        let (up, outputs) = (self.up.to_floats(), self.up.outputs());
        for (input, row) in weight.chunks_exact_mut(outputs).enumerate() {
            for (number, up) in up.chunks_exact(outputs).enumerate() {
                let factor = self.down.at(input, number);
                for (value, up) in row.iter_mut().zip(up) {
                    *value += factor * up;
                }
            }
        }
    }
}

/// Why an overlay does not fit a network. The text says what it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OverlayError {
    /// The network has no layer of this name.
    #[error("the network has no layer `{layer}`, only {known}")]
    UnknownLayer {
        /// The name.
        layer: String,
        /// Those it has.
        known: String,
    },
    /// The layer has other sizes.
    #[error(
        "layer `{layer}` takes {inputs} values and gives {outputs}; what is to be added takes and gives {found:?}"
    )]
    Sizes {
        /// Name of the layer.
        layer: String,
        /// Inputs of the network's layer.
        inputs: usize,
        /// Its outputs.
        outputs: usize,
        /// Inputs and outputs of what was given.
        found: (usize, usize),
    },
    /// It was made for another network.
    #[error("the overlay was made for another network: make it for this one")]
    Foreign,
}

/// Low-rank additions that fit one network. The network's weights stay as they are and may be used without it, or with others,
/// at the same time.
#[derive(Debug, Clone)]
pub struct Overlay {
    program: Arc<Program>,
    /// One for each step of the program that gets one.
    steps: Vec<Option<LowRank>>,
}

impl Overlay {
    /// Finds the layers; the names are those of the network's file.
    pub(crate) fn new(
        program: &Arc<Program>,
        mut layers: BTreeMap<String, LowRank>,
    ) -> Result<Overlay, OverlayError> {
        let mut steps = Vec::new();
        let mut known = Vec::new();
        for linear in program.linears() {
            let taken = linear.and_then(|linear| Some((linear, layers.remove(linear.layer())?)));
            known.extend(linear.map(|linear| linear.layer().to_owned()));
            let Some((linear, low)) = taken else {
                steps.push(None);
                continue;
            };
            let (wanted, found) = (linear.sizes(), (low.inputs(), low.outputs()));
            if wanted != found {
                return Err(OverlayError::Sizes {
                    layer: linear.layer().to_owned(),
                    inputs: wanted.0,
                    outputs: wanted.1,
                    found,
                });
            }
            steps.push(Some(low));
        }
        match layers.into_keys().next() {
            Some(layer) => Err(OverlayError::UnknownLayer {
                layer,
                known: known.join(", "),
            }),
            None => Ok(Overlay {
                program: Arc::clone(program),
                steps,
            }),
        }
    }

    /// Bytes of its matrices.
    pub fn bytes(&self) -> usize {
        self.steps.iter().flatten().map(LowRank::bytes).sum()
    }

    /// What is added to each step, if it was made for this program.
    pub(crate) fn steps(&self, program: &Program) -> Option<&[Option<LowRank>]> {
        std::ptr::eq(&*self.program, program).then_some(&self.steps[..])
    }
}
