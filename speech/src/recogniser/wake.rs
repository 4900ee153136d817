//! From a wake phrase to its command.

use super::utterance::Utterance;
use super::{MS, Recogniser};
use crate::event::{SpeechEvent, Woken};
use crate::wake::Spotted;

impl Recogniser {
    /// After the wake phrase the same utterance is a command; its first frames have been heard already.
    pub(super) fn wake(
        &mut self,
        utterance: &mut Utterance,
        spotted: Option<Spotted>,
        sink: &mut dyn FnMut(SpeechEvent),
    ) {
        let Some(spotted) = spotted else { return };
        if self.heard_wrongly(utterance) {
            return;
        }
        let woken = Woken {
            at: utterance.origin + u64::from(spotted.end) * self.frame_samples,
            phrase: self.spotter.config().phrases[spotted.phrase].clone(),
            ratio: spotted.ratio,
            score: self.config.decoder.confidence.word(spotted.ratio),
        };
        sink(SpeechEvent::WakeDetected {
            at: woken.at,
            phrase: woken.phrase.clone(),
            score: woken.score,
        });
        self.decoder.reset();
        let columns = self.decoder.columns();
        let rows = utterance.since(spotted.end, columns);
        self.work.searched += (rows.len() / columns) as u64;
        self.decoder.push(rows);
        self.keep_for_free_speech(rows);
        utterance.awake(woken);
    }

    /// The wake phrase was all: the command is still to come.
    pub(super) fn nothing_said_since_wake(&self, utterance: &Utterance, quiet: u64) -> bool {
        let voice_end = self.heard() - quiet;
        utterance.woken.is_some()
            && self.decoder.progress().words == 0
            && voice_end < utterance.origin + 300 * MS
    }
}
