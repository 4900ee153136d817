//! Free speech beside the graph: when it is searched for, and when it is over.

use std::time::Instant;

use crate::decoder::Decoded;
use crate::endpoint::{EndReason, Situation};
use crate::free::{FreeLanguage, FreeSpeech, Reading};

use super::{MS, Recogniser};

impl Recogniser {
    /// What can be said freely from now on, or (`None`) nothing; between utterances only.
    pub fn set_free_speech(&mut self, language: Option<&FreeLanguage>) {
        let frame_ms = (self.frame_samples / MS) as u32;
        self.free = language.map(|language| {
            FreeSpeech::new(
                language,
                &self.config.free,
                self.decoder.columns(),
                frame_ms,
            )
        });
    }

    /// Whether free speech counts from now on: only where the speaker is known to speak to the assistant.
    pub fn listen_freely(&mut self, on: bool) {
        self.freely = on;
    }

    pub(super) fn keep_for_free_speech(&mut self, rows: &[f32]) {
        if self.freely
            && let Some(free) = &mut self.free
        {
            free.hear(rows);
        }
    }

    /// A sentence that the graph explains weakly is over after some silence: neither as soon as the graph is complete, for
    /// nothing says that the speaker is, nor as late as it is incomplete. Without a word nothing was said yet.
    pub(super) fn verdict_on_free_speech(
        &mut self,
        now: &Situation,
        verdict: Option<EndReason>,
    ) -> Option<EndReason> {
        let undecided = now.progress.words == 0 || verdict == Some(EndReason::TooLong);
        if !self.freely || self.free.is_none() || undecided {
            return verdict;
        }
        let silence = now.voice_silence_ms.max(now.decoder_silence_ms);
        let over = silence >= self.config.free.patience_ms;
        if over == verdict.is_some() || !self.is_weak() {
            return verdict;
        }
        over.then_some(EndReason::Stopped)
    }

    /// Whether the graph explains weakly what was heard so far.
    fn is_weak(&mut self) -> bool {
        let decoded = self.decoder.finish();
        let best = decoded.best().or(decoded.unfinished.as_ref());
        best.is_none_or(|best| best.confidence < self.config.free.weak)
    }

    /// What was said as any words in any order; nothing where the graph's sentence is strong or free speech does not count.
    pub(super) fn hear_freely(&mut self, decoded: &Decoded) -> Vec<Reading> {
        let strong = decoded
            .best()
            .is_some_and(|best| best.confidence >= self.config.free.below);
        let (true, false, Some(free)) = (self.freely, strong, &mut self.free) else {
            return Vec::new();
        };
        let started = Instant::now();
        let decoder = &self.decoder;
        let readings = free.readings(&self.config.decoder.confidence, |frame| {
            decoder.background_score(frame)
        });
        self.ears.times.free += started.elapsed();
        readings
    }
}
