//! When an utterance is over.
//!
//! A sentence that is complete and cannot go on needs only as much silence as tells a pause from a stop consonant;
//! one that could go on gets time for it; one that is incomplete gets more. The judgement is a pure function.

use serde::Serialize;

use crate::decoder::{Continuation, Progress};

/// How long to wait, in milliseconds of silence unless said otherwise.
#[derive(Debug, Clone, PartialEq)]
pub struct EndpointConfig {
    /// After a complete sentence that is unlikely to go on.
    pub complete_ms: u32,
    /// After a complete sentence that may go on, or whose rival is incomplete.
    pub may_go_on_ms: u32,
    /// After a complete sentence that is as likely to go on as not: the groups of a telephone number.
    pub likely_to_go_on_ms: u32,
    /// After an incomplete one.
    pub incomplete_ms: u32,
    /// A complete sentence must beat every incomplete one by this, nats, to be over soonest.
    pub lead: f32,
    /// No utterance is longer than this, milliseconds in all.
    pub longest_ms: u32,
}

impl Default for EndpointConfig {
    fn default() -> Self {
        EndpointConfig {
            complete_ms: 90,
            may_go_on_ms: 140,
            likely_to_go_on_ms: 500,
            incomplete_ms: 1800,
            lead: 6.0,
            longest_ms: 15_000,
        }
    }
}

/// What is known at some time of an utterance.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Situation {
    /// How far the decoder has come.
    pub progress: Progress,
    /// Milliseconds the decoder's best path has been silent for.
    pub decoder_silence_ms: u32,
    /// Milliseconds without voice, by the voice activity detector.
    pub voice_silence_ms: u32,
    /// Milliseconds since the utterance began.
    pub length_ms: u32,
}

/// Why an utterance is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum EndReason {
    /// The sentence is complete.
    Complete,
    /// It is not, but the speaker has stopped.
    Stopped,
    /// It has become too long.
    TooLong,
    /// There is no more audio.
    AudioOver,
}

/// What ended an utterance: the rule and what it was applied to.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Ending {
    /// The rule.
    pub rule: EndReason,
    /// Silence that the rule asks for, milliseconds; for [`EndReason::TooLong`] the greatest length, for
    /// [`EndReason::AudioOver`] nought.
    pub patience_ms: u32,
    /// Silence of the decoder's best path, milliseconds.
    pub decoder_silence_ms: u32,
    /// Silence by the voice activity detector, milliseconds.
    pub voice_silence_ms: u32,
    /// Length of the utterance, milliseconds.
    pub length_ms: u32,
    /// Words of the best path that were over.
    pub words: u32,
    /// Whether the best path could end there.
    pub complete: bool,
    /// Whether the best path was likely to go on.
    pub continuation: Continuation,
    /// By how much the best path that could end beat the best that could not, nats; `None` when either was missing.
    pub lead: Option<f32>,
}

impl EndpointConfig {
    /// Whether the utterance is over, and why.
    pub fn judge(&self, now: &Situation) -> Option<EndReason> {
        if now.length_ms >= self.longest_ms {
            return Some(EndReason::TooLong);
        }
        // The detector hears the newest samples but takes a weak ending for silence; the decoder has to agree that
        // the last word is over, then the longer of the two counts.
        let silence = now.decoder_silence_ms.max(now.voice_silence_ms);
        let progress = &now.progress;
        // Of two ways that sound the same, one may be complete and the other not.
        let tied = progress.lead >= 0.0 && progress.lead.is_finite();
        let complete = progress.complete || tied;
        let said = complete && progress.words > 0 && now.decoder_silence_ms > 0;
        if said && silence >= self.patience(now) {
            return Some(EndReason::Complete);
        }
        (now.voice_silence_ms >= self.incomplete_ms).then_some(EndReason::Stopped)
    }
}

impl EndpointConfig {
    /// Writes down why an utterance is over.
    pub fn ending(&self, rule: EndReason, now: &Situation) -> Ending {
        let progress = &now.progress;
        Ending {
            rule,
            patience_ms: match rule {
                EndReason::Complete => self.patience(now),
                EndReason::Stopped => self.incomplete_ms,
                EndReason::TooLong => self.longest_ms,
                EndReason::AudioOver => 0,
            },
            decoder_silence_ms: now.decoder_silence_ms,
            voice_silence_ms: now.voice_silence_ms,
            length_ms: now.length_ms,
            words: progress.words,
            complete: progress.complete,
            continuation: progress.continuation,
            lead: Some(progress.lead).filter(|lead| lead.is_finite()),
        }
    }

    /// Silence to wait for after a complete sentence, milliseconds.
    fn patience(&self, now: &Situation) -> u32 {
        let progress = &now.progress;
        // A voice that is still there may be at a word that only the next frames will show.
        let quiet = now.voice_silence_ms > 0;
        match progress.continuation {
            Continuation::Likely if progress.complete => self.likely_to_go_on_ms,
            Continuation::Unlikely if progress.lead >= self.lead && quiet => self.complete_ms,
            _ => self.may_go_on_ms,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn situation(complete: bool, continuation: Continuation, silence_ms: u32) -> Situation {
        Situation {
            progress: Progress {
                frames: 50,
                words: 3,
                silent_frames: silence_ms / 30,
                complete,
                continuation,
                lead: 20.0,
            },
            decoder_silence_ms: silence_ms,
            voice_silence_ms: silence_ms,
            length_ms: 2000,
        }
    }

    /// The first silence, in steps of 10 ms, that ends the utterance.
    fn ends_after(
        change: impl Fn(&mut Situation),
        complete: bool,
        continuation: Continuation,
    ) -> Option<(u32, EndReason)> {
        (0..200).map(|step| step * 10).find_map(|silence| {
            let mut now = situation(complete, continuation, silence);
            change(&mut now);
            EndpointConfig::default()
                .judge(&now)
                .map(|reason| (silence, reason))
        })
    }

    #[test]
    fn the_more_may_come_the_longer_the_wait() {
        let plain = |_: &mut Situation| {};
        for (complete, continuation, wait, reason) in [
            (true, Continuation::Unlikely, 90, EndReason::Complete),
            (true, Continuation::Possible, 140, EndReason::Complete),
            (true, Continuation::Likely, 500, EndReason::Complete),
        ] {
            let found = ends_after(plain, complete, continuation);
            assert_eq!(found, Some((wait, reason)), "{continuation:?}");
        }
    }

    #[test]
    fn while_a_voice_is_still_there_the_decoder_alone_waits_longer() {
        let voiced = |now: &mut Situation| now.voice_silence_ms = 0;
        assert_eq!(
            ends_after(voiced, true, Continuation::Unlikely),
            Some((140, EndReason::Complete))
        );
    }

    #[test]
    fn an_incomplete_sentence_is_given_time() {
        let behind = |now: &mut Situation| now.progress.lead = -3.0;
        assert_eq!(
            ends_after(behind, false, Continuation::Likely),
            Some((1800, EndReason::Stopped))
        );
    }

    #[test]
    fn an_incomplete_rival_delays_the_end() {
        let close = |now: &mut Situation| now.progress.lead = 2.0;
        assert_eq!(
            ends_after(close, true, Continuation::Unlikely),
            Some((140, EndReason::Complete))
        );
    }

    #[test]
    fn nobody_is_cut_off_in_the_last_word() {
        let speaking = |now: &mut Situation| now.decoder_silence_ms = 0;
        assert_eq!(
            ends_after(speaking, true, Continuation::Unlikely),
            Some((1800, EndReason::Stopped))
        );
    }

    #[test]
    fn noise_that_never_ends_is_cut() {
        let mut now = situation(false, Continuation::Likely, 0);
        assert_eq!(EndpointConfig::default().judge(&now), None);
        now.length_ms = 15_000;
        assert_eq!(
            EndpointConfig::default().judge(&now),
            Some(EndReason::TooLong)
        );
    }
}
