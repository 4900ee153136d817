//! A pipeline that recordings are played to, and what it made of them.

use serde_json::Value;
use std::path::Path;
use std::time::{Duration, Instant};
use vocar_daemon::assembly;
use vocar_daemon::config::{ListenMode, Settings};
use vocar_daemon::event::{Event, EventKind, Latency, WordTime};
use vocar_daemon::mind::Mind;
use vocar_daemon::pipeline::{Language, Pipeline};
use vocar_inference::Precision;
use vocar_nlu::domain::car_demo_entities;
use vocar_speech::grammar::WordGraph;
use vocar_speech::source::AudioSource;

/// A pipeline under test.
pub struct Listener {
    /// The pipeline, for a look at how it fares.
    pub pipeline: Pipeline,
    mode: ListenMode,
    sessions: u64,
    /// Samples given at a time.
    pub piece: usize,
    /// What recordings are multiplied by.
    pub volume: f32,
}

impl Listener {
    /// Listens for the commands of the car domain, with its example contacts, stations and places.
    pub fn for_the_car(bundle: &Path, precision: Precision, mode: ListenMode) -> Self {
        Self::for_the_car_with(&of(bundle), precision, mode)
    }

    /// As [`Self::for_the_car`], with these settings, of which model and hardware count.
    pub fn for_the_car_with(settings: &Settings, precision: Precision, mode: ListenMode) -> Self {
        let mut mind = assembly::mind(&Settings::default()).unwrap();
        for (list, values) in car_demo_entities() {
            mind.set_entities(&list, &values).unwrap();
        }
        Self::new(settings, precision, mode, mind, Language::Domains)
    }

    /// Listens for exactly these sentences.
    pub fn for_sentences(bundle: &Path, sentences: &[String]) -> Self {
        let words = Language::Sentences(WordGraph::from_sentences(sentences));
        let mind = Mind::new(Vec::new(), 0.0);
        Self::new(
            &of(bundle),
            Precision::Mixed,
            ListenMode::PushToTalk,
            mind,
            words,
        )
    }

    fn new(
        settings: &Settings,
        precision: Precision,
        mode: ListenMode,
        mind: Mind,
        language: Language,
    ) -> Self {
        let thresholds = assembly::thresholds(settings);
        let mut pipeline = Pipeline::new(mind, language, thresholds, settings.audio.zone.clone());
        let ears = assembly::ears(settings, &pipeline.words(), precision).unwrap();
        pipeline.set_ears(Some(ears));
        Self {
            pipeline,
            mode,
            sessions: 0,
            piece: 320,
            volume: 1.0,
        }
    }

    /// What computes.
    pub fn backend(&self) -> &str {
        self.pipeline.backend().unwrap()
    }

    /// Plays a recording and `tail_s` seconds of silence in a session of its own.
    pub fn hear(&mut self, source: AudioSource, tail_s: f64) -> Hearing {
        self.hear_with(source, tail_s, |_, _| {})
    }

    /// The same; after each piece, `after` gets the samples played so far and how long the piece took.
    pub fn hear_with(
        &mut self,
        source: AudioSource,
        tail_s: f64,
        mut after: impl FnMut(u64, Duration),
    ) -> Hearing {
        self.sessions += 1;
        self.pipeline
            .begin(self.sessions, "driver", self.mode)
            .unwrap();
        let mut samples = source.whole().unwrap();
        samples.iter_mut().for_each(|sample| *sample *= self.volume);
        let spoken = samples.len() as u64;
        samples.resize(samples.len() + (tail_s * 16e3) as usize, 0.0);
        let mut events = Vec::new();
        let mut played = 0;
        for piece in samples.chunks(self.piece) {
            let begin = Instant::now();
            self.pipeline
                .push(piece, &mut |event| events.push(event))
                .unwrap();
            played += piece.len() as u64;
            after(played, begin.elapsed());
        }
        self.pipeline
            .finish(&mut |event| events.push(event))
            .unwrap();
        Hearing { events, spoken }
    }
}

/// Settings with this bundle.
fn of(bundle: &Path) -> Settings {
    let mut settings = Settings::default();
    settings.model.dir = bundle.to_path_buf();
    settings
}

/// A final transcript.
pub struct Final {
    /// Sample at which it was decided.
    pub at: u64,
    /// The words.
    pub text: String,
    /// How sure.
    pub confidence: f32,
    /// The words with their times.
    pub words: Vec<WordTime>,
}

/// What came of one recording.
pub struct Hearing {
    events: Vec<Event>,
    /// Length of the recording in samples at 16 kHz.
    pub spoken: u64,
}

impl Hearing {
    /// The final transcripts.
    pub fn finals(&self) -> Vec<Final> {
        let finals = self.events.iter().filter_map(|event| match &event.kind {
            EventKind::FinalTranscript {
                text,
                confidence,
                words,
                ..
            } => Some(Final {
                at: event.at,
                text: text.clone(),
                confidence: *confidence,
                words: words.clone(),
            }),
            _ => None,
        });
        finals.collect()
    }

    /// The texts of the final transcripts.
    pub fn transcripts(&self) -> Vec<String> {
        self.finals().into_iter().map(|heard| heard.text).collect()
    }

    /// The intents with their slots.
    pub fn intents(&self) -> Vec<(String, Value)> {
        let intents = self.events.iter().filter_map(|event| match &event.kind {
            EventKind::IntentRecognized { intent, .. } => Some((
                intent.name.clone(),
                serde_json::to_value(&intent.slots).unwrap(),
            )),
            _ => None,
        });
        intents.collect()
    }

    /// The latencies of the intents.
    pub fn latencies(&self) -> Vec<Latency> {
        let latencies = self.events.iter().filter_map(|event| match event.kind {
            EventKind::IntentRecognized { latency, .. } => Some(latency),
            _ => None,
        });
        latencies.collect()
    }

    /// How often something was refused.
    pub fn rejections(&self) -> usize {
        let refused = |event: &&Event| matches!(event.kind, EventKind::Rejected { .. });
        self.events.iter().filter(refused).count()
    }

    /// Partial transcripts shown no later than sample `at`, with their times.
    pub fn partials_before(&self, at: u64) -> Vec<(u64, String)> {
        let partials = self.events.iter().filter_map(|event| match &event.kind {
            EventKind::PartialTranscript { text } if event.at <= at => {
                Some((event.at, text.clone()))
            }
            _ => None,
        });
        partials.collect()
    }
}
