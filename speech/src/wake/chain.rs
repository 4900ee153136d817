//! One way to say a wake phrase: its phones in a row, and the best way through them that ends at each frame.

use crate::lexicon::{Lexicon, Unpronounceable};
use crate::phones::Unit;

use super::{NO_PAUSE, Spotted};

/// Chains for one phrase at most: the combinations of its words' pronunciations.
const MAX_CHAINS: usize = 16;

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
    /// First frame in the link, and the log posteriors of its phone since.
    entered: u32,
    posterior: f32,
}

const NOBODY: Walker = Walker {
    score: f32::NEG_INFINITY,
    begin: 0,
    word_begin: 0,
    word_score: 0.0,
    worst: f32::INFINITY,
    entered: 0,
    posterior: 0.0,
};

/// What a frame says.
#[derive(Debug, Clone, Copy)]
pub(super) struct Frame<'a> {
    /// Acoustic scores, two columns a unit.
    pub row: &'a [f32],
    /// Log posterior of each unit.
    pub posteriors: &'a [f32],
    /// What the phone loop gained in it.
    pub gained: f32,
    /// Score with which a phrase may begin here, nought or less.
    pub entry: f32,
    /// Its number.
    pub number: u32,
}

/// A phrase's phones and who walks through them.
#[derive(Debug)]
pub(super) struct Chain {
    pub phrase: usize,
    links: Vec<Link>,
    walkers: Vec<Walker>,
    /// Mean log posterior of each link that the walker of a link has left behind: a row of `links.len()` for each link.
    /// Pauses have 0.
    fits: Vec<f32>,
    /// Working room for the fits of one walker.
    sorted: Vec<f32>,
}

impl Chain {
    /// Every way to say a phrase.
    pub fn spell(
        lexicon: &Lexicon,
        phrase: usize,
        text: &str,
    ) -> Result<Vec<Chain>, Unpronounceable> {
        let chains = spell(lexicon, text)?.into_iter().map(|links| Chain {
            phrase,
            walkers: vec![NOBODY; links.len()],
            fits: vec![0.0; links.len() * links.len()],
            sorted: Vec::with_capacity(links.len()),
            links,
        });
        Ok(chains.collect())
    }

    /// Phones without the pauses.
    pub fn phones(&self) -> usize {
        self.links.iter().filter(|link| !link.pause).count()
    }

    /// Log-likelihood of the best way through all phones over these frames, pauses between words at will; `columns` scores a
    /// frame, natural logarithms. Negative infinity when there are fewer frames than phones.
    pub fn align(&self, frames: &[f32], columns: usize) -> f32 {
        let mut scores = vec![f32::NEG_INFINITY; self.links.len()];
        for (number, row) in frames.chunks_exact(columns).enumerate() {
            for index in (0..self.links.len()).rev() {
                let unit = self.links[index].unit;
                let entering = match index {
                    0 if number == 0 => 0.0,
                    0 => f32::NEG_INFINITY,
                    _ if self.links[index - 1].pause => scores[index - 1].max(scores[index - 2]),
                    _ => scores[index - 1],
                };
                scores[index] = (entering + row[unit.begin_column()])
                    .max(scores[index] + row[unit.continue_column()]);
            }
        }
        scores.last().copied().unwrap_or(f32::NEG_INFINITY)
    }

    /// Forgets what was heard.
    pub fn clear(&mut self) {
        self.walkers.fill(NOBODY);
    }

    /// Takes one frame; gives the best way that ends with it.
    pub fn step(&mut self, frame: &Frame) -> Option<Spotted> {
        for index in (0..self.links.len()).rev() {
            self.advance(index, frame);
        }
        let last = self.walkers.last()?;
        if last.score == f32::NEG_INFINITY {
            return None;
        }
        let last = last.word_over(frame.number + 1);
        Some(Spotted {
            phrase: self.phrase,
            begin: last.begin,
            end: frame.number + 1,
            ratio: last.score / (frame.number + 1 - last.begin) as f32,
            worst_word: last.worst,
            fit: self.fit(frame.number + 1),
            pause_after: NO_PAUSE,
            advantage: None,
        })
    }

    fn advance(&mut self, index: usize, frame: &Frame) {
        let link = self.links[index];
        let (from, mut entering) = self.entering(index, frame);
        if link.begins_word {
            entering.word_begin = frame.number;
            entering.word_score = entering.score;
        }
        let entered = entering.score + frame.row[link.unit.begin_column()] - frame.gained;
        let stayed =
            self.walkers[index].score + frame.row[link.unit.continue_column()] - frame.gained;
        if entered > stayed {
            if let Some(from) = from {
                self.carry(from, index, frame.number);
            }
            self.walkers[index] = Walker {
                score: entered,
                entered: frame.number,
                posterior: 0.0,
                ..entering
            };
        } else {
            self.walkers[index].score = stayed;
        }
        self.walkers[index].posterior += frame.posteriors[link.unit.index()];
    }

    /// The best walker that may enter a link, as it was after the frame before, and where it stood.
    fn entering(&self, index: usize, frame: &Frame) -> (Option<usize>, Walker) {
        if index == 0 {
            let fresh = Walker {
                score: frame.entry,
                begin: frame.number,
                ..NOBODY
            };
            return (None, fresh);
        }
        let walker = self.walkers[index - 1];
        if self.links[index - 1].pause {
            let past = self.walkers[index - 2];
            return if past.score > walker.score {
                (Some(index - 2), past.word_over(frame.number))
            } else {
                (Some(index - 1), walker)
            };
        }
        if self.links[index].pause || self.links[index].begins_word {
            (Some(index - 1), walker.word_over(frame.number))
        } else {
            (Some(index - 1), walker)
        }
    }

    /// Takes the fits of a walker along as it leaves its link for another one.
    fn carry(&mut self, from: usize, to: usize, now: u32) {
        let count = self.links.len();
        self.fits
            .copy_within(from * count..from * count + from, to * count);
        self.fits[to * count + from..to * count + to].fill(0.0);
        if !self.links[from].pause {
            self.fits[to * count + from] = self.walkers[from].mean(now);
        }
    }

    /// Mean log posterior of the worse half of the phones on the best way that ends before frame `now`.
    fn fit(&mut self, now: u32) -> f32 {
        let count = self.links.len();
        let last = count - 1;
        self.sorted.clear();
        self.sorted
            .extend_from_slice(&self.fits[last * count..last * count + last]);
        self.sorted.push(self.walkers[last].mean(now));
        let half = (self.phones() / 2).max(1);
        // Pauses have the best fit of all and the half is of the phones: they do not count.
        self.sorted.sort_unstable_by(f32::total_cmp);
        self.sorted[..half].iter().sum::<f32>() / half as f32
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

    /// Mean log posterior of its phone up to frame `now`.
    fn mean(&self, now: u32) -> f32 {
        self.posterior / now.saturating_sub(self.entered).max(1) as f32
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
