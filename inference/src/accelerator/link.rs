//! A running program with the tensors of its network.

use vocar_accel::{Child, ChildError, Part, Plan, Tensor};

use super::Offer;
use crate::engine::{Signature, State};

/// The program, and where its tensors lie.
pub(super) struct Link {
    child: Child,
    features: usize,
    scores: usize,
    states: Vec<Tensor>,
    next: Vec<Tensor>,
    /// What runs it, in the program's words.
    pub by: String,
}

impl Link {
    /// Starts the program and has it load the offered network, whose features, scores and states are these. With `profiled` it
    /// can say afterwards what ran where.
    ///
    /// # Errors
    /// [`ChildError`]; nothing is left running.
    pub fn start(
        offer: &Offer,
        signature: Signature,
        states: &[State],
        profiled: bool,
    ) -> Result<Link, ChildError> {
        let features = [1, signature.frames, signature.mels];
        let scores = [1, signature.chunk, signature.columns];
        let ins = states.iter().map(|one| (&*one.input, &*one.shape));
        let outs = states.iter().map(|one| (&*one.output, &*one.shape));
        let (input, output) = (&*offer.ports.0, &*offer.ports.1);
        let (inputs, end) = Tensor::lay(std::iter::once((input, &features[..])).chain(ins), 0);
        let (outputs, end) = Tensor::lay(std::iter::once((output, &scores[..])).chain(outs), end);
        let profile = std::env::temp_dir().join(format!("vocar-accel-{}", std::process::id()));
        let (features, scores) = (inputs[0].offset, outputs[0].offset);
        let (states, next) = (inputs[1..].to_vec(), outputs[1..].to_vec());
        let plan = Plan {
            runtime: offer.runtime.clone(),
            network: offer.network.clone(),
            provider: offer.provider.clone(),
            placement: offer.placement,
            inputs,
            outputs,
            profile: profiled.then_some(profile),
        };
        let (child, loaded) = Child::start(&offer.program, plan, end, offer.patience)?;
        Ok(Link {
            child,
            features,
            scores,
            states,
            next,
            by: loaded.by,
        })
    }

    /// The number of its process.
    pub fn process(&self) -> u32 {
        self.child.id()
    }

    /// One step; states lie one after the other, in the order in which they were named.
    ///
    /// # Errors
    /// [`ChildError`]: it must not be used any more.
    pub fn step(
        &mut self,
        features: &[f32],
        states: &[f32],
        scores: &mut [f32],
        next: &mut [f32],
    ) -> Result<(), ChildError> {
        let memory = self.child.memory();
        let mut fits = memory.write(self.features, features);
        let mut rest = states;
        for tensor in &self.states {
            let (here, after) = rest.split_at(tensor.len());
            fits &= memory.write(tensor.offset, here);
            rest = after;
        }
        self.child.step()?;
        let memory = self.child.memory();
        fits &= memory.read(self.scores, scores);
        let mut rest = next;
        for tensor in &self.next {
            let (here, after) = rest.split_at_mut(tensor.len());
            fits &= memory.read(tensor.offset, here);
            rest = after;
        }
        let outside = || ChildError::Wrong("a tensor lies outside the shared memory".into());
        fits.then_some(()).ok_or_else(outside)
    }

    /// What ran where.
    ///
    /// # Errors
    /// [`ChildError`].
    pub fn parts(self) -> Result<Vec<Part>, ChildError> {
        self.child.parts()
    }
}
