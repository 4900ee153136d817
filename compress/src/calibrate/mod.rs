//! Ranges of the activations that feed products and convolutions with constant weights, found by running the float network.
//!
//! [`calibrate`] takes a network and a [`Material`] to run it on; [`Speech`] is recordings as the recogniser hears them,
//! [`Texts`](crate::texts::Texts) sentences as understanding reads them. Every tensor gets three ranges, of which quantising takes one: see
//! [`Choice`].

mod histogram;
mod ranges;
mod sentences;
mod speech;
mod taps;

pub use ranges::{Choice, Range, Ranges, RangesError};
pub use speech::Speech;
pub use taps::{Tap, taps};

use std::collections::{BTreeMap, HashMap};

use tract_onnx::pb::ModelProto;
use vocar_inference::{EngineError, Network, Operators};
use vocar_speech::frontend::FeatureSpecError;

use crate::file::{FileError, write};
use histogram::Histogram;

/// Values of a network's inputs by their names.
pub type Inputs = HashMap<String, Vec<f32>>;

/// What a network is run on: recordings, sentences, whatever it is made for.
pub trait Material {
    /// Streams, each of which begins with the states at nought.
    fn streams(&self) -> usize;

    /// The network with the sizes that a stream needs where its own are open; nothing where they are not.
    fn fitted(&self, model: &ModelProto, stream: usize) -> Option<ModelProto>;

    /// The runs of a stream, in their order: every input that is no state.
    ///
    /// # Errors
    /// [`CalibrationError`] when the stream cannot be turned into inputs.
    fn runs(&self, stream: usize) -> Result<Vec<Inputs>, CalibrationError>;

    /// The output that becomes an input of the next run of the same stream, if that input is a state.
    fn successor(&self, input: &str) -> Option<String>;
}

/// Why there are no ranges.
#[derive(Debug, thiserror::Error)]
pub enum CalibrationError {
    /// The network cannot be run.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The bundle's features cannot be computed.
    #[error(transparent)]
    Features(#[from] FeatureSpecError),
    /// An input for which the material has nothing.
    #[error(
        "the network has the input `{0}`, for which there is neither a value nor a state; calibrate a network with the inputs that its manifest names"
    )]
    Input(String),
    /// A state without a successor.
    #[error("the network has the state `{state}` but no output `{output}` to follow it")]
    Successor {
        /// The input.
        state: String,
        /// The output that is missing.
        output: String,
    },
    /// There is no room for the network with its tensors as outputs.
    #[error(transparent)]
    File(#[from] FileError),
    /// There is no temporary folder.
    #[error("no temporary folder: {0}; let TMPDIR name one")]
    Folder(std::io::Error),
    /// Nothing was run.
    #[error("there is nothing to calibrate on: give some seconds of speech, or sentences")]
    Nothing,
    /// No layer would use a range.
    #[error(
        "the network has no product or convolution of floats with constant weights; is it quantised already?"
    )]
    NoLayer,
}

/// Runs a float network over all of the material and returns the ranges of what feeds its layers; `percentile` (50 to 100) is
/// the share of values, in per cent, that the range of that name holds. Tells `progress` which stream of how many is next.
///
/// # Errors
/// [`CalibrationError`] when the network has no layers, cannot be run, or there is nothing to run it on.
pub fn calibrate(
    model: &ModelProto,
    material: &dyn Material,
    percentile: f64,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<Ranges, CalibrationError> {
    let found = taps(model);
    if found.is_empty() {
        return Err(CalibrationError::NoLayer);
    }
    let mut probe = None;
    let mut histograms = vec![Histogram::default(); found.len()];
    let (streams, mut runs) = (material.streams(), 0);
    for stream in 0..streams {
        progress(stream, streams);
        let fitted = material.fitted(model, stream);
        let probe = match (&mut probe, fitted) {
            (Some(probe), None) => probe,
            (probe, fitted) => {
                let model = fitted.as_ref().unwrap_or(model);
                probe.insert(Probe::new(model, &found, material)?)
            }
        };
        probe.reset();
        for inputs in material.runs(stream)? {
            let outputs = probe.run(inputs)?;
            for (histogram, &output) in histograms.iter_mut().zip(&probe.tapped) {
                histogram.add(&outputs[output]);
            }
            runs += 1;
        }
    }
    if runs == 0 {
        return Err(CalibrationError::Nothing);
    }
    let range = |(tap, histogram): (&Tap, &Histogram)| {
        let range = Range {
            layers: tap.layers.clone(),
            extremes: histogram.extremes(),
            percentile: histogram.percentile(percentile / 100.0),
            entropy: histogram.entropy(),
        };
        (tap.tensor.clone(), range)
    };
    Ok(Ranges {
        runs,
        percentile,
        tensors: found.iter().zip(&histograms).map(range).collect(),
    })
}

/// By way of a file, which is all that a network is loaded from.
fn loaded(model: &ModelProto) -> Result<Network, CalibrationError> {
    let folder = tempfile::tempdir().map_err(CalibrationError::Folder)?;
    let path = folder.path().join("tapped.onnx");
    write(&path, model)?;
    Ok(Network::load(&path, Operators::Stock)?)
}

/// A network whose layers' inputs come out beside its outputs, with the states of a stream.
struct Probe {
    network: Network,
    inputs: Vec<String>,
    /// For each input that is a state, the output that follows it.
    successors: Vec<Option<usize>>,
    /// Which output each tap is.
    tapped: Vec<usize>,
    states: BTreeMap<usize, Vec<f32>>,
}

impl Probe {
    fn new(
        model: &ModelProto,
        found: &[Tap],
        material: &dyn Material,
    ) -> Result<Probe, CalibrationError> {
        let tapped = taps::with_outputs(model, found);
        let inputs = taps::inputs(model);
        let outputs = taps::outputs(&tapped);
        let position = |name: &String| outputs.iter().position(|output| output == name);
        let successor = |input: &String| {
            let Some(output) = material.successor(input) else {
                return Ok(None);
            };
            let missing = || CalibrationError::Successor {
                state: input.clone(),
                output: output.clone(),
            };
            position(&output).map(Some).ok_or_else(missing)
        };
        Ok(Probe {
            successors: inputs.iter().map(successor).collect::<Result<_, _>>()?,
            tapped: found
                .iter()
                .filter_map(|tap| position(&tap.output))
                .collect(),
            network: loaded(&tapped)?,
            inputs,
            states: BTreeMap::new(),
        })
    }

    fn reset(&mut self) {
        self.states.clear();
    }

    /// One run; what follows the states is kept for the next.
    fn run(&mut self, mut given: Inputs) -> Result<Vec<Vec<f32>>, CalibrationError> {
        let mut inputs = Vec::with_capacity(self.inputs.len());
        for (at, name) in self.inputs.iter().enumerate() {
            let zeros = || vec![0.0; self.network.inputs()[at].iter().product()];
            let values = match self.successors[at] {
                Some(_) => self.states.remove(&at).unwrap_or_else(zeros),
                None => given
                    .remove(name)
                    .ok_or_else(|| CalibrationError::Input(name.clone()))?,
            };
            inputs.push(values);
        }
        let outputs = self.network.run(&inputs)?;
        for (at, output) in self.successors.iter().enumerate() {
            if let Some(output) = output {
                self.states.insert(at, outputs[*output].clone());
            }
        }
        Ok(outputs)
    }
}
