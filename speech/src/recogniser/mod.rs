//! The composition: samples in, speech events out.
//!
//! Voice activity gates everything: in silence nothing but the detector runs. What it lets through (with a little of
//! what came before) goes through front end and acoustic network to the wake spotter or the decoder. All times are
//! sample counts, so a recording gives the same events at any speed.

mod audit;
mod ears;
mod ending;
mod freely;
mod loudness;
mod recent;
mod scout;
#[cfg(test)]
mod tests;
mod utterance;
mod wake;
mod work;

use std::sync::Arc;
use std::time::Instant;

use vocar_inference::{AcousticModel, Bundle, EngineError, Features};

use crate::decoder::{Background, ConfidenceScale, Decoder, DecoderConfig, DecodingGraph};
use crate::endpoint::{EndReason, EndpointConfig};
use crate::event::{RejectReason, SpeechEvent};
use crate::free::{FreeConfig, FreeSpeech};
use crate::frontend::FeatureSpecError;
use crate::lexicon::{Lexicon, Unpronounceable};
use crate::resource::ResourceError;
use crate::vad::{VadConfig, VadConfigError, VadEvent, VoiceActivity};
use crate::wake::{WakeConfig, WakeSpotter, Words};
use ears::Ears;
use loudness::Loudness;
use recent::Recent;
use scout::Scout;
use utterance::{Phase, Utterance};

pub use work::Work;

/// Samples a millisecond.
const MS: u64 = 16;
/// Samples looked at in one go: one frame of the voice activity detector.
const BLOCK: usize = crate::vad::FRAME;

/// Voice that lasts so many samples beyond the last sentence belongs to another one.
const GOES_ON: u64 = 400 * MS;

/// What starts the recognition of a sentence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// One sentence, now; without speech in time it ends with a rejection.
    PushToTalk,
    /// A sentence after a wake phrase, in the same breath or soon after; again and again.
    Wake,
    /// Every stretch of speech is a sentence.
    OpenMic,
}

/// Settings of a [`Recogniser`].
#[derive(Debug, Clone, PartialEq)]
pub struct RecogniserConfig {
    /// Voice activity.
    pub vad: VadConfig,
    /// Search and rejection; slope and offset of the confidence come from the bundle.
    pub decoder: DecoderConfig,
    /// When an utterance is over.
    pub endpoint: EndpointConfig,
    /// Wake phrases.
    pub wake: WakeConfig,
    /// Free speech, where it is listened to.
    pub free: FreeConfig,
    /// Audio before the first voiced sample that is decoded too, milliseconds, at most 2000. In noise the detector is sure of a
    /// voice only after the first words; in quiet the decoder takes what it does not need for silence.
    pub pre_roll_ms: u32,
    /// After push-to-talk or a wake phrase, speech must begin within this, milliseconds.
    pub no_speech_ms: u32,
}

impl Default for RecogniserConfig {
    fn default() -> Self {
        RecogniserConfig {
            vad: VadConfig::default(),
            decoder: DecoderConfig::default(),
            endpoint: EndpointConfig::default(),
            wake: WakeConfig::default(),
            free: FreeConfig::default(),
            pre_roll_ms: 1000,
            no_speech_ms: 5000,
        }
    }
}

/// Why a recogniser could not be made or failed.
#[derive(Debug, thiserror::Error)]
pub enum RecogniserError {
    /// A text or table file of the bundle is wrong.
    #[error(transparent)]
    Resource(#[from] ResourceError),
    /// A voice activity setting is out of range.
    #[error(transparent)]
    Vad(#[from] VadConfigError),
    /// The bundle's features cannot be computed.
    #[error(transparent)]
    Features(#[from] FeatureSpecError),
    /// The acoustic network failed.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// A wake phrase cannot be said.
    #[error("wake phrase: {0}")]
    WakePhrase(#[from] Unpronounceable),
    /// Bundle and network do not belong together.
    #[error("the phone table has {phones} units, the acoustic model {model}; reinstall the bundle")]
    Units {
        /// Lines of the phone table.
        phones: usize,
        /// Half the network's columns.
        model: usize,
    },
}

impl RecogniserError {
    /// An error unless a network has so many units.
    fn unless_units(phones: usize, network: &AcousticModel) -> Result<(), RecogniserError> {
        let model = network.units();
        let fits = phones == model;
        fits.then_some(())
            .ok_or(RecogniserError::Units { phones, model })
    }
}

/// What is done with the stream at present.
enum State {
    /// Nobody listens.
    Off,
    /// Waiting for speech; a sentence must begin before the deadline.
    Waiting { phase: Phase, deadline: Option<u64> },
    /// In speech.
    Hearing(Utterance),
}

/// Streaming recogniser: 16 kHz samples in, [`SpeechEvent`]s out.
pub struct Recogniser {
    config: RecogniserConfig,
    voice: VoiceActivity,
    /// Sample of the stream at which the voice activity detector was last reset.
    voice_origin: u64,
    loudness: Loudness,
    recent: Recent,
    ears: Ears,
    /// Ears with another network, to be put in place before the next utterance.
    next_ears: Option<Ears>,
    features: Features,
    decoder: Decoder,
    spotter: WakeSpotter,
    /// What listens before the ears while a wake phrase is awaited, if anything does.
    scout: Option<Scout>,
    free: Option<FreeSpeech>,
    /// Whether free speech counts at present.
    freely: bool,
    /// Samples in an acoustic frame.
    frame_samples: u64,
    mode: Mode,
    state: State,
    /// One past the last voiced sample of the speech that ended last.
    voice_end: u64,
    /// No utterance begins before this sample: what lies before was recognised already.
    not_before: u64,
    rows: Vec<f32>,
    /// Of the ears, counted by themselves, there are only the steps of those that went.
    work: Work,
}

impl Recogniser {
    /// A recogniser that does not listen yet. `lexicon` is the bundle's, with which `graph` was compiled.
    ///
    /// # Errors
    /// [`RecogniserError`] when a file of the bundle is wrong, a setting is out of range or a wake phrase cannot be said.
    pub fn new(
        bundle: &Bundle,
        model: Arc<AcousticModel>,
        graph: Arc<DecodingGraph>,
        lexicon: &Lexicon,
        mut config: RecogniserConfig,
    ) -> Result<Recogniser, RecogniserError> {
        let manifest = bundle.manifest();
        let phones = lexicon.phones();
        RecogniserError::unless_units(phones.len(), &model)?;
        let background = Background::load(bundle, phones)?;
        config.decoder.confidence = ConfidenceScale::from_manifest(&manifest.confidence);
        let mut spotter = WakeSpotter::new(lexicon, &background, config.wake.clone())?;
        if !config.wake.phrases.is_empty()
            && let Some(words) = Words::load(bundle, lexicon)?
        {
            spotter = spotter.against(&words);
        }
        let mut recogniser = Recogniser {
            voice: VoiceActivity::new(config.vad.clone())?,
            voice_origin: 0,
            loudness: Loudness::default(),
            recent: Recent::new(
                (u64::from(config.pre_roll_ms.min(2000)) * MS) as usize + 64 * BLOCK,
            ),
            ears: Ears::new(&manifest.features, &model)?,
            next_ears: None,
            features: manifest.features.clone(),
            decoder: Decoder::new(graph, &background, config.decoder.clone()),
            spotter,
            scout: None,
            free: None,
            freely: false,
            frame_samples: (manifest.features.hop * manifest.acoustic.subsampling) as u64,
            mode: Mode::OpenMic,
            state: State::Off,
            voice_end: 0,
            not_before: 0,
            rows: Vec::new(),
            work: Work::default(),
            config,
        };
        recogniser.keep_for(&model);
        Ok(recogniser)
    }

    /// Another graph from now on. A sentence being said is forgotten and awaited anew.
    pub fn set_graph(&mut self, graph: Arc<DecodingGraph>) {
        self.decoder.set_graph(graph);
        if let State::Hearing(utterance) = &self.state
            && utterance.phase == Phase::Command
        {
            self.state = self.waiting(Phase::Command);
        }
    }

    /// Starts listening. What was heard before plays no part.
    pub fn listen(&mut self, mode: Mode) {
        self.mode = mode;
        self.voice.reset();
        self.voice_origin = self.recent.heard();
        self.not_before = self.recent.heard();
        self.voice_end = self.recent.heard();
        self.state = match mode {
            Mode::PushToTalk | Mode::OpenMic => self.waiting(Phase::Command),
            Mode::Wake => self.waiting(Phase::Wake),
        };
    }

    /// Stops listening and forgets the utterance.
    pub fn cancel(&mut self) {
        self.state = State::Off;
    }

    /// Whether anything is being listened for.
    pub fn listening(&self) -> bool {
        !matches!(self.state, State::Off)
    }

    /// Whether speech is awaited and none has begun.
    pub fn awaiting(&self) -> bool {
        matches!(self.state, State::Waiting { .. })
    }

    /// Another microphone heard the newest samples better: an utterance that begins is decoded from these instead.
    pub fn rehear(&mut self, samples: &[f32]) {
        self.recent.replace(samples);
    }

    /// Samples pushed so far: the clock of all events.
    pub fn heard(&self) -> u64 {
        self.recent.heard()
    }

    /// Takes 16 kHz samples in [-1, 1], any number, and reports what they bring.
    ///
    /// # Errors
    /// [`RecogniserError::Engine`] when the acoustic network fails; the utterance is lost, the recogniser goes on.
    pub fn push(
        &mut self,
        samples: &[f32],
        sink: &mut dyn FnMut(SpeechEvent),
    ) -> Result<(), RecogniserError> {
        for block in samples.chunks(BLOCK) {
            if let Err(error) = self.block(block, sink) {
                self.ears.reset(1.0);
                self.state = match self.mode {
                    Mode::PushToTalk => State::Off,
                    Mode::OpenMic => self.waiting(Phase::Command),
                    Mode::Wake => self.waiting(Phase::Wake),
                };
                return Err(error.into());
            }
        }
        Ok(())
    }

    /// Ends the stream: what is being said is taken to be over. Stops listening.
    ///
    /// # Errors
    /// [`RecogniserError::Engine`] when the acoustic network fails.
    pub fn finish(&mut self, sink: &mut dyn FnMut(SpeechEvent)) -> Result<(), RecogniserError> {
        let origin = self.voice_origin;
        if !matches!(self.state, State::Off) {
            let voice_end = &mut self.voice_end;
            self.voice.finish(&mut |event| {
                if let VadEvent::SpeechEnd { at, .. } = event {
                    *voice_end = at + origin;
                }
                report(event, origin, sink);
            });
        }
        let state = std::mem::replace(&mut self.state, State::Off);
        match self.closer_at_the_end(state, sink)? {
            State::Off => {}
            State::Waiting {
                deadline: Some(_), ..
            } => sink(self.nobody_spoke()),
            State::Waiting { .. } => {}
            State::Hearing(mut utterance) => {
                self.rows.clear();
                self.ears.flush(&mut self.rows)?;
                if self.heard_wrongly(&utterance) {
                    self.hear_again(&mut utterance)?;
                    self.ears.flush(&mut self.rows)?;
                }
                self.hear_rows(&mut utterance, sink);
                if utterance.phase == Phase::Wake {
                    let spotted = self.spotter.finish();
                    self.wake(&mut utterance, spotted, sink);
                }
                if utterance.phase == Phase::Command {
                    self.conclude(&utterance, EndReason::AudioOver, sink);
                }
            }
        }
        Ok(())
    }

    fn waiting(&self, phase: Phase) -> State {
        let limited = phase == Phase::Command && self.mode != Mode::OpenMic;
        State::Waiting {
            phase,
            deadline: limited.then(|| self.heard() + u64::from(self.config.no_speech_ms) * MS),
        }
    }

    fn block(
        &mut self,
        block: &[f32],
        sink: &mut dyn FnMut(SpeechEvent),
    ) -> Result<(), EngineError> {
        self.recent.push(block);
        if matches!(self.state, State::Off) {
            return Ok(());
        }
        let started = Instant::now();
        let origin = self.voice_origin;
        let mut onset = None;
        let voice_end = &mut self.voice_end;
        self.voice.push(block, &mut |event| {
            match event {
                VadEvent::SpeechStart { at, .. } => onset = Some(at + origin),
                VadEvent::SpeechEnd { at, .. } => *voice_end = at + origin,
            }
            report(event, origin, sink);
        });
        let voiced = started.elapsed();
        self.loudness
            .hear(block, self.voice.score() >= self.config.vad.start_score);
        match std::mem::replace(&mut self.state, State::Off) {
            State::Off => {}
            State::Waiting { phase, deadline } => {
                self.await_speech(phase, deadline, onset, sink)?
            }
            State::Hearing(utterance) if utterance.phase == Phase::Scout => {
                let possible = self.scout(block)?;
                self.go_on_scouting(utterance, possible, sink)?;
            }
            State::Hearing(utterance) => {
                if utterance.phase == Phase::Wake {
                    self.scout(block)?;
                }
                self.ears.times.voice += voiced;
                self.rows.clear();
                self.ears.limit_gain(self.voice.gain());
                self.ears.push(block, &mut self.rows)?;
                if self.ears.suspect() {
                    self.go_on_again(utterance, sink)?;
                } else {
                    self.hear(utterance, sink)?;
                }
            }
        }
        Ok(())
    }

    /// Begins an utterance where speech has begun, or where it goes on after the last one.
    fn await_speech(
        &mut self,
        phase: Phase,
        deadline: Option<u64>,
        onset: Option<u64>,
        sink: &mut dyn FnMut(SpeechEvent),
    ) -> Result<(), EngineError> {
        let now = self.heard();
        // After an early decision the detector still hears the end of the last word for a while.
        let goes_on = self.voice.in_speech()
            && self.voice.trailing_silence() == 0
            && now >= self.not_before + GOES_ON;
        let Some(onset) = onset.or(goes_on.then_some(self.not_before)) else {
            if deadline.is_some_and(|deadline| now >= deadline) {
                sink(self.nobody_spoke());
                self.state = if self.mode == Mode::Wake {
                    self.waiting(Phase::Wake)
                } else {
                    State::Off
                };
            } else {
                self.state = State::Waiting { phase, deadline };
            }
            return Ok(());
        };
        let from = onset
            .saturating_sub(u64::from(self.config.pre_roll_ms) * MS)
            .max(self.not_before);
        self.loudness.begin();
        if phase == Phase::Wake && self.scout.is_some() {
            return self.begin_to_scout(from, onset, sink);
        }
        let first = self.begin_to_hear(from)?;
        self.hear(Utterance::new(phase, first, onset), sink)
    }

    /// Ears, spotter and search begin anew with sample `from`, or the oldest one kept: the index of the first is returned, and
    /// `rows` has the scores of what was heard since.
    fn begin_to_hear(&mut self, from: u64) -> Result<u64, EngineError> {
        if let Some(ears) = self.next_ears.take() {
            self.work.steps += self.ears.stepped_in_all();
            self.ears = ears;
        }
        self.ears.reset(self.voice.gain());
        self.decoder.reset();
        self.spotter.reset();
        if let Some(free) = &mut self.free {
            free.reset();
        }
        self.rows.clear();
        let (first, samples) = self.recent.since(from);
        self.ears.push(samples, &mut self.rows)?;
        Ok(first)
    }

    fn nobody_spoke(&self) -> SpeechEvent {
        SpeechEvent::Rejected {
            at: self.heard(),
            reason: RejectReason::NoSpeech,
            best: None,
            trace: Box::default(),
        }
    }

    /// Goes on with an utterance after new scores: words, wake phrase, end.
    fn hear(
        &mut self,
        mut utterance: Utterance,
        sink: &mut dyn FnMut(SpeechEvent),
    ) -> Result<(), EngineError> {
        self.hear_rows(&mut utterance, sink);
        let quiet = self.voice_silence();
        if utterance.phase == Phase::Command && self.may_be_over(quiet) {
            self.rows.clear();
            self.ears.look_early(&mut self.rows)?;
            self.hear_rows(&mut utterance, sink);
        }
        let started = Instant::now();
        let verdict = self.verdict(&utterance, quiet);
        self.ears.times.decoding += started.elapsed();
        let done = verdict.is_some() || self.is_to_scout(utterance.phase);
        if done && self.heard_wrongly(&utterance) {
            return self.go_on_again(utterance, sink);
        }
        self.state = match (utterance.phase, verdict) {
            (phase, None) if self.is_to_scout(phase) => {
                State::Hearing(self.scouted_again(&utterance))
            }
            (_, None) => State::Hearing(utterance),
            (Phase::Scout | Phase::Wake, Some(_)) => {
                let spotted = self.spotter.finish();
                self.wake(&mut utterance, spotted, sink);
                if utterance.phase == Phase::Command {
                    self.not_before = utterance.origin;
                }
                self.waiting(utterance.phase)
            }
            (Phase::Command, Some(EndReason::Stopped))
                if self.nothing_said_since_wake(&utterance, quiet) =>
            {
                self.not_before = utterance.origin;
                self.waiting(Phase::Command)
            }
            (Phase::Command, Some(reason)) => self.conclude(&utterance, reason, sink),
        };
        Ok(())
    }

    /// Feeds the scores in `rows` to whoever listens.
    fn hear_rows(&mut self, utterance: &mut Utterance, sink: &mut dyn FnMut(SpeechEvent)) {
        let started = Instant::now();
        let rows = std::mem::take(&mut self.rows);
        let columns = self.decoder.columns();
        for row in rows.chunks_exact(columns) {
            match utterance.phase {
                Phase::Command => {
                    self.work.searched += 1;
                    self.decoder.push(row);
                    self.keep_for_free_speech(row);
                }
                Phase::Scout | Phase::Wake => {
                    self.work.spotted += 1;
                    utterance.remember(row);
                    let spotted = self.spotter.step(row);
                    self.wake(utterance, spotted, sink);
                }
            }
        }
        self.rows = rows;
        if utterance.phase == Phase::Command && !self.rows.is_empty() {
            let words = self.decoder.partial().join(" ");
            utterance.partial(self.recent.heard(), words, sink);
        }
        self.ears.times.decoding += started.elapsed();
    }
}

fn report(event: VadEvent, origin: u64, sink: &mut dyn FnMut(SpeechEvent)) {
    sink(match event {
        VadEvent::SpeechStart { at, .. } => SpeechEvent::SpeechStarted { at: at + origin },
        VadEvent::SpeechEnd { at, .. } => SpeechEvent::SpeechEnded { at: at + origin },
    });
}
