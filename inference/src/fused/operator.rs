//! What an operator of ours is: floats in, floats out, and what it remembers from step to step.

use std::fmt;

use super::linear::Linear;
use crate::gemm::{Rows, Tier};

/// Memory of one operator in one stream, in an order of the operator's own.
#[derive(Debug, Clone, Default)]
pub(crate) struct Past {
    pub values: Vec<f32>,
    /// Where in the values the oldest frame lies, for memories that go round.
    pub oldest: usize,
}

/// Room that all operators of a stream share while they run. It grows in the first step and stays.
pub(crate) struct Workspace {
    pub tier: Tier,
    pub rows: Rows,
    pub sums: Vec<i32>,
    pub int4_rows: Rows,
    /// For whatever an operator needs; what is in them is left over from another.
    pub floats: [Vec<f32>; 3],
}

impl Workspace {
    /// Empty, for kernels of this tier.
    pub fn new(tier: Tier) -> Workspace {
        Workspace {
            tier,
            rows: Rows::new(tier),
            sums: Vec::new(),
            int4_rows: Rows::for_int4(tier),
            floats: Default::default(),
        }
    }
}

/// An operator with its constants. Inputs, states and their successors are row-major floats of fixed shapes; a node of it
/// names its inputs, then its states, then its constants, and its output before the successors of the states.
pub(crate) trait Operator: fmt::Debug + Send + Sync {
    /// What it is called in lists.
    fn name(&self) -> &'static str;

    /// Number of inputs that are no constants and no states.
    fn inputs(&self) -> usize {
        1
    }

    /// Shape of the output for that of the first input. The error is a sentence.
    fn output(&self, input: &[usize]) -> Result<Vec<usize>, String>;

    /// Shape of every other input for that of the first: that of the output unless it says otherwise.
    fn beside(&self, input: &[usize]) -> Result<Vec<usize>, String> {
        self.output(input)
    }

    /// Whether it takes any number of rows, the last axis but one of its first input, without state.
    fn takes_any_rows(&self) -> bool {
        false
    }

    /// The layer of constant weights that it is, if it is one.
    fn linear(&self) -> Option<&Linear> {
        None
    }

    /// Shapes of the states.
    fn states(&self) -> Vec<Vec<usize>> {
        Vec::new()
    }

    /// What it remembers of states that are all zeros.
    fn past(&self) -> Past {
        Past::default()
    }

    /// Remembers what the states hold.
    fn import(&self, _states: &[&[f32]], _past: &mut Past) {}

    /// Writes what it remembers to the states.
    fn export(&self, _past: &Past, _states: &mut [&mut [f32]]) {}

    /// One step: writes the output, whose contents are left over, and moves the memory on. The last axis of the first input
    /// has `width` values.
    fn run(
        &self,
        inputs: &[&[f32]],
        width: usize,
        past: &mut Past,
        out: &mut [f32],
        work: &mut Workspace,
    );
}
