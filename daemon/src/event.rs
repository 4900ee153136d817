//! The spine: everything that happens is one [`Event`]. The bus, the command line and the tests subscribe to
//! the same stream; none of them adds logic.
//!
//! Serialised as JSON an event is one flat object: `event` says which, `session`, `zone`, `at` and `time_s` say
//! whose, where and when, the rest belongs to the kind. Fields are only ever added.

use crate::turn::TurnTrace;
use serde::Serialize;
use vocar_nlu::Intent;
use vocar_speech::decoder::Evidence;

/// Samples per second of every sample time.
pub const SAMPLE_RATE: u64 = 16_000;

/// One thing that happened.
#[derive(Debug, Clone, Serialize)]
pub struct Event {
    /// The listening session; 0 when it belongs to none.
    pub session: u64,
    /// Seat zone of the microphone.
    pub zone: String,
    /// Sample index (16 kHz) since the session's first sample.
    pub at: u64,
    /// What happened.
    #[serde(flatten)]
    pub kind: EventKind,
}

impl Event {
    /// Seconds since the session's first sample.
    #[must_use]
    pub fn seconds(&self) -> f64 {
        seconds(self.at)
    }

    /// One line of JSON, with `time_s` beside `at`.
    ///
    /// # Errors
    /// Only if a value cannot be JSON, such as a number that is not finite.
    pub fn to_json(&self) -> serde_json::Result<serde_json::Value> {
        let mut value = serde_json::to_value(self)?;
        if let Some(object) = value.as_object_mut() {
            object.insert("time_s".into(), self.seconds().into());
        }
        Ok(value)
    }
}

/// Sample index (16 kHz) to seconds.
#[must_use]
pub fn seconds(at: u64) -> f64 {
    at as f64 / SAMPLE_RATE as f64
}

/// The kinds of events.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum EventKind {
    /// Somebody began to speak.
    SpeechStarted,
    /// Nobody speaks any more.
    SpeechEnded,
    /// The wake phrase was heard.
    WakeDetected {
        /// Which phrase.
        phrase: String,
        /// How sure, 0 to 1.
        score: f32,
    },
    /// What has been understood so far; may still change.
    PartialTranscript {
        /// The words.
        text: String,
    },
    /// What was said.
    FinalTranscript {
        /// The words.
        text: String,
        /// How sure, 0 to 1.
        confidence: f32,
        /// Each word with its time.
        words: Vec<WordTime>,
        /// The next best readings, best first.
        alternatives: Vec<String>,
        /// The best reading and the next ones with all that is known about them.
        candidates: Vec<Candidate>,
        /// Where the computing time went.
        stages: Stages,
        /// How long it took since the last word ended.
        latency: Latency,
    },
    /// A command.
    IntentRecognized {
        /// The command with its slots.
        intent: Intent,
        /// Its number: each command since the start has another.
        turn: u64,
        /// The command that it puts right: what that one did is to be undone.
        #[serde(skip_serializing_if = "Option::is_none")]
        corrects: Option<Mended>,
        /// Where the words came from.
        source: Source,
        /// How long it took since the last word ended.
        latency: Latency,
    },
    /// Something was heard that is no command.
    Rejected {
        /// Which stage refused it.
        stage: Stage,
        /// Why.
        reason: Reason,
        /// The best reading, if there was one.
        #[serde(skip_serializing_if = "Option::is_none")]
        text: Option<String>,
        /// Its confidence, 0 to 1.
        #[serde(skip_serializing_if = "Option::is_none")]
        confidence: Option<f32>,
        /// All that is known about what was heard.
        #[serde(skip_serializing_if = "Option::is_none")]
        heard: Option<Box<Heard>>,
    },
    /// How each stage came to the outcome that follows; only where tracing was asked for.
    Turn(Box<TurnTrace>),
    /// The assistant asks back.
    DialogueTurn {
        /// What it waits for.
        turn: Turn,
        /// What to say or show to the speaker.
        prompt: String,
        /// The command that waits for the answer.
        intent: Intent,
        /// What there is to choose from, in the order in which it is counted.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        among: Vec<Intent>,
    },
    /// The assistant's state changed.
    StateChanged {
        /// The new state.
        state: State,
        /// The one before.
        previous: State,
    },
    /// Another hardware profile is in force.
    ProfileChanged {
        /// Its name.
        profile: String,
    },
    /// Another power level is in force.
    PowerChanged {
        /// Its name.
        level: String,
        /// What brought it, a sentence.
        reason: String,
    },
    /// Audio was lost because it could not be processed in time.
    AudioDropped {
        /// Frames of the capture device lost since the session began.
        frames: u64,
    },
    /// Something is broken; the assistant goes on as well as it can.
    Fault {
        /// Which part: `microphone`, `recogniser`, `bus`…
        component: String,
        /// What is wrong and how to mend it.
        message: String,
    },
}

impl EventKind {
    /// Whether the event holds words that were spoken, which only permitted peers may see.
    #[must_use]
    pub const fn is_transcript(&self) -> bool {
        matches!(
            self,
            Self::PartialTranscript { .. } | Self::FinalTranscript { .. } | Self::Turn(_)
        )
    }

    /// Whether somebody has been heard out, understood or not.
    #[must_use]
    pub const fn ends_an_utterance(&self) -> bool {
        matches!(self, Self::FinalTranscript { .. } | Self::Rejected { .. })
    }
}

/// A word and its time.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct WordTime {
    /// The word.
    pub text: String,
    /// First sample (16 kHz).
    pub start: u64,
    /// Sample after its last.
    pub end: u64,
    /// How sure, 0 to 1.
    pub confidence: f32,
}

/// A sentence that may have been said.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Candidate {
    /// The words.
    pub text: String,
    /// How sure, 0 to 1.
    pub confidence: f32,
    /// Log-likelihood, nats; only differences within one utterance mean something.
    pub score: f32,
    /// How well it fits the sound, nats a frame.
    pub evidence: Evidence,
}

/// What a refused utterance sounded like.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Heard {
    /// The best reading's words with their times.
    pub words: Vec<WordTime>,
    /// The best reading and the next ones.
    pub candidates: Vec<Candidate>,
    /// Where the computing time went.
    pub stages: Stages,
}

/// Computing time spent on one utterance, milliseconds by stage.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct Stages {
    /// Voice activity.
    pub voice_ms: f64,
    /// Features.
    pub features_ms: f64,
    /// The acoustic network.
    pub acoustic_ms: f64,
    /// Wake phrase, decoder, endpoint.
    pub decoding_ms: f64,
    /// Steps of the acoustic network.
    pub steps: u32,
}

/// Where the words of a command came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// Spoken.
    Speech,
    /// Given as text.
    Text,
}

/// Which stage refused an utterance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// The recogniser: it does not sound like any command.
    Recogniser,
    /// Understanding: the words are no command.
    Understanding,
    /// The dialogue: the answer does not fit the question.
    Dialogue,
}

/// Why something was refused. Serialised as its name in snake case, which stays the same; displayed in words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// Nobody spoke in time.
    NoSpeech,
    /// No sentence that can be said fits from beginning to end.
    NotASentence,
    /// The best sentence is less certain than the way of listening asks for.
    LowConfidence,
    /// It went on for longer than any command.
    TooLong,
    /// At an open microphone: it follows other talk without a pause.
    WithinTalk,
    /// The words are no command, or none that may be said now.
    NoCommand,
    /// The speaker took it back.
    Withdrawn,
    /// The speaker said another command instead of an answer.
    Replaced,
    /// A question was not answered in time, or its session ended.
    Unanswered,
}

impl std::fmt::Display for Reason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::NoSpeech => "nobody spoke in time",
            Self::NotASentence => "not like any command",
            Self::LowConfidence => "not certain enough",
            Self::TooLong => "longer than any command",
            Self::WithinTalk => "part of other talk",
            Self::NoCommand => "the words are no command",
            Self::Withdrawn => "withdrawn by the speaker",
            Self::Replaced => "another command came instead of the answer",
            Self::Unanswered => "the question was not answered",
        })
    }
}

/// What a dialogue turn waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Turn {
    /// A missing slot's value.
    Slot,
    /// Yes or no.
    Confirm,
    /// Which of several.
    Choose,
}

/// A command that was carried out, and may be put right.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Mended {
    /// The session in which it was said.
    pub session: u64,
    /// Its number.
    pub turn: u64,
}

/// Times from the end of the last word to the intent, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct Latency {
    /// Audio heard between the end of the last word and the decision that the utterance is over.
    pub endpoint_ms: f64,
    /// Computing time of the step that decided.
    pub recognise_ms: f64,
    /// Computing time of understanding.
    pub understand_ms: f64,
}

impl Latency {
    /// The whole of it.
    #[must_use]
    pub fn total_ms(&self) -> f64 {
        self.endpoint_ms + self.recognise_ms + self.understand_ms
    }
}

/// What the assistant is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Loading.
    #[default]
    Starting,
    /// Ready, not listening.
    Idle,
    /// Waiting for the wake phrase.
    Waiting,
    /// Listening for a command.
    Listening,
    /// Waiting for the answer to a question.
    Asking,
    /// Speech cannot be recognised (no model, no microphone); text still can.
    Unavailable,
    /// Shutting down.
    Stopping,
}

impl State {
    /// The name used on the bus and in JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Idle => "idle",
            Self::Waiting => "waiting",
            Self::Listening => "listening",
            Self::Asking => "asking",
            Self::Unavailable => "unavailable",
            Self::Stopping => "stopping",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_flat_and_stable() {
        let event = Event {
            session: 3,
            zone: "driver".into(),
            at: 24_000,
            kind: EventKind::Rejected {
                stage: Stage::Recogniser,
                reason: Reason::LowConfidence,
                text: None,
                confidence: Some(0.25),
                heard: None,
            },
        };
        assert_eq!(
            event.to_json().unwrap(),
            serde_json::json!({
                "session": 3, "zone": "driver", "at": 24_000, "time_s": 1.5, "event": "rejected",
                "stage": "recogniser", "reason": "low_confidence", "confidence": 0.25
            })
        );
    }

    #[test]
    fn a_state_has_one_name() {
        for state in [
            State::Starting,
            State::Idle,
            State::Waiting,
            State::Listening,
            State::Asking,
        ] {
            assert_eq!(serde_json::to_value(state).unwrap(), state.name());
        }
    }
}
