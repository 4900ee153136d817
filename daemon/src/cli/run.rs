//! `vocar run AUDIO…`: recordings through the pipeline.

use super::{Code, Common, Failure, Sayable, local, mode, say};
use crate::config::ListenMode;
use crate::event::{Event, EventKind, seconds};
use crate::pipeline::Pipeline;
use clap::Args;
use std::path::{Path, PathBuf};
use vocar_speech::source::{AudioSource, InputFormat};

/// Options of `run`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Recordings (WAV, FLAC, Ogg Opus); `-` is standard input.
    #[arg(required = true, value_name = "AUDIO")]
    audio: Vec<PathBuf>,
    /// Format of standard input: auto, s16le:RATE:CHANNELS or f32le:RATE:CHANNELS.
    #[arg(long, default_value = "auto", value_name = "FORMAT", value_parser = format)]
    stdin_format: InputFormat,
    /// How the recording is listened to: push-to-talk, wake or open-mic.
    #[arg(long, default_value = "open-mic", value_parser = mode)]
    mode: ListenMode,
    /// Print every event with its times, not only results.
    #[arg(long)]
    trace: bool,
    #[command(flatten)]
    sayable: Sayable,
}

fn format(text: &str) -> Result<InputFormat, String> {
    text.parse()
        .map_err(|error: vocar_speech::source::InputFormatError| error.to_string())
}

/// Plays every recording and prints what is understood.
///
/// # Errors
/// [`Code::No`] when nothing was understood in any of them.
pub fn execute(common: &Common, arguments: Arguments) -> Result<(), Failure> {
    let settings = common.settings()?;
    let mut pipeline = local::pipeline(&settings, &arguments.sayable)?;
    let meaningless = arguments.sayable.sentences.is_some();
    let printer = Printer {
        json: common.json,
        trace: arguments.trace,
        meaningless,
    };
    let mut understood = 0;
    for (number, path) in (1..).zip(&arguments.audio) {
        let source = open(path, &arguments.stdin_format)?;
        printer.heading(path);
        let zone = settings.audio.zone.as_str();
        understood += listen(
            &mut pipeline,
            source,
            number,
            zone,
            arguments.mode,
            &printer,
        )?;
    }
    if understood == 0 {
        Err(Failure::no())
    } else {
        Ok(())
    }
}

fn open(path: &Path, format: &InputFormat) -> Result<AudioSource, Failure> {
    let source = if path == Path::new("-") {
        AudioSource::stdin(*format)
    } else {
        AudioSource::open(path)
    };
    source.map_err(|error| Failure::new(Code::Input, error.to_string()))
}

/// Plays one recording; returns how much was understood.
fn listen(
    pipeline: &mut Pipeline,
    source: AudioSource,
    session: u64,
    zone: &str,
    mode: ListenMode,
    printer: &Printer,
) -> Result<u64, Failure> {
    let failed = |error: crate::ears::EarsError| Failure::new(Code::Bundle, error.to_string());
    pipeline
        .begin(session, zone, mode)
        .map_err(|error| Failure::new(Code::Input, error.to_string()))?;
    let mut understood = 0;
    let mut sink = |event: Event| understood += u64::from(printer.print(&event));
    local::play(source, |samples| {
        pipeline.push(samples, &mut sink).map_err(failed)
    })?;
    pipeline.finish(&mut sink).map_err(failed)?;
    Ok(understood)
}

/// Prints events for eyes or programs.
struct Printer {
    json: bool,
    trace: bool,
    /// Sentences without meaning: a transcript is the result.
    meaningless: bool,
}

impl Printer {
    fn heading(&self, path: &Path) {
        if self.json {
            println!(
                "{}",
                serde_json::json!({"event": "recording", "path": path.display().to_string()})
            );
        } else {
            println!("{}", path.display());
        }
    }

    /// Prints one event if it is wanted; true if it is a result.
    fn print(&self, event: &Event) -> bool {
        let result = match &event.kind {
            EventKind::IntentRecognized { .. } => true,
            EventKind::FinalTranscript { .. } => self.meaningless,
            _ => false,
        };
        if self.json {
            if (self.trace || is_outcome(&event.kind))
                && let Ok(json) = event.to_json()
            {
                println!("{json}");
            }
        } else if let Some(line) = self.line(event) {
            println!("  {:8.2} s  {line}", event.seconds());
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
                stages,
                ..
            } => {
                let mut line = format!("\"{text}\"  ({confidence:.2})");
                if self.trace {
                    for word in words {
                        let (start, end) = (seconds(word.start), seconds(word.end));
                        line += &format!(
                            "\n{:14}{start:.2}-{end:.2} {} {:.2}",
                            "", word.text, word.confidence
                        );
                    }
                    line += &format!(
                        "\n{:14}network {:.1} ms in {} steps, decoding {:.1} ms, features {:.1} ms",
                        "",
                        stages.acoustic_ms,
                        stages.steps,
                        stages.decoding_ms,
                        stages.features_ms
                    );
                }
                line
            }
            EventKind::Rejected {
                reason,
                text,
                confidence,
                ..
            } => {
                let best = text
                    .as_deref()
                    .map(|text| format!(", best \"{text}\""))
                    .unwrap_or_default();
                let sure = confidence
                    .map(|confidence| format!(" ({confidence:.2})"))
                    .unwrap_or_default();
                format!("rejected: {reason}{best}{sure}")
            }
            EventKind::DialogueTurn { prompt, .. } => format!("asks: {prompt}"),
            EventKind::WakeDetected { phrase, score } => {
                format!("woken by \"{phrase}\" ({score:.2})")
            }
            EventKind::PartialTranscript { text } if self.trace => format!("… {text}"),
            EventKind::SpeechStarted if self.trace => "speech begins".into(),
            EventKind::SpeechEnded if self.trace => "speech ends".into(),
            _ => return None,
        })
    }
}

const fn is_outcome(kind: &EventKind) -> bool {
    !matches!(
        kind,
        EventKind::PartialTranscript { .. } | EventKind::SpeechStarted | EventKind::SpeechEnded
    )
}
