//! One pipeline, live and on recordings: samples in, events out. Its clock is the sample count, so that what passes
//! on recordings is the very code that runs in the vehicle.

mod dialogue;
mod freely;
mod graphs;
mod readers;
mod seats;
mod thresholds;
mod turns;

pub use thresholds::Thresholds;

use crate::bridge::word_graph;
use crate::config::ListenMode;
use crate::conversation::Said;
use crate::ears::{Ears, EarsError};
use crate::event::{Event, EventKind, Latency, Reason, SAMPLE_RATE, Source, Stage};
use crate::mind::{Mind, Reading, Unanswered};
use crate::witness;
use dialogue::Told;
use graphs::Graphs;
use std::sync::Arc;
use std::time::{Duration, Instant};
use vocar_inference::Precision;
use vocar_speech::cabin::Cabin;
use vocar_speech::decoder::DecodingGraph;
use vocar_speech::event::{Hypothesis, Recognition, SpeechEvent};
use vocar_speech::grammar::{GrammarError, WordGraph};
use vocar_speech::recogniser::Mode;

/// Where events go.
pub type Sink<'a> = dyn FnMut(Event) + 'a;

/// What can be said.
#[derive(Debug, Clone)]
pub enum Language {
    /// What the domains of the mind understand.
    Domains,
    /// Exactly these sentences; they mean nothing.
    Sentences(WordGraph),
}

/// At an open microphone a command must be so far behind talk that is none; else it is a piece of it. In samples.
const PAUSE: u64 = SAMPLE_RATE / 2;

/// Recogniser, understanding and dialogue.
#[derive(Debug)]
pub struct Pipeline {
    mind: Mind,
    thresholds: Thresholds,
    ears: Option<Ears>,
    cabin: Option<Cabin>,
    /// Where speech comes from unless it is known better.
    home: String,
    language: Language,
    graphs: Graphs,
    readers: readers::Readers,
    session: Session,
    heard: Vec<SpeechEvent>,
    /// The utterance that is being decided on as any words.
    overheard: Option<Recognition>,
    /// The ears have the names that can be said.
    named: bool,
    /// Questions that are withdrawn, of which nobody has been told yet.
    withdrawn: Vec<Unanswered>,
    /// Turns are traced.
    tracing: bool,
    /// Samples the ears have heard since they were made; the recogniser counts from there.
    pushed: u64,
}

/// Who listens for what.
#[derive(Debug, Clone)]
struct Session {
    id: u64,
    zone: String,
    mode: ListenMode,
    /// The recogniser's count at the session's first sample.
    origin: u64,
    /// How far the recogniser had counted when it last refused what was said.
    refused: Option<u64>,
    /// The speaker was asked something: the next utterance is the answer, without button or wake phrase.
    answering: bool,
    /// The wake phrase was said: the command is still to come.
    woken: bool,
}

impl Pipeline {
    /// A pipeline that hears nothing yet.
    #[must_use]
    pub fn new(mind: Mind, language: Language, thresholds: Thresholds, zone: String) -> Self {
        let session = Session {
            id: 0,
            zone: zone.clone(),
            mode: ListenMode::PushToTalk,
            origin: 0,
            refused: None,
            answering: false,
            woken: false,
        };
        Self {
            mind,
            thresholds,
            ears: None,
            cabin: None,
            home: zone,
            language,
            graphs: Graphs::default(),
            readers: readers::Readers::default(),
            session,
            heard: Vec::new(),
            overheard: None,
            named: false,
            withdrawn: Vec::new(),
            tracing: false,
            pushed: 0,
        }
    }

    /// All that may be said now, as a word graph.
    #[must_use]
    pub fn words(&self) -> WordGraph {
        match &self.language {
            Language::Domains => word_graph(self.mind.graph()),
            Language::Sentences(words) => words.clone(),
        }
    }

    /// Gives the pipeline ears whose graph was compiled from [`Self::words`].
    pub fn set_ears(&mut self, ears: Option<(Ears, Arc<DecodingGraph>)>) {
        self.graphs = Graphs::default();
        self.named = false;
        self.pushed = 0;
        self.session.origin = 0;
        self.ears = ears.map(|(ears, graph)| {
            *self.graphs.of(self.is_addressed()) = Some(graph);
            ears
        });
    }

    /// What computes the acoustic model, if anything does.
    #[must_use]
    pub fn backend(&self) -> Option<&str> {
        self.ears.as_ref().map(Ears::backend)
    }

    /// What hears, for a look at how it fares.
    #[must_use]
    pub const fn ears(&self) -> Option<&Ears> {
        self.ears.as_ref()
    }

    /// Why the accelerator is not used any more, once.
    pub fn fallen_back(&mut self) -> Option<String> {
        self.ears.as_mut()?.fallen_back()
    }

    /// Takes another variant of the acoustic model from the next utterance on.
    ///
    /// # Errors
    /// [`EarsError`] when it does not load; the present one stays.
    pub fn take_variant(&mut self, wanted: Precision) -> Result<(), EarsError> {
        let ears = self.ears.as_mut();
        ears.map_or(Ok(()), |ears| ears.take_variant(wanted))
    }

    /// Whether a voice is heard at present; in silence nothing but voice activity is computed.
    #[must_use]
    pub fn is_hearing(&self) -> bool {
        self.ears
            .as_ref()
            .is_some_and(|ears| ears.listening() && !ears.awaiting())
    }

    /// Whether what is being said may be a command, rather than be looked through for a wake phrase.
    #[must_use]
    pub fn hears_command(&self) -> bool {
        let called = self.session.mode != ListenMode::Wake;
        self.is_hearing() && (called || self.session.woken || self.session.answering)
    }

    /// Whether a command is being said, is to follow its wake phrase, or is an answer that is waited for: what would be
    /// lost if the session ended now.
    #[must_use]
    pub fn is_engaged(&self) -> bool {
        self.is_hearing() || self.session.woken || self.session.answering
    }

    /// Understanding, to look at.
    #[must_use]
    pub const fn mind(&self) -> &Mind {
        &self.mind
    }

    /// Changes what is understood, then listens for it: at once between utterances.
    ///
    /// # Errors
    /// What `change` fails with.
    pub fn change_mind<T, E>(
        &mut self,
        change: impl FnOnce(&mut Mind) -> Result<T, E>,
    ) -> Result<T, E> {
        let result = change(&mut self.mind)?;
        self.graphs = Graphs::default();
        self.named = false;
        Ok(result)
    }

    /// Begins a session on a seat, or (`None`) on whichever seat somebody speaks. Sample times count from here.
    ///
    /// # Errors
    /// [`GrammarError`] when what can be said cannot be compiled.
    pub fn begin<'a>(
        &mut self,
        id: u64,
        zone: impl Into<Option<&'a str>>,
        mode: ListenMode,
    ) -> Result<(), GrammarError> {
        let zone = zone.into();
        if let Some(cabin) = &mut self.cabin {
            cabin.keep_to(zone);
        }
        self.session = Session {
            id,
            zone: zone.unwrap_or(&self.home).to_owned(),
            mode,
            origin: self.pushed,
            refused: None,
            answering: false,
            woken: false,
        };
        let seat = self.session.zone.clone();
        let asked = self.mind.begin(id, &seat, self.is_addressed());
        self.withdrawn.extend(asked);
        if zone.is_none() && self.cabin.is_some() {
            self.mind.turn_to_anybody();
        }
        self.tune()?;
        self.listen(mode);
        Ok(())
    }

    /// Takes samples of one clean microphone (16 kHz, -1 to 1).
    ///
    /// # Errors
    /// [`EarsError`] when recognition fails; nothing is heard without ears.
    pub fn push(&mut self, samples: &[f32], sink: &mut Sink<'_>) -> Result<(), EarsError> {
        self.pushed += samples.len() as u64;
        self.pass(samples.len() as u64, sink)?;
        self.take_up_changes()?;
        self.with_ears(sink, |ears, heard| ears.push(samples, heard))
    }

    /// Between two utterances: listens for what has come to be sayable since the last one, and no more for what has ceased
    /// to be.
    fn take_up_changes(&mut self) -> Result<(), GrammarError> {
        let between = self.ears.as_ref().is_some_and(Ears::awaiting);
        if !between || self.mind.is_asking() {
            return Ok(());
        }
        let special = match self.session.mode {
            // One button is one command: what may follow it is listened for after the next button.
            ListenMode::PushToTalk => self.graphs.special,
            _ => self.mind.follows().map(Some),
        };
        let plain = self.graphs.of(self.is_addressed()).is_some();
        if self.graphs.special != special || (special.is_none() && !plain) {
            self.tune()?;
        }
        Ok(())
    }

    /// The audio has ended: decides on what was heard.
    ///
    /// # Errors
    /// [`EarsError`] when recognition fails.
    pub fn finish(&mut self, sink: &mut Sink<'_>) -> Result<(), EarsError> {
        self.take_the_rest(sink)?;
        self.with_ears(sink, Ears::finish)
    }

    /// Forgets what was heard and asked.
    pub fn cancel(&mut self) {
        if let Some(ears) = &mut self.ears {
            ears.cancel();
        }
        self.mind.forget();
        self.session.answering = false;
    }

    fn is_addressed(&self) -> bool {
        self.session.mode != ListenMode::OpenMic
    }

    /// Whether what is said now is surely meant for us.
    fn is_awaited(&self) -> bool {
        self.is_addressed() || self.session.answering
    }

    /// How sure the recogniser must be now.
    fn threshold(&self) -> f32 {
        if self.is_awaited() {
            self.thresholds.addressed
        } else {
            self.thresholds.open_microphone
        }
    }

    /// A sentence has ended: why it does not count, if it does not.
    fn heard_out(&mut self, recognition: &Recognition) -> Option<Reason> {
        self.session.woken = false;
        self.objection(recognition)
    }

    /// Why a sentence does not count, if it does not.
    fn objection(&self, recognition: &Recognition) -> Option<Reason> {
        let refused = self.session.refused.filter(|_| !self.is_awaited());
        if recognition.best().confidence < self.threshold() {
            Some(Reason::LowConfidence)
        } else if refused.is_some_and(|at| recognition.speech_start < at + PAUSE) {
            Some(Reason::WithinTalk)
        } else {
            None
        }
    }

    fn with_ears(
        &mut self,
        sink: &mut Sink<'_>,
        hear: impl FnOnce(&mut Ears, &mut dyn FnMut(SpeechEvent)) -> Result<(), EarsError>,
    ) -> Result<(), EarsError> {
        let Some(ears) = &mut self.ears else {
            return Ok(());
        };
        let mut heard = std::mem::take(&mut self.heard);
        let begin = Instant::now();
        let result = hear(ears, &mut |event| heard.push(event));
        let spent = begin.elapsed();
        for event in heard.drain(..) {
            self.digest(event, spent, sink)?;
        }
        self.heard = heard;
        result
    }

    /// Turns one event of the recogniser into events of the pipeline. `spent` is the computing time behind it.
    fn digest(
        &mut self,
        event: SpeechEvent,
        spent: Duration,
        sink: &mut Sink<'_>,
    ) -> Result<(), EarsError> {
        match event {
            SpeechEvent::SpeechStarted { at } => {
                self.emit(self.time(at), EventKind::SpeechStarted, sink)
            }
            SpeechEvent::SpeechEnded { at } => {
                self.emit(self.time(at), EventKind::SpeechEnded, sink)
            }
            SpeechEvent::WakeDetected { at, phrase, score } => {
                self.session.woken = true;
                self.emit(
                    self.time(at),
                    EventKind::WakeDetected { phrase, score },
                    sink,
                );
            }
            SpeechEvent::Partial(partial) => {
                self.emit(
                    self.time(partial.at),
                    EventKind::PartialTranscript { text: partial.text },
                    sink,
                );
            }
            SpeechEvent::FreeSpeech(recognition) => self.overheard = Some(recognition),
            SpeechEvent::Rejected {
                at,
                reason,
                best,
                trace,
            } => {
                self.session.refused = Some(at);
                self.session.woken = false;
                let reason = witness::reason(reason);
                let free = self.contest(None, spent);
                self.trace(at, &trace, best.as_ref(), Some(reason), &free, sink);
                match free.winner() {
                    Some((said, meaning)) => self.obey(said, vec![meaning], free.latency, sink)?,
                    None => self.mishear(self.time(at), reason, best.as_ref(), sink)?,
                }
            }
            SpeechEvent::Final(recognition) => {
                let objection = self.heard_out(&recognition);
                let free = self.contest(Some(&recognition).filter(|_| objection.is_none()), spent);
                let (at, trace) = (recognition.decided_at, &recognition.trace);
                self.trace(at, trace, Some(&recognition), objection, &free, sink);
                match (free.winner(), objection) {
                    (Some((said, meaning)), _) => {
                        self.obey(said, vec![meaning], free.latency, sink)?;
                    }
                    (None, Some(reason)) => {
                        self.session.refused = Some(recognition.decided_at);
                        let at = self.time(recognition.decided_at);
                        self.mishear(at, reason, Some(&recognition), sink)?;
                    }
                    (None, None) => self.understand(&recognition, spent, sink)?,
                }
            }
        }
        Ok(())
    }

    fn understand(
        &mut self,
        recognition: &Recognition,
        spent: Duration,
        sink: &mut Sink<'_>,
    ) -> Result<(), EarsError> {
        let mut latency = Latency {
            endpoint_ms: witness::milliseconds_of(recognition.waited()),
            recognise_ms: witness::milliseconds(spent),
            understand_ms: 0.0,
        };
        if matches!(self.language, Language::Sentences(_)) {
            let at = self.time(recognition.decided_at);
            let transcript = witness::transcript(recognition, self.session.origin, latency);
            self.emit(at, transcript, sink);
            return Ok(());
        }
        let begin = Instant::now();
        self.choose_readers();
        let meaning = self.mind.meaning(&self.readings(recognition));
        latency.understand_ms = witness::milliseconds(begin.elapsed());
        self.obey(recognition, meaning, latency, sink)
    }

    /// Tells what was said, and does what it means.
    fn obey(
        &mut self,
        said: &Recognition,
        meaning: Vec<Said>,
        latency: Latency,
        sink: &mut Sink<'_>,
    ) -> Result<(), EarsError> {
        let at = self.time(said.decided_at);
        let heard = Latency {
            understand_ms: 0.0,
            ..latency
        };
        let transcript = witness::transcript(said, self.session.origin, heard);
        self.emit(at, transcript, sink);
        let stage = match self.mind.is_asking() {
            true => Stage::Dialogue,
            false => Stage::Understanding,
        };
        let outcomes = self.mind.take(meaning);
        let told = Told {
            at,
            source: Source::Speech,
            latency,
            stage,
        };
        self.carry_out(outcomes, &told, Some(said), sink);
        self.resume()?;
        Ok(())
    }

    /// The sentences that are certain enough, best first.
    fn readings(&self, recognition: &Recognition) -> Vec<Reading> {
        let best = recognition.best();
        let frames = best.evidence.frames.max(1) as f32;
        let threshold = self.threshold();
        recognition
            .hypotheses
            .iter()
            .filter(|hypothesis| hypothesis.confidence >= threshold)
            .map(|hypothesis| Reading {
                text: hypothesis.text(),
                confidence: hypothesis.confidence,
                behind: (best.score - hypothesis.score) / frames,
            })
            .collect()
    }

    fn listen(&mut self, mode: ListenMode) {
        if let Some(ears) = &mut self.ears {
            let domains = matches!(self.language, Language::Domains);
            let freely = domains && mode != ListenMode::OpenMic;
            let mode = match mode {
                ListenMode::PushToTalk => Mode::PushToTalk,
                ListenMode::Wake => Mode::Wake,
                ListenMode::OpenMic => Mode::OpenMic,
            };
            ears.listen(mode, freely);
        }
    }

    fn refuse(
        &self,
        at: u64,
        stage: Stage,
        reason: Reason,
        heard: Option<&Recognition>,
        sink: &mut Sink<'_>,
    ) {
        let best = heard.and_then(|heard| heard.hypotheses.first());
        let kind = EventKind::Rejected {
            stage,
            reason,
            text: best.map(Hypothesis::text),
            confidence: best.map(|best| best.confidence),
            heard: heard.map(|heard| Box::new(witness::heard(heard, self.session.origin))),
        };
        self.emit(at, kind, sink);
    }

    /// Makes the recogniser listen for what may be said now.
    fn tune(&mut self) -> Result<(), GrammarError> {
        self.name_names();
        let addressed = self.is_addressed();
        let special = match self.mind.is_asking() {
            true => Some(None),
            false => self.mind.follows().map(Some),
        };
        let needed = special.is_some() || self.graphs.of(addressed).is_none();
        let words = needed.then(|| self.words());
        let Some(ears) = &mut self.ears else {
            return Ok(());
        };
        let graph = match (words, self.graphs.of(addressed)) {
            (Some(words), cached) => {
                let graph = ears.compile(&words)?;
                if special.is_none() {
                    *cached = Some(Arc::clone(&graph));
                }
                graph
            }
            (None, Some(cached)) => Arc::clone(cached),
            (None, None) => return Ok(()),
        };
        self.graphs.special = special;
        ears.set_graph(graph);
        Ok(())
    }

    /// Sample time within the session.
    const fn time(&self, at: u64) -> u64 {
        at.saturating_sub(self.session.origin)
    }

    fn emit(&self, at: u64, kind: EventKind, sink: &mut Sink<'_>) {
        sink(Event {
            session: self.session.id,
            zone: self.session.zone.clone(),
            at,
            kind,
        });
    }
}
