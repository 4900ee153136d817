//! `vocar run AUDIO…`: recordings through the pipeline.

use super::cabin::Channels;
use super::printer::Printer;
use super::{Code, Common, Failure, Sayable, local, mode};
use crate::config::ListenMode;
use crate::event::Event;
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
    /// Print every event and, before each outcome, the whole turn stage by stage: the voice with its level and the
    /// noise's; the wake phrase with its score; which rule ended the utterance, after how much silence of how much asked
    /// for; the best sentences with their evidence (log-likelihood against any sounds whatever of the whole and of the
    /// worst word, distance to the next sentence, nats a frame; length; how clearly anything was heard) and confidence;
    /// the confidence asked for and the verdict; what the sentences mean; latency and computing time by stage. With
    /// --json the turn is an object with "event": "turn".
    #[arg(long)]
    trace: bool,
    #[command(flatten)]
    channels: Channels,
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
    pipeline.trace_turns(arguments.trace);
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
        pipeline.set_cabin(arguments.channels.cabin(&settings)?);
        understood += listen(&mut pipeline, source, number, &arguments, &printer)?;
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
    arguments: &Arguments,
    printer: &Printer,
) -> Result<u64, Failure> {
    let failed = |error: crate::ears::EarsError| Failure::new(Code::Bundle, error.to_string());
    pipeline
        .begin(session, None, arguments.mode)
        .map_err(|error| Failure::new(Code::Input, error.to_string()))?;
    let mut understood = 0;
    let mut sink = |event: Event| understood += u64::from(printer.print(&event));
    arguments.channels.play(source, |tracks| {
        pipeline.hear(tracks, &mut sink).map_err(failed)
    })?;
    pipeline.finish(&mut sink).map_err(failed)?;
    Ok(understood)
}
