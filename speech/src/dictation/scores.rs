//! Acoustic scores of a whole recording at once.

use std::sync::Arc;

use vocar_inference::{AcousticModel, Bundle, EngineError};

use crate::frontend::{FeatureSpec, FeatureSpecError, LogMel};

/// Why a recording has no acoustic scores.
#[derive(Debug, thiserror::Error)]
pub enum ScoresError {
    /// The bundle's features cannot be computed.
    #[error(transparent)]
    Features(#[from] FeatureSpecError),
    /// The acoustic network failed.
    #[error(transparent)]
    Engine(#[from] EngineError),
}

/// Acoustic scores of a recording, row-major `[frames][2 * units]`, natural logarithms, the label delay taken off;
/// `samples` are 16 kHz mono in [-1, 1]. The network steps over it as in the vehicle; repetitions of the newest frame
/// stand for what follows the end.
///
/// # Errors
/// [`ScoresError`] when the bundle's features cannot be computed or the network fails.
pub fn acoustic_scores(
    bundle: &Bundle,
    model: &Arc<AcousticModel>,
    samples: &[f32],
) -> Result<Vec<f32>, ScoresError> {
    let signature = model.signature();
    let mut features = Vec::new();
    LogMel::new(&FeatureSpec::from(&bundle.manifest().features))?.push(samples, &mut features);
    let heard = features.len() / signature.mels;
    if heard == 0 {
        return Ok(Vec::new());
    }
    let (subsampling, delay) = (model.acoustic().subsampling, model.acoustic().delay);
    let frames = heard.div_ceil(subsampling);
    let steps = ((frames + delay) * subsampling).div_ceil(signature.frames);
    let newest = (heard - 1) * signature.mels..heard * signature.mels;
    while features.len() < steps * signature.frames * signature.mels {
        features.extend_from_within(newest.clone());
    }
    let mut session = model.session();
    let mut rows = Vec::with_capacity((frames + delay) * signature.columns);
    for chunk in features.chunks_exact(signature.frames * signature.mels) {
        rows.extend_from_slice(session.step(chunk)?);
    }
    rows.truncate((delay + frames) * signature.columns);
    rows.drain(..delay * signature.columns);
    Ok(rows)
}
