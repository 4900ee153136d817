//! Spotting wake phrases on the acoustic scores.
//!
//! Each phrase is a chain of phones that may begin at any frame, out of whatever was said before: it takes over the
//! phone loop's score there. At its end it is compared with the phone loop, which has heard the same frames. Any
//! phrase that can be pronounced will do; nothing is trained for it.

use crate::decoder::{Background, BackgroundSearch};
use crate::lexicon::{Lexicon, Unpronounceable};
use crate::phones::Unit;

/// Chains for one phrase at most: the combinations of its words' pronunciations.
const MAX_CHAINS: usize = 16;
/// A better ending of the same phrase is awaited for this many frames before it is reported.
const PATIENCE: u32 = 3;
/// Gains that differ by no more than this, nats, are level.
const FLAT: f32 = 0.01;

/// Which phrases wake, and how sure one has to be.
#[derive(Debug, Clone, PartialEq)]
pub struct WakeConfig {
    /// The phrases, words separated by spaces.
    pub phrases: Vec<String>,
    /// Least log-likelihood against the phone loop of the whole phrase, nats a frame.
    pub threshold: f32,
    /// Least log-likelihood against the phone loop of each of its words, nats a frame.
    pub word_threshold: f32,
    /// The phone loop's log probabilities are multiplied by this.
    pub background_scale: f32,
}

impl Default for WakeConfig {
    fn default() -> Self {
        WakeConfig {
            phrases: Vec::new(),
            threshold: 0.0,
            word_threshold: -0.5,
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
    /// Log-likelihood against the phone loop, nats a frame.
    pub ratio: f32,
}

impl Spotted {
    /// How much better than the phone loop it explains its frames, nats in all. It stays level through the rest of the
    /// last phone, where the phone loop says the same, and falls after it.
    fn gain(&self) -> f32 {
        self.ratio * (self.end - self.begin) as f32
    }
}

/// One phone of a chain.
#[derive(Debug, Clone, Copy)]
struct Link {
    unit: Unit,
    /// First phone of a word.
    begins_word: bool,
    /// A pause between words, which may be left out.
    pause: bool,
}

/// The best way into a link. Scores are relative to the phone loop.
#[derive(Debug, Clone, Copy)]
struct Walker {
    score: f32,
    begin: u32,
    word_begin: u32,
    word_score: f32,
    /// Ratio of the worst word that is over.
    worst: f32,
}

const NOBODY: Walker = Walker {
    score: f32::NEG_INFINITY,
    begin: 0,
    word_begin: 0,
    word_score: 0.0,
    worst: f32::INFINITY,
};

#[derive(Debug)]
struct Chain {
    phrase: usize,
    links: Vec<Link>,
    walkers: Vec<Walker>,
}

/// Listens for the wake phrases, frame by frame.
#[derive(Debug)]
pub struct WakeSpotter {
    config: WakeConfig,
    background: BackgroundSearch,
    chains: Vec<Chain>,
    frame: u32,
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
            chains.extend(spell(lexicon, text)?.into_iter().map(|links| Chain {
                phrase,
                walkers: vec![NOBODY; links.len()],
                links,
            }));
        }
        let background = BackgroundSearch::new(background.clone().scaled(config.background_scale));
        Ok(WakeSpotter {
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

    /// Forgets what was heard.
    pub fn reset(&mut self) {
        self.background.reset();
        self.chains
            .iter_mut()
            .for_each(|chain| chain.walkers.fill(NOBODY));
        self.frame = 0;
        self.candidate = None;
    }

    /// Takes one frame of acoustic scores; reports a phrase once, a few frames after its end.
    pub fn step(&mut self, row: &[f32]) -> Option<Spotted> {
        let gained = self.background.step(row);
        self.background.lower(gained);
        for chain in &mut self.chains {
            if let Some(ended) = chain.step(row, gained, self.frame, &self.config)
                && self
                    .candidate
                    .is_none_or(|known| ended.gain() >= known.gain() - FLAT)
            {
                self.candidate = Some(ended);
            }
        }
        self.frame += 1;
        let spotted = self
            .candidate
            .take_if(|known| self.frame >= known.end + PATIENCE);
        if spotted.is_some() {
            self.chains
                .iter_mut()
                .for_each(|chain| chain.walkers.fill(NOBODY));
        }
        spotted
    }

    /// Reports a phrase that has ended but was still given time; for the end of the stream.
    pub fn finish(&mut self) -> Option<Spotted> {
        self.candidate.take()
    }
}

impl Chain {
    fn step(
        &mut self,
        row: &[f32],
        gained: f32,
        frame: u32,
        config: &WakeConfig,
    ) -> Option<Spotted> {
        for index in (0..self.links.len()).rev() {
            let link = self.links[index];
            let mut entering = self.entering(index, frame);
            if link.begins_word {
                entering = Walker {
                    word_begin: frame,
                    word_score: entering.score,
                    ..entering
                };
            }
            let entered = entering.score + row[link.unit.begin_column()] - gained;
            let stayed = self.walkers[index].score + row[link.unit.continue_column()] - gained;
            self.walkers[index] = if entered > stayed {
                Walker {
                    score: entered,
                    ..entering
                }
            } else {
                Walker {
                    score: stayed,
                    ..self.walkers[index]
                }
            };
        }
        let last = self.walkers.last()?.word_over(frame + 1);
        let ratio = last.score / (frame + 1 - last.begin) as f32;
        let sure = ratio >= config.threshold && last.worst >= config.word_threshold;
        sure.then_some(Spotted {
            phrase: self.phrase,
            begin: last.begin,
            end: frame + 1,
            ratio,
        })
    }

    /// The best walker that may enter a link, as it was after the frame before.
    fn entering(&self, index: usize, frame: u32) -> Walker {
        if index == 0 {
            return Walker {
                score: 0.0,
                begin: frame,
                ..NOBODY
            };
        }
        let before = &self.links[index - 1];
        let walker = self.walkers[index - 1];
        if before.pause {
            let past = self.walkers[index - 2].word_over(frame);
            return if past.score > walker.score {
                past
            } else {
                walker
            };
        }
        if self.links[index].pause || self.links[index].begins_word {
            walker.word_over(frame)
        } else {
            walker
        }
    }
}

impl Walker {
    /// The same walker with its present word, which ends before `frame`, judged.
    fn word_over(self, frame: u32) -> Walker {
        let ratio =
            (self.score - self.word_score) / frame.saturating_sub(self.word_begin).max(1) as f32;
        Walker {
            worst: self.worst.min(ratio),
            ..self
        }
    }
}

fn spell(lexicon: &Lexicon, phrase: &str) -> Result<Vec<Vec<Link>>, Unpronounceable> {
    let mut chains: Vec<Vec<Link>> = vec![Vec::new()];
    for word in phrase.split_whitespace() {
        let said = lexicon.pronunciations(word)?;
        let mut extended = Vec::new();
        for chain in &chains {
            for phones in said.iter().take(MAX_CHAINS / chains.len().min(MAX_CHAINS)) {
                let mut longer = chain.clone();
                if !chain.is_empty() {
                    longer.push(Link {
                        unit: Unit::SIL,
                        begins_word: false,
                        pause: true,
                    });
                }
                longer.extend(phones.iter().enumerate().map(|(at, &unit)| Link {
                    unit,
                    begins_word: at == 0,
                    pause: false,
                }));
                extended.push(longer);
            }
        }
        chains = extended;
    }
    if chains[0].is_empty() {
        return Err(Unpronounceable {
            word: phrase.to_owned(),
            problem: "a wake phrase needs at least one word",
        });
    }
    Ok(chains)
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
