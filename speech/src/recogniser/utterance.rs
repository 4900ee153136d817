//! One stretch of speech while it is being heard, and what it turns out to be.

use crate::decoder::{Decoded, DecodedSentence, Progress};
use crate::endpoint::{EndReason, Situation};
use crate::event::{
    Hypothesis, Recognition, RejectReason, SpeechEvent, Trace, Transcript, Woken, Word,
};
use crate::free::Reading;

use super::MS;

/// Frames of scores kept while the wake phrase is looked for: more than the spotter's patience.
const REMEMBERED: usize = 64;

/// What an utterance is listened to for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// Anything like a wake phrase, by the scout alone.
    Scout,
    /// A wake phrase.
    Wake,
    /// A sentence of the graph.
    Command,
}

/// One stretch of speech.
pub(super) struct Utterance {
    pub phase: Phase,
    /// Sample of the stream at which the ears began.
    pub first: u64,
    /// Sample of the stream at which the frames of the present phase begin.
    pub origin: u64,
    /// First voiced sample.
    pub onset: u64,
    /// The wake phrase that opened it.
    pub woken: Option<Woken>,
    shown: String,
    scores: Vec<f32>,
    /// Frames heard for the wake phrase.
    frames: u32,
}

impl Utterance {
    pub fn new(phase: Phase, origin: u64, onset: u64) -> Utterance {
        Utterance {
            phase,
            first: origin,
            origin,
            onset,
            woken: None,
            shown: String::new(),
            scores: Vec::new(),
            frames: 0,
        }
    }

    /// Keeps a frame of scores in case the wake phrase turns out to have ended before it.
    pub fn remember(&mut self, row: &[f32]) {
        if self.scores.len() >= 2 * REMEMBERED * row.len() {
            self.scores.drain(..REMEMBERED * row.len());
        }
        self.scores.extend_from_slice(row);
        self.frames += 1;
    }

    /// The remembered scores from this frame on.
    pub fn since(&self, frame: u32, columns: usize) -> &[f32] {
        let wanted = self.frames.saturating_sub(frame) as usize * columns;
        &self.scores[self.scores.len().saturating_sub(wanted)..]
    }

    /// What follows the wake phrase is a command.
    pub fn awake(&mut self, woken: Woken) {
        self.phase = Phase::Command;
        self.origin = woken.at;
        self.woken = Some(woken);
        self.scores.clear();
    }

    /// Shows the words so far when they have changed.
    pub fn partial(&mut self, at: u64, words: String, sink: &mut dyn FnMut(SpeechEvent)) {
        if words != self.shown {
            self.shown.clone_from(&words);
            sink(SpeechEvent::Partial(Transcript { at, text: words }));
        }
    }

    pub fn situation(
        &self,
        progress: Progress,
        frame_samples: u64,
        heard: u64,
        quiet: u64,
    ) -> Situation {
        Situation {
            progress,
            decoder_silence_ms: (u64::from(progress.silent_frames) * frame_samples / MS) as u32,
            voice_silence_ms: (quiet / MS) as u32,
            length_ms: (heard.saturating_sub(self.origin) / MS) as u32,
        }
    }

    pub fn outcome(
        &self,
        decoded: &Decoded,
        reason: EndReason,
        frame_samples: u64,
        heard: u64,
        trace: Trace,
    ) -> Outcome {
        let recognition = |sentences: &[DecodedSentence]| {
            let hypotheses: Vec<Hypothesis> = sentences
                .iter()
                .map(|sentence| self.hypothesis(sentence, frame_samples))
                .collect();
            let words = &hypotheses.first()?.words;
            let (speech_start, speech_end) = (words.first()?.start, words.last()?.end);
            Some(Recognition {
                speech_start,
                speech_end,
                decided_at: heard,
                trace: trace.clone(),
                hypotheses,
            })
        };
        let best =
            recognition(&decoded.n_best).or_else(|| recognition(decoded.unfinished.as_slice()));
        match best {
            Some(recognition) if decoded.accepted => Outcome::Final(recognition),
            best => {
                let reason = match reason {
                    EndReason::TooLong => RejectReason::TooLong,
                    _ if decoded.n_best.is_empty() => RejectReason::NotASentence,
                    _ => RejectReason::LowConfidence,
                };
                Outcome::Rejected(reason, best, Box::new(trace))
            }
        }
    }

    /// What was said freely, if anything.
    pub fn freely(
        &self,
        readings: Vec<Reading>,
        frame_samples: u64,
        heard: u64,
        trace: &Trace,
    ) -> Option<Recognition> {
        let sample = |frame: u32| self.origin + u64::from(frame) * frame_samples;
        let hypothesis = |reading: Reading| {
            let words = reading.sentence.words.into_iter().map(|word| Word {
                text: word.word,
                start: sample(word.frames.start),
                end: sample(word.frames.end),
                confidence: reading.confidence,
            });
            Hypothesis {
                words: words.collect(),
                score: reading.sentence.score,
                evidence: reading.evidence,
                confidence: reading.confidence,
            }
        };
        let hypotheses: Vec<Hypothesis> = readings.into_iter().map(hypothesis).collect();
        let words = &hypotheses.first()?.words;
        let (speech_start, speech_end) = (words.first()?.start, words.last()?.end);
        Some(Recognition {
            speech_start,
            speech_end,
            decided_at: heard,
            trace: trace.clone(),
            hypotheses,
        })
    }

    fn hypothesis(&self, sentence: &DecodedSentence, frame_samples: u64) -> Hypothesis {
        let sample = |frame: u32| self.origin + u64::from(frame) * frame_samples;
        let words = sentence.words.iter().map(|word| Word {
            text: word.text.clone(),
            start: sample(word.begin),
            end: sample(word.end),
            confidence: word.confidence,
        });
        Hypothesis {
            words: words.collect(),
            score: sentence.score,
            evidence: sentence.evidence,
            confidence: sentence.confidence,
        }
    }
}

/// What an utterance was.
pub(super) enum Outcome {
    Final(Recognition),
    Rejected(RejectReason, Option<Recognition>, Box<Trace>),
}

impl Outcome {
    pub fn event(self, at: u64) -> SpeechEvent {
        match self {
            Outcome::Final(recognition) => SpeechEvent::Final(recognition),
            Outcome::Rejected(reason, best, trace) => SpeechEvent::Rejected {
                at,
                reason,
                best,
                trace,
            },
        }
    }
}
