//! Events of a recording, for eyes or programs.

use super::say;
use crate::event::{Event, EventKind, WordTime, seconds};
use std::path::Path;

/// Prints events for eyes or programs.
pub struct Printer {
    /// One JSON object a line.
    pub json: bool,
    /// Everything, not only results.
    pub trace: bool,
    /// Sentences without meaning: a transcript is the result.
    pub meaningless: bool,
}

impl Printer {
    /// Names the recording that the next events are about.
    pub fn heading(&self, path: &Path) {
        if self.json {
            tell!(
                "{}",
                serde_json::json!({"event": "recording", "path": path.display().to_string()})
            );
        } else {
            tell!("{}", path.display());
        }
    }

    /// Prints one event if it is wanted; true if it is a result.
    pub fn print(&self, event: &Event) -> bool {
        let result = match &event.kind {
            EventKind::IntentRecognized { .. } => true,
            EventKind::FinalTranscript { .. } => self.meaningless,
            _ => false,
        };
        if self.json {
            if (self.trace || is_outcome(&event.kind))
                && let Ok(json) = event.to_json()
            {
                tell!("{json}");
            }
        } else if let Some(line) = self.line(event) {
            tell!("  {:8.2} s  {line}", event.seconds());
        }
        result
    }

    fn line(&self, event: &Event) -> Option<String> {
        Some(match &event.kind {
            EventKind::IntentRecognized {
                intent, latency, ..
            } => {
                let intent = serde_json::to_value(intent).unwrap_or_default();
                let confidence = intent["confidence"].as_f64().unwrap_or_default();
                format!(
                    "{}  ({confidence:.2}, {:.0} ms after the last word)",
                    say::one_line(&intent),
                    latency.total_ms()
                )
            }
            EventKind::FinalTranscript {
                text,
                confidence,
                words,
                ..
            } => {
                let detail = self.trace.then(|| detail(words));
                format!(
                    "\"{text}\"  ({confidence:.2}){}",
                    detail.unwrap_or_default()
                )
            }
            EventKind::Rejected {
                reason,
                text,
                confidence,
                heard,
                ..
            } => {
                let mut line = format!("rejected: {reason}");
                if let Some(text) = text {
                    line += &format!(", best \"{text}\"");
                }
                if let Some(confidence) = confidence {
                    line += &format!(" ({confidence:.2})");
                }
                if let Some(heard) = heard.as_ref().filter(|_| self.trace) {
                    line += &detail(&heard.words);
                }
                line
            }
            EventKind::DialogueTurn { prompt, .. } => format!("asks: {prompt}"),
            EventKind::WakeDetected { phrase, score } => {
                format!("woken by \"{phrase}\" ({score:.2})")
            }
            EventKind::Turn(turn) if self.trace => below("turn", turn.lines()),
            EventKind::PartialTranscript { text } if self.trace => format!("… {text}"),
            EventKind::SpeechStarted if self.trace => "speech begins".into(),
            EventKind::SpeechEnded if self.trace => "speech ends".into(),
            _ => return None,
        })
    }
}

/// Words, a line each, below the event.
fn detail(words: &[WordTime]) -> String {
    below("", words.iter().map(word).collect())
}

/// Lines below a heading, indented.
fn below(heading: &str, lines: Vec<String>) -> String {
    lines.iter().fold(heading.to_owned(), |text, line| {
        text + &format!("\n{:14}{line}", "")
    })
}

fn word(word: &WordTime) -> String {
    let (start, end) = (seconds(word.start), seconds(word.end));
    format!(
        "{start:6.2}-{end:.2} s {} ({:.2})",
        word.text, word.confidence
    )
}

const fn is_outcome(kind: &EventKind) -> bool {
    !matches!(
        kind,
        EventKind::PartialTranscript { .. }
            | EventKind::Turn(_)
            | EventKind::SpeechStarted
            | EventKind::SpeechEnded
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Heard, Reason, Stage};

    #[test]
    fn a_trace_tells_the_words_and_their_times() {
        let heard = Heard {
            words: vec![WordTime {
                text: "radio".into(),
                start: 8000,
                end: 16_000,
                confidence: 0.3,
            }],
            candidates: Vec::new(),
            stages: crate::event::Stages::default(),
        };
        let event = Event {
            session: 1,
            zone: "driver".into(),
            at: 16_000,
            kind: EventKind::Rejected {
                stage: Stage::Recogniser,
                reason: Reason::LowConfidence,
                text: Some("radio".into()),
                confidence: Some(0.25),
                heard: Some(Box::new(heard)),
            },
        };
        let line = |trace| {
            let printer = Printer {
                json: false,
                trace,
                meaningless: false,
            };
            printer.line(&event).unwrap()
        };
        assert_eq!(
            line(false),
            "rejected: not certain enough, best \"radio\" (0.25)"
        );
        assert!(
            line(true).contains("0.50-1.00 s radio (0.30)"),
            "{}",
            line(true)
        );
    }
}
