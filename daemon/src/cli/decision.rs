//! Every decision of the recogniser on one recording: what it took for said or refused, how sure, and when.

use super::manifest::normal;
use crate::event::{Event, EventKind, Reason, Stage, WordTime, seconds};
use serde::Serialize;

/// A stretch of speech that was taken for a sentence, or refused.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Decision {
    /// The best reading; empty when there was none.
    pub text: String,
    /// Its confidence, 0 to 1.
    pub confidence: Option<f32>,
    /// Why it was refused; `None` when it was not.
    pub refused: Option<Reason>,
    /// When it was decided, seconds from the beginning of the recording.
    pub at_s: f64,
    /// Length of the utterance from its first voice, or from the decision before, to this one, seconds.
    pub length_s: f64,
    /// Audio heard between the end of the last word and the decision, milliseconds; `None` without words.
    pub waited_ms: Option<f64>,
    /// The next best readings, best first.
    pub rivals: Vec<String>,
}

/// Follows the events of one recording.
#[derive(Debug, Default)]
pub struct Decisions {
    made: Vec<Decision>,
    /// First sample of the present utterance.
    begin: u64,
    speaking: bool,
}

impl Decisions {
    /// Takes note of an event.
    pub fn take(&mut self, event: &Event) {
        match &event.kind {
            EventKind::SpeechStarted if !self.speaking => {
                self.speaking = true;
                self.begin = event.at;
            }
            EventKind::FinalTranscript {
                text,
                confidence,
                words,
                alternatives,
                ..
            } => {
                let decision = self.conclude(event.at, words);
                self.made.push(Decision {
                    text: normal(text),
                    confidence: Some(*confidence),
                    rivals: alternatives.clone(),
                    ..decision
                });
            }
            EventKind::Rejected {
                stage: Stage::Recogniser,
                reason,
                text,
                confidence,
                heard,
            } => {
                let words = heard.as_ref().map_or(&[][..], |heard| &heard.words);
                let decision = self.conclude(event.at, words);
                let candidates = heard
                    .as_ref()
                    .map_or(&[][..], |heard| heard.candidates.as_slice());
                self.made.push(Decision {
                    text: text.as_deref().map(normal).unwrap_or_default(),
                    confidence: *confidence,
                    refused: Some(*reason),
                    rivals: candidates
                        .iter()
                        .skip(1)
                        .map(|rival| rival.text.clone())
                        .collect(),
                    ..decision
                });
            }
            // The words of the transcript before mean nothing.
            EventKind::Rejected { reason, .. } => {
                if let Some(last) = self.made.last_mut() {
                    last.refused = Some(*reason);
                }
            }
            _ => {}
        }
    }

    /// All decisions, in order.
    #[must_use]
    pub fn into_vec(self) -> Vec<Decision> {
        self.made
    }

    fn conclude(&mut self, at: u64, words: &[WordTime]) -> Decision {
        let length = at.saturating_sub(self.begin);
        self.begin = at;
        let spoke = std::mem::take(&mut self.speaking);
        Decision {
            text: String::new(),
            confidence: None,
            refused: None,
            at_s: seconds(at),
            length_s: if spoke || !words.is_empty() {
                seconds(length)
            } else {
                0.0
            },
            waited_ms: words
                .last()
                .map(|word| seconds(at.saturating_sub(word.end)) * 1e3),
            rivals: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Heard, Latency, Stages};

    fn event(at: u64, kind: EventKind) -> Event {
        Event {
            session: 1,
            zone: "driver".into(),
            at,
            kind,
        }
    }

    fn word(end: u64) -> WordTime {
        WordTime {
            text: "fan".into(),
            start: 0,
            end,
            confidence: 0.5,
        }
    }

    fn heard(at: u64) -> Event {
        event(
            at,
            EventKind::FinalTranscript {
                text: "Fan on".into(),
                confidence: 0.9,
                words: vec![word(at - 1600)],
                alternatives: vec!["fan off".into()],
                candidates: Vec::new(),
                stages: Stages::default(),
                latency: Latency::default(),
            },
        )
    }

    fn refused(at: u64, stage: Stage, reason: Reason, words: Vec<WordTime>) -> Event {
        let heard = (!words.is_empty()).then(|| {
            Box::new(Heard {
                words,
                candidates: Vec::new(),
                stages: Stages::default(),
            })
        });
        event(
            at,
            EventKind::Rejected {
                stage,
                reason,
                text: None,
                confidence: None,
                heard,
            },
        )
    }

    fn follow(events: &[Event]) -> Vec<Decision> {
        let mut decisions = Decisions::default();
        for event in events {
            decisions.take(event);
        }
        decisions.into_vec()
    }

    #[test]
    fn an_utterance_lasts_from_its_first_voice_to_its_decision() {
        let made = follow(&[
            event(8_000, EventKind::SpeechStarted),
            event(16_000, EventKind::SpeechEnded),
            event(20_000, EventKind::SpeechStarted),
            heard(24_000),
            refused(
                40_000,
                Stage::Recogniser,
                Reason::TooLong,
                vec![word(32_000)],
            ),
        ]);
        assert_eq!((made[0].text.as_str(), made[0].length_s), ("fan on", 1.0));
        assert_eq!(made[0].waited_ms, Some(100.0));
        assert_eq!(made[0].rivals, ["fan off"]);
        assert_eq!((made[1].length_s, made[1].waited_ms), (1.0, Some(500.0)));
        assert_eq!(made[1].refused, Some(Reason::TooLong));
    }

    #[test]
    fn silence_is_no_utterance_and_a_sentence_without_meaning_is_refused() {
        let made = follow(&[refused(
            80_000,
            Stage::Recogniser,
            Reason::NoSpeech,
            Vec::new(),
        )]);
        assert_eq!(made[0].length_s, 0.0);
        let made = follow(&[
            event(0, EventKind::SpeechStarted),
            heard(16_000),
            refused(16_000, Stage::Understanding, Reason::NoCommand, Vec::new()),
        ]);
        assert_eq!(made.len(), 1);
        assert_eq!(made[0].refused, Some(Reason::NoCommand));
    }
}
