//! A network that tract runs.

use std::sync::Arc;

use tract_onnx::prelude::*;

use crate::engine::{Engine, EngineError, Session, Signature, State, fits};
use crate::manifest::Manifest;
use crate::network::runnable;
use crate::wiring::{Port, Wiring, wire};

/// A streaming network optimised for this CPU by tract. Clones and sessions share one copy of the weights.
#[derive(Clone)]
pub(crate) struct TractEngine {
    plan: Arc<TypedRunnableModel>,
    signature: Signature,
    wiring: Arc<Wiring>,
    /// The states that a stream starts from.
    zeros: Arc<[TValue]>,
}

impl TractEngine {
    /// Checks and optimises a network whose outputs have these names.
    ///
    /// # Errors
    /// [`EngineError::Load`] when tract refuses the network, [`EngineError::Contract`] when its inputs and
    /// outputs are not those of the manifest.
    pub fn new(
        typed: TypedModel,
        outputs: Vec<String>,
        file: &str,
        manifest: &Manifest,
    ) -> Result<TractEngine, EngineError> {
        let contract = |problem| EngineError::Contract {
            file: file.to_owned(),
            problem,
        };
        let inputs: Vec<Port> = typed
            .inputs
            .iter()
            .map(|outlet| {
                port(
                    typed.node(outlet.node).name.clone(),
                    typed.outlet_fact(*outlet),
                )
            })
            .collect();
        let outputs = outputs.into_iter().zip(&typed.outputs);
        let outputs: Vec<Port> = outputs
            .map(|(name, outlet)| port(name, typed.outlet_fact(*outlet)))
            .collect();
        let (signature, wiring) = wire(&inputs, &outputs, manifest).map_err(contract)?;
        let zeros = wiring.states.iter().map(|state| {
            let zero = Tensor::zero::<f32>(&state.shape);
            zero.map(TValue::from).map_err(failed)
        });
        Ok(TractEngine {
            signature,
            zeros: zeros.collect::<Result<_, _>>()?,
            wiring: Arc::new(wiring),
            plan: runnable(typed, file)?,
        })
    }

    fn spawn(&self) -> Result<TypedSimpleState, EngineError> {
        self.plan.spawn().map_err(failed)
    }
}

impl Engine for TractEngine {
    fn name(&self) -> &str {
        "tract"
    }

    fn signature(&self) -> Signature {
        self.signature
    }

    fn states(&self) -> &[State] {
        &self.wiring.named
    }

    fn start(&self) -> Result<Box<dyn Session>, EngineError> {
        Ok(Box::new(TractSession {
            engine: self.clone(),
            runner: self.spawn()?,
            states: self.zeros.to_vec(),
            scores: Tensor::default().into(),
        }))
    }
}

fn port(name: String, fact: TractResult<&TypedFact>) -> Port {
    Port {
        shape: float_shape(&name, fact),
        name,
    }
}

fn float_shape(name: &str, fact: TractResult<&TypedFact>) -> Result<Vec<usize>, String> {
    let fact = fact.map_err(|e| e.to_string())?;
    if fact.datum_type != f32::datum_type() {
        return Err(format!(
            "`{name}` holds {:?}, it should hold f32",
            fact.datum_type
        ));
    }
    let shape = fact.shape.as_concrete().ok_or_else(|| {
        format!(
            "`{name}` has the open shape {:?}; export the network with fixed shapes",
            fact.shape
        )
    })?;
    Ok(shape.to_vec())
}

struct TractSession {
    engine: TractEngine,
    runner: TypedSimpleState,
    /// In the order of `Wiring::states`. Immutable once made, so that a fork shares them.
    states: Vec<TValue>,
    scores: TValue,
}

impl TractSession {
    /// States are moved in and moved out again: the network may overwrite what it alone holds.
    fn advance(&mut self, features: &[f32]) -> TractResult<()> {
        let Signature { frames, mels, .. } = self.engine.signature;
        let wiring = &self.engine.wiring;
        let features: TValue = Tensor::from_shape(&[1, frames, mels], features)?.into();
        let mut inputs: TVec<TValue> =
            std::iter::repeat_n(features, 1 + wiring.states.len()).collect();
        for (wire, state) in wiring.states.iter().zip(std::mem::take(&mut self.states)) {
            inputs[wire.input] = state;
        }
        let outputs = self.runner.run(inputs)?;
        self.states = wiring
            .states
            .iter()
            .map(|wire| outputs[wire.output].clone())
            .collect();
        self.scores = outputs[wiring.scores].clone();
        Ok(())
    }
}

impl Session for TractSession {
    fn step(&mut self, features: &[f32]) -> Result<&[f32], EngineError> {
        let Signature { frames, mels, .. } = self.engine.signature;
        fits(frames * mels, features.len())?;
        if let Err(e) = self.advance(features) {
            self.reset();
            return Err(failed(e));
        }
        self.scores
            .try_as_plain_ram()
            .and_then(|scores| scores.as_slice::<f32>())
            .map_err(failed)
    }

    fn reset(&mut self) {
        self.states = self.engine.zeros.to_vec();
    }

    fn fork(&self) -> Box<dyn Session> {
        Box::new(TractSession {
            engine: self.engine.clone(),
            runner: self.runner.clone(),
            states: self.states.clone(),
            scores: self.scores.clone(),
        })
    }

    fn export(&self, values: &mut [f32]) -> Result<(), EngineError> {
        fits(self.engine.wiring.remembered(), values.len())?;
        let mut rest = values;
        for state in &self.states {
            let state = state.try_as_plain_ram().map_err(failed)?;
            let state = state.as_slice::<f32>().map_err(failed)?;
            let (here, after) = rest.split_at_mut(state.len());
            here.copy_from_slice(state);
            rest = after;
        }
        Ok(())
    }

    fn import(&mut self, values: &[f32]) -> Result<(), EngineError> {
        let wiring = &self.engine.wiring;
        fits(wiring.remembered(), values.len())?;
        let mut rest = values;
        let mut states = Vec::new();
        for wire in &wiring.states {
            let (here, after) = rest.split_at(wire.shape.iter().product());
            let state = Tensor::from_shape(&wire.shape, here).map_err(failed)?;
            states.push(state.into());
            rest = after;
        }
        self.states = states;
        Ok(())
    }
}

fn failed(error: TractError) -> EngineError {
    EngineError::Run(format!("{error:#}"))
}
