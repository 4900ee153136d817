//! The CPU engine: tract.

use std::path::Path;
use std::sync::Arc;

use tract_onnx::pb::ModelProto;
use tract_onnx::prelude::*;

use crate::engine::{Engine, EngineError, Session, Signature};
use crate::manifest::Manifest;
use crate::network::{Operators, parse, runnable, typed};

/// A streaming ONNX network optimised for this CPU. Clones and sessions share one copy of the weights.
#[derive(Clone)]
pub struct TractEngine {
    plan: Arc<TypedRunnableModel>,
    signature: Signature,
    wiring: Arc<Wiring>,
}

/// Which output of the network is the scores and how states go round; the one input left is the features.
struct Wiring {
    scores: usize,
    states: Vec<StateWire>,
}

struct StateWire {
    input: usize,
    output: usize,
    /// The state a stream starts from, shared by all sessions.
    zero: TValue,
}

impl TractEngine {
    /// Loads, checks and optimises `path`, whose tensors are named as `manifest` says.
    ///
    /// # Errors
    /// [`EngineError::Load`] when tract refuses the network, [`EngineError::Contract`] when its inputs and
    /// outputs are not those of the manifest.
    pub fn load(path: &Path, manifest: &Manifest) -> Result<TractEngine, EngineError> {
        TractEngine::new(parse(path)?, &path.display().to_string(), manifest)
    }

    /// The same for a network that was parsed; `file` is its name in errors.
    ///
    /// # Errors
    /// As [`TractEngine::load`].
    pub fn new(
        proto: ModelProto,
        file: &str,
        manifest: &Manifest,
    ) -> Result<TractEngine, EngineError> {
        let outputs: Vec<String> = proto
            .graph
            .iter()
            .flat_map(|g| &g.output)
            .map(|output| output.name.clone())
            .collect();
        let typed = typed(proto, file, Operators::Fused)?;
        let names = Names::of(&typed, outputs);
        let contract = |problem| EngineError::Contract {
            file: file.to_owned(),
            problem,
        };
        let (signature, wiring) = wire(&typed, &names, manifest).map_err(contract)?;
        Ok(TractEngine {
            plan: runnable(typed, file)?,
            signature,
            wiring: Arc::new(wiring),
        })
    }

    fn spawn(&self) -> Result<TypedSimpleState, EngineError> {
        self.plan
            .spawn()
            .map_err(|e| EngineError::Run(format!("{e:#}")))
    }
}

impl Engine for TractEngine {
    fn name(&self) -> &str {
        "tract"
    }

    fn signature(&self) -> Signature {
        self.signature
    }

    fn start(&self) -> Result<Box<dyn Session>, EngineError> {
        Ok(Box::new(TractSession {
            engine: self.clone(),
            runner: self.spawn()?,
            states: self.wiring.zeros(),
            scores: Tensor::default().into(),
        }))
    }
}

/// Names of a network's inputs and outputs, in its order.
struct Names {
    inputs: Vec<String>,
    outputs: Vec<String>,
}

impl Names {
    fn of(model: &TypedModel, outputs: Vec<String>) -> Names {
        let inputs = model
            .inputs
            .iter()
            .map(|outlet| model.node(outlet.node).name.clone())
            .collect();
        Names { inputs, outputs }
    }
}

/// Finds every tensor of the contract and checks its type and shape; the error is a sentence.
fn wire(
    model: &TypedModel,
    names: &Names,
    manifest: &Manifest,
) -> Result<(Signature, Wiring), String> {
    let a = &manifest.acoustic;
    let features = position(&names.inputs, &a.input)
        .ok_or_else(|| missing("input", &a.input, &names.inputs))?;
    let scores = position(&names.outputs, &a.output)
        .ok_or_else(|| missing("output", &a.output, &names.outputs))?;
    let found = float_shape(&a.input, model.input_fact(features))?;
    let wanted = [1, a.frames_per_step(), manifest.features.mels];
    if found != wanted {
        return Err(format!(
            "input `{}` is {found:?}, the manifest makes it {wanted:?}",
            a.input
        ));
    }
    let found = float_shape(&a.output, model.output_fact(scores))?;
    let [1, chunk, columns] = found[..] else {
        return Err(format!(
            "output `{}` is {found:?}, it should be [1, {}, columns]",
            a.output, a.chunk
        ));
    };
    if chunk != a.chunk || columns == 0 || columns % 2 != 0 {
        return Err(format!(
            "output `{}` is {found:?}, it should be [1, {}, an even number of columns]",
            a.output, a.chunk
        ));
    }
    let states = wire_states(model, names, manifest, features, scores)?;
    let signature = Signature {
        frames: wanted[1],
        mels: wanted[2],
        chunk,
        columns,
    };
    Ok((signature, Wiring { scores, states }))
}

/// Every input but the features is a state, and every output but the scores its successor.
fn wire_states(
    model: &TypedModel,
    names: &Names,
    manifest: &Manifest,
    features: usize,
    scores: usize,
) -> Result<Vec<StateWire>, String> {
    let a = &manifest.acoustic;
    let mut states = Vec::new();
    for (input, name) in names
        .inputs
        .iter()
        .enumerate()
        .filter(|(ix, _)| *ix != features)
    {
        let suffix = name.strip_prefix(&a.state_prefix).ok_or_else(|| {
            format!(
                "input `{name}` is neither `{}` nor starts with `{}`",
                a.input, a.state_prefix
            )
        })?;
        let successor = format!("{}{suffix}", a.next_prefix);
        let output = position(&names.outputs, &successor)
            .ok_or_else(|| missing("output", &successor, &names.outputs))?;
        let shape = float_shape(name, model.input_fact(input))?;
        let next = float_shape(&successor, model.output_fact(output))?;
        if shape != next {
            return Err(format!(
                "`{name}` is {shape:?} but `{successor}` is {next:?}"
            ));
        }
        let zero = Tensor::zero::<f32>(&shape)
            .map_err(|e| e.to_string())?
            .into();
        states.push(StateWire {
            input,
            output,
            zero,
        });
    }
    let used = |ix: usize| ix == scores || states.iter().any(|state| state.output == ix);
    match (0..names.outputs.len()).find(|ix| !used(*ix)) {
        None => Ok(states),
        Some(ix) => Err(format!(
            "output `{}` belongs to no state input",
            names.outputs[ix]
        )),
    }
}

fn position(names: &[String], wanted: &str) -> Option<usize> {
    names.iter().position(|name| name == wanted)
}

fn missing(what: &str, wanted: &str, there: &[String]) -> String {
    format!("there is no {what} `{wanted}` among {}", there.join(", "))
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

impl Wiring {
    fn zeros(&self) -> Vec<TValue> {
        self.states.iter().map(|state| state.zero.clone()).collect()
    }
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
        if features.len() != frames * mels {
            return Err(EngineError::Length {
                expected: frames * mels,
                found: features.len(),
            });
        }
        let run = |e: TractError| EngineError::Run(format!("{e:#}"));
        if let Err(e) = self.advance(features) {
            self.reset();
            return Err(run(e));
        }
        self.scores
            .try_as_plain_ram()
            .and_then(|scores| scores.as_slice::<f32>())
            .map_err(run)
    }

    fn reset(&mut self) {
        self.states = self.engine.wiring.zeros();
    }

    fn fork(&self) -> Box<dyn Session> {
        Box::new(TractSession {
            engine: self.engine.clone(),
            runner: self.runner.clone(),
            states: self.states.clone(),
            scores: self.scores.clone(),
        })
    }
}
