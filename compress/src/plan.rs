//! Mixed precision: which layer gets int4, int8, half floats or floats.
//!
//! How much a layer suffers is measured on recordings: the network with that layer alone quantised against the floats, by the
//! mean Kullback-Leibler divergence of its posteriors, nats a frame. From all layers in int4, layers are raised one after
//! the other, first those whose divergence falls most for a byte, until the budget is kept: first by the sum of the
//! layers' own figures, then by measuring the whole. The same recordings give the same plan.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};
use tract_onnx::pb::ModelProto;
use vocar_inference::{AcousticModel, Bundle, EngineError, Precision, TractEngine};
use vocar_speech::dictation::{ScoresError, acoustic_scores};

use crate::file::{FileError, read};
use crate::halves::halve_the_rest;
use crate::quantise::{Bits, Layer, QuantiseError, layers, quantise_each};

/// Precision of a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Width {
    /// Four bits, a scale for each 32 inputs.
    Int4,
    /// Eight bits, a scale for each output.
    Int8,
    /// Stored as half floats, computed in floats.
    F16,
    /// As it was.
    F32,
}

impl Width {
    /// All of them, the smallest first.
    pub const ALL: [Width; 4] = [Width::Int4, Width::Int8, Width::F16, Width::F32];

    fn bits(self) -> Option<Bits> {
        match self {
            Width::Int4 => Some(Bits::Four),
            Width::Int8 => Some(Bits::Eight),
            Width::F16 => Some(Bits::Sixteen),
            Width::F32 => None,
        }
    }

    fn raised(self) -> Option<Width> {
        match self {
            Width::Int4 => Some(Width::Int8),
            Width::Int8 => Some(Width::F16),
            Width::F16 => Some(Width::F32),
            Width::F32 => None,
        }
    }
}

/// A plan, as its TOML file holds it: readable, to be edited and applied again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// Divergence that was allowed, nats a frame.
    pub budget: f64,
    /// Divergence that was measured.
    pub measured: f64,
    /// Whether what is left in floats is stored as half floats.
    #[serde(default)]
    pub halve_the_rest: bool,
    /// Precision of each layer by its name. A layer that is not listed stays as it is.
    pub layers: BTreeMap<String, Width>,
}

/// Why there is no plan.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// A file cannot be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// The network cannot be quantised.
    #[error(transparent)]
    Quantise(#[from] QuantiseError),
    /// A network cannot be run.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// A recording cannot be heard.
    #[error(transparent)]
    Scores(#[from] ScoresError),
    /// The text is no plan.
    #[error(
        "{file}: {problem}; a plan has `budget`, `measured` and a table `[layers]` of \"int4\", \"int8\", \"f16\" or \"f32\""
    )]
    Text {
        /// Which file.
        file: String,
        /// What is wrong.
        problem: String,
    },
    /// A plan names a layer that is not there.
    #[error("the plan names `{name}`, which is no layer of the network; its layers are {there}")]
    Unknown {
        /// What it names.
        name: String,
        /// What there is.
        there: String,
    },
    /// Nothing to calibrate with.
    #[error("the recordings hold no frame of speech: give some seconds of it")]
    Silent,
    /// Other files of the bundle.
    #[error("{0}")]
    Bundle(String),
}

impl Plan {
    /// Reads a plan.
    ///
    /// # Errors
    /// [`PlanError::Text`] when the file is not there or holds no plan.
    pub fn load(path: &Path) -> Result<Plan, PlanError> {
        let text = |problem: String| PlanError::Text {
            file: path.display().to_string(),
            problem,
        };
        let read = std::fs::read_to_string(path).map_err(|e| text(e.to_string()))?;
        toml::from_str(&read).map_err(|e| text(e.to_string().trim().replace('\n', " ")))
    }

    /// The plan as TOML.
    pub fn to_toml(&self) -> String {
        toml::to_string(self).unwrap_or_default()
    }

    /// Quantises a network as planned.
    ///
    /// # Errors
    /// [`PlanError::Unknown`] for a name that is no layer; [`PlanError::Quantise`].
    pub fn apply(&self, model: &mut ModelProto) -> Result<(), PlanError> {
        let there: Vec<String> = layers(model).into_iter().map(|layer| layer.name).collect();
        if let Some(name) = self.layers.keys().find(|name| !there.contains(name)) {
            return Err(PlanError::Unknown {
                name: name.clone(),
                there: there.join(", "),
            });
        }
        quantise_each(model, |layer| {
            self.layers.get(layer).and_then(|width| width.bits())
        })?;
        if self.halve_the_rest {
            halve_the_rest(model);
        }
        Ok(())
    }
}

/// A bundle's float network with recordings to try it on.
struct Trial {
    bundle: Bundle,
    model: ModelProto,
    recordings: Vec<Vec<f32>>,
    /// Log posteriors of the float network on each.
    reference: Vec<Vec<f32>>,
}

impl Trial {
    fn new(bundle: Bundle, recordings: Vec<Vec<f32>>) -> Result<Trial, PlanError> {
        let floats = bundle.manifest().acoustic.models.get(&Precision::F32);
        let floats =
            floats.ok_or_else(|| PlanError::Bundle("the bundle has no f32 network".into()))?;
        let model = read(&bundle.path(floats))?;
        let mut trial = Trial {
            bundle,
            model,
            recordings,
            reference: Vec::new(),
        };
        trial.reference = trial.posteriors(trial.model.clone())?;
        if trial.reference.iter().all(Vec::is_empty) {
            return Err(PlanError::Silent);
        }
        Ok(trial)
    }

    fn posteriors(&self, model: ModelProto) -> Result<Vec<Vec<f32>>, PlanError> {
        let manifest = self.bundle.manifest();
        let engine = TractEngine::new(model, "the planned network", manifest)?;
        let network = AcousticModel::with_engine(
            Box::new(engine),
            Precision::F32,
            manifest.acoustic.clone(),
        )?;
        let heard = |samples: &Vec<f32>| Ok(acoustic_scores(&self.bundle, &network, samples)?);
        self.recordings.iter().map(heard).collect()
    }

    /// Divergence of the planned network, nats a frame.
    fn divergence(&self, plan: &Plan) -> Result<f64, PlanError> {
        let mut model = self.model.clone();
        plan.apply(&mut model)?;
        let columns = self.columns();
        let (mut total, mut frames) = (0.0, 0);
        for (one, other) in self.reference.iter().zip(self.posteriors(model)?) {
            for (one, other) in one.chunks_exact(columns).zip(other.chunks_exact(columns)) {
                total += kullback_leibler(one, other);
                frames += 1;
            }
        }
        Ok(total / f64::from(frames.max(1)))
    }

    /// Divergence with one layer alone in this width.
    fn alone(&self, layer: &Layer, width: Width) -> Result<f64, PlanError> {
        self.divergence(&Plan {
            budget: 0.0,
            measured: 0.0,
            halve_the_rest: false,
            layers: BTreeMap::from([(layer.name.clone(), width)]),
        })
    }

    fn columns(&self) -> usize {
        let shape = self.model.graph.as_ref().and_then(|graph| {
            let name = &self.bundle.manifest().acoustic.output;
            let output = graph.output.iter().find(|output| output.name == *name)?;
            let tract_onnx::pb::type_proto::Value::TensorType(tensor) =
                output.r#type.as_ref()?.value.as_ref()?;
            match tensor.shape.as_ref()?.dim.last()?.value.as_ref()? {
                tract_onnx::pb::tensor_shape_proto::dimension::Value::DimValue(size) => {
                    Some(*size as usize)
                }
                _ => None,
            }
        });
        shape.unwrap_or(1).max(1)
    }
}

/// Divergence of one row of log posteriors from another, nats; neither need be normalised.
fn kullback_leibler(reference: &[f32], other: &[f32]) -> f64 {
    let level = |row: &[f32]| {
        let highest = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        f64::from(highest)
            + row
                .iter()
                .map(|&v| f64::from(v - highest).exp())
                .sum::<f64>()
                .ln()
    };
    let (one, two) = (level(reference), level(other));
    let terms = reference.iter().zip(other).map(|(&p, &q)| {
        let (p, q) = (f64::from(p) - one, f64::from(q) - two);
        p.exp() * (p - q)
    });
    terms.sum::<f64>().max(0.0)
}

/// What each layer costs and saves.
struct Candidate {
    layer: Layer,
    width: Width,
    /// Divergence with this layer alone in each width.
    alone: [f64; Width::ALL.len()],
}

impl Candidate {
    fn now(&self) -> f64 {
        self.alone[self.width as usize]
    }

    /// Divergence that falls for each byte more, one step up.
    fn worth(&self) -> Option<f64> {
        let raised = self.width.raised()?;
        let bytes = self.layer.bytes(raised.bits()) - self.layer.bytes(self.width.bits());
        Some((self.now() - self.alone[raised as usize]) / bytes.max(1) as f64)
    }
}

/// Finds a plan for a bundle's float network whose divergence on the recordings (16 kHz mono) is at most `budget` nats a
/// frame, or the nearest there is; tells `progress` what it does. What no layer holds is stored as half floats.
///
/// # Errors
/// [`PlanError`] when the bundle has no float network or a recording cannot be heard.
pub fn find(
    bundle: Bundle,
    recordings: Vec<Vec<f32>>,
    budget: f64,
    progress: &mut dyn FnMut(&str),
) -> Result<Plan, PlanError> {
    let trial = Trial::new(bundle, recordings)?;
    let mut candidates = Vec::new();
    for layer in layers(&trial.model) {
        let alone = |width: Width| trial.alone(&layer, width);
        let (eight, sixteen) = (alone(Width::Int8)?, alone(Width::F16)?);
        let (width, four) = if layer.fits_int4() {
            (Width::Int4, alone(Width::Int4)?)
        } else {
            (Width::Int8, eight)
        };
        progress(&format!(
            "{}: int4 {four:.5}, int8 {eight:.5}, f16 {sixteen:.5} nats a frame",
            layer.name
        ));
        candidates.push(Candidate {
            layer,
            width,
            alone: [four, eight, sixteen, 0.0],
        });
    }
    while candidates.iter().map(Candidate::now).sum::<f64>() > budget && raise(&mut candidates) {}
    loop {
        let mut plan = Plan {
            budget,
            measured: 0.0,
            halve_the_rest: true,
            layers: candidates
                .iter()
                .map(|one| (one.layer.name.clone(), one.width))
                .collect(),
        };
        plan.measured = trial.divergence(&plan)?;
        progress(&format!(
            "{:.5} nats a frame, {budget} allowed",
            plan.measured
        ));
        if plan.measured <= budget || !raise(&mut candidates) {
            return Ok(plan);
        }
    }
}

/// Raises the layer that gains most; false when all are floats.
fn raise(candidates: &mut [Candidate]) -> bool {
    let best = candidates
        .iter_mut()
        .filter_map(|one| one.worth().map(|worth| (worth, one)))
        .max_by(|one, other| one.0.total_cmp(&other.0));
    match best {
        Some((_, one)) => {
            one.width = one.width.raised().unwrap_or(Width::F32);
            true
        }
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn divergence_is_nought_for_the_same_and_right_for_a_known_pair() {
        let row: Vec<f32> = [0.5f32, 0.25, 0.25].iter().map(|p| p.ln()).collect();
        assert_eq!(kullback_leibler(&row, &row), 0.0);
        let other: Vec<f32> = [0.25f32, 0.5, 0.25].iter().map(|p| p.ln() + 3.0).collect();
        let wanted = 0.5 * 2f64.ln() + 0.25 * 0.5f64.ln();
        assert!((kullback_leibler(&row, &other) - wanted).abs() < 1e-6);
    }

    #[test]
    fn the_layer_that_gains_most_for_a_byte_is_raised_first() {
        let layer = |name: &str, outputs| Layer {
            name: name.into(),
            inputs: 32,
            outputs,
        };
        let candidate = |name, outputs, alone| Candidate {
            layer: layer(name, outputs),
            width: Width::Int4,
            alone,
        };
        let mut candidates = vec![
            candidate("wide", 320, [0.3, 0.1, 0.01, 0.0]),
            candidate("narrow", 32, [0.2, 0.1, 0.01, 0.0]),
        ];
        assert!(raise(&mut candidates));
        assert_eq!(
            (candidates[0].width, candidates[1].width),
            (Width::Int4, Width::Int8)
        );
        while raise(&mut candidates) {}
        assert!(candidates.iter().all(|one| one.width == Width::F32));
    }

    #[test]
    fn a_plan_comes_back_from_its_text_and_a_wrong_one_is_refused() {
        let layers = BTreeMap::from([
            ("a.b".to_owned(), Width::Int4),
            ("c".to_owned(), Width::F32),
        ]);
        let plan = Plan {
            budget: 0.5,
            measured: 0.25,
            halve_the_rest: true,
            layers,
        };
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("plan.toml");
        std::fs::write(&path, plan.to_toml()).unwrap();
        assert_eq!(Plan::load(&path).unwrap(), plan);
        std::fs::write(&path, plan.to_toml().replace("int4", "int3")).unwrap();
        let refused = Plan::load(&path).unwrap_err().to_string();
        assert!(
            refused.contains("plan.toml") && refused.contains("int3"),
            "{refused}"
        );
    }
}
