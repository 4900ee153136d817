//! Spotting wake phrases on the acoustic scores.
//!
//! Each phrase is a chain of phones that may begin at any frame, out of whatever was said before: it takes over the
//! phone loop's score there. At its end it is compared with the phone loop, which has heard the same frames. Any
//! phrase that can be pronounced will do; nothing is trained for it.
//!
//! Five things count, in nats: how much better than the phone loop the phrase explains its frames; how surely the network
//! heard the worse half of its phones (a false alarm often has most of the phrase right and the rest entirely wrong);
//! whether a pause comes before it, since people who address somebody begin to speak; whether one follows, since
//! many then wait for an answer; and, where there are [`Words`], whether words with the phrase among them explain what was
//! said there better than any other words. The last is a short search, made only for candidates that it can still decide.
//! A phrase is reported 300 ms after its end, or at the end of voice; its command may have begun by then.

mod chain;
#[cfg(test)]
mod tests;
mod words;

use std::ops::Range;

use crate::decoder::{Background, BackgroundSearch};
use crate::lexicon::{Lexicon, Unpronounceable};
use crate::phones::Unit;
use chain::{Chain, Frame};
use words::Rivals;
pub use words::Words;

/// Gains that differ by no more than this, nats, are level.
const FLAT: f32 = 0.01;
/// A pause is looked for in so many frames before the phrase.
const PAUSE: usize = 4;
/// And until so many frames after it.
pub const PAUSE_AFTER: usize = 10;
/// But not in the first of these: the last phone dies away in them.
const FADING: usize = 4;
/// A frame speaks against a pause with no more than this log posterior.
const NO_PAUSE: f32 = -5.0;

/// Which phrases wake, and how sure one has to be. The defaults come from `tests/benchmarks/wake.py SPEECH WORK dev`.
#[derive(Debug, Clone, PartialEq)]
pub struct WakeConfig {
    /// The phrases, words separated by spaces.
    pub phrases: Vec<String>,
    /// Least score of a phrase without phones, nats. See [`WakeSpotter::threshold`].
    pub threshold: f32,
    /// What each phone of a phrase adds to the least score, nats.
    pub threshold_per_phone: f32,
    /// Least log-likelihood against the phone loop of each word of a phrase, nats a frame.
    pub word_threshold: f32,
    /// Weight of the mean log posterior of the worse half of a phrase's phones.
    pub fit_weight: f32,
    /// Weight of the mean log posterior, at least -5, of silence in the 120 ms before a phrase; 0: begin anywhere.
    pub pause_weight: f32,
    /// The same for the time from 120 to 300 ms after it.
    pub pause_after_weight: f32,
    /// Weight of the advantage over other words, where there are any.
    pub word_weight: f32,
    /// An advantage beyond this counts no more, nats.
    pub word_limit: f32,
    /// The phone loop's log probabilities are multiplied by this.
    pub background_scale: f32,
    /// So many nats less are enough for the small network that listens first; it asks no words, which add up to
    /// `word_weight` times `word_limit`.
    pub scout_lenience: f32,
}

impl Default for WakeConfig {
    fn default() -> Self {
        WakeConfig {
            phrases: Vec::new(),
            threshold: 3.4,
            threshold_per_phone: -2.6,
            word_threshold: -0.5,
            fit_weight: 10.0,
            pause_weight: 1.5,
            pause_after_weight: 2.0,
            word_weight: 0.6,
            word_limit: 20.0,
            background_scale: 1.0,
            scout_lenience: 25.0,
        }
    }
}

impl WakeConfig {
    /// What the small network that listens first is to take for possible.
    pub fn of_scout(&self) -> WakeConfig {
        WakeConfig {
            threshold: self.threshold - self.scout_lenience,
            ..self.clone()
        }
    }
}

/// A wake phrase that was heard. Frames count from the spotter's start.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spotted {
    /// Index of the phrase in the configuration.
    pub phrase: usize,
    /// Its first frame.
    pub begin: u32,
    /// The first frame after it.
    pub end: u32,
    /// Log-likelihood against the phone loop with what a missing pause takes off, nats a frame.
    pub ratio: f32,
    /// Log-likelihood against the phone loop of the worst word, nats a frame.
    pub worst_word: f32,
    /// Mean log posterior of the worse half of its phones.
    pub fit: f32,
    /// Mean log posterior of silence after it, from -5 to 0; -5 as long as that time is not over.
    pub pause_after: f32,
    /// By how much words with the phrase among them explain it and what is around it better than any words, nats; nothing
    /// as long as they were not asked.
    pub advantage: Option<f32>,
}

impl Spotted {
    /// How much better than the phone loop it explains its frames, nats in all. It stays level through the rest of the
    /// last phone, where the phone loop says the same, and falls after it.
    fn gain(&self) -> f32 {
        self.ratio * (self.end - self.begin) as f32
    }

    /// What is compared with the threshold, nats.
    pub fn score(&self, config: &WakeConfig) -> f32 {
        let advantage = self.advantage.unwrap_or(0.0).min(config.word_limit);
        self.gain()
            + config.fit_weight * self.fit
            + config.pause_after_weight * self.pause_after
            + config.word_weight * advantage
    }

    /// Whether it is the same stretch of the same phrase.
    fn is_where(&self, other: &Spotted) -> bool {
        (self.phrase, self.begin, self.end) == (other.phrase, other.begin, other.end)
    }
}

/// Listens for the wake phrases, frame by frame.
#[derive(Debug)]
pub struct WakeSpotter {
    config: WakeConfig,
    background: BackgroundSearch,
    chains: Vec<Chain>,
    posteriors: Vec<f32>,
    /// Log posteriors of silence in the newest frames, a ring.
    silence: [f32; PAUSE_AFTER],
    frame: u32,
    /// The best way to each phrase that ends with each of the newest frames: a ring of rows, one column a phrase.
    endings: Vec<Option<Spotted>>,
    rivals: Option<Rivals>,
    /// The candidate that was last weighed against them.
    weighed: Option<Spotted>,
}

impl WakeSpotter {
    /// A spotter before its first frame.
    ///
    /// # Errors
    /// [`Unpronounceable`] for a phrase with a word that cannot be said, or with no word.
    pub fn new(
        lexicon: &Lexicon,
        background: &Background,
        config: WakeConfig,
    ) -> Result<WakeSpotter, Unpronounceable> {
        let mut chains = Vec::new();
        for (phrase, text) in config.phrases.iter().enumerate() {
            chains.extend(Chain::spell(lexicon, phrase, text)?);
        }
        let background = BackgroundSearch::new(background.clone().scaled(config.background_scale));
        Ok(WakeSpotter {
            posteriors: vec![0.0; background.units()],
            silence: [0.0; PAUSE_AFTER],
            endings: vec![None; (PAUSE_AFTER + 1) * config.phrases.len()],
            config,
            background,
            chains,
            frame: 0,
            rivals: None,
            weighed: None,
        })
    }

    /// The same spotter, which weighs candidates against these words, too.
    pub fn against(mut self, words: &Words) -> WakeSpotter {
        self.rivals = Some(Rivals::new(words, 2 * self.background.units()));
        self
    }

    /// What the spotter was told to do.
    pub fn config(&self) -> &WakeConfig {
        &self.config
    }

    /// Forgets what was heard; what comes before the first frame counts as a pause.
    pub fn reset(&mut self) {
        self.background.reset();
        self.chains.iter_mut().for_each(Chain::clear);
        self.silence.fill(0.0);
        self.endings.fill(None);
        self.frame = 0;
        self.weighed = None;
        if let Some(rivals) = &mut self.rivals {
            rivals.reset();
        }
    }

    /// Least score of a phrase, nats, for the shortest way to say it: the more phones, the less is reached by chance.
    pub fn threshold(&self, phrase: usize) -> f32 {
        let own = self.chains.iter().filter(|chain| chain.phrase == phrase);
        let phones = own.map(Chain::phones).min().unwrap_or(0);
        self.config.threshold + self.config.threshold_per_phone * phones as f32
    }

    /// The best way to each phrase that ended 300 ms ago, however bad, with what is known of the pause after it; for
    /// measuring.
    pub fn endings(&self) -> impl Iterator<Item = &Spotted> {
        let end = self.frame.checked_sub(PAUSE_AFTER as u32);
        end.map_or(&[][..], |end| &self.endings[self.ended(end)])
            .iter()
            .flatten()
    }

    /// Takes one frame of acoustic scores; reports a phrase once.
    pub fn step(&mut self, row: &[f32]) -> Option<Spotted> {
        let gained = self.background.step(row);
        self.background.lower(gained);
        posteriors(row, &mut self.posteriors);
        let silence: f32 = (1..=PAUSE).map(|back| self.silence_before(back)).sum();
        let frame = Frame {
            row,
            posteriors: &self.posteriors,
            gained,
            entry: self.config.pause_weight * silence / PAUSE as f32,
            number: self.frame,
        };
        let ended_now = self.ended(self.frame + 1);
        self.endings[ended_now.clone()].fill(None);
        for chain in &mut self.chains {
            let Some(ended) = chain.step(&frame) else {
                continue;
            };
            let known = &mut self.endings[ended_now.start + ended.phrase];
            if known.is_none_or(|known| ended.score(&self.config) > known.score(&self.config)) {
                *known = Some(ended);
            }
        }
        if let Some(rivals) = &mut self.rivals {
            rivals.hear(row);
        }
        self.pass(self.posteriors[Unit::SIL.index()]);
        self.report()
    }

    /// Lets a frame of silence pass that nobody heard, because voice is over; reports a phrase once.
    pub fn rest(&mut self) -> Option<Spotted> {
        let ended_now = self.ended(self.frame + 1);
        self.endings[ended_now].fill(None);
        self.pass(0.0);
        self.report()
    }

    /// Reports a phrase that has ended but was still given time; for the end of voice.
    pub fn finish(&mut self) -> Option<Spotted> {
        (0..PAUSE_AFTER).find_map(|_| self.rest())
    }

    /// Where the endings before frame `end` are kept.
    fn ended(&self, end: u32) -> Range<usize> {
        let phrases = self.config.phrases.len();
        let row = end as usize % (PAUSE_AFTER + 1);
        row * phrases..(row + 1) * phrases
    }

    /// Log posterior of silence so many frames before the present one; before the first there was silence.
    fn silence_before(&self, back: usize) -> f32 {
        self.silence[(self.frame as usize + PAUSE_AFTER - back) % PAUSE_AFTER]
    }

    /// Counts a frame, and judges the pause after the phrases that ended ten frames ago.
    fn pass(&mut self, silence: f32) {
        self.silence[self.frame as usize % PAUSE_AFTER] = silence.max(NO_PAUSE);
        self.frame += 1;
        let Some(end) = self.frame.checked_sub(PAUSE_AFTER as u32) else {
            return;
        };
        const WINDOW: usize = PAUSE_AFTER - FADING;
        let pause = (1..=WINDOW)
            .map(|back| self.silence_before(back))
            .sum::<f32>()
            / WINDOW as f32;
        let ended = self.ended(end);
        for ended in self.endings[ended].iter_mut().flatten() {
            ended.pause_after = pause;
        }
    }

    /// Reports a phrase that is sure now that the time of the pause after it is over.
    fn report(&mut self) -> Option<Spotted> {
        let oldest = self.frame.checked_sub(PAUSE_AFTER as u32)?;
        let spotted = self.ended(oldest).find_map(|slot| self.judge(slot))?;
        self.chains.iter_mut().for_each(Chain::clear);
        self.endings.fill(None);
        Some(spotted)
    }

    /// The phrase whose ending is in this slot, if it is sure: the best of its endings since, for the one that is judged
    /// may have come before the end of its last phone.
    fn judge(&mut self, slot: usize) -> Option<Spotted> {
        let ended = self.endings[slot]?;
        if !self.hopeful(&ended) {
            return None;
        }
        let phrases = self.config.phrases.len();
        let since = self.endings.iter().skip(ended.phrase).step_by(phrases);
        let best = since
            .flatten()
            .filter(|other| other.end >= ended.end)
            .copied()
            .max_by(|one, other| {
                let level = (one.gain() - other.gain()).abs() <= FLAT;
                if level {
                    one.end.cmp(&other.end)
                } else {
                    one.gain().total_cmp(&other.gain())
                }
            })?;
        let best = self.weigh(best);
        let judged = Spotted {
            advantage: best.advantage,
            ..ended
        };
        self.sure(&judged).then_some(best)
    }

    /// The same candidate with its advantage over other words, if there are any; for measuring.
    pub fn weigh(&mut self, candidate: Spotted) -> Spotted {
        let Some(rivals) = &mut self.rivals else {
            return candidate;
        };
        if let Some(known) = self.weighed.filter(|known| known.is_where(&candidate)) {
            return Spotted {
                advantage: known.advantage,
                ..candidate
            };
        }
        let ways = self
            .chains
            .iter()
            .filter(|way| way.phrase == candidate.phrase);
        let advantage = rivals.advantage(ways, candidate.begin, candidate.end);
        let weighed = Spotted {
            advantage: Some(advantage),
            ..candidate
        };
        self.weighed = Some(weighed);
        weighed
    }

    /// The most that other words may add to a score, nats.
    pub fn most_from_words(&self) -> f32 {
        self.rivals
            .as_ref()
            .map_or(0.0, |_| self.config.word_weight * self.config.word_limit)
    }

    fn sure(&self, ended: &Spotted) -> bool {
        ended.score(&self.config) >= self.threshold(ended.phrase)
            && ended.worst_word >= self.config.word_threshold
    }

    /// Whether it may become sure.
    fn hopeful(&self, ended: &Spotted) -> bool {
        ended.score(&self.config) + self.most_from_words() >= self.threshold(ended.phrase)
            && ended.worst_word >= self.config.word_threshold
    }
}

/// Log posteriors of the units from the scores of their two columns.
fn posteriors(row: &[f32], units: &mut [f32]) {
    let highest = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let mut total = 0.0;
    let (pairs, _) = row.as_chunks::<2>();
    for (unit, pair) in units.iter_mut().zip(pairs) {
        *unit = (pair[0] - highest).exp() + (pair[1] - highest).exp();
        total += *unit;
    }
    for unit in units {
        // The floor keeps the logarithm finite where an exponential vanished.
        *unit = (*unit / total).max(1e-30).ln();
    }
}
