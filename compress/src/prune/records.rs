//! What goes into the constant products of a network while it hears recordings or reads sentences.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tract_onnx::pb::{GraphProto, ModelProto, ValueInfoProto};
use vocar_inference::{Engine, EngineError, Manifest, Network, Operators, Session, Signature};

use crate::file::{FileError, write};
use crate::products::products;
use crate::texts::Texts;

/// Sums over frames of one tensor's values and of the products of any two of them.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Moments {
    size: usize,
    frames: f64,
    sums: Vec<f64>,
    /// `[size][size]`, of which the upper half is filled.
    products: Vec<f64>,
}

impl Moments {
    pub fn new(size: usize) -> Moments {
        Moments {
            size,
            frames: 0.0,
            sums: vec![0.0; size],
            products: vec![0.0; size * size],
        }
    }

    /// Adds rows of `size` values.
    pub fn add(&mut self, values: &[f32]) {
        for row in values.chunks_exact(self.size) {
            self.frames += 1.0;
            for (one, &value) in row.iter().enumerate() {
                let value = f64::from(value);
                self.sums[one] += value;
                let sums = &mut self.products[one * self.size..][one..self.size];
                for (sum, &other) in sums.iter_mut().zip(&row[one..]) {
                    *sum += value * f64::from(other);
                }
            }
        }
    }

    pub fn size(&self) -> usize {
        self.size
    }

    /// Mean of a value.
    pub fn mean(&self, one: usize) -> f64 {
        self.sums[one] / self.frames.max(1.0)
    }

    /// Root mean square of a value.
    pub fn level(&self, one: usize) -> f64 {
        (self.products[one * self.size + one] / self.frames.max(1.0)).sqrt()
    }

    /// How two values vary together.
    pub fn covariance(&self, one: usize, other: usize) -> f64 {
        let product = self.products[one.min(other) * self.size + one.max(other)];
        product / self.frames.max(1.0) - self.mean(one) * self.mean(other)
    }
}

/// Moments of the input of each constant product, by the name of that tensor.
#[derive(Debug, Clone, Default)]
pub struct Records(HashMap<String, Moments>);

impl Records {
    pub(super) fn of(&self, tensor: &str) -> Option<&Moments> {
        self.0.get(tensor).filter(|moments| moments.frames > 0.0)
    }
}

/// Why nothing could be recorded.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// The network cannot be run.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The network cannot be written.
    #[error(transparent)]
    File(#[from] FileError),
    /// There is no room for it.
    #[error("no temporary folder: {0}")]
    Folder(std::io::Error),
    /// A tensor that the manifest names is not there.
    #[error(
        "the network has no tensor `{0}` as the bundle's manifest says; they do not belong together"
    )]
    Missing(String),
    /// An input that sentences have nothing for.
    #[error(
        "the network has the input `{0}`, and only `rows` and `mask` come from sentences; give a network of training.nlu.export"
    )]
    Input(String),
}

/// A network that gives out the inputs of its products, too, and adds them up on every step: an engine for hearing recordings.
#[derive(Clone)]
pub(crate) struct Recorder {
    work: Arc<Mutex<Work>>,
    signature: Signature,
}

struct Work {
    network: Network,
    /// Place of the features among the inputs, and of the scores among the outputs.
    features: usize,
    scores: usize,
    /// For each state its place among the inputs and that of its successor among the outputs.
    states: Vec<(usize, usize)>,
    /// For each recorded tensor its place among the outputs.
    recorded: Vec<(usize, String, Moments)>,
}

impl Recorder {
    /// Prepares a network whose tensors are named as the manifest says and whose scores have so many columns.
    ///
    /// # Errors
    /// [`RecordError`] when it cannot be loaded or has other tensors than the manifest says.
    pub fn new(
        mut model: ModelProto,
        manifest: &Manifest,
        columns: usize,
    ) -> Result<Recorder, RecordError> {
        let graph = model.graph.get_or_insert_default();
        let watched = watch(graph);
        let (inputs, outputs) = (fed(graph), names(&graph.output));
        let place = |all: &[String], wanted: &str| {
            let place = all.iter().position(|name| name == wanted);
            place.ok_or_else(|| RecordError::Missing(wanted.to_owned()))
        };
        let acoustic = &manifest.acoustic;
        let mut states = Vec::new();
        for (input, name) in inputs.iter().enumerate() {
            if let Some(suffix) = name.strip_prefix(&acoustic.state_prefix) {
                let successor = format!("{}{suffix}", acoustic.next_prefix);
                states.push((input, place(&outputs, &successor)?));
            }
        }
        let recorded = watched
            .into_iter()
            .map(|(name, size)| Ok((place(&outputs, &name)?, name, Moments::new(size))))
            .collect::<Result<_, RecordError>>()?;
        let work = Work {
            network: load(&model)?,
            features: place(&inputs, &acoustic.input)?,
            scores: place(&outputs, &acoustic.output)?,
            states,
            recorded,
        };
        let signature = Signature {
            frames: acoustic.frames_per_step(),
            mels: manifest.features.mels,
            chunk: acoustic.chunk,
            columns,
        };
        Ok(Recorder {
            work: Arc::new(Mutex::new(work)),
            signature,
        })
    }

    /// What was recorded until now.
    pub fn finish(self) -> Records {
        let mut work = self.work.lock().unwrap_or_else(PoisonError::into_inner);
        let recorded = std::mem::take(&mut work.recorded).into_iter();
        Records(recorded.map(|(_, name, moments)| (name, moments)).collect())
    }
}

/// What goes into the constant products of a network over words while it reads sentences.
///
/// # Errors
/// [`RecordError`] when it cannot be loaded or run, or has other inputs than rows and their mask.
pub(crate) fn record_texts(model: &ModelProto, texts: &Texts) -> Result<Records, RecordError> {
    let mut found: HashMap<String, Moments> = HashMap::new();
    for &(length, ref sentences) in texts.by_length() {
        let mut model = Texts::fitted(model, length);
        let graph = model.graph.get_or_insert_default();
        let watched = watch(graph);
        let (inputs, outputs) = (fed(graph), names(&graph.output));
        let mut network = load(&model)?;
        for &sentence in sentences {
            let mut given = texts.inputs(sentence);
            let given = inputs.iter().map(|name| {
                let values = given.remove(name);
                values.ok_or_else(|| RecordError::Input(name.clone()))
            });
            let given = given.collect::<Result<Vec<_>, _>>()?;
            let made = network.run(&given)?;
            let fed = inputs.iter().zip(&given);
            let values: HashMap<&String, &Vec<f32>> =
                fed.chain(outputs.iter().zip(&made)).collect();
            for (name, size) in &watched {
                let moments = found.entry(name.clone());
                let moments = moments.or_insert_with(|| Moments::new(*size));
                values
                    .get(name)
                    .iter()
                    .for_each(|values| moments.add(values));
            }
        }
    }
    Ok(Records(found))
}

fn load(model: &ModelProto) -> Result<Network, RecordError> {
    let folder = tempfile::tempdir().map_err(RecordError::Folder)?;
    let path = folder.path().join("recorded.onnx");
    write(&path, model)?;
    Ok(Network::load(&path, Operators::Fused)?)
}

fn names(infos: &[ValueInfoProto]) -> Vec<String> {
    infos.iter().map(|info| info.name.clone()).collect()
}

/// Names of the inputs that are no constants.
fn fed(graph: &GraphProto) -> Vec<String> {
    let constant = |name: &String| graph.initializer.iter().any(|one| one.name == *name);
    let inputs = names(&graph.input).into_iter();
    inputs.filter(|name| !constant(name)).collect()
}

/// Makes the inputs of all constant products outputs of the network, but for what is fed in; returns their names and sizes.
fn watch(graph: &mut GraphProto) -> Vec<(String, usize)> {
    let mut watched: Vec<(String, usize)> = Vec::new();
    for product in products(graph) {
        if watched.iter().all(|(name, _)| *name != product.input) {
            watched.push((product.input, product.layer.inputs));
        }
    }
    let there: Vec<String> = [fed(graph), names(&graph.output)].concat();
    for (name, _) in &watched {
        if !there.contains(name) {
            graph.output.push(ValueInfoProto {
                name: name.clone(),
                ..ValueInfoProto::default()
            });
        }
    }
    watched
}

impl Engine for Recorder {
    fn name(&self) -> &str {
        "recorder"
    }

    fn signature(&self) -> Signature {
        self.signature
    }

    fn start(&self) -> Result<Box<dyn Session>, EngineError> {
        Ok(Box::new(Stream {
            states: self.zeros(),
            recorder: self.clone(),
            scores: Vec::new(),
        }))
    }
}

impl Recorder {
    fn zeros(&self) -> Vec<Vec<f32>> {
        let work = self.work.lock().unwrap_or_else(PoisonError::into_inner);
        let shapes = work.network.inputs();
        let states = work.states.iter();
        states
            .map(|&(input, _)| vec![0.0; shapes[input].iter().product()])
            .collect()
    }
}

/// One stream through a recorder.
#[derive(Clone)]
struct Stream {
    recorder: Recorder,
    states: Vec<Vec<f32>>,
    scores: Vec<f32>,
}

impl Session for Stream {
    fn step(&mut self, features: &[f32]) -> Result<&[f32], EngineError> {
        let work = &mut *self
            .recorder
            .work
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let mut inputs = vec![Vec::new(); work.network.inputs().len()];
        inputs[work.features] = features.to_vec();
        for (&(input, _), state) in work.states.iter().zip(&self.states) {
            inputs[input].clone_from(state);
        }
        let mut outputs = work.network.run(&inputs)?;
        for (output, _, moments) in &mut work.recorded {
            moments.add(&outputs[*output]);
        }
        for (&(_, output), state) in work.states.iter().zip(&mut self.states) {
            *state = std::mem::take(&mut outputs[output]);
        }
        self.scores = std::mem::take(&mut outputs[work.scores]);
        Ok(&self.scores)
    }

    fn reset(&mut self) {
        self.states = self.recorder.zeros();
    }

    fn fork(&self) -> Box<dyn Session> {
        Box::new(self.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_those_of_the_rows() {
        let mut moments = Moments::new(2);
        moments.add(&[1.0, 4.0, 3.0, 0.0]);
        moments.add(&[2.0, 2.0]);
        assert_eq!((moments.mean(0), moments.mean(1)), (2.0, 2.0));
        assert!((moments.level(0) - (14.0f64 / 3.0).sqrt()).abs() < 1e-12);
        for (one, other, wanted) in [(0, 0, 2.0 / 3.0), (0, 1, -4.0 / 3.0), (1, 0, -4.0 / 3.0)] {
            let found = moments.covariance(one, other);
            assert!((found - wanted).abs() < 1e-12, "{one} {other}: {found}");
        }
    }
}
