//! Any ONNX network, run once on given inputs: for measuring and comparing. Streams go through
//! [`AcousticModel`](crate::AcousticModel).

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use tract_onnx::pb::ModelProto;
use tract_onnx::prelude::*;

use crate::engine::EngineError;
use crate::fused;

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
    plan: Arc<TypedRunnableModel>,
    state: TypedSimpleState,
    shapes: Vec<Vec<usize>>,
}

impl Network {
    /// Loads and optimises a file.
    ///
    /// # Errors
    /// [`EngineError::Load`] when tract refuses it or a shape is open.
    pub fn load(path: &Path, operators: Operators) -> Result<Network, EngineError> {
        let file = path.display().to_string();
        let typed = typed(parse(path)?, &file, operators)?;
        let shapes = shapes(&typed).map_err(problem(&file, "shape inference"))?;
        let plan = runnable(typed, &file)?;
        let state = plan.spawn().map_err(problem(&file, "planning"))?;
        Ok(Network {
            plan,
            state,
            shapes,
        })
    }

    /// Shapes of the inputs.
    pub fn inputs(&self) -> &[Vec<usize>] {
        &self.shapes
    }

    /// How often each kind of operator occurs.
    pub fn operators(&self) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for node in self.plan.model().nodes() {
            *counts.entry(node.op.name().into_owned()).or_default() += 1;
        }
        counts
    }

    /// Runs it once: row-major values of each input to those of each output.
    ///
    /// # Errors
    /// [`EngineError::Length`] for an input of another size, [`EngineError::Run`] when tract fails.
    pub fn run(&mut self, inputs: &[Vec<f32>]) -> Result<Vec<Vec<f32>>, EngineError> {
        let run = |e: TractError| EngineError::Run(format!("{e:#}"));
        let mut tensors = TVec::new();
        for (values, shape) in inputs.iter().zip(&self.shapes) {
            let expected = shape.iter().product();
            if values.len() != expected {
                return Err(EngineError::Length {
                    expected,
                    found: values.len(),
                });
            }
            tensors.push(Tensor::from_shape(shape, values).map_err(run)?.into());
        }
        let outputs = self.state.run(tensors).map_err(run)?;
        let floats = |output: &TValue| Ok(output.try_as_plain_ram()?.as_slice::<f32>()?.to_vec());
        outputs
            .iter()
            .map(floats)
            .collect::<TractResult<_>>()
            .map_err(run)
    }
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
    let bytes = fs::read(path).map_err(|e| problem(&file, "reading")(e.into()))?;
    tract_onnx::onnx()
        .proto_model_for_read(&mut bytes.as_slice())
        .map_err(problem(&file, "parsing"))
}

/// A network with the types and shapes of all its tensors; `file` is its name in errors.
pub(crate) fn typed(
    mut proto: ModelProto,
    file: &str,
    operators: Operators,
) -> Result<TypedModel, EngineError> {
    let mut onnx = tract_onnx::onnx();
    if operators == Operators::Fused {
        fused::register(&mut onnx);
        fused::fuse(&mut proto);
    }
    let inferred = onnx
        .model_for_proto_model(&proto)
        .map_err(problem(file, "building"))?;
    drop(proto);
    inferred
        .into_typed()
        .map_err(problem(file, "shape inference"))
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
