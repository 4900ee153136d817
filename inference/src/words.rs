//! A network over the words of a sentence: rows of words in, a state for each out.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use tract_onnx::pb::tensor_shape_proto::dimension::Value;
use tract_onnx::pb::{ModelProto, ValueInfoProto, type_proto};

use crate::engine::EngineError;
use crate::fused::{LowRank, Overlay, OverlayError, Program, Stream, Tensor};
use crate::network::{Loaded, Operators, load, parse};

/// Name of the open dimension in the file.
const LENGTH: &str = "length";

/// A network with the inputs `rows` `[1, length, row]` and `mask` `[1, 1, 1, length]` and one output `[1, length, dim]`, of
/// our operators alone. Clones share the weights, and so do all sessions, whatever the length of their sentences.
#[derive(Clone)]
pub struct WordNetwork {
    program: Arc<Program>,
    longest: usize,
    row: usize,
    dim: usize,
}

/// Room for one sentence at a time on its way through a [`WordNetwork`], or through one that was [merged] from it.
///
/// [merged]: WordNetwork::merged
pub struct WordSession(Stream);

impl WordNetwork {
    /// Loads a file for sentences of up to `longest` words.
    ///
    /// # Errors
    /// [`EngineError::Load`] when it cannot be run by our operators, [`EngineError::Contract`] when it has other inputs or
    /// outputs.
    pub fn load(path: &Path, longest: usize) -> Result<WordNetwork, EngineError> {
        let file = path.display().to_string();
        let mut proto = parse(path)?;
        fix_length(&mut proto, 1);
        let foreign = |problem: &str| EngineError::Load {
            file: file.clone(),
            stage: "fusing",
            problem: problem.to_owned(),
        };
        let Loaded::Program(program) = load(proto, &file, Operators::Fused)? else {
            return Err(foreign(
                "it has nodes that are no linear layer, attention, layer normalisation or activation",
            ));
        };
        if !program.takes_any_rows() {
            return Err(foreign("some of its nodes are for one length only"));
        }
        let (row, dim) = contract(&program).map_err(|problem| EngineError::Contract {
            file: file.clone(),
            problem,
        })?;
        Ok(WordNetwork {
            program: Arc::new(program),
            longest,
            row,
            dim,
        })
    }

    /// Width of a row.
    pub fn row(&self) -> usize {
        self.row
    }

    /// Width of a state.
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// Room for a sentence of any length that the network takes.
    pub fn session(&self) -> WordSession {
        let mut stream = self.program.stream();
        self.program.resize(&mut stream, self.longest);
        WordSession(stream)
    }

    /// One sentence: `rows` is row-major `[words][row]`, the result `[words][dim]`. An overlay changes this run alone. Nothing is
    /// allocated but what the session's first runs grow by.
    ///
    /// # Errors
    /// [`EngineError::Length`] for no words, more than the longest sentence, or no whole rows; [`EngineError::Run`] when the
    /// session or the overlay belongs to another network.
    pub fn run<'a>(
        &self,
        session: &'a mut WordSession,
        rows: &[f32],
        overlay: Option<&Overlay>,
    ) -> Result<&'a [f32], EngineError> {
        let WordSession(stream) = session;
        let words = rows.len() / self.row;
        if words == 0 || words > self.longest || words * self.row != rows.len() {
            return Err(EngineError::Length {
                expected: self.row * words.clamp(1, self.longest),
                found: rows.len(),
            });
        }
        let foreign = |what: &str| EngineError::Run(format!("{what} belongs to another network"));
        let lows = match overlay {
            Some(overlay) => overlay.steps(&self.program),
            None => Some(&[][..]),
        };
        let lows = lows.ok_or_else(|| foreign("the overlay"))?;
        self.program.resize(stream, words);
        if !self.program.fits(stream) {
            return Err(foreign("the session"));
        }
        let input = self.program.input(stream, 0);
        input
            .ok_or_else(|| foreign("the input"))?
            .copy_from_slice(rows);
        // Every place holds a word, so nothing is masked.
        let mask = self.program.input(stream, 1);
        mask.ok_or_else(|| foreign("the mask"))?.fill(0.0);
        self.program.step_with(stream, lows);
        let states = self.program.output(stream, 0);
        states.ok_or_else(|| foreign("the output"))
    }

    /// Names of its layers that an overlay can add to, each with its inputs and its outputs.
    pub fn layers(&self) -> impl Iterator<Item = (&str, usize, usize)> {
        self.program.linears().flatten().map(|linear| {
            let (inputs, outputs) = linear.sizes();
            (linear.layer(), inputs, outputs)
        })
    }

    /// An overlay out of additions to layers, by the layers' names in the file.
    ///
    /// # Errors
    /// [`OverlayError`] names the layer that it has not, or of other sizes.
    pub fn overlay(&self, layers: BTreeMap<String, LowRank>) -> Result<Overlay, OverlayError> {
        Overlay::new(&self.program, layers)
    }

    /// A network with an overlay in its weights: as fast as without, for the memory of the layers that it changes. What it
    /// leaves as it was is shared. Layers of int4 become int8.
    ///
    /// # Errors
    /// [`OverlayError::Foreign`] when the overlay was made for another network.
    pub fn merged(&self, overlay: &Overlay) -> Result<WordNetwork, OverlayError> {
        Ok(WordNetwork {
            program: Arc::new(self.program.merged(overlay)?),
            ..*self
        })
    }

    /// Bytes of its layers' weights that it does not share with another network.
    pub fn bytes_beside(&self, other: &WordNetwork) -> usize {
        let layers = self.program.linears().zip(other.program.linears());
        let own = layers.filter_map(|(own, other)| match (own, other) {
            (Some(own), Some(other)) if std::ptr::eq(own, other) => None,
            (own, _) => own,
        });
        own.map(|linear| linear.bytes()).sum()
    }
}

impl fmt::Debug for WordNetwork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (row, dim, longest) = (self.row, self.dim, self.longest);
        write!(f, "WordNetwork({row} to {dim}, up to {longest} words)")
    }
}

impl fmt::Debug for WordSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WordSession")
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
fn contract(program: &Program) -> Result<(usize, usize), String> {
    let inputs: Vec<&Tensor> = program.inputs().collect();
    let outputs: Vec<&Tensor> = program.outputs().collect();
    if let ([rows, mask], [states]) = (&inputs[..], &outputs[..])
        && (rows.name.as_str(), mask.name.as_str()) == ("rows", "mask")
        && mask.shape == [1, 1, 1, 1]
        && let (&[1, 1, row], &[1, 1, dim]) = (&rows.shape[..], &states.shape[..])
        && row > 0
        && dim > 0
    {
        return Ok((row, dim));
    }
    let shapes = |tensors: &[&Tensor]| -> Vec<String> {
        let shape = |tensor: &&Tensor| format!("`{}` {:?}", tensor.name, tensor.shape);
        tensors.iter().map(shape).collect()
    };
    Err(format!(
        "for one word its inputs are {} and its outputs {}; they should be `rows` [1, 1, row], `mask` [1, 1, 1, 1] and \
         [1, 1, dim]",
        shapes(&inputs).join(", "),
        shapes(&outputs).join(", ")
    ))
}

#[cfg(test)]
mod tests;
