//! Any ONNX network, run once on given inputs: for measuring and comparing. Streams go through
//! [`AcousticModel`](crate::AcousticModel).

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use prost::Message;
use tract_onnx::pb::ModelProto;
use tract_onnx::prelude::*;

use crate::engine::EngineError;
use crate::file_bytes::FileBytes;
use crate::fused::{self, Program, Stream};
use crate::whole;

/// How a network is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operators {
    /// As the recogniser runs it, with operators of ours where they fit.
    Fused,
    /// With tract's alone, for comparison.
    Stock,
}

/// A network of float inputs and outputs of fixed shapes.
pub struct Network {
    runner: Runner,
    shapes: Vec<Vec<usize>>,
}

enum Runner {
    Program(Program, Box<Stream>),
    Tract {
        plan: Arc<TypedRunnableModel>,
        state: TypedSimpleState,
        /// What [`Network::set`] was given.
        inputs: TVec<TValue>,
        outputs: TVec<TValue>,
    },
}

impl Network {
    /// Loads and optimises a file.
    ///
    /// # Errors
    /// [`EngineError::Load`] when it cannot be run or a shape is open.
    pub fn load(path: &Path, operators: Operators) -> Result<Network, EngineError> {
        Network::new(parse(path)?, &path.display().to_string(), operators)
    }

    /// The same for a network that was parsed; `file` is its name in errors.
    ///
    /// # Errors
    /// As [`Network::load`].
    pub(crate) fn new(
        proto: ModelProto,
        file: &str,
        operators: Operators,
    ) -> Result<Network, EngineError> {
        match load(proto, file, operators)? {
            Loaded::Program(program) => {
                let stream = Box::new(program.stream());
                Ok(Network {
                    shapes: program.inputs().map(|input| input.shape.clone()).collect(),
                    runner: Runner::Program(program, stream),
                })
            }
            Loaded::Typed(typed) => {
                let shapes = shapes(&typed).map_err(problem(file, "shape inference"))?;
                let plan = runnable(typed, file)?;
                let state = plan.spawn().map_err(problem(file, "planning"))?;
                Ok(Network {
                    runner: Runner::Tract {
                        plan,
                        state,
                        inputs: TVec::new(),
                        outputs: TVec::new(),
                    },
                    shapes,
                })
            }
        }
    }

    /// Shapes of the inputs.
    pub fn inputs(&self) -> &[Vec<usize>] {
        &self.shapes
    }

    /// How often each kind of operator occurs.
    pub fn operators(&self) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        match &self.runner {
            Runner::Program(program, _) => return program.operators(),
            Runner::Tract { plan, .. } => {
                for node in plan.model().nodes() {
                    *counts.entry(node.op.name().into_owned()).or_default() += 1;
                }
            }
        }
        counts
    }

    /// Whether it runs as a program of our operators alone, without tract.
    pub fn is_program(&self) -> bool {
        matches!(self.runner, Runner::Program(..))
    }

    /// Runs it once: row-major values of each input to those of each output.
    ///
    /// # Errors
    /// [`EngineError::Length`] for an input of another size, [`EngineError::Run`] when tract fails.
    pub fn run(&mut self, inputs: &[Vec<f32>]) -> Result<Vec<Vec<f32>>, EngineError> {
        self.set(inputs)?;
        self.step()?;
        self.get()
    }

    /// Sets all inputs, the states among them.
    ///
    /// # Errors
    /// As [`Network::run`].
    pub fn set(&mut self, values: &[Vec<f32>]) -> Result<(), EngineError> {
        for (values, shape) in values.iter().zip(&self.shapes) {
            let (expected, found) = (shape.iter().product::<usize>(), values.len());
            if found != expected {
                return Err(EngineError::Length { expected, found });
            }
        }
        match &mut self.runner {
            Runner::Program(program, stream) => program.write(stream, values),
            Runner::Tract { inputs, .. } => {
                let tensors = values.iter().zip(&self.shapes);
                let tensors = tensors.map(|(values, shape)| Tensor::from_shape(shape, values));
                let tensors = tensors.map(|tensor| Ok(tensor?.into()));
                *inputs = tensors.collect::<TractResult<_>>().map_err(failed)?;
            }
        }
        Ok(())
    }

    /// One step from the inputs as they are: what a stream costs. A program of ours goes on from the states it has reached;
    /// tract has all inputs as they were set.
    ///
    /// # Errors
    /// [`EngineError::Run`] when tract fails.
    pub fn step(&mut self) -> Result<(), EngineError> {
        match &mut self.runner {
            Runner::Program(program, stream) => program.step(stream),
            Runner::Tract {
                state,
                inputs,
                outputs,
                ..
            } => *outputs = state.run(inputs.clone()).map_err(failed)?,
        }
        Ok(())
    }

    /// Values of each output after the last step.
    ///
    /// # Errors
    /// [`EngineError::Run`] when an output holds no floats.
    pub fn get(&self) -> Result<Vec<Vec<f32>>, EngineError> {
        let floats = |output: &TValue| Ok(output.try_as_plain_ram()?.as_slice::<f32>()?.to_vec());
        match &self.runner {
            Runner::Program(program, stream) => Ok(program.read(stream)),
            Runner::Tract { outputs, .. } => {
                let values = outputs.iter().map(floats);
                values.collect::<TractResult<_>>().map_err(failed)
            }
        }
    }
}

fn failed(problem: TractError) -> EngineError {
    EngineError::Run(format!("{problem:#}"))
}

/// What went wrong with a file, at a stage of its way to a network that runs.
fn problem(file: &str, stage: &'static str) -> impl FnOnce(TractError) -> EngineError {
    let file = file.to_owned();
    move |e| EngineError::Load {
        file,
        stage,
        problem: format!("{e:#}"),
    }
}

/// Reads an ONNX file.
pub(crate) fn parse(path: &Path) -> Result<ModelProto, EngineError> {
    let file = path.display().to_string();
    let reading = |e: io::Error| problem(&file, "reading")(e.into());
    let mut bytes = FileBytes::open(path).map_err(reading)?;
    let decoded = ModelProto::decode(&mut bytes);
    bytes.finish().map_err(reading)?;
    let model = decoded.map_err(|e| problem(&file, "parsing")(e.into()))?;
    match whole::strayed(&model) {
        None => Ok(model),
        Some(tensor) => Err(problem(&file, "parsing")(TractError::msg(format!(
            "`{tensor}` lies in another file, which no manifest vouches for: save the network with all its weights inside"
        )))),
    }
}

/// A network on its way to where it runs.
pub(crate) enum Loaded {
    /// All of it is ours.
    Program(Program),
    /// Tract runs it, with our operators where they fit.
    Typed(TypedModel),
}

/// Fuses a network if wanted, and finds out how it runs; `file` is its name in errors.
pub(crate) fn load(
    mut proto: ModelProto,
    file: &str,
    operators: Operators,
) -> Result<Loaded, EngineError> {
    if operators == Operators::Fused {
        fused::fuse(&mut proto);
        if let Some(graph) = proto.graph.take_if(|graph| Program::suits(graph)) {
            let program = Program::of(graph).map_err(TractError::msg);
            return Ok(Loaded::Program(program.map_err(problem(file, "building"))?));
        }
    }
    let mut onnx = tract_onnx::onnx();
    if operators == Operators::Fused {
        fused::register(&mut onnx);
    }
    let inferred = onnx
        .model_for_proto_model(&proto)
        .map_err(problem(file, "building"))?;
    drop(proto);
    let typed = inferred.into_typed();
    Ok(Loaded::Typed(
        typed.map_err(problem(file, "shape inference"))?,
    ))
}

/// Optimises a network and lays out its run.
pub(crate) fn runnable(
    typed: TypedModel,
    file: &str,
) -> Result<Arc<TypedRunnableModel>, EngineError> {
    let optimised = typed
        .into_optimized()
        .map_err(problem(file, "optimisation"))?;
    optimised.into_runnable().map_err(problem(file, "planning"))
}

fn shapes(model: &TypedModel) -> TractResult<Vec<Vec<usize>>> {
    let mut shapes = Vec::new();
    for input in 0..model.inputs.len() {
        let fact = model.input_fact(input)?;
        let shape = fact.shape.as_concrete();
        let shape = shape.ok_or_else(|| {
            TractError::msg(format!("input {input} has the open shape {:?}", fact.shape))
        })?;
        shapes.push(shape.to_vec());
    }
    Ok(shapes)
}
