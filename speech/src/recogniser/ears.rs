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
    /// Output frames by which scores come after their sound.
    delay: usize,
    /// Output frames that the session has computed.
    stepped: usize,
    /// Rows given so far; row `i` speaks of sound frame `i`.
    given: usize,
    /// What samples are multiplied by, and room for the products.
    gain: f32,
    scaled: Vec<f32>,
    pub times: StageTimes,
    /// Steps of utterances before the present one.
    steps_before: u64,
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
            delay: model.acoustic().delay,
            stepped: 0,
            given: 0,
            gain: 1.0,
            scaled: Vec::with_capacity(1024),
            times: StageTimes::default(),
            steps_before: 0,
        })
    }

    /// Forgets everything heard; what follows is multiplied by `gain`.
    pub fn reset(&mut self, gain: f32) {
        self.gain = gain;
        self.front.reset();
        self.session.reset();
        self.features.clear();
        self.stepped = 0;
        self.given = 0;
        self.steps_before = self.stepped_in_all();
        self.times = StageTimes::default();
    }

    /// Steps of the network since these ears were made.
    pub fn stepped_in_all(&self) -> u64 {
        self.steps_before + u64::from(self.times.steps)
    }

    /// Whether scores given since the last reset have turned out to be wrong.
    pub fn suspect(&self) -> bool {
        self.session.suspect()
    }

    /// Whether the scores given since the last reset hold, looked at before something is done because of them.
    pub fn audit(&mut self) -> bool {
        self.session.audit()
    }

    /// The voice has become louder than it began: from here on no more gain than this.
    pub fn limit_gain(&mut self, gain: f32) {
        self.gain = self.gain.min(gain);
    }

    /// Takes 16 kHz samples and appends the scores of every chunk they fill; rows of `columns` values.
    pub fn push(&mut self, samples: &[f32], rows: &mut Vec<f32>) -> Result<(), EngineError> {
        let started = Instant::now();
        self.scaled.clear();
        self.scaled
            .extend(samples.iter().map(|sample| sample * self.gain));
        self.front.push(&self.scaled, &mut self.features);
        let heard = Instant::now();
        self.times.features += heard - started;
        let length = self.step * self.mels;
        let mut done = 0;
        while self.features.len() - done >= length {
            let scores = self.session.step(&self.features[done..done + length])?;
            self.given = append_rows(
                scores,
                self.columns,
                self.stepped,
                self.delay,
                self.given,
                usize::MAX,
                rows,
            );
            self.stepped += scores.len() / self.columns;
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

    /// Gives the rows of `pending` sound frames beyond those stepped over. The delayed rows come from as many steps of
    /// a forked session as they need, fed with repetitions of the newest frame.
    fn look(&mut self, pending: usize, rows: &mut Vec<f32>) -> Result<(), EngineError> {
        let end = self.stepped + pending;
        if end <= self.given || self.features.is_empty() {
            return Ok(());
        }
        let started = Instant::now();
        let held = self.features.len();
        let length = self.step * self.mels;
        let steps = ((pending + self.delay) * self.subsampling)
            .div_ceil(self.step)
            .max(1);
        while self.features.len() < steps * length {
            self.features.extend_from_within(held - self.mels..held);
        }
        let mut guess = self.session.clone();
        let mut stepped = self.stepped;
        let mut outcome = Ok(());
        for step in 0..steps {
            match guess.step(&self.features[step * length..(step + 1) * length]) {
                Ok(scores) => {
                    self.given = append_rows(
                        scores,
                        self.columns,
                        stepped,
                        self.delay,
                        self.given,
                        end,
                        rows,
                    );
                    stepped += scores.len() / self.columns;
                }
                Err(error) => {
                    outcome = Err(error);
                    break;
                }
            }
            self.times.steps += 1;
        }
        self.features.truncate(held);
        self.times.early_looks += 1;
        self.times.acoustic += started.elapsed();
        outcome
    }
}

/// Appends those rows of a step that were not given yet and lie before sound frame `end`; the step's first output
/// frame is `first`. Returns how many rows are given then.
fn append_rows(
    scores: &[f32],
    columns: usize,
    first: usize,
    delay: usize,
    given: usize,
    end: usize,
    rows: &mut Vec<f32>,
) -> usize {
    let outputs = first + scores.len() / columns;
    let last = outputs.saturating_sub(delay).min(end);
    if last <= given {
        return given;
    }
    let from = (given + delay - first) * columns;
    let to = (last + delay - first) * columns;
    rows.extend_from_slice(&scores[from..to]);
    last
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
