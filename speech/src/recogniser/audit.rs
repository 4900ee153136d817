//! An utterance heard again, because the network it was heard by gave wrong scores.
//!
//! An accelerator may fail in a way that only a comparison finds. Before anything is done because of its scores they are
//! compared; if they do not hold, the whole utterance goes through the network once more, which is on the processor then.

use vocar_inference::{AcousticModel, EngineError};

use super::utterance::{Phase, Utterance};
use super::{MS, Recogniser};
use crate::event::SpeechEvent;

impl Recogniser {
    /// Keeps the sound of a whole utterance where its scores may turn out to be wrong.
    pub(super) fn keep_for(&mut self, model: &AcousticModel) {
        if model.fallible() {
            let longest = self.config.endpoint.longest_ms + self.config.pre_roll_ms;
            self.recent.keep((u64::from(longest) * MS) as usize);
        }
    }

    /// Whether an utterance must be heard again before anything is done because of its scores.
    pub(super) fn heard_wrongly(&mut self, utterance: &Utterance) -> bool {
        utterance.phase != Phase::Scout && !self.ears.audit()
    }

    /// The utterance from its first sample, as far as that is kept. What follows a wake phrase stays a command.
    pub(super) fn hear_again(&mut self, utterance: &mut Utterance) -> Result<(), EngineError> {
        let columns = self.decoder.columns();
        let first = self.begin_to_hear(utterance.first)?;
        match utterance.phase {
            Phase::Scout | Phase::Wake => {
                *utterance = Utterance::new(utterance.phase, first, utterance.onset);
            }
            Phase::Command => {
                let before = utterance.origin.saturating_sub(first) / self.frame_samples;
                let wake = (before as usize * columns).min(self.rows.len());
                self.rows.drain(..wake);
                utterance.first = first;
                utterance.origin = first + before * self.frame_samples;
            }
        }
        Ok(())
    }

    /// Goes on with an utterance that was heard wrongly.
    pub(super) fn go_on_again(
        &mut self,
        mut utterance: Utterance,
        sink: &mut dyn FnMut(SpeechEvent),
    ) -> Result<(), EngineError> {
        self.hear_again(&mut utterance)?;
        self.hear(utterance, sink)
    }
}
