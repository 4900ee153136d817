//! Spotting wake phrases on the acoustic scores.
//!
//! Each phrase is a chain of phones that may begin at any frame, out of whatever was said before: it takes over the
//! phone loop's score there. At its end it is compared with the phone loop, which has heard the same frames. Any
//! phrase that can be pronounced will do; nothing is trained for it.
//!
//! Three things count, in nats: how much better than the phone loop the phrase explains its frames; how surely the network
//! heard the worse half of its phones (a false alarm often has most of the phrase right and the rest entirely wrong);
//! and whether a pause comes before it, since people who address somebody begin to speak.

mod chain;

use crate::decoder::{Background, BackgroundSearch};
use crate::lexicon::{Lexicon, Unpronounceable};
use crate::phones::Unit;
use chain::{Chain, Frame};

/// A better ending of the same phrase is awaited for this many frames before it is reported.
const PATIENCE: u32 = 3;
/// Gains that differ by no more than this, nats, are level.
const FLAT: f32 = 0.01;
/// A pause is looked for in so many frames before the phrase.
const PAUSE: usize = 4;
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
    /// The phone loop's log probabilities are multiplied by this.
    pub background_scale: f32,
}

impl Default for WakeConfig {
    fn default() -> Self {
        WakeConfig {
            phrases: Vec::new(),
            threshold: -4.0,
            threshold_per_phone: 0.0,
            word_threshold: -0.5,
            fit_weight: 4.0,
            pause_weight: 1.0,
            background_scale: 1.0,
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
}

impl Spotted {
    /// How much better than the phone loop it explains its frames, nats in all. It stays level through the rest of the
    /// last phone, where the phone loop says the same, and falls after it.
    fn gain(&self) -> f32 {
        self.ratio * (self.end - self.begin) as f32
    }

    /// What is compared with the threshold, nats.
    pub fn score(&self, config: &WakeConfig) -> f32 {
        self.gain() + config.fit_weight * self.fit
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
    silence: [f32; PAUSE],
    frame: u32,
    /// The best way to each phrase that ends with the newest frame.
    endings: Vec<Option<Spotted>>,
    candidate: Option<Spotted>,
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
            silence: [0.0; PAUSE],
            endings: vec![None; config.phrases.len()],
            config,
            background,
            chains,
            frame: 0,
            candidate: None,
        })
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
        self.candidate = None;
    }

    /// Least score of a phrase, nats, for the shortest way to say it: the more phones, the less is reached by chance.
    pub fn threshold(&self, phrase: usize) -> f32 {
        let own = self.chains.iter().filter(|chain| chain.phrase == phrase);
        let phones = own.map(Chain::phones).min().unwrap_or(0);
        self.config.threshold + self.config.threshold_per_phone * phones as f32
    }

    /// The best way to each phrase that ends with the newest frame, however bad; for measuring.
    pub fn endings(&self) -> impl Iterator<Item = &Spotted> {
        self.endings.iter().flatten()
    }

    /// Takes one frame of acoustic scores; reports a phrase once, a few frames after its end.
    pub fn step(&mut self, row: &[f32]) -> Option<Spotted> {
        let gained = self.background.step(row);
        self.background.lower(gained);
        posteriors(row, &mut self.posteriors);
        let silence: f32 = self.silence.iter().sum();
        let frame = Frame {
            row,
            posteriors: &self.posteriors,
            gained,
            entry: self.config.pause_weight * silence / PAUSE as f32,
            number: self.frame,
        };
        self.endings.fill(None);
        for chain in &mut self.chains {
            let Some(ended) = chain.step(&frame) else {
                continue;
            };
            let known = &mut self.endings[ended.phrase];
            if known.is_none_or(|known| ended.score(&self.config) > known.score(&self.config)) {
                *known = Some(ended);
            }
        }
        self.silence[self.frame as usize % PAUSE] =
            self.posteriors[Unit::SIL.index()].max(NO_PAUSE);
        self.frame += 1;
        self.choose();
        let spotted = self
            .candidate
            .take_if(|known| self.frame >= known.end + PATIENCE);
        if spotted.is_some() {
            self.chains.iter_mut().for_each(Chain::clear);
        }
        spotted
    }

    /// Keeps the best of the endings that are sure enough.
    fn choose(&mut self) {
        for phrase in 0..self.endings.len() {
            let Some(ended) = self.endings[phrase] else {
                continue;
            };
            let sure = ended.score(&self.config) >= self.threshold(phrase)
                && ended.worst_word >= self.config.word_threshold;
            if sure
                && self
                    .candidate
                    .is_none_or(|known| ended.gain() >= known.gain() - FLAT)
            {
                self.candidate = Some(ended);
            }
        }
    }

    /// Reports a phrase that has ended but was still given time; for the end of the stream.
    pub fn finish(&mut self) -> Option<Spotted> {
        self.candidate.take()
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decoder::synthetic::{Noise, lexicon, say, scores};

    fn spotter(lexicon: &Lexicon) -> WakeSpotter {
        // Among forty phones of equal probability one phone is a surprise of 3.7 nats; a learnt bigram asks for less.
        let config = WakeConfig {
            phrases: vec!["hey vocar".into(), "computer".into()],
            background_scale: 0.25,
            ..WakeConfig::default()
        };
        WakeSpotter::new(lexicon, &Background::uniform(lexicon.phones()), config).unwrap()
    }

    fn heard(spotter: &mut WakeSpotter, rows: &[f32], units: usize) -> Vec<Spotted> {
        rows.chunks(2 * units)
            .filter_map(|row| spotter.step(row))
            .collect()
    }

    #[test]
    fn the_phrase_is_found_inside_other_speech_at_its_time() {
        let lexicon = lexicon();
        let units = lexicon.phones().len();
        let mut spotter = spotter(&lexicon);
        let mut noise = Noise(17);
        for (sentence, phrase, first, last) in [
            ("hey vocar open the window", 0, 0, 1),
            ("well hey vocar", 0, 1, 2),
            ("computer what time is it", 1, 0, 0),
            ("my computer is slow", 1, 1, 1),
        ] {
            spotter.reset();
            let said = say(&lexicon, sentence, &mut noise);
            let found = heard(
                &mut spotter,
                &scores(&said.phones, units, 6.0, 1.0, &mut noise),
                units,
            );
            let [found] = found.as_slice() else {
                panic!("{sentence}: {found:?}")
            };
            assert_eq!(found.phrase, phrase, "{sentence}");
            assert!(
                found.begin.abs_diff(said.words[first].0) <= 2,
                "{sentence}: {found:?}"
            );
            assert!(
                found.end.abs_diff(said.words[last].1) <= 1,
                "{sentence}: {found:?}"
            );
        }
    }

    #[test]
    fn other_speech_does_not_wake() {
        let lexicon = lexicon();
        let units = lexicon.phones().len();
        let mut spotter = spotter(&lexicon);
        let mut noise = Noise(23);
        for _ in 0..40 {
            for sentence in [
                "they work hard",
                "hey you over there",
                "no car",
                "a comet over the train",
                "the quick brown fox jumps over the lazy dog",
            ] {
                let said = say(&lexicon, sentence, &mut noise);
                let found = heard(
                    &mut spotter,
                    &scores(&said.phones, units, 6.0, 1.0, &mut noise),
                    units,
                );
                assert!(found.is_empty(), "{sentence}: {found:?}");
            }
        }
        assert!(spotter.finish().is_none());
    }

    #[test]
    fn a_pause_between_the_words_does_not_matter() {
        let lexicon = lexicon();
        let units = lexicon.phones().len();
        let mut noise = Noise(29);
        let said = say(&lexicon, "hey vocar", &mut noise);
        let mut phones = said.phones.clone();
        let hey = lexicon.pronunciations("hey").unwrap()[0].len();
        phones.insert(1 + hey, (Unit::SIL, 5));
        let found = heard(
            &mut spotter(&lexicon),
            &scores(&phones, units, 6.0, 1.0, &mut noise),
            units,
        );
        assert_eq!(found.len(), 1);
        assert_eq!(
            found[0].end - found[0].begin,
            said.words[1].1 - said.words[0].0 + 5
        );
    }

    #[test]
    fn a_phrase_that_cannot_be_said_is_refused() {
        let lexicon = lexicon();
        for phrase in ["hey r2d2", " "] {
            let config = WakeConfig {
                phrases: vec![phrase.into()],
                ..WakeConfig::default()
            };
            assert!(
                WakeSpotter::new(&lexicon, &Background::uniform(lexicon.phones()), config).is_err()
            );
        }
    }
}
