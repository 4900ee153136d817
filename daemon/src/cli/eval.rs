//! `vocar eval MANIFEST`: how well it recognises, how fast, and at what cost.

use super::cabin::Channels;
use super::decision::Decisions;
use super::energy::Meter;
use super::manifest::{self, Question, Row, normal};
use super::report::{Outcome, Report};
use super::{Code, Common, Failure, Sayable, local, mode, reading, show};
use crate::config::{ListenMode, Settings};
use crate::event::{Event, EventKind, Latency, SAMPLE_RATE, seconds};
use crate::hardware;
use crate::pipeline::Pipeline;
use clap::Args;
use serde_json::{Map, Value, json};
use std::path::PathBuf;
use std::time::{Duration, Instant};
use sysinfo::{Pid, ProcessRefreshKind, ProcessesToUpdate, System};
use vocar_speech::source::AudioSource;

/// Options of `eval`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Table with the columns path and text, and for commands intent and slots (JSON object).
    manifest: PathBuf,
    /// How the recordings are listened to: open-mic or push-to-talk. Unless given, a row with an intent, or with a
    /// sentence to recognise, is listened to as after a button, any other as at an open microphone.
    #[arg(long, value_parser = mode)]
    mode: Option<ListenMode>,
    /// Feed the audio as fast as it was spoken and measure latency by the clock on the wall; otherwise latency is audio
    /// heard after the last word plus computing time.
    #[arg(long)]
    realtime: bool,
    /// Seconds of silence after each recording, so that its end is found by ear and not by the end of the file.
    #[arg(long, default_value_t = 1.0, value_name = "SECONDS")]
    tail: f64,
    /// Print each recording's outcome, too, one JSON object a line on standard error: among others `decisions`, every
    /// sentence taken or refused with its confidence and times.
    #[arg(long)]
    each: bool,
    /// Begin to listen so many seconds into each recording; what comes before, a canceller hears too, as it does while
    /// the microphone is open for other reasons.
    #[arg(
        long,
        default_value_t = 0.0,
        value_name = "SECONDS",
        conflicts_with = "realtime"
    )]
    listen_from: f64,
    /// Read texts rather than play recordings: the manifest has the columns text, intent and slots. In JSON: how many, the
    /// share with the right intent, with all slots right besides, refused, and the time a text takes.
    #[arg(long)]
    nlu: bool,
    /// Measure what the run costs, too: `cpu_seconds` by cluster of the hardware profile, `cpu_share` (processor seconds
    /// for a second of audio), `wakeups`, and `joules`, which come from RAPL or a hwmon sensor where there is one, else
    /// from the profile's figures: `joules_from` says which.
    #[arg(long)]
    energy: bool,
    #[command(flatten)]
    channels: Channels,
    #[command(flatten)]
    sayable: Sayable,
}

/// Plays every recording of the manifest and prints the sums.
///
/// # Errors
/// [`Code::Input`] for a malformed manifest or recording.
pub fn execute(common: &Common, arguments: &Arguments) -> Result<(), Failure> {
    if arguments.nlu {
        return reading::execute(
            common,
            &arguments.manifest,
            &arguments.sayable,
            arguments.each,
        );
    }
    let rows = manifest::read(&arguments.manifest)?;
    let settings = common.settings()?;
    let mut pipeline = local::pipeline(&settings, &arguments.sayable)?;
    let meaningless = arguments.sayable.sentences.is_some();
    let mut report = Report::default();
    let meter = arguments.energy.then(|| meter(&settings)).transpose()?;
    for (session, row) in (1..).zip(&rows) {
        pipeline.set_cabin(arguments.channels.cabin(&settings)?);
        let (outcome, computing) = listen(&mut pipeline, row, session, arguments)?;
        report.computing += computing;
        let right = report.add(row, &outcome, meaningless);
        if arguments.each {
            eprintln!("{}", line(row, &outcome, right));
        }
    }
    let (cpu, rss) = cost();
    let mut sums = report.to_json(cpu, rss);
    if let Some(meter) = meter {
        sums["energy"] = meter.stop(sums["audio_seconds"].as_f64().unwrap_or(0.0));
    }
    if common.json {
        tell!("{sums}");
    } else {
        show::table(&sums);
    }
    Ok(())
}

fn meter(settings: &Settings) -> Result<Meter, Failure> {
    let choice = hardware::choose(&settings.hardware);
    Meter::start(&choice, &settings.hardware.sysroot)
        .map_err(|error| Failure::new(Code::Input, format!("a thread to measure with: {error}")))
}

fn line(row: &Row, outcome: &Outcome, right: bool) -> Value {
    json!({
        "path": row.path.display().to_string(), "right": right, "text": row.text, "intent": row.intent, "zone": outcome.zone,
        "heard": outcome.transcripts, "intents": outcome.intents, "latency_ms": outcome.latencies,
        "seconds": outcome.seconds, "decisions": outcome.decisions,
    })
}

/// Plays one recording; returns what came of it and the pipeline's computing time.
fn listen(
    pipeline: &mut Pipeline,
    row: &Row,
    session: u64,
    arguments: &Arguments,
) -> Result<(Outcome, Duration), Failure> {
    let source = AudioSource::open(&row.path)
        .map_err(|error| Failure::new(Code::Input, error.to_string()))?;
    let meaningless = arguments.sayable.sentences.is_some();
    let mode = arguments
        .mode
        .unwrap_or_else(|| match row.question(meaningless) {
            Question::NoCommand => ListenMode::OpenMic,
            Question::Sentence | Question::Command => ListenMode::PushToTalk,
        });
    let mut listener = Listener {
        pipeline,
        outcome: Outcome::default(),
        decisions: Decisions::default(),
        computing: Duration::ZERO,
        begin: Instant::now(),
        fed: 0,
        spoken: 0,
        realtime: arguments.realtime,
        meaningless,
        session,
        mode,
        listening: false,
        tracks: 1,
        from: samples(arguments.listen_from),
    };
    arguments
        .channels
        .play(source, |tracks| listener.feed(tracks))?;
    listener.listen()?;
    listener.outcome.seconds = seconds(listener.fed);
    listener.silence(arguments.tail)?;
    listener.finish()?;
    listener.outcome.decisions = listener.decisions.into_vec();
    Ok((listener.outcome, listener.computing))
}

struct Listener<'a> {
    pipeline: &'a mut Pipeline,
    outcome: Outcome,
    decisions: Decisions,
    computing: Duration,
    begin: Instant,
    /// Samples fed so far.
    fed: u64,
    /// End of the last word of the newest transcript, in samples.
    spoken: u64,
    realtime: bool,
    /// Transcripts are the results.
    meaningless: bool,
    session: u64,
    mode: ListenMode,
    /// Listening begins with this sample; whether it has begun.
    from: u64,
    listening: bool,
    /// Tracks of the recording.
    tracks: usize,
}

impl Listener<'_> {
    /// Begins to listen, unless that was done.
    fn listen(&mut self) -> Result<(), Failure> {
        if std::mem::replace(&mut self.listening, true) {
            return Ok(());
        }
        self.pipeline
            .begin(self.session, None, self.mode)
            .map_err(|error| Failure::new(Code::Input, error.to_string()))
    }

    fn feed(&mut self, tracks: &[Vec<f32>]) -> Result<(), Failure> {
        if self.fed >= self.from {
            self.listen()?;
        }
        self.tracks = tracks.len();
        self.fed += tracks[0].len() as u64;
        if self.realtime {
            let due = self.begin + Duration::from_secs_f64(seconds(self.fed));
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
        }
        let begin = Instant::now();
        let mut events = Vec::new();
        let result = self.pipeline.hear(tracks, &mut |event| events.push(event));
        self.computing += begin.elapsed();
        self.take(events);
        result.map_err(|error| Failure::new(Code::Bundle, error.to_string()))
    }

    fn silence(&mut self, tail: f64) -> Result<(), Failure> {
        let piece = vec![vec![0.0; 320]; self.tracks];
        let end = self.fed + samples(tail);
        while self.fed < end {
            self.feed(&piece)?;
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<(), Failure> {
        let begin = Instant::now();
        let mut events = Vec::new();
        let result = self.pipeline.finish(&mut |event| events.push(event));
        self.computing += begin.elapsed();
        self.take(events);
        result.map_err(|error| Failure::new(Code::Bundle, error.to_string()))
    }

    fn take(&mut self, events: Vec<Event>) {
        for event in events {
            self.decisions.take(&event);
            if event.kind.ends_an_utterance() {
                self.outcome.zone.clone_from(&event.zone);
            }
            match event.kind {
                EventKind::FinalTranscript {
                    text,
                    words,
                    latency,
                    ..
                } => {
                    self.spoken = words.last().map_or(event.at, |word| word.end);
                    if self.meaningless {
                        self.outcome.latencies.push(self.latency(&latency));
                    }
                    self.outcome.transcripts.push(normal(&text));
                }
                EventKind::IntentRecognized {
                    intent, latency, ..
                } => {
                    self.outcome.latencies.push(self.latency(&latency));
                    self.outcome
                        .intents
                        .push((intent.name, slots(&intent.slots)));
                }
                EventKind::DialogueTurn { intent, .. } => {
                    self.outcome
                        .intents
                        .push((intent.name, slots(&intent.slots)));
                }
                _ => {}
            }
        }
    }

    /// From the end of the last word to now: by the wall's clock in real time, else sample time plus computing time.
    fn latency(&self, latency: &Latency) -> f64 {
        if self.realtime {
            (self.begin.elapsed().as_secs_f64() - seconds(self.spoken)) * 1e3
        } else {
            latency.total_ms()
        }
    }
}

fn slots(slots: &impl serde::Serialize) -> Map<String, Value> {
    match serde_json::to_value(slots) {
        Ok(Value::Object(object)) => object,
        _ => Map::new(),
    }
}

fn samples(seconds: f64) -> u64 {
    (seconds * SAMPLE_RATE as f64) as u64
}

/// Processor seconds and resident megabytes of this process.
fn cost() -> (f64, f64) {
    let Ok(mut system) = System::new() else {
        return (0.0, 0.0);
    };
    let me = Pid::from_u32(std::process::id());
    let what = ProcessRefreshKind::nothing().with_cpu().with_memory();
    system.refresh_processes_specifics(ProcessesToUpdate::Some(&[me]), true, what);
    system.process(me).map_or((0.0, 0.0), |process| {
        (
            process.accumulated_cpu_time() as f64 / 1e3,
            process.memory() as f64 / 1e6,
        )
    })
}
