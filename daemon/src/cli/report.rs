//! The sums of an evaluation.

use super::decision::Decision;
use super::manifest::{Question, Row};
use super::score::{quantile, same_slots, word_errors};
use crate::event::Reason;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::time::Duration;

/// What came of one recording.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Outcome {
    /// Accepted transcripts, in order.
    pub transcripts: Vec<String>,
    /// Intents with their slots, in order.
    pub intents: Vec<(String, Map<String, Value>)>,
    /// From the end of the last word to each result, milliseconds.
    pub latencies: Vec<f64>,
    /// Every sentence taken or refused, in order.
    pub decisions: Vec<Decision>,
    /// Seat zone of the last result.
    pub zone: String,
    /// Length of the recording, seconds.
    pub seconds: f64,
}

/// Sums over all recordings.
#[derive(Debug, Default)]
pub struct Report {
    utterances: usize,
    asked: usize,
    right: usize,
    wrong: usize,
    rejected: usize,
    zones: usize,
    zones_right: usize,
    false_intents: usize,
    other_seconds: f64,
    seconds: f64,
    words: usize,
    word_errors: usize,
    latencies: Vec<f64>,
    /// Waits of all decisions about recordings that asked something, refusals included.
    waits: Vec<f64>,
    /// Why recordings that asked something got no answer.
    refused_for: BTreeMap<String, usize>,
    longest_utterance: f64,
    /// Computing time of the pipeline.
    pub computing: Duration,
}

impl Report {
    /// Adds a recording. `meaningless`: sentences are recognised, not commands.
    pub fn add(&mut self, row: &Row, outcome: &Outcome, meaningless: bool) -> bool {
        self.utterances += 1;
        self.seconds += outcome.seconds;
        if let Some(zone) = &row.zone {
            self.zones += 1;
            self.zones_right += usize::from(*zone == outcome.zone);
        }
        for decision in &outcome.decisions {
            self.longest_utterance = self.longest_utterance.max(decision.length_s);
        }
        let question = row.question(meaningless);
        let right = match question {
            Question::Sentence => {
                outcome.transcripts.len() == 1 && outcome.transcripts[0] == row.text
            }
            Question::Command => is_command(row, outcome),
            Question::NoCommand => {
                let accepted = if meaningless {
                    outcome.transcripts.len()
                } else {
                    outcome.intents.len()
                };
                self.false_intents += accepted;
                self.other_seconds += outcome.seconds;
                return accepted == 0;
            }
        };
        self.count(row, outcome, right, question);
        right
    }

    fn count(&mut self, row: &Row, outcome: &Outcome, right: bool, question: Question) {
        let accepted = match question {
            Question::Command => !outcome.intents.is_empty(),
            _ => !outcome.transcripts.is_empty(),
        };
        self.asked += 1;
        self.right += usize::from(right);
        self.rejected += usize::from(!accepted);
        self.wrong += usize::from(accepted && !right);
        self.words += row.text.split_whitespace().count();
        self.word_errors += word_errors(&row.text, &outcome.transcripts.join(" "));
        self.latencies.extend(&outcome.latencies);
        self.waits
            .extend(outcome.decisions.iter().filter_map(|one| one.waited_ms));
        if !accepted {
            let why = outcome.decisions.last().and_then(|last| last.refused);
            *self.refused_for.entry(name(why)).or_default() += 1;
        }
    }

    /// One object with the documented keys; what was not asked is null.
    #[must_use]
    pub fn to_json(&self, cpu_seconds: f64, rss_mb: f64) -> Value {
        let share = |part: usize, whole: usize| (whole > 0).then(|| part as f64 / whole as f64);
        let hours = self.other_seconds / 3600.0;
        json!({
            "utterances": self.utterances,
            "audio_seconds": round(self.seconds, 2),
            "asked": self.asked,
            "accepted_right": share(self.right, self.asked).map(|share| round(share, 4)),
            "accepted_wrong": share(self.wrong, self.asked).map(|share| round(share, 4)),
            "rejected": self.rejected,
            "wer": share(self.word_errors, self.words).map(|share| round(share, 4)),
            "zone_right": share(self.zones_right, self.zones).map(|share| round(share, 4)),
            "false_intents": self.false_intents,
            "false_intents_per_hour":
                (hours > 0.0).then(|| round(self.false_intents as f64 / hours, 2)),
            "rtf": (self.seconds > 0.0).then(|| round(self.computing.as_secs_f64() / self.seconds, 4)),
            "latency_ms": {
                "p50": quantile(&self.latencies, 0.5).map(|ms| round(ms, 1)),
                "p95": quantile(&self.latencies, 0.95).map(|ms| round(ms, 1)),
            },
            "endpoint_ms": {
                "p50": quantile(&self.waits, 0.5).map(|ms| round(ms, 1)),
                "p95": quantile(&self.waits, 0.95).map(|ms| round(ms, 1)),
            },
            "refused_for": self.refused_for,
            "longest_utterance_s": round(self.longest_utterance, 2),
            "cpu_seconds": round(cpu_seconds, 2),
            "rss_mb": round(rss_mb, 1),
        })
    }
}

/// A reason as the events name it; `nothing` when there was no decision at all.
fn name(reason: Option<Reason>) -> String {
    match serde_json::to_value(reason) {
        Ok(Value::String(name)) => name,
        _ => "nothing".into(),
    }
}

fn is_command(row: &Row, outcome: &Outcome) -> bool {
    match outcome.intents.as_slice() {
        [(name, slots)] => Some(name) == row.intent.as_ref() && same_slots(slots, &row.slots),
        _ => false,
    }
}

fn round(value: f64, digits: i32) -> f64 {
    let scale = 10_f64.powi(digits);
    (value * scale).round() / scale
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(text: &str, intent: Option<&str>) -> Row {
        Row {
            path: "x".into(),
            text: text.into(),
            intent: intent.map(str::to_owned),
            slots: Map::new(),
            zone: None,
        }
    }

    fn heard(transcript: Option<&str>, intent: Option<&str>) -> Outcome {
        Outcome {
            transcripts: transcript.map(str::to_owned).into_iter().collect(),
            intents: intent
                .map(|name| (name.to_owned(), Map::new()))
                .into_iter()
                .collect(),
            latencies: vec![100.0],
            decisions: vec![Decision {
                text: transcript.unwrap_or_default().to_owned(),
                confidence: None,
                refused: transcript.is_none().then_some(Reason::LowConfidence),
                at_s: 2.0,
                length_s: 1.5,
                waited_ms: Some(if transcript.is_some() { 90.0 } else { 1200.0 }),
                rivals: Vec::new(),
            }],
            zone: "driver".into(),
            seconds: 1800.0,
        }
    }

    #[test]
    fn commands_and_other_speech_are_counted_apart() {
        let mut report = Report::default();
        assert!(report.add(
            &row("fan on", Some("fan.on")),
            &heard(Some("fan on"), Some("fan.on")),
            false
        ));
        assert!(!report.add(
            &row("fan off", Some("fan.off")),
            &heard(Some("fan on"), Some("fan.on")),
            false
        ));
        assert!(!report.add(&row("fan up", Some("fan.up")), &heard(None, None), false));
        assert!(!report.add(
            &row("once upon a time", None),
            &heard(Some("fan on"), Some("fan.on")),
            false
        ));
        assert!(report.add(&row("once upon a time", None), &heard(None, None), false));
        let json = report.to_json(1.0, 50.0);
        assert_eq!(json["utterances"], 5);
        assert_eq!(json["accepted_right"], 0.3333);
        assert_eq!(json["rejected"], 1);
        assert_eq!(json["accepted_wrong"], 0.3333);
        assert_eq!(
            json["wer"], 0.5,
            "one substitution and two words of a rejected command, of six"
        );
        assert_eq!(json["false_intents_per_hour"], 1.0);
        assert_eq!(json["latency_ms"]["p95"], 100.0);
        assert_eq!(json["endpoint_ms"]["p50"], 90.0);
        assert_eq!(json["endpoint_ms"]["p95"], 1200.0, "refusals count, too");
        assert_eq!(
            json["refused_for"],
            serde_json::json!({"low_confidence": 1})
        );
        assert_eq!(json["longest_utterance_s"], 1.5);
    }

    #[test]
    fn sentences_must_be_right_word_for_word_and_only_once() {
        let mut report = Report::default();
        assert!(report.add(&row("a b", None), &heard(Some("a b"), None), true));
        let twice = Outcome {
            transcripts: vec!["a b".into(), "a b".into()],
            ..Outcome::default()
        };
        assert!(!report.add(&row("a b", None), &twice, true));
        assert_eq!(report.to_json(0.0, 0.0)["accepted_right"], 0.5);
    }
}
