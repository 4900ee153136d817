//! What the recogniser reports. Every time is a sample index at 16 kHz since the recogniser was made.

use std::time::Duration;

use serde::Serialize;

use crate::decoder::Evidence;
use crate::endpoint::Ending;

/// One thing that happened.
#[derive(Debug, Clone, PartialEq)]
pub enum SpeechEvent {
    /// Somebody began to speak.
    SpeechStarted {
        /// First sample of speech.
        at: u64,
    },
    /// The speaker has fallen silent.
    SpeechEnded {
        /// One past the last sample of speech.
        at: u64,
    },
    /// A wake phrase was said.
    WakeDetected {
        /// One past its last sample.
        at: u64,
        /// The phrase as configured.
        phrase: String,
        /// Confidence, 0 to 1.
        score: f32,
    },
    /// What has been understood of a sentence that is still being said; sent when it changes.
    Partial(Transcript),
    /// What was said as any words in any order, because no sentence fits well; [`Self::Final`] or [`Self::Rejected`] of the
    /// same utterance follows.
    FreeSpeech(Recognition),
    /// A sentence.
    Final(Recognition),
    /// What was heard is no sentence, or nothing was heard.
    Rejected {
        /// How far the stream had been heard.
        at: u64,
        /// Why.
        reason: RejectReason,
        /// What it would have been.
        best: Option<Recognition>,
        /// How it came to that.
        trace: Box<Trace>,
    },
}

/// Why no sentence came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RejectReason {
    /// Nobody spoke in time.
    NoSpeech,
    /// No sentence of the graph fits from beginning to end.
    NotASentence,
    /// The best sentence does not fit well enough.
    LowConfidence,
    /// It went on for longer than any command.
    TooLong,
}

/// Words as they stand at some time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Transcript {
    /// How far the stream had been heard.
    pub at: u64,
    /// The words, separated by spaces.
    pub text: String,
}

/// A word that was heard.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Word {
    /// The word.
    pub text: String,
    /// Its first sample.
    pub start: u64,
    /// One past its last sample.
    pub end: u64,
    /// Confidence in it, 0 to 1.
    pub confidence: f32,
}

/// A sentence that may have been said.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Hypothesis {
    /// Its words.
    pub words: Vec<Word>,
    /// Log-likelihood, nats; only differences within one recognition mean something.
    pub score: f32,
    /// How well it fits the sound.
    pub evidence: Evidence,
    /// Confidence in the whole, 0 to 1.
    pub confidence: f32,
}

impl Hypothesis {
    /// The words, separated by spaces.
    pub fn text(&self) -> String {
        self.words
            .iter()
            .map(|word| word.text.as_str())
            .collect::<Vec<_>>()
            .join(" ")
    }
}

/// What was recognised in one stretch of speech.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Recognition {
    /// Different sentences, best first, at least one.
    pub hypotheses: Vec<Hypothesis>,
    /// First sample of the best sentence's first word.
    pub speech_start: u64,
    /// One past the last sample of its last word.
    pub speech_end: u64,
    /// How far the stream had been heard when it was decided.
    pub decided_at: u64,
    /// How it came to that.
    pub trace: Trace,
}

impl Recognition {
    /// The best sentence.
    pub fn best(&self) -> &Hypothesis {
        &self.hypotheses[0]
    }

    /// Silence between the last word and the decision, in samples.
    pub fn waited(&self) -> u64 {
        self.decided_at.saturating_sub(self.speech_end)
    }
}

/// How a stretch of speech was heard, stage by stage, up to the sentence.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Trace {
    /// Voice; `None` when nobody spoke.
    pub voice: Option<Voice>,
    /// The wake phrase that opened it, if one did.
    pub wake: Option<Woken>,
    /// Why it was taken to be over; `None` when nobody spoke.
    pub ending: Option<Ending>,
    /// Where the processor's time went.
    pub times: StageTimes,
}

/// The voice of one stretch of speech.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Voice {
    /// First voiced sample; where the utterance before ended, if the voice simply went on.
    pub start: u64,
    /// One past the last voiced sample so far.
    pub end: u64,
    /// Mean power of the voiced frames, decibels below full scale.
    pub level_db: f32,
    /// Mean power of what is no voice, before and between the words, decibels below full scale.
    pub noise_db: f32,
}

/// A wake phrase that opened an utterance.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Woken {
    /// The phrase as configured.
    pub phrase: String,
    /// One past its last sample.
    pub at: u64,
    /// Log-likelihood against any sounds whatever, nats a frame.
    pub ratio: f32,
    /// Confidence, 0 to 1.
    pub score: f32,
}

/// Time spent on one stretch of speech, by stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct StageTimes {
    /// Voice activity detection.
    pub voice: Duration,
    /// Filterbank features.
    pub features: Duration,
    /// The acoustic network.
    pub acoustic: Duration,
    /// Wake phrase, decoder and endpointing.
    pub decoding: Duration,
    /// The search for free speech.
    pub free: Duration,
    /// Steps of the acoustic network, early looks at unfinished chunks included.
    pub steps: u32,
    /// Early looks among them.
    pub early_looks: u32,
}
