//! A bundle's float network with recordings or sentences: how far another network is from it.

use std::path::Path;

use tract_onnx::pb::ModelProto;
use vocar_inference::{AcousticModel, Bundle, CpuEngine, Engine, EngineError, Precision};
use vocar_speech::dictation::{ScoresError, acoustic_scores};

use crate::bundle::{BundleError, Kind, floats, floats_of};
use crate::prune::{RecordError, Recorder, Records, record_texts};
use crate::texts::{Scores, Texts, TextsError};

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
    /// A sentence cannot be read.
    #[error(transparent)]
    Texts(#[from] TextsError),
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
    /// Mean Kullback-Leibler divergence of the posteriors, nats a frame; of sentences nats an intent or tag.
    pub divergence: f64,
    /// Share of the frames, or of intents and tags, whose likeliest column is the same, 0 to 1.
    pub same: f64,
}

/// A bundle's float network with something to try others on.
pub struct Trial {
    ground: Ground,
    floats: ModelProto,
    /// What the float network makes of it.
    reference: Vec<Scores>,
}

/// What networks are tried on.
enum Ground {
    Recordings {
        bundle: Box<Bundle>,
        recordings: Vec<Vec<f32>>,
    },
    Sentences(Box<Texts>),
}

impl Trial {
    /// Runs a bundle's float network over recordings, 16 kHz mono in [-1, 1].
    ///
    /// # Errors
    /// [`TrialError`] when the bundle has none, or nothing can be heard.
    pub fn new(bundle: Bundle, recordings: Vec<Vec<f32>>) -> Result<Trial, TrialError> {
        let floats = floats_of(&bundle)?;
        let bundle = Box::new(bundle);
        Trial::on(Ground::Recordings { bundle, recordings }, floats)
    }

    /// Runs the float network of a folder with a bundle of words over sentences.
    ///
    /// # Errors
    /// [`TrialError`] when the bundle has none, or cannot read them.
    pub fn reading(dir: &Path, texts: Texts) -> Result<Trial, TrialError> {
        Trial::on(Ground::Sentences(Box::new(texts)), floats(dir)?)
    }

    fn on(ground: Ground, floats: ModelProto) -> Result<Trial, TrialError> {
        let reference = ground.scores(&floats)?;
        if reference.iter().all(|scores| scores.values.is_empty()) {
            return Err(TrialError::Silent);
        }
        Ok(Trial {
            ground,
            floats,
            reference,
        })
    }

    /// What kind of bundle it is.
    pub fn kind(&self) -> Kind {
        match self.ground {
            Ground::Recordings { .. } => Kind::Speech,
            Ground::Sentences(_) => Kind::Words,
        }
    }

    /// The float network.
    pub fn floats(&self) -> &ModelProto {
        &self.floats
    }

    /// How far another network of the same inputs and outputs is from it.
    ///
    /// # Errors
    /// [`TrialError`] when it cannot be run.
    pub fn compare(&self, model: &ModelProto) -> Result<Distance, TrialError> {
        let (mut total, mut same, mut frames) = (0.0, 0, 0);
        let found = self.ground.scores(model)?;
        for (one, other) in self.reference.iter().zip(&found) {
            let rows = one.values.chunks_exact(one.columns);
            for (one, other) in rows.zip(other.values.chunks_exact(other.columns)) {
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

    /// What goes into the constant products of a network of the same inputs and outputs while it hears the recordings or reads
    /// the sentences.
    ///
    /// # Errors
    /// [`TrialError`] when it cannot be run.
    pub fn record(&self, model: &ModelProto) -> Result<Records, TrialError> {
        match &self.ground {
            Ground::Recordings { bundle, recordings } => {
                let columns = self.reference.first().map_or(1, |scores| scores.columns);
                let recorder = Recorder::new(model.clone(), bundle.manifest(), columns)?;
                heard_by(Box::new(recorder.clone()), bundle, recordings)?;
                Ok(recorder.finish())
            }
            Ground::Sentences(texts) => Ok(record_texts(model, texts)?),
        }
    }
}

impl Ground {
    /// What a network makes of it.
    fn scores(&self, model: &ModelProto) -> Result<Vec<Scores>, TrialError> {
        match self {
            Ground::Recordings { bundle, recordings } => {
                let name = "the network on trial";
                let engine = CpuEngine::new(model.clone(), name, bundle.manifest())?;
                heard_by(Box::new(engine), bundle, recordings)
            }
            Ground::Sentences(texts) => Ok(texts.scores(model)?),
        }
    }
}

/// Log posteriors of each recording.
fn heard_by(
    engine: Box<dyn Engine>,
    bundle: &Bundle,
    recordings: &[Vec<f32>],
) -> Result<Vec<Scores>, TrialError> {
    let acoustic = bundle.manifest().acoustic.clone();
    let network = AcousticModel::with_engine(engine, Precision::F32, acoustic)?;
    let columns = network.signature().columns;
    let heard = |samples: &Vec<f32>| {
        let values = acoustic_scores(bundle, &network, samples)?;
        Ok(Scores { values, columns })
    };
    recordings.iter().map(heard).collect()
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
