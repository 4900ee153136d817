//! Samples to acoustic scores, with early looks at chunks that are not full yet.

use std::sync::Arc;
use std::time::Instant;

use vocar_inference::{AcousticModel, AcousticSession, EngineError, Features};

use crate::event::StageTimes;
use crate::frontend::{FeatureSpec, FeatureSpecError, LogMel};

/// Front end and acoustic network over one stretch of audio.
pub(super) struct Ears {
    front: LogMel,
    session: AcousticSession,
    features: Vec<f32>,
    mels: usize,
    /// Feature frames in an output frame and in a step.
    subsampling: usize,
    step: usize,
    columns: usize,
    /// Output frames of the unfinished chunk that were already given by an early look.
    given: usize,
    pub times: StageTimes,
}

impl Ears {
    pub fn new(features: &Features, model: &Arc<AcousticModel>) -> Result<Ears, FeatureSpecError> {
        let signature = model.signature();
        Ok(Ears {
            front: LogMel::new(&specification(features))?,
            session: model.session(),
            features: Vec::with_capacity(signature.frames * signature.mels * 8),
            mels: signature.mels,
            subsampling: model.acoustic().subsampling,
            step: signature.frames,
            columns: signature.columns,
            given: 0,
            times: StageTimes::default(),
        })
    }

    /// Forgets everything heard.
    pub fn reset(&mut self) {
        self.front.reset();
        self.session.reset();
        self.features.clear();
        self.given = 0;
        self.times = StageTimes::default();
    }

    /// Takes 16 kHz samples and appends the scores of every chunk they fill; rows of `columns` values.
    pub fn push(&mut self, samples: &[f32], rows: &mut Vec<f32>) -> Result<(), EngineError> {
        let started = Instant::now();
        self.front.push(samples, &mut self.features);
        let heard = Instant::now();
        self.times.features += heard - started;
        let length = self.step * self.mels;
        let mut done = 0;
        while self.features.len() - done >= length {
            let scores = self.session.step(&self.features[done..done + length])?;
            rows.extend_from_slice(&scores[self.given * self.columns..]);
            self.given = 0;
            self.times.steps += 1;
            done += length;
        }
        self.features.drain(..done);
        self.times.acoustic += heard.elapsed();
        Ok(())
    }

    /// Appends the scores of the output frames that the unfinished chunk already covers, as if what follows were
    /// like the newest frame. Meant for pauses, where that is so. The stream itself goes on untouched; these frames
    /// will not be given again.
    pub fn look_early(&mut self, rows: &mut Vec<f32>) -> Result<(), EngineError> {
        self.look(self.features.len() / self.mels / self.subsampling, rows)
    }

    /// The same for the end of the audio: a torn output frame counts too.
    pub fn flush(&mut self, rows: &mut Vec<f32>) -> Result<(), EngineError> {
        self.look(
            (self.features.len() / self.mels).div_ceil(self.subsampling),
            rows,
        )
    }

    fn look(&mut self, frames: usize, rows: &mut Vec<f32>) -> Result<(), EngineError> {
        if frames <= self.given {
            return Ok(());
        }
        let started = Instant::now();
        let held = self.features.len();
        while self.features.len() < self.step * self.mels {
            self.features.extend_from_within(held - self.mels..held);
        }
        let mut guess = self.session.clone();
        let scores = guess.step(&self.features);
        if let Ok(scores) = &scores {
            rows.extend_from_slice(&scores[self.given * self.columns..frames * self.columns]);
        }
        self.features.truncate(held);
        self.given = frames;
        self.times.steps += 1;
        self.times.early_looks += 1;
        self.times.acoustic += started.elapsed();
        scores.map(|_| ())
    }
}

fn specification(features: &Features) -> FeatureSpec {
    FeatureSpec {
        sample_rate: features.sample_rate,
        window: features.window,
        hop: features.hop,
        fft: features.fft,
        mels: features.mels,
        low_hz: features.low_hz.into(),
        high_hz: features.high_hz.into(),
        floor: features.floor.into(),
    }
}
