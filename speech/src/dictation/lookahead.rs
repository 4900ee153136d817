//! The n-gram smeared over the tree: the likeliest word below each node, given the word before.

use std::collections::HashMap;
use std::sync::Arc;

use super::ngram::NGram;
use super::table::Table;
use super::tree::{LexiconTree, ROOT};

/// Entries that are remembered; when there are more, all are forgotten and made anew by need.
const ROOM: usize = 4_000_000;

/// What listed pairs of one first word say about the tree.
#[derive(Debug)]
pub(super) struct Smeared {
    /// Natural logarithm of the probability of the likeliest listed follower at or below a node.
    best: Table<f32>,
    /// Weight of everything not listed.
    backoff: f32,
}

impl Smeared {
    /// Natural logarithm of an upper bound of the probabilities of the words at or below a node (weights above one are
    /// the only reason why it may be too low), and nearly always that of the likeliest.
    pub fn at(&self, tree: &LexiconTree, node: u32) -> f32 {
        let unlisted = self.backoff + tree.nodes[node as usize].best;
        self.best
            .get(u64::from(node))
            .map_or(unlisted, |best| best.max(unlisted))
    }
}

/// Smears by need and remembers.
#[derive(Debug)]
pub(super) struct Lookahead {
    tree: Arc<LexiconTree>,
    ngram: Arc<NGram>,
    made: HashMap<u16, Arc<Smeared>>,
    entries: usize,
}

impl Lookahead {
    pub fn new(tree: Arc<LexiconTree>, ngram: Arc<NGram>) -> Lookahead {
        Lookahead {
            tree,
            ngram,
            made: HashMap::new(),
            entries: 0,
        }
    }

    /// The tree as it looks after a word.
    pub fn after(&mut self, previous: u16) -> Arc<Smeared> {
        if let Some(known) = self.made.get(&previous) {
            return Arc::clone(known);
        }
        if self.entries > ROOM {
            self.made.clear();
            self.entries = 0;
        }
        let mut best = Table::<f32>::with_capacity(64);
        for (word, log) in self.ngram.followers(previous) {
            for &last in self.tree.last_nodes(word) {
                let mut node = last;
                while node != ROOT {
                    let (there, fresh) = best.entry(u64::from(node));
                    if !fresh && *there >= log {
                        break;
                    }
                    *there = log;
                    node = self.tree.nodes[node as usize].parent;
                    self.entries += usize::from(fresh);
                }
            }
        }
        let smeared = Arc::new(Smeared {
            best,
            backoff: self.ngram.backoff(previous),
        });
        self.made.insert(previous, Arc::clone(&smeared));
        smeared
    }
}
