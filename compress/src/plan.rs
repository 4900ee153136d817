//! Mixed precision: which layer gets int4, int8, half floats or floats.
//!
//! How much a layer suffers is measured on recordings or sentences: the network with that layer alone quantised against the floats,
//! by the mean Kullback-Leibler divergence of its posteriors, nats a frame, or an intent or tag of sentences. From all layers in
//! int4, layers are raised one after the other, first those whose divergence falls most for a byte, until the budget is kept:
//! first by the sum of the layers' own figures, then by measuring the whole. The same recordings give the same plan.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};
use tract_onnx::pb::ModelProto;

use crate::products::{Layer, RewriteError, layers};
use crate::quantise::{Bits, quantise_each};
use crate::rest::{Convolutions, Names, shrink_the_rest};
use crate::trial::{Trial, TrialError};

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
    /// Divergence that was allowed, nats a frame; of sentences, an intent or tag.
    pub budget: f64,
    /// Divergence that was measured.
    pub measured: f64,
    /// Whether what is left in floats is stored as half floats.
    #[serde(default)]
    pub halve_the_rest: bool,
    /// What becomes of the names then.
    #[serde(default)]
    pub names: Names,
    /// Precision of each layer by its name. A layer that is not listed stays as it is.
    pub layers: BTreeMap<String, Width>,
}

/// Why there is no plan.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// The network cannot be quantised.
    #[error(transparent)]
    Rewrite(#[from] RewriteError),
    /// The network cannot be tried.
    #[error(transparent)]
    Trial(#[from] TrialError),
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
    /// No plan keeps the budget.
    #[error(
        "the budget of {budget} nats cannot be kept: {best:.5}, with the plan that was written, is the best; allow more, or try it on more recordings or sentences"
    )]
    Budget {
        /// What was allowed.
        budget: f64,
        /// What the best plan has.
        best: f64,
    },
    /// A plan names a layer that is not there.
    #[error("the plan names `{name}`, which is no layer of the network; its layers are {there}")]
    Unknown {
        /// What it names.
        name: String,
        /// What there is.
        there: String,
    },
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

    /// Whether what was measured is what was allowed.
    ///
    /// # Errors
    /// [`PlanError::Budget`] with the best there is when it is not.
    pub fn within_budget(&self) -> Result<(), PlanError> {
        if self.measured <= self.budget {
            return Ok(());
        }
        Err(PlanError::Budget {
            budget: self.budget,
            best: self.measured,
        })
    }

    /// The plan as TOML.
    pub fn to_toml(&self) -> String {
        toml::to_string(self).unwrap_or_default()
    }

    /// Quantises a network as planned.
    ///
    /// # Errors
    /// [`PlanError::Unknown`] for a name that is no layer; [`PlanError::Rewrite`].
    pub fn apply(&self, model: &mut ModelProto) -> Result<(), PlanError> {
        let there: Vec<String> = layers(model).into_iter().map(|layer| layer.name).collect();
        if let Some(name) = self.layers.keys().find(|name| !there.contains(name)) {
            return Err(PlanError::Unknown {
                name: name.clone(),
                there: there.join(", "),
            });
        }
        let report = quantise_each(model, |layer| {
            self.layers.get(layer).and_then(|width| width.bits())
        })?;
        if self.halve_the_rest {
            shrink_the_rest(model, Convolutions::Halves, self.names, &report.changed);
        }
        Ok(())
    }
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

/// Finds a plan for a trial's float network whose divergence is at most `budget` nats a frame (of sentences, an intent or tag), or
/// the nearest there is; tells `progress` what it does. What no layer holds is stored as half floats.
///
/// # Errors
/// [`PlanError`] when a network cannot be quantised or run.
pub fn find(trial: &Trial, budget: f64, progress: &mut dyn FnMut(&str)) -> Result<Plan, PlanError> {
    let mut candidates = Vec::new();
    for layer in layers(trial.floats()) {
        let alone = |width: Width| alone(trial, &layer, width);
        let eight = alone(Width::Int8)?;
        let (width, four) = if layer.fits_int4() {
            (Width::Int4, alone(Width::Int4)?)
        } else {
            (Width::Int8, eight)
        };
        progress(&format!(
            "{}: int4 {four:.5}, int8 {eight:.5} nats",
            layer.name
        ));
        candidates.push(Candidate {
            layer,
            width,
            // Half floats differ by a thousandth of what int8 does: not worth a third of the time. The whole is measured.
            alone: [four, eight, 0.0, 0.0],
        });
    }
    while candidates.iter().map(Candidate::now).sum::<f64>() > budget && raise(&mut candidates) {}
    loop {
        let mut plan = Plan {
            budget,
            measured: 0.0,
            halve_the_rest: true,
            names: Names::of(trial.kind()),
            layers: candidates
                .iter()
                .map(|one| (one.layer.name.clone(), one.width))
                .collect(),
        };
        plan.measured = divergence(trial, &plan)?;
        progress(&format!("{:.5} nats, {budget} allowed", plan.measured));
        if plan.measured <= budget || !raise(&mut candidates) {
            return Ok(plan);
        }
    }
}

/// Divergence of a planned network, nats a frame.
fn divergence(trial: &Trial, plan: &Plan) -> Result<f64, PlanError> {
    let mut model = trial.floats().clone();
    plan.apply(&mut model)?;
    Ok(trial.compare(&model)?.divergence)
}

/// Divergence with one layer alone in this width.
fn alone(trial: &Trial, layer: &Layer, width: Width) -> Result<f64, PlanError> {
    let plan = Plan {
        budget: 0.0,
        measured: 0.0,
        halve_the_rest: false,
        names: Names::Kept,
        layers: BTreeMap::from([(layer.name.clone(), width)]),
    };
    divergence(trial, &plan)
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
    fn a_budget_that_is_not_kept_is_told_with_the_best_there_is() {
        let mut plan = Plan {
            budget: 0.01,
            measured: 0.01,
            halve_the_rest: true,
            names: Names::Short,
            layers: BTreeMap::new(),
        };
        assert!(plan.within_budget().is_ok());
        plan.measured = 0.0234;
        let refused = plan.within_budget().unwrap_err().to_string();
        assert!(
            refused.contains("0.01 ") && refused.contains("0.0234"),
            "{refused}"
        );
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
            names: Names::Kept,
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
