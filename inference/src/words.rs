//! A network over the words of a sentence: rows of words in, a state for each out.

use std::fmt;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use tract_onnx::pb::tensor_shape_proto::dimension::Value;
use tract_onnx::pb::{GraphProto, ModelProto, ValueInfoProto, type_proto};

use crate::engine::EngineError;
use crate::network::{Network, Operators, parse};

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
    network: Mutex<Network>,
}

impl WordNetwork {
    /// Loads and optimises a file for `lengths`, in words and ascending.
    ///
    /// # Errors
    /// [`EngineError::Load`] when it cannot be run, [`EngineError::Contract`] when it has other inputs or outputs.
    pub fn load(path: &Path, lengths: &[usize]) -> Result<WordNetwork, EngineError> {
        let file = path.display().to_string();
        let proto = parse(path)?;
        let (mut plans, mut sizes) = (Vec::new(), (0, 0));
        for &length in lengths {
            let mut proto = proto.clone();
            fix_length(&mut proto, length);
            sizes = contract(proto.graph.as_ref(), length).map_err(|problem| {
                EngineError::Contract {
                    file: file.clone(),
                    problem,
                }
            })?;
            let network = Mutex::new(Network::new(proto, &file, Operators::Fused)?);
            plans.push(Plan { length, network });
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
        let mut states = plan.run(rows, words, self.row)?;
        if states.len() != plan.length * self.dim {
            let found = states.len();
            return Err(EngineError::Run(format!(
                "{found} values of states for {} words of {}",
                plan.length, self.dim
            )));
        }
        states.truncate(words * self.dim);
        Ok(states)
    }
}

impl Plan {
    fn run(&self, rows: &[f32], words: usize, row: usize) -> Result<Vec<f32>, EngineError> {
        let mut padded = rows.to_vec();
        padded.resize(self.length * row, 0.0);
        let mut mask = vec![0.0; words];
        mask.resize(self.length, NOTHING);
        let mut network = self.network.lock().unwrap_or_else(PoisonError::into_inner);
        let outputs = network.run(&[padded, mask])?;
        Ok(outputs.into_iter().next().unwrap_or_default())
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

/// Name and sizes of a tensor; an open size is `None`.
fn described(tensor: &ValueInfoProto) -> (String, Vec<Option<usize>>) {
    let size = |value: &mut Value| match value {
        Value::DimValue(size) => usize::try_from(*size).ok(),
        Value::DimParam(_) => None,
    };
    let mut tensor = tensor.clone();
    let sizes = dimensions(&mut tensor).map(size).collect();
    (tensor.name, sizes)
}

/// Widths of rows and states; the error is a sentence.
fn contract(graph: Option<&GraphProto>, length: usize) -> Result<(usize, usize), String> {
    let graph = graph.ok_or("has no graph")?;
    let inputs: Vec<_> = graph.input.iter().map(described).collect();
    let outputs: Vec<_> = graph.output.iter().map(described).collect();
    let (one, words) = (Some(1), Some(length));
    if let ([(rows, row_sizes), (mask, mask_sizes)], [(_, states)]) = (&inputs[..], &outputs[..])
        && (rows.as_str(), mask.as_str()) == ("rows", "mask")
        && mask_sizes[..] == [one, one, one, words]
        && let ([a, b, Some(row)], [c, d, Some(dim)]) = (&row_sizes[..], &states[..])
        && [*a, *b, *c, *d] == [one, words, one, words]
    {
        return Ok((*row, *dim));
    }
    Err(format!(
        "inputs {inputs:?} and outputs {outputs:?}; they should be `rows` [1, {length}, row], `mask` \
         [1, 1, 1, {length}] and [1, {length}, dim]"
    ))
}
