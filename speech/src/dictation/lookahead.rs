//! The n-gram smeared over the tree: the likeliest word below each node, given the word before.

use std::sync::Arc;

use super::ngram::NGram;
use super::table::{Frozen, Table};
use super::tree::{LexiconTree, ROOT};

/// Bytes that are remembered from one utterance to the next; when there are more, all are made anew by need.
const ROOM: usize = 2 << 20;
/// A word after which the tree has not been looked at.
const UNSEEN: u32 = u32::MAX;

/// What the listed pairs of one first word say about the tree.
#[derive(Debug)]
struct Smeared {
    /// Natural logarithm of the probability of the likeliest listed follower at or below a node.
    best: Frozen<f32>,
    /// Weight of everything not listed.
    backoff: f32,
}

/// Smears by need and remembers.
#[derive(Debug)]
pub(super) struct Lookahead {
    tree: Arc<LexiconTree>,
    ngram: Arc<NGram>,
    made: Vec<Smeared>,
    /// Where each word's is among those made.
    place: Vec<u32>,
    /// Bytes of those made.
    size: usize,
    /// Where one is made.
    bench: Table<f32>,
}

impl Lookahead {
    pub fn new(tree: Arc<LexiconTree>, ngram: Arc<NGram>) -> Lookahead {
        Lookahead {
            made: Vec::new(),
            place: vec![UNSEEN; ngram.words().len()],
            size: 0,
            bench: Table::with_capacity(1 << 10),
            tree,
            ngram,
        }
    }

    /// To be called between utterances: forgets when too much is remembered. Earlier places mean nothing then.
    pub fn tidy(&mut self) {
        if self.size > ROOM {
            self.made.clear();
            self.place.fill(UNSEEN);
            self.size = 0;
        }
    }

    /// The place of the tree as it looks after a word.
    pub fn after(&mut self, previous: u16) -> u32 {
        let place = self.place[usize::from(previous)];
        if place != UNSEEN {
            return place;
        }
        let smeared = self.smear(previous);
        self.size += size_of::<Smeared>() + smeared.best.size();
        self.made.push(smeared);
        self.place[usize::from(previous)] = (self.made.len() - 1) as u32;
        self.place[usize::from(previous)]
    }

    /// Natural logarithm of the probability of the likeliest word at or below a node. A word that is listed as less
    /// likely than its back-off counts as if it were not listed.
    pub fn at(&self, place: u32, node: u32) -> f32 {
        let smeared = &self.made[place as usize];
        let unlisted = smeared.backoff + self.tree.nodes[node as usize].best;
        match smeared.best.get(node) {
            Some(best) => best.max(unlisted),
            None => unlisted,
        }
    }

    fn smear(&mut self, previous: u16) -> Smeared {
        for (word, log) in self.ngram.followers(previous) {
            let log = log + self.tree.share(word);
            for &last in self.tree.last_nodes(word) {
                let mut node = last;
                while node != ROOT {
                    let (there, fresh) = self.bench.entry(u64::from(node));
                    if !fresh && *there >= log {
                        break;
                    }
                    *there = log;
                    node = self.tree.nodes[node as usize].parent;
                }
            }
        }
        Smeared {
            best: self.bench.freeze(),
            backoff: self.ngram.backoff(previous),
        }
    }
}
