//! Recordings, as the recogniser hears them.

use tract_onnx::pb::ModelProto;
use vocar_inference::{Acoustic, Bundle};
use vocar_speech::frontend::{FeatureSpec, LogMel};

use super::{CalibrationError, Inputs, Material};

/// Recordings for the acoustic network of a bundle.
pub struct Speech {
    spec: FeatureSpec,
    acoustic: Acoustic,
    mels: usize,
    recordings: Vec<Vec<f32>>,
}

impl Speech {
    /// Recordings, 16 kHz mono in [-1, 1], for a bundle's network: its manifest says which features it takes and how its
    /// states are named.
    pub fn new(bundle: &Bundle, recordings: Vec<Vec<f32>>) -> Speech {
        let manifest = bundle.manifest();
        Speech {
            spec: FeatureSpec::from(&manifest.features),
            acoustic: manifest.acoustic.clone(),
            mels: manifest.features.mels,
            recordings,
        }
    }
}

impl Material for Speech {
    fn streams(&self) -> usize {
        self.recordings.len()
    }

    fn fitted(&self, _: &ModelProto, _: usize) -> Option<ModelProto> {
        None
    }

    /// Whole steps; what is left at the end of a recording is not heard.
    fn runs(&self, stream: usize) -> Result<Vec<Inputs>, CalibrationError> {
        let mut features = Vec::new();
        LogMel::new(&self.spec)?.push(&self.recordings[stream], &mut features);
        let step = self.acoustic.frames_per_step() * self.mels;
        let run = |chunk: &[f32]| Inputs::from([(self.acoustic.input.clone(), chunk.to_vec())]);
        Ok(features.chunks_exact(step).map(run).collect())
    }

    fn successor(&self, input: &str) -> Option<String> {
        let state = input.strip_prefix(&self.acoustic.state_prefix)?;
        Some(format!("{}{state}", self.acoustic.next_prefix))
    }
}
