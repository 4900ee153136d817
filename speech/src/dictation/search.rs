//! Token passing over copies of the lexicon tree, one for each history of words that is alive.
//!
//! A token is at a node of the tree with what the next word depends on, its [`Context`]; tokens that meet there are
//! one from then on. Within a word a token carries the probability of the likeliest word still possible, which the
//! word's own replaces at its end (H. Ney and S. Ortmanns, "Dynamic programming search for continuous speech
//! recognition", IEEE Signal Processing Magazine, 1999).

use std::sync::Arc;

use super::lookahead::Lookahead;
use super::ngram::{Context, NGram};
use super::table::Table;
use super::tree::LexiconTree;
use crate::decoder::history::{History, Record, START};
use crate::decoder::paths::best_paths;
use crate::phones::Unit;

/// In place of a tree's node: the silence between two words.
const SILENCE: u32 = u32::MAX;
/// Records of the history that call for a clean-up.
const SWEEP: usize = 1 << 16;
const BINS: usize = 128;

/// How wide to search and what words cost.
#[derive(Debug, Clone, PartialEq)]
pub struct DictationConfig {
    /// Tokens worse than the best by more than this are dropped, nats.
    pub beam: f32,
    /// The same among tokens that have just ended a word, nats.
    pub word_beam: f32,
    /// At most about so many tokens live on from a frame to the next.
    pub max_active: usize,
    /// The n-gram's logarithms are multiplied by this.
    pub lm_scale: f32,
    /// Added to the score for every word, nats; negative for fewer words.
    pub word_bonus: f32,
    /// Added to the score for every silence, nats.
    pub silence_bonus: f32,
    /// Worse ways to be at the same place at the same frame that are remembered for [`Dictation::n_best`].
    pub rivals: usize,
}

impl Default for DictationConfig {
    fn default() -> Self {
        DictationConfig {
            beam: 25.0,
            word_beam: 20.0,
            max_active: 5000,
            lm_scale: 1.5,
            word_bonus: -2.0,
            silence_bonus: 0.0,
            rivals: 0,
        }
    }
}

/// A word that was heard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpokenWord {
    /// The word.
    pub word: String,
    /// Its first frame and the first frame after it.
    pub frames: std::ops::Range<u32>,
}

/// A sentence that the sound may be.
#[derive(Debug, Clone, PartialEq)]
pub struct Sentence {
    /// Its words.
    pub words: Vec<SpokenWord>,
    /// Score of the whole path, n-gram included, nats.
    pub score: f32,
}

/// The best way to a node in a context.
#[derive(Debug, Clone, Copy)]
struct Token {
    context: Context,
    node: u32,
    score: f32,
    /// Part of the score: the likeliest word still possible, scaled.
    expected: f32,
    /// Place of the look-ahead of its context.
    ahead: u32,
    /// First frame of the present word.
    begin: u32,
    /// The last word that is over.
    history: u32,
}

/// The best way to the end of a word in the context after it.
#[derive(Debug, Clone, Copy)]
struct Arrival {
    context: Context,
    score: f32,
    /// Number of the tree's entry.
    word: u32,
    begin: u32,
    /// The last word before this one.
    history: u32,
}

/// Tokens or arrivals, at most one of a key.
#[derive(Debug)]
struct Best<T> {
    table: Table<u32>,
    items: Vec<T>,
}

impl<T> Best<T> {
    fn new() -> Best<T> {
        Best {
            table: Table::with_capacity(1 << 13),
            items: Vec::with_capacity(1 << 13),
        }
    }

    fn clear(&mut self) {
        self.table.clear();
        self.items.clear();
    }

    /// Puts an item in unless a better one of the key is there; gives the worse one of two.
    fn offer(&mut self, key: u64, item: T, score: impl Fn(&T) -> f32) -> Option<T> {
        let (index, fresh) = self.table.entry(key);
        if fresh {
            *index = self.items.len() as u32;
            self.items.push(item);
            return None;
        }
        let there = &mut self.items[*index as usize];
        if score(&item) > score(there) {
            Some(std::mem::replace(there, item))
        } else {
            Some(item)
        }
    }
}

/// The tokens of one utterance.
#[derive(Debug)]
pub struct Dictation {
    ngram: Arc<NGram>,
    tree: Arc<LexiconTree>,
    lookahead: Lookahead,
    config: DictationConfig,
    /// Values in a frame of acoustic scores.
    columns: usize,
    frame: u32,
    tokens: Vec<Token>,
    next: Best<Token>,
    arrivals: Best<Arrival>,
    /// Arrivals in the same contexts that are worse; sorted by context, best first, once all are there.
    rivals: Vec<Arrival>,
    best: f32,
    history: History,
    sweep_at: usize,
}

impl Dictation {
    /// A search before the first frame; frames hold `columns` acoustic scores.
    pub fn new(
        ngram: Arc<NGram>,
        tree: Arc<LexiconTree>,
        columns: usize,
        config: DictationConfig,
    ) -> Dictation {
        Dictation {
            lookahead: Lookahead::new(Arc::clone(&tree), Arc::clone(&ngram)),
            ngram,
            tree,
            config,
            columns,
            frame: 0,
            tokens: Vec::new(),
            next: Best::new(),
            arrivals: Best::new(),
            rivals: Vec::new(),
            best: 0.0,
            history: History::with_capacity(SWEEP),
            sweep_at: SWEEP,
        }
    }

    /// Forgets the utterance.
    pub fn reset(&mut self) {
        self.frame = 0;
        self.tokens.clear();
        self.next.clear();
        self.arrivals.clear();
        self.rivals.clear();
        self.history.clear();
        self.lookahead.tidy();
        self.best = 0.0;
        self.sweep_at = SWEEP;
    }

    /// Other settings from the next utterance on; forgets the present one.
    pub fn set_config(&mut self, config: DictationConfig) {
        self.reset();
        self.config = config;
    }

    /// Takes whole frames of acoustic scores, row-major, natural logarithms.
    ///
    /// # Panics
    /// When the scores are not whole frames.
    pub fn push(&mut self, frames: &[f32]) {
        let columns = self.columns;
        assert_eq!(
            frames.len() % columns,
            0,
            "acoustic scores come in whole frames of {columns} columns"
        );
        for row in frames.chunks_exact(columns) {
            self.step(row);
        }
    }

    /// Tokens alive.
    pub fn active(&self) -> usize {
        self.tokens.len()
    }

    /// Scores of the best path that ends here, nats: of any at all, which may be within a word, and of those at the end of a
    /// word or in a silence. 0 before the first frame, negative infinity where there is no such path.
    pub fn best_scores(&mut self) -> (f32, f32) {
        if self.frame == 0 {
            return (0.0, 0.0);
        }
        self.arrive(f32::INFINITY);
        let silent = self.tokens.iter().filter(|token| token.node == SILENCE);
        let between = silent
            .map(|token| token.score)
            .chain(self.arrivals.items.iter().map(|arrival| arrival.score))
            .fold(f32::NEG_INFINITY, f32::max);
        (self.best, between)
    }

    /// The words of the best path that ends here; empty when none does.
    pub fn finish(&mut self) -> Vec<SpokenWord> {
        self.finish_scored().1
    }

    /// The same with the score of the path, nats.
    pub(super) fn finish_scored(&mut self) -> (f32, Vec<SpokenWord>) {
        match self.n_best(1).into_iter().next() {
            Some(best) => (best.score, best.words),
            None => (f32::NEG_INFINITY, Vec::new()),
        }
    }

    /// Different sentences that end here, best first, at most `wanted`; more than one for each context at the end only if
    /// the configuration has rivals remembered. The utterance is not forgotten.
    pub fn n_best(&mut self, wanted: usize) -> Vec<Sentence> {
        self.arrive(f32::INFINITY);
        let records = self.history.len();
        let mut ending: Vec<(f32, u32)> = Vec::new();
        for token in self.tokens.iter().filter(|token| token.node == SILENCE) {
            let end = self.config.lm_scale * self.ngram.end(token.context);
            ending.push((token.score + end, token.history));
        }
        for index in 0..self.arrivals.items.len() {
            let arrival = self.arrivals.items[index];
            let end = self.config.lm_scale * self.ngram.end(arrival.context);
            ending.push((arrival.score + end, self.remember(&arrival)));
        }
        let paths = best_paths(&self.history, &ending, wanted);
        self.history.truncate(records);
        paths
            .into_iter()
            .map(|(score, last_first)| self.sentence(score, &last_first))
            .collect()
    }

    fn sentence(&self, score: f32, last_first: &[Record]) -> Sentence {
        let spoken = |record: &Record| SpokenWord {
            word: self.tree.text(record.word).to_owned(),
            frames: record.begin..record.end,
        };
        Sentence {
            words: last_first.iter().rev().map(spoken).collect(),
            score,
        }
    }

    /// Natural logarithm of the probability of an entry of the tree in a context, and the context after it.
    fn log(&self, context: Context, entry: u32) -> (f32, Context) {
        let word = self.tree.entry(entry).word;
        let (log, next) = self.ngram.next(context, word);
        (log + self.tree.share(word), next)
    }

    fn step(&mut self, row: &[f32]) {
        if self.history.len() >= self.sweep_at {
            self.sweep();
        }
        self.next.clear();
        if self.frame == 0 {
            self.best = f32::NEG_INFINITY;
            self.begin_words(self.ngram.start(), 0.0, START, row);
            self.begin_silence(self.ngram.start(), 0.0, START, row);
        } else {
            self.arrive(self.config.word_beam);
            self.best = f32::NEG_INFINITY;
            self.advance(row);
            self.enter(row);
        }
        std::mem::swap(&mut self.tokens, &mut self.next.items);
        self.prune();
        self.frame += 1;
    }

    /// Collects the tokens whose word may be over, the best in each context, none worse than the best by more than
    /// the beam.
    fn arrive(&mut self, beam: f32) {
        self.arrivals.clear();
        self.rivals.clear();
        let mut best = f32::NEG_INFINITY;
        for token in self.tokens.iter().filter(|token| token.node != SILENCE) {
            for &word in self.tree.words_at(token.node) {
                let (log, context) = self.log(token.context, word);
                let score = token.score - token.expected
                    + self.config.lm_scale * log
                    + self.config.word_bonus;
                if score < best - beam {
                    continue;
                }
                best = best.max(score);
                let arrival = Arrival {
                    context,
                    score,
                    word,
                    begin: token.begin,
                    history: token.history,
                };
                let key = u64::from(context.0);
                let worse = self.arrivals.offer(key, arrival, |arrival| arrival.score);
                if self.config.rivals > 0 {
                    self.rivals.extend(worse);
                }
            }
        }
        self.arrivals
            .items
            .retain(|arrival| arrival.score >= best - beam);
        self.rivals.sort_unstable_by(|a, b| {
            (a.context.0.cmp(&b.context.0)).then(b.score.total_cmp(&a.score))
        });
    }

    /// Tokens stay in their phone or go to the next phone of their word.
    fn advance(&mut self, row: &[f32]) {
        let tokens = std::mem::take(&mut self.tokens);
        let tree = Arc::clone(&self.tree);
        for token in &tokens {
            let unit = if token.node == SILENCE {
                Unit::SIL
            } else {
                tree.nodes[token.node as usize].unit
            };
            self.relax(Token {
                score: token.score + row[unit.continue_column()],
                ..*token
            });
            if token.node == SILENCE {
                continue;
            }
            let node = &tree.nodes[token.node as usize];
            for child in node.first_child..node.first_child + u32::from(node.children) {
                let begin = row[tree.nodes[child as usize].unit.begin_column()];
                if token.score + begin < self.best - self.config.beam {
                    continue;
                }
                let expected = self.config.lm_scale * self.lookahead.at(token.ahead, child);
                self.relax(Token {
                    node: child,
                    score: token.score - token.expected + expected + begin,
                    expected,
                    ..*token
                });
            }
        }
        for token in tokens.iter().filter(|token| token.node == SILENCE) {
            self.begin_words(token.context, token.score, token.history, row);
        }
        self.tokens = tokens;
    }

    /// Tokens that have ended a word begin the next one or a silence.
    fn enter(&mut self, row: &[f32]) {
        for index in 0..self.arrivals.items.len() {
            let arrival = self.arrivals.items[index];
            let history = self.remember(&arrival);
            self.begin_words(arrival.context, arrival.score, history, row);
            self.begin_silence(arrival.context, arrival.score, history, row);
        }
    }

    /// Writes an arrival into the history, linked to its best rivals.
    fn remember(&mut self, arrival: &Arrival) -> u32 {
        let from = self
            .rivals
            .partition_point(|rival| rival.context.0 < arrival.context.0);
        let here = self.rivals[from..]
            .iter()
            .take_while(|rival| rival.context == arrival.context)
            .take(self.config.rivals)
            .count();
        let mut rival = START;
        for way in (self.rivals[from..from + here].iter().rev()).chain([arrival]) {
            rival = self.history.add(Record {
                word: way.word,
                begin: way.begin,
                end: self.frame,
                score_before: way.score,
                score: way.score,
                previous: way.history,
                rival,
            });
        }
        rival
    }

    fn begin_words(&mut self, context: Context, score: f32, history: u32, row: &[f32]) {
        if score < self.best - self.config.beam {
            return;
        }
        let ahead = self.lookahead.after(self.ngram.newest(context));
        for node in 0..self.tree.roots {
            let begin = row[self.tree.nodes[node as usize].unit.begin_column()];
            if score + begin < self.best - self.config.beam {
                continue;
            }
            let expected = self.config.lm_scale * self.lookahead.at(ahead, node);
            self.relax(Token {
                context,
                node,
                score: score + expected + begin,
                expected,
                ahead,
                begin: self.frame,
                history,
            });
        }
    }

    fn begin_silence(&mut self, context: Context, score: f32, history: u32, row: &[f32]) {
        self.relax(Token {
            context,
            node: SILENCE,
            score: score + self.config.silence_bonus + row[Unit::SIL.begin_column()],
            expected: 0.0,
            ahead: 0,
            begin: self.frame,
            history,
        });
    }

    fn relax(&mut self, token: Token) {
        if token.score < self.best - self.config.beam {
            return;
        }
        self.best = self.best.max(token.score);
        let key = u64::from(token.context.0) << 32 | u64::from(token.node);
        self.next.offer(key, token, |token| token.score);
    }

    /// Drops what is outside the beam, then the worst of what is too many.
    fn prune(&mut self) {
        let mut worst = self.best - self.config.beam;
        self.tokens.retain(|token| token.score >= worst);
        if self.tokens.len() <= self.config.max_active {
            return;
        }
        let width = self.config.beam / BINS as f32;
        let mut bins = [0usize; BINS];
        for token in &self.tokens {
            let bin = ((self.best - token.score) / width) as usize;
            bins[bin.min(BINS - 1)] += 1;
        }
        let mut kept = 0;
        for (bin, &count) in bins.iter().enumerate() {
            kept += count;
            if kept > self.config.max_active {
                worst = self.best - width * bin.max(1) as f32;
                break;
            }
        }
        self.tokens.retain(|token| token.score >= worst);
    }

    /// Forgets words that no living token has said.
    fn sweep(&mut self) {
        self.history
            .sweep(self.tokens.iter().map(|token| token.history));
        for token in &mut self.tokens {
            token.history = self.history.moved_to(token.history);
        }
        self.sweep_at = SWEEP.max(2 * self.history.len());
    }
}
