//! The first stage of the cascade behind voice activity: a small network that listens for anything like a wake phrase.
//!
//! While a wake phrase is awaited, speech reaches the scout alone. What it takes for possible, and what was said for some
//! seconds before it, is heard once more by the large network, whose spotter decides. A cascade of this kind: A. Gruenstein et al.,
//! "A cascade architecture for keyword spotting on mobile devices", arXiv 1712.03603, 2017.

use std::sync::Arc;

use vocar_inference::{AcousticModel, Bundle, EngineError, Features};

use super::ears::Ears;
use super::utterance::{Phase, Utterance};
use super::{MS, Recogniser, RecogniserError, State};
use crate::decoder::Background;
use crate::event::SpeechEvent;
use crate::lexicon::Lexicon;
use crate::wake::{WakeConfig, WakeSpotter};

/// What was said so long before is heard again by the large network, samples.
const BEFORE: u64 = 4000 * MS;
/// For so long after something like a wake phrase it goes on to listen, samples.
const AFTER: u64 = 1000 * MS;

/// Listens for anything like a wake phrase.
pub(super) struct Scout {
    ears: Ears,
    spotter: WakeSpotter,
    rows: Vec<f32>,
    columns: usize,
    /// Samples in a step of its network.
    step: u64,
    /// Sample of the stream at which it began to listen.
    origin: u64,
    /// The large network listens, too, until this sample.
    closer_until: u64,
    /// Rows of scores so far.
    scouted: u64,
}

impl Scout {
    fn new(
        features: &Features,
        model: &Arc<AcousticModel>,
        lexicon: &Lexicon,
        background: &Background,
        config: &WakeConfig,
    ) -> Result<Scout, RecogniserError> {
        let signature = model.signature();
        Ok(Scout {
            ears: Ears::new(features, model)?,
            spotter: WakeSpotter::new(lexicon, background, config.of_scout())?,
            rows: Vec::new(),
            columns: signature.columns,
            step: (signature.frames * features.hop) as u64,
            origin: 0,
            closer_until: 0,
            scouted: 0,
        })
    }

    /// Rows of scores that it has looked through.
    pub(super) fn scouted(&self) -> u64 {
        self.scouted
    }

    /// Begins anew with samples from `origin` on, which are multiplied by `gain`.
    fn begin(&mut self, origin: u64, gain: f32) {
        self.ears.reset(gain);
        self.spotter.reset();
        self.origin = origin;
        self.closer_until = 0;
    }

    /// Takes samples; whether anything like a wake phrase has ended in what was heard so far.
    fn hear(&mut self, samples: &[f32]) -> Result<bool, EngineError> {
        self.rows.clear();
        self.ears.push(samples, &mut self.rows)?;
        Ok(self.look())
    }

    /// The same for the end of the voice.
    fn finish(&mut self) -> Result<bool, EngineError> {
        self.rows.clear();
        self.ears.flush(&mut self.rows)?;
        Ok(self.look() || self.spotter.finish().is_some())
    }

    fn look(&mut self) -> bool {
        let mut possible = false;
        for row in self.rows.chunks_exact(self.columns) {
            self.scouted += 1;
            possible |= self.spotter.step(row).is_some();
        }
        possible
    }

    /// Where the large network shall begin to listen: at a step of the scout, so that both hear the same frames.
    fn closer_from(&self, heard: u64) -> u64 {
        let back = heard.saturating_sub(BEFORE).saturating_sub(self.origin);
        self.origin + back.div_ceil(self.step) * self.step
    }
}

impl Recogniser {
    /// Lets a small network, of the same units and steps, listen for anything like a wake phrase before the large one does.
    ///
    /// # Errors
    /// [`RecogniserError`] when it has other units, its features cannot be computed or a phrase cannot be said.
    pub fn scout_with(
        &mut self,
        model: &Arc<AcousticModel>,
        bundle: &Bundle,
        lexicon: &Lexicon,
    ) -> Result<(), RecogniserError> {
        let phones = lexicon.phones();
        RecogniserError::unless_units(phones.len(), model)?;
        if self.config.wake.phrases.is_empty() {
            return Ok(());
        }
        let background = Background::load(bundle, phones)?;
        self.scout = Some(Scout::new(
            &self.features,
            model,
            lexicon,
            &background,
            &self.config.wake,
        )?);
        self.recent.keep(BEFORE as usize);
        Ok(())
    }

    /// Begins to listen for anything like a wake phrase, from sample `from` on.
    pub(super) fn begin_to_scout(
        &mut self,
        from: u64,
        onset: u64,
        sink: &mut dyn FnMut(SpeechEvent),
    ) -> Result<(), EngineError> {
        let Some(scout) = &mut self.scout else {
            return Ok(());
        };
        let (first, samples) = self.recent.since(from);
        scout.begin(first, self.voice.gain());
        let possible = scout.hear(samples)?;
        self.go_on_scouting(Utterance::new(Phase::Scout, first, onset), possible, sink)
    }

    /// Takes a block while a wake phrase is awaited; whether anything like one has ended.
    pub(super) fn scout(&mut self, block: &[f32]) -> Result<bool, EngineError> {
        let now = self.heard();
        let Some(scout) = &mut self.scout else {
            return Ok(false);
        };
        scout.ears.limit_gain(self.voice.gain());
        let possible = scout.hear(block)?;
        if possible {
            scout.closer_until = now + AFTER;
        }
        Ok(possible)
    }

    /// What becomes of an utterance that only the scout hears.
    pub(super) fn go_on_scouting(
        &mut self,
        utterance: Utterance,
        possible: bool,
        sink: &mut dyn FnMut(SpeechEvent),
    ) -> Result<(), EngineError> {
        let over = !self.voice.in_speech();
        let possible = possible || (over && self.scout_to_the_end()?);
        if possible {
            return self.look_closer(&utterance, sink);
        }
        self.state = if over {
            self.waiting(Phase::Wake)
        } else {
            State::Hearing(utterance)
        };
        Ok(())
    }

    /// An utterance that only the scout heard, when the audio is over: what the large network makes of it, if it is asked.
    pub(super) fn closer_at_the_end(
        &mut self,
        state: State,
        sink: &mut dyn FnMut(SpeechEvent),
    ) -> Result<State, EngineError> {
        let State::Hearing(utterance) = state else {
            return Ok(state);
        };
        if utterance.phase != Phase::Scout {
            return Ok(State::Hearing(utterance));
        }
        if !self.scout_to_the_end()? {
            return Ok(State::Off);
        }
        let mut utterance = self.heard_closer(&utterance)?;
        self.hear_rows(&mut utterance, sink);
        Ok(State::Hearing(utterance))
    }

    /// Whether anything like a wake phrase ended with the voice.
    fn scout_to_the_end(&mut self) -> Result<bool, EngineError> {
        self.scout.as_mut().map_or(Ok(false), Scout::finish)
    }

    /// Lets the large network hear what the scout takes for possible, and go on for a while.
    fn look_closer(
        &mut self,
        utterance: &Utterance,
        sink: &mut dyn FnMut(SpeechEvent),
    ) -> Result<(), EngineError> {
        let closer = self.heard_closer(utterance)?;
        self.hear(closer, sink)
    }

    /// The utterance as the large network hears it, which has caught up: its scores are in `rows`.
    fn heard_closer(&mut self, utterance: &Utterance) -> Result<Utterance, EngineError> {
        let now = self.heard();
        let from = match &mut self.scout {
            Some(scout) => {
                scout.closer_until = now + AFTER;
                scout.closer_from(now)
            }
            None => utterance.origin,
        };
        let first = self.begin_to_hear(from)?;
        Ok(Utterance::new(Phase::Wake, first, utterance.onset))
    }

    /// Whether the scout alone is to go on with what the large network hears at present.
    pub(super) fn is_to_scout(&self, phase: Phase) -> bool {
        let over = |scout: &Scout| self.heard() >= scout.closer_until;
        phase == Phase::Wake && self.scout.as_ref().is_some_and(over)
    }

    /// The utterance, heard by the scout alone again.
    pub(super) fn scouted_again(&self, utterance: &Utterance) -> Utterance {
        let origin = self.scout.as_ref().map_or(0, |scout| scout.origin);
        Utterance::new(Phase::Scout, origin, utterance.onset)
    }
}
