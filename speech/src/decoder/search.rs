//! Token passing: the best way into every phone of the graph, frame by frame.

use std::sync::Arc;

use super::background::{Background, BackgroundSearch};
use super::evidence::ConfidenceScale;
use super::graph::{Continuation, DecodingGraph, NO_WORD};
use super::history::{History, Record, START};
use super::nbest::Decoded;
use crate::phones::Unit;

/// Ways to the same place at the same frame that are remembered for the n-best list.
const RIVALS: usize = 4;
const HISTORY: usize = 1 << 15;
const BINS: usize = 128;

/// How wide to search and how to judge what is found.
#[derive(Debug, Clone, PartialEq)]
pub struct DecoderConfig {
    /// Tokens worse than the best by more than this are dropped, nats.
    pub beam: f32,
    /// At most about so many tokens live on from a frame to the next.
    pub max_active: usize,
    /// The word graph's costs are multiplied by this.
    pub grammar_scale: f32,
    /// The phone loop's log probabilities are multiplied by this.
    pub background_scale: f32,
    /// Different sentences to report, at least 1.
    pub n_best: usize,
    /// From evidence to confidence.
    pub confidence: ConfidenceScale,
    /// Sentences with less confidence than this are rejected, 0 to 1.
    pub rejection: f32,
}

impl Default for DecoderConfig {
    fn default() -> Self {
        DecoderConfig {
            beam: 120.0,
            max_active: 20_000,
            grammar_scale: 1.0,
            background_scale: 1.0,
            n_best: 5,
            confidence: ConfidenceScale::default(),
            rejection: 0.5,
        }
    }
}

/// How far an utterance has come, for endpointing.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Progress {
    /// Frames decoded.
    pub frames: u32,
    /// Words of the best path that are over.
    pub words: u32,
    /// Frames the best path has been silent for, after its last word or, without one, from the start.
    pub silent_frames: u32,
    /// Whether the best path may end here.
    pub complete: bool,
    /// Whether the best path, if it may end, is likely to go on all the same.
    pub continuation: Continuation,
    /// By how much the best path that may end beats the best that may not, nats; negative when it does not.
    /// Infinite when either is missing.
    pub lead: f32,
}

/// The best way into one phone.
#[derive(Debug, Clone, Copy)]
pub(super) struct Token {
    pub score: f32,
    /// Score before the first phone of the present word (or silence).
    pub score_before: f32,
    /// First frame of the present word (or silence).
    pub begin: u32,
    /// The last word that is over.
    pub history: u32,
}

const NOBODY: Token = Token {
    score: f32::NEG_INFINITY,
    score_before: 0.0,
    begin: 0,
    history: START,
};

/// A token that leaves a word or a silence. Which silences come before is part of the place, so that
/// no two silences follow each other.
#[derive(Debug, Clone, Copy)]
struct Leaving {
    place: u32,
    word: u32,
    score: f32,
    token: Token,
}

/// A token between two words.
#[derive(Debug, Clone, Copy)]
struct Arrival {
    entry: u32,
    after_silence: bool,
    score: f32,
    history: u32,
}

/// The tokens of one utterance.
#[derive(Debug)]
pub struct Decoder {
    pub(super) graph: Arc<DecodingGraph>,
    pub(super) config: DecoderConfig,
    background: BackgroundSearch,
    /// Best score of the phone loop after each frame.
    pub(super) background_trace: Vec<f32>,
    pub(super) history: History,
    frame: u32,
    tokens: Vec<Token>,
    active: Vec<u32>,
    next: Vec<Token>,
    next_active: Vec<u32>,
    best: f32,
    leaving: Vec<Leaving>,
    arrivals: Vec<Arrival>,
    bins: [u32; BINS],
    /// Records of the history that call for a clean-up: now, and at least.
    sweep_at: usize,
    pub(super) sweep_floor: usize,
}

impl Decoder {
    /// A decoder before the first frame.
    pub fn new(
        graph: Arc<DecodingGraph>,
        background: &Background,
        config: DecoderConfig,
    ) -> Decoder {
        let size = graph.nodes();
        let background = BackgroundSearch::new(background.clone().scaled(config.background_scale));
        let room = config.max_active.min(size) * 2;
        Decoder {
            graph,
            config,
            background,
            background_trace: Vec::with_capacity(1024),
            history: History::with_capacity(HISTORY),
            frame: 0,
            tokens: vec![NOBODY; size],
            active: Vec::with_capacity(room),
            next: vec![NOBODY; size],
            next_active: Vec::with_capacity(room),
            best: 0.0,
            leaving: Vec::with_capacity(room),
            arrivals: Vec::with_capacity(room),
            bins: [0; BINS],
            sweep_at: HISTORY,
            sweep_floor: HISTORY,
        }
    }

    /// Forgets the utterance.
    pub fn reset(&mut self) {
        for &node in &self.active {
            self.tokens[node as usize] = NOBODY;
        }
        self.active.clear();
        self.history.clear();
        self.background.reset();
        self.background_trace.clear();
        self.frame = 0;
        self.best = 0.0;
        self.sweep_at = self.sweep_floor;
    }

    /// The graph being decoded.
    pub fn graph(&self) -> &Arc<DecodingGraph> {
        &self.graph
    }

    /// Another graph from here on; forgets the utterance.
    pub fn set_graph(&mut self, graph: Arc<DecodingGraph>) {
        self.reset();
        self.tokens = vec![NOBODY; graph.nodes()];
        self.next = vec![NOBODY; graph.nodes()];
        self.graph = graph;
    }

    /// What the decoder was told to do.
    pub fn config(&self) -> &DecoderConfig {
        &self.config
    }

    /// Takes whole frames of acoustic scores, row-major `[frames][2 * units]`, natural logarithms.
    ///
    /// # Panics
    /// When the scores are not whole frames for the phone table of the background.
    pub fn push(&mut self, frames: &[f32]) {
        let columns = self.columns();
        assert_eq!(
            frames.len() % columns,
            0,
            "acoustic scores come in whole frames of {columns} columns"
        );
        for row in frames.chunks_exact(columns) {
            self.step(row);
        }
    }

    /// Values in a frame of acoustic scores.
    pub fn columns(&self) -> usize {
        2 * self.background.units()
    }

    /// Frames decoded so far.
    pub fn frames(&self) -> u32 {
        self.frame
    }

    /// Tokens alive.
    pub fn active(&self) -> usize {
        self.active.len()
    }

    /// The words of the best path so far, the one being said not included.
    pub fn partial(&self) -> Vec<&str> {
        let Some(token) = self.best_token() else {
            return Vec::new();
        };
        let mut words: Vec<&str> = self
            .history
            .walk(token.history)
            .map(|(_, record)| self.graph.word(record.word))
            .collect();
        words.reverse();
        words
    }

    /// How far the utterance has come.
    pub fn progress(&self) -> Progress {
        let Some(node) = self.best_node() else {
            return Progress {
                frames: self.frame,
                words: 0,
                silent_frames: self.frame,
                complete: false,
                continuation: Continuation::Likely,
                lead: f32::INFINITY,
            };
        };
        let best = self.tokens[node as usize];
        let quiet_since = if self.is_silence(node) {
            best.begin
        } else {
            self.frame
        };
        Progress {
            frames: self.frame,
            words: self.history.walk(best.history).count() as u32,
            silent_frames: self.frame - quiet_since,
            complete: self.cost_of_ending(node).is_some(),
            continuation: self.graph.continuation(node),
            lead: self.lead(quiet_since),
        }
    }

    fn is_silence(&self, node: u32) -> bool {
        self.graph.nodes[node as usize].unit == Unit::SIL
    }

    /// By how much the best path that may end beats the best that may not. A word that begins in the present silence
    /// is no rival yet: silence itself has to be beaten first.
    fn lead(&self, quiet_since: u32) -> f32 {
        let mut ending = f32::NEG_INFINITY;
        let mut going = f32::NEG_INFINITY;
        for &node in &self.active {
            let token = &self.tokens[node as usize];
            match self.cost_of_ending(node) {
                Some(cost) => ending = ending.max(token.score - cost),
                None if self.is_silence(node) || token.begin < quiet_since => {
                    going = going.max(token.score);
                }
                None => {}
            }
        }
        if ending.is_finite() && going.is_finite() {
            ending - going
        } else {
            f32::INFINITY
        }
    }

    /// The sentences that end here, best first. The utterance is not forgotten: more frames may follow.
    pub fn finish(&mut self) -> Decoded {
        self.leave();
        self.arrive();
        let arrivals = std::mem::take(&mut self.arrivals);
        let ending: Vec<(f32, u32)> = arrivals
            .iter()
            .filter(|arrival| arrival.history != START)
            .filter_map(|arrival| {
                let cost = self.graph.entries[arrival.entry as usize].final_cost;
                let score = arrival.score - cost * self.config.grammar_scale;
                cost.is_finite().then_some((score, arrival.history))
            })
            .collect();
        self.arrivals = arrivals;
        let unfinished = self.best_token().map(|token| (token.score, token.history));
        self.decoded(&ending, unfinished)
    }

    fn best_node(&self) -> Option<u32> {
        let score = |node: u32| self.tokens[node as usize].score;
        let nodes = self.active.iter().copied();
        nodes.max_by(|&a, &b| score(a).total_cmp(&score(b)))
    }

    fn best_token(&self) -> Option<Token> {
        self.best_node().map(|node| self.tokens[node as usize])
    }

    /// What it costs to end the sentence after this node, where that is possible.
    fn cost_of_ending(&self, node: u32) -> Option<f32> {
        let costs = self
            .graph
            .ends_of(node)
            .iter()
            .map(|end| end.cost + self.graph.entries[end.entry as usize].final_cost);
        costs
            .min_by(f32::total_cmp)
            .filter(|cost| cost.is_finite())
            .map(|cost| cost * self.config.grammar_scale)
    }

    fn step(&mut self, row: &[f32]) {
        let background = self.background.step(row);
        self.background_trace.push(background);
        if self.history.len() >= self.sweep_at {
            self.sweep();
        }
        if self.frame == 0 {
            self.arrivals.clear();
            self.arrivals.push(Arrival {
                entry: 0,
                after_silence: false,
                score: 0.0,
                history: START,
            });
        } else {
            self.leave();
            self.arrive();
        }
        self.best = f32::NEG_INFINITY;
        self.advance(row);
        self.enter(row);
        std::mem::swap(&mut self.tokens, &mut self.next);
        std::mem::swap(&mut self.active, &mut self.next_active);
        for node in self.next_active.drain(..) {
            self.next[node as usize] = NOBODY;
        }
        self.prune();
        self.frame += 1;
    }

    /// Collects the tokens whose word or silence may be over.
    fn leave(&mut self) {
        self.leaving.clear();
        let worst = self.best - self.config.beam;
        for &node in &self.active {
            let token = self.tokens[node as usize];
            for end in self.graph.ends_of(node) {
                let score = token.score - end.cost * self.config.grammar_scale;
                if score >= worst {
                    let place = 2 * end.entry + u32::from(end.word == NO_WORD);
                    self.leaving.push(Leaving {
                        place,
                        word: end.word,
                        score,
                        token,
                    });
                }
            }
        }
        self.leaving.sort_unstable_by(|a, b| {
            (a.place, b.score)
                .partial_cmp(&(b.place, a.score))
                .unwrap_or(std::cmp::Ordering::Equal)
        });
    }

    /// One arrival a place, the best; the next best ways there stay linked to it in the history.
    fn arrive(&mut self) {
        self.arrivals.clear();
        for ways in self.leaving.chunk_by(|a, b| a.place == b.place) {
            let best = ways[0];
            let mut history = START;
            if best.word == NO_WORD {
                history = best.token.history;
            } else {
                for way in ways[..ways.len().min(RIVALS)].iter().rev() {
                    history = self.history.add(Record {
                        word: way.word,
                        begin: way.token.begin,
                        end: self.frame,
                        score_before: way.token.score_before,
                        score: way.score,
                        previous: way.token.history,
                        rival: history,
                    });
                }
            }
            self.arrivals.push(Arrival {
                entry: best.place / 2,
                after_silence: best.place % 2 == 1,
                score: best.score,
                history,
            });
        }
    }

    /// Tokens within words stay in their phone or go to the next.
    fn advance(&mut self, row: &[f32]) {
        let graph = Arc::clone(&self.graph);
        for index in 0..self.active.len() {
            let number = self.active[index];
            let token = self.tokens[number as usize];
            let node = &graph.nodes[number as usize];
            self.relax(
                number,
                Token {
                    score: token.score + row[node.unit.continue_column()],
                    ..token
                },
            );
            for child in node.first_child..node.first_child + u32::from(node.children) {
                let next = &graph.nodes[child as usize];
                let score = token.score - next.cost * self.config.grammar_scale
                    + row[next.unit.begin_column()];
                self.relax(child, Token { score, ..token });
            }
        }
    }

    /// Tokens between words begin the next word or a silence.
    fn enter(&mut self, row: &[f32]) {
        let graph = Arc::clone(&self.graph);
        for index in 0..self.arrivals.len() {
            let arrival = self.arrivals[index];
            let fresh = Token {
                score: arrival.score,
                score_before: arrival.score,
                begin: self.frame,
                history: arrival.history,
            };
            for door in graph.doors_of(arrival.entry) {
                for number in door.first_node..door.first_node + door.nodes {
                    let node = &graph.nodes[number as usize];
                    let cost = (door.cost + node.cost) * self.config.grammar_scale;
                    self.relax(
                        number,
                        Token {
                            score: arrival.score - cost + row[node.unit.begin_column()],
                            ..fresh
                        },
                    );
                }
            }
            if !arrival.after_silence {
                let silence = graph.entries[arrival.entry as usize].silence;
                self.relax(
                    silence,
                    Token {
                        score: arrival.score + row[Unit::SIL.begin_column()],
                        ..fresh
                    },
                );
            }
        }
    }

    fn relax(&mut self, node: u32, token: Token) {
        if token.score < self.best - self.config.beam {
            return;
        }
        let there = &mut self.next[node as usize];
        if token.score > there.score {
            if there.score == f32::NEG_INFINITY {
                self.next_active.push(node);
            }
            *there = token;
            self.best = self.best.max(token.score);
        }
    }

    /// Drops what is outside the beam, then the worst of what is too many.
    fn prune(&mut self) {
        let mut worst = self.best - self.config.beam;
        self.keep(worst);
        if self.active.len() <= self.config.max_active {
            return;
        }
        let width = self.config.beam / BINS as f32;
        self.bins.fill(0);
        for &node in &self.active {
            let bin = ((self.best - self.tokens[node as usize].score) / width) as usize;
            self.bins[bin.min(BINS - 1)] += 1;
        }
        let mut kept = 0;
        for (bin, &count) in self.bins.iter().enumerate() {
            kept += count as usize;
            if kept > self.config.max_active {
                worst = self.best - width * bin.max(1) as f32;
                break;
            }
        }
        self.keep(worst);
    }

    fn keep(&mut self, worst: f32) {
        let tokens = &mut self.tokens;
        self.active.retain(|&node| {
            let token = &mut tokens[node as usize];
            let stays = token.score >= worst;
            if !stays {
                *token = NOBODY;
            }
            stays
        });
    }

    /// Forgets words that no living token has said.
    fn sweep(&mut self) {
        self.history.sweep(
            self.active
                .iter()
                .map(|&node| self.tokens[node as usize].history),
        );
        for &node in &self.active {
            let token = &mut self.tokens[node as usize];
            token.history = self.history.moved_to(token.history);
        }
        self.sweep_at = self.sweep_floor.max(2 * self.history.len());
    }
}
