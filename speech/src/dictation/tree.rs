//! All words of an n-gram as one tree of phones that shares beginnings.

use std::collections::VecDeque;

use super::ngram::NGram;
use crate::lexicon::Lexicon;
use crate::phones::Unit;

/// No node before the first phone.
pub(super) const ROOT: u32 = u32::MAX;

/// One phone of the tree.
#[derive(Debug, Clone, Copy)]
pub(super) struct Node {
    pub unit: Unit,
    pub children: u8,
    pub first_child: u32,
    pub first_word: u32,
    pub words: u16,
    /// The phone before, [`ROOT`] for first phones.
    pub parent: u32,
    /// Natural logarithm of the probability of the likeliest word at or below this node, in any context.
    pub best: f32,
}

/// The pronunciations of a vocabulary, laid out breadth first so that the children of a node stand together.
#[derive(Debug)]
pub struct LexiconTree {
    pub(super) nodes: Vec<Node>,
    /// Words that end at a node, nodes in order.
    pub(super) words: Vec<u16>,
    /// First phones are the nodes before this one.
    pub(super) roots: u32,
    /// The last nodes of each word's pronunciations.
    last_nodes: Vec<u32>,
    first_last: Vec<u32>,
    unsayable: usize,
}

struct Spelled {
    phones: Vec<Unit>,
    word: u16,
}

struct Branch {
    from: usize,
    to: usize,
    depth: usize,
    node: u32,
}

impl LexiconTree {
    /// Spells every word of the n-gram. Words that the lexicon cannot spell are left out and counted.
    pub fn new(ngram: &NGram, lexicon: &Lexicon) -> LexiconTree {
        let mut unsayable = 0;
        let mut spelled = Vec::new();
        for (word, text) in ngram.sayable() {
            match lexicon.pronunciations(text) {
                Ok(ways) => spelled.extend(ways.into_iter().map(|phones| Spelled { phones, word })),
                Err(_) => unsayable += 1,
            }
        }
        spelled.sort_by(|a, b| (&a.phones, a.word).cmp(&(&b.phones, b.word)));
        spelled.dedup_by(|a, b| (&a.phones, a.word) == (&b.phones, b.word));
        let mut tree = LexiconTree {
            nodes: Vec::new(),
            words: Vec::new(),
            roots: 0,
            last_nodes: Vec::new(),
            first_last: Vec::new(),
            unsayable,
        };
        tree.grow(&spelled);
        tree.index(ngram.words().len());
        tree.smear(ngram);
        tree
    }

    /// Number of phones in the tree.
    pub fn nodes(&self) -> usize {
        self.nodes.len()
    }

    /// Words that the lexicon could not spell.
    pub fn unsayable(&self) -> usize {
        self.unsayable
    }

    /// The words that end at a node.
    pub(super) fn words_at(&self, node: u32) -> &[u16] {
        let node = &self.nodes[node as usize];
        &self.words[node.first_word as usize..][..usize::from(node.words)]
    }

    /// The nodes at which a word ends.
    pub(super) fn last_nodes(&self, word: u16) -> &[u32] {
        let word = usize::from(word);
        &self.last_nodes[self.first_last[word] as usize..self.first_last[word + 1] as usize]
    }

    fn grow(&mut self, spelled: &[Spelled]) {
        let mut queue = VecDeque::from([Branch {
            from: 0,
            to: spelled.len(),
            depth: 0,
            node: ROOT,
        }]);
        while let Some(branch) = queue.pop_front() {
            let group = &spelled[branch.from..branch.to];
            let over = group
                .iter()
                .take_while(|item| item.phones.len() == branch.depth)
                .count();
            let first_child = self.nodes.len() as u32;
            let mut from = branch.from + over;
            let longer = &group[over..];
            for part in longer.chunk_by(|a, b| a.phones[branch.depth] == b.phones[branch.depth]) {
                queue.push_back(Branch {
                    from,
                    to: from + part.len(),
                    depth: branch.depth + 1,
                    node: self.nodes.len() as u32,
                });
                from += part.len();
                self.nodes.push(Node {
                    unit: part[0].phones[branch.depth],
                    children: 0,
                    first_child: 0,
                    first_word: 0,
                    words: 0,
                    parent: branch.node,
                    best: f32::NEG_INFINITY,
                });
            }
            let children = self.nodes.len() as u32 - first_child;
            match self.nodes.get_mut(branch.node as usize) {
                Some(node) => {
                    node.first_child = first_child;
                    node.children = children as u8;
                    node.first_word = self.words.len() as u32;
                    node.words = over as u16;
                    self.words
                        .extend(group[..over].iter().map(|item| item.word));
                }
                None => self.roots = children,
            }
        }
    }

    /// Finds the last nodes of every word.
    fn index(&mut self, words: usize) {
        let mut ends: Vec<(u16, u32)> = Vec::with_capacity(self.words.len());
        for number in 0..self.nodes.len() as u32 {
            ends.extend(self.words_at(number).iter().map(|&word| (word, number)));
        }
        ends.sort_unstable();
        self.first_last = vec![0; words + 1];
        for &(word, _) in &ends {
            self.first_last[usize::from(word) + 1] += 1;
        }
        for word in 0..words {
            self.first_last[word + 1] += self.first_last[word];
        }
        self.last_nodes = ends.into_iter().map(|(_, node)| node).collect();
    }

    /// Gives every node its likeliest word; children stand after their parents.
    fn smear(&mut self, ngram: &NGram) {
        for number in (0..self.nodes.len()).rev() {
            let here = self
                .words_at(number as u32)
                .iter()
                .map(|&word| ngram.single(word));
            let best = here.fold(self.nodes[number].best, f32::max);
            self.nodes[number].best = best;
            let parent = self.nodes[number].parent;
            if let Some(parent) = self.nodes.get_mut(parent as usize) {
                parent.best = parent.best.max(best);
            }
        }
    }
}
