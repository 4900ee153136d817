//! A network over the words of a sentence: rows of words in, a state for each out.

use std::fmt;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use tract_onnx::pb::tensor_shape_proto::dimension::Value;
use tract_onnx::pb::{ModelProto, ValueInfoProto, type_proto};
use tract_onnx::prelude::*;

use crate::engine::EngineError;
use crate::network::{Operators, parse, runnable, typed};

/// Name of the open dimension in the file.
const LENGTH: &str = "length";
/// What the mask holds where there is no word: its weight in attention is nought.
const NOTHING: f32 = -10_000.0;

/// A network with the inputs `rows` `[1, length, row]` and `mask` `[1, 1, 1, length]` and one output `[1, length, dim]`,
/// laid out for a few lengths; a sentence runs at the first that holds it.
pub struct WordNetwork {
    plans: Vec<Plan>,
    row: usize,
    dim: usize,
}

struct Plan {
    length: usize,
    runner: Mutex<TypedSimpleState>,
}

impl WordNetwork {
    /// Loads and optimises a file for `lengths`, in words and ascending.
    ///
    /// # Errors
    /// [`EngineError::Load`] when tract refuses it, [`EngineError::Contract`] when it has other inputs or outputs.
    pub fn load(path: &Path, lengths: &[usize]) -> Result<WordNetwork, EngineError> {
        let file = path.display().to_string();
        let proto = parse(path)?;
        let (mut plans, mut sizes) = (Vec::new(), (0, 0));
        for &length in lengths {
            let mut proto = proto.clone();
            fix_length(&mut proto, length);
            let typed = typed(proto, &file, Operators::Fused)?;
            sizes = contract(&typed, length).map_err(|problem| EngineError::Contract {
                file: file.clone(),
                problem,
            })?;
            let runner = runnable(typed, &file)?
                .spawn()
                .map_err(|e| EngineError::Run(format!("{e:#}")))?;
            let runner = Mutex::new(runner);
            plans.push(Plan { length, runner });
        }
        let (row, dim) = sizes;
        Ok(WordNetwork { plans, row, dim })
    }

    /// Width of a row.
    pub fn row(&self) -> usize {
        self.row
    }

    /// Width of a state.
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// One sentence: `rows` is row-major `[words][row]`, the result `[words][dim]`.
    ///
    /// # Errors
    /// [`EngineError::Length`] for no words, more than the longest length, or no whole rows; [`EngineError::Run`] when tract
    /// fails.
    pub fn run(&self, rows: &[f32]) -> Result<Vec<f32>, EngineError> {
        let words = rows.len() / self.row.max(1);
        let plan = self.plans.iter().find(|plan| words <= plan.length);
        let whole = words > 0 && words * self.row == rows.len();
        let (Some(plan), true) = (plan, whole) else {
            return Err(EngineError::Length {
                expected: self.row * words.max(1),
                found: rows.len(),
            });
        };
        let mut states = plan
            .run(rows, words, self.row)
            .map_err(|e| EngineError::Run(format!("{e:#}")))?;
        states.truncate(words * self.dim);
        Ok(states)
    }
}

impl Plan {
    fn run(&self, rows: &[f32], words: usize, row: usize) -> TractResult<Vec<f32>> {
        let mut padded = rows.to_vec();
        padded.resize(self.length * row, 0.0);
        let mut mask = vec![0.0; words];
        mask.resize(self.length, NOTHING);
        let rows = Tensor::from_shape(&[1, self.length, row], &padded)?;
        let mask = Tensor::from_shape(&[1, 1, 1, self.length], &mask)?;
        let mut runner = self.runner.lock().unwrap_or_else(PoisonError::into_inner);
        let outputs = runner.run(tvec!(rows.into(), mask.into()))?;
        Ok(outputs[0].try_as_plain_ram()?.as_slice::<f32>()?.to_vec())
    }
}

impl fmt::Debug for WordNetwork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lengths = self.plans.len();
        write!(
            f,
            "WordNetwork({} to {}, {lengths} lengths)",
            self.row, self.dim
        )
    }
}

/// Puts a number in place of the open dimension.
fn fix_length(proto: &mut ModelProto, length: usize) {
    let Some(graph) = proto.graph.as_mut() else {
        return;
    };
    for tensor in graph.input.iter_mut().chain(&mut graph.output) {
        for value in dimensions(tensor) {
            if matches!(value, Value::DimParam(name) if name == LENGTH) {
                *value = Value::DimValue(length as i64);
            }
        }
    }
}

fn dimensions(tensor: &mut ValueInfoProto) -> impl Iterator<Item = &mut Value> {
    let shape = tensor
        .r#type
        .as_mut()
        .and_then(|kind| match &mut kind.value {
            Some(type_proto::Value::TensorType(tensor)) => tensor.shape.as_mut(),
            _ => None,
        });
    let dimensions = shape.into_iter().flat_map(|shape| &mut shape.dim);
    dimensions.filter_map(|dimension| dimension.value.as_mut())
}

/// Widths of rows and states; the error is a sentence.
fn contract(model: &TypedModel, length: usize) -> Result<(usize, usize), String> {
    let shapes = |facts: Vec<TractResult<&TypedFact>>| -> Result<Vec<Vec<usize>>, String> {
        let shape = |fact: TractResult<&TypedFact>| {
            let fact = fact.map_err(|e| e.to_string())?;
            let shape = fact.shape.as_concrete().map(<[usize]>::to_vec);
            shape.ok_or_else(|| format!("there is a tensor of the open shape {:?}", fact.shape))
        };
        facts.into_iter().map(shape).collect()
    };
    let inputs = shapes(
        (0..model.inputs.len())
            .map(|n| model.input_fact(n))
            .collect(),
    )?;
    let outputs = shapes(
        (0..model.outputs.len())
            .map(|n| model.output_fact(n))
            .collect(),
    )?;
    let names: Vec<&str> = model
        .inputs
        .iter()
        .map(|outlet| model.node(outlet.node).name.as_str())
        .collect();
    match (&names[..], &inputs[..], &outputs[..]) {
        (["rows", "mask"], [rows, mask], [states])
            if rows.len() == 3
                && rows[..2] == [1, length]
                && mask[..] == [1, 1, 1, length]
                && states.len() == 3
                && states[..2] == [1, length] =>
        {
            Ok((rows[2], states[2]))
        }
        _ => Err(format!(
            "inputs {names:?} of {inputs:?} and outputs of {outputs:?}; they should be `rows` [1, {length}, row], `mask` \
             [1, 1, 1, {length}] and [1, {length}, dim]"
        )),
    }
}
