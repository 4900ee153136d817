//! A network that runs as a program of our operators.

use std::sync::Arc;

use crate::engine::{Engine, EngineError, Session, Signature, State, fits};
use crate::fused::{Program, Stream};
use crate::manifest::Manifest;
use crate::wiring::{Port, Wiring, wire};

/// A streaming network of our operators alone. Clones and sessions share one copy of the weights.
#[derive(Clone)]
pub(crate) struct FusedEngine {
    program: Arc<Program>,
    signature: Signature,
    wiring: Arc<Wiring>,
}

impl FusedEngine {
    /// Checks a program against the manifest; `file` is its name in errors.
    ///
    /// # Errors
    /// [`EngineError::Contract`] when its inputs and outputs are not those of the manifest.
    pub fn new(
        program: Program,
        file: &str,
        manifest: &Manifest,
    ) -> Result<FusedEngine, EngineError> {
        let ports = |tensors: Vec<(String, Vec<usize>)>| -> Vec<Port> {
            let ports = tensors.into_iter().map(|(name, shape)| Port {
                name,
                shape: Ok(shape),
            });
            ports.collect()
        };
        let of = |tensor: &crate::fused::Tensor| (tensor.name.clone(), tensor.shape.clone());
        let inputs = ports(program.inputs().map(of).collect());
        let outputs = ports(program.outputs().map(of).collect());
        let checked = wire(&inputs, &outputs, manifest);
        let (signature, wiring) = checked.map_err(|problem| EngineError::Contract {
            file: file.to_owned(),
            problem,
        })?;
        Ok(FusedEngine {
            program: Arc::new(program),
            signature,
            wiring: Arc::new(wiring),
        })
    }
}

impl Engine for FusedEngine {
    fn name(&self) -> &str {
        "fused"
    }

    fn signature(&self) -> Signature {
        self.signature
    }

    fn states(&self) -> &[State] {
        &self.wiring.named
    }

    fn start(&self) -> Result<Box<dyn Session>, EngineError> {
        Ok(Box::new(FusedSession {
            stream: self.program.stream(),
            engine: self.clone(),
        }))
    }
}

struct FusedSession {
    engine: FusedEngine,
    stream: Stream,
}

impl Session for FusedSession {
    fn step(&mut self, features: &[f32]) -> Result<&[f32], EngineError> {
        let FusedEngine {
            program,
            signature,
            wiring,
        } = &self.engine;
        fits(signature.frames * signature.mels, features.len())?;
        let missing = || EngineError::Run("the features or the scores are a state".into());
        let input = program.input(&mut self.stream, wiring.features);
        input.ok_or_else(missing)?.copy_from_slice(features);
        program.step(&mut self.stream);
        let scores = program.output(&self.stream, wiring.scores);
        scores.ok_or_else(missing)
    }

    fn reset(&mut self) {
        self.stream.reset();
    }

    fn fork(&self) -> Box<dyn Session> {
        Box::new(FusedSession {
            engine: self.engine.clone(),
            stream: self.stream.clone(),
        })
    }

    fn export(&self, values: &mut [f32]) -> Result<(), EngineError> {
        let FusedEngine {
            program, wiring, ..
        } = &self.engine;
        fits(wiring.remembered(), values.len())?;
        let outputs = program.read(&self.stream);
        let mut rest = values;
        for wire in &wiring.states {
            let state = &outputs[wire.output];
            let (here, after) = rest.split_at_mut(state.len());
            here.copy_from_slice(state);
            rest = after;
        }
        Ok(())
    }

    fn import(&mut self, values: &[f32]) -> Result<(), EngineError> {
        let FusedEngine {
            program, wiring, ..
        } = &self.engine;
        fits(wiring.remembered(), values.len())?;
        let sizes = program.inputs().map(|input| input.shape.iter().product());
        let mut inputs: Vec<Vec<f32>> = sizes.map(|size| vec![0.0; size]).collect();
        let mut rest = values;
        for wire in &wiring.states {
            let state = &mut inputs[wire.input];
            let (here, after) = rest.split_at(state.len());
            state.copy_from_slice(here);
            rest = after;
        }
        program.write(&mut self.stream, &inputs);
        Ok(())
    }
}
