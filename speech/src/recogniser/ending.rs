//! When an utterance is over, and what it was.

use std::time::Instant;

use super::utterance::{Outcome, Phase, Utterance};
use super::{Mode, Recogniser, State};
use crate::endpoint::EndReason;
use crate::event::{SpeechEvent, Trace};

impl Recogniser {
    /// Whether it pays to look at an unfinished chunk: the sentence is in its last phone or past it.
    pub(super) fn may_be_over(&self, quiet: u64) -> bool {
        let progress = self.decoder.progress();
        progress.complete || (progress.words > 0 && quiet > 0)
    }

    pub(super) fn verdict(&mut self, utterance: &Utterance, quiet: u64) -> Option<EndReason> {
        if utterance.phase != Phase::Command {
            return (!self.voice.in_speech()).then_some(EndReason::Stopped);
        }
        let progress = self.decoder.progress();
        let now = utterance.situation(progress, self.frame_samples, self.heard(), quiet);
        let verdict = self.config.endpoint.judge(&now);
        self.verdict_on_free_speech(&now, verdict)
    }

    /// Samples since the last voiced one.
    pub(super) fn voice_silence(&self) -> u64 {
        if self.voice.in_speech() {
            self.voice.trailing_silence()
        } else {
            self.heard().saturating_sub(self.voice_end)
        }
    }

    /// How an utterance that is over came to its end.
    fn trace(&self, utterance: &Utterance, reason: EndReason) -> Trace {
        let quiet = self.voice_silence();
        let situation = utterance.situation(
            self.decoder.progress(),
            self.frame_samples,
            self.heard(),
            quiet,
        );
        Trace {
            voice: Some(
                self.loudness
                    .voice(utterance.onset, self.heard().saturating_sub(quiet)),
            ),
            wake: utterance.woken.clone(),
            ending: Some(self.config.endpoint.ending(reason, &situation)),
            times: self.ears.times,
        }
    }

    pub(super) fn conclude(
        &mut self,
        utterance: &Utterance,
        reason: EndReason,
        sink: &mut dyn FnMut(SpeechEvent),
    ) -> State {
        let started = Instant::now();
        let decoded = self.decoder.finish();
        self.ears.times.decoding += started.elapsed();
        let freely = self.hear_freely(&decoded);
        let trace = self.trace(utterance, reason);
        if let Some(free) = utterance.freely(freely, self.frame_samples, self.heard(), &trace) {
            sink(SpeechEvent::FreeSpeech(free));
        }
        let outcome = utterance.outcome(&decoded, reason, self.frame_samples, self.heard(), trace);
        self.not_before = match &outcome {
            Outcome::Final(recognition) => recognition.speech_end,
            Outcome::Rejected(..) => self.heard(),
        };
        sink(outcome.event(self.heard()));
        match self.mode {
            Mode::PushToTalk => State::Off,
            Mode::Wake => self.waiting(Phase::Wake),
            Mode::OpenMic => self.waiting(Phase::Command),
        }
    }
}
