//! A bundle's float network with recordings: how far another network is from it.

use tract_onnx::pb::ModelProto;
use vocar_inference::{AcousticModel, Bundle, CpuEngine, Engine, EngineError, Precision};
use vocar_speech::dictation::{ScoresError, acoustic_scores};

use crate::bundle::{BundleError, floats_of};
use crate::prune::{RecordError, Recorder, Records};

/// Why networks cannot be compared.
#[derive(Debug, thiserror::Error)]
pub enum TrialError {
    /// The bundle's float network cannot be read.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// A network cannot be run.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// A recording cannot be heard.
    #[error(transparent)]
    Scores(#[from] ScoresError),
    /// What goes on in a network cannot be recorded.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// Nothing to compare on.
    #[error("the recordings hold no frame of speech: give some seconds of it")]
    Silent,
}

/// How far a network is from the floats.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Distance {
    /// Mean Kullback-Leibler divergence of the posteriors, nats a frame.
    pub divergence: f64,
    /// Share of the frames whose likeliest column is the same, 0 to 1.
    pub same: f64,
}

/// A bundle's float network with recordings to try others on.
pub struct Trial {
    bundle: Bundle,
    floats: ModelProto,
    recordings: Vec<Vec<f32>>,
    /// Log posteriors of the float network on each.
    reference: Vec<Vec<f32>>,
    columns: usize,
}

impl Trial {
    /// Runs a bundle's float network over recordings, 16 kHz mono in [-1, 1].
    ///
    /// # Errors
    /// [`TrialError`] when the bundle has none, or nothing can be heard.
    pub fn new(bundle: Bundle, recordings: Vec<Vec<f32>>) -> Result<Trial, TrialError> {
        let mut trial = Trial {
            floats: floats_of(&bundle)?,
            bundle,
            recordings,
            reference: Vec::new(),
            columns: 1,
        };
        (trial.reference, trial.columns) = trial.posteriors(trial.floats.clone())?;
        if trial.reference.iter().all(Vec::is_empty) {
            return Err(TrialError::Silent);
        }
        Ok(trial)
    }

    /// The float network.
    pub fn floats(&self) -> &ModelProto {
        &self.floats
    }

    /// How far another network of the same inputs and outputs is from it.
    ///
    /// # Errors
    /// [`TrialError`] when it cannot be run.
    pub fn compare(&self, model: ModelProto) -> Result<Distance, TrialError> {
        let (mut total, mut same, mut frames) = (0.0, 0, 0);
        let (found, _) = self.posteriors(model)?;
        for (one, other) in self.reference.iter().zip(&found) {
            let rows = one.chunks_exact(self.columns);
            for (one, other) in rows.zip(other.chunks_exact(self.columns)) {
                total += kullback_leibler(one, other);
                same += usize::from(best(one) == best(other));
                frames += 1;
            }
        }
        let frames = f64::from(frames.max(1));
        Ok(Distance {
            divergence: total / frames,
            same: same as f64 / frames,
        })
    }

    /// What goes into the constant products of a network of the same inputs and outputs while it hears the recordings.
    ///
    /// # Errors
    /// [`TrialError`] when it cannot be run.
    pub fn record(&self, model: &ModelProto) -> Result<Records, TrialError> {
        let recorder = Recorder::new(model.clone(), self.bundle.manifest(), self.columns)?;
        self.heard_by(Box::new(recorder.clone()))?;
        Ok(recorder.finish())
    }

    /// Log posteriors of each recording, and the columns of a row.
    fn posteriors(&self, model: ModelProto) -> Result<(Vec<Vec<f32>>, usize), TrialError> {
        let engine = CpuEngine::new(model, "the network on trial", self.bundle.manifest())?;
        self.heard_by(Box::new(engine))
    }

    fn heard_by(&self, engine: Box<dyn Engine>) -> Result<(Vec<Vec<f32>>, usize), TrialError> {
        let acoustic = self.bundle.manifest().acoustic.clone();
        let network = AcousticModel::with_engine(engine, Precision::F32, acoustic)?;
        let heard = |samples: &Vec<f32>| acoustic_scores(&self.bundle, &network, samples);
        let rows = self
            .recordings
            .iter()
            .map(heard)
            .collect::<Result<_, _>>()?;
        Ok((rows, network.signature().columns))
    }
}

fn best(row: &[f32]) -> Option<usize> {
    (0..row.len()).max_by(|&one, &other| row[one].total_cmp(&row[other]))
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
}
