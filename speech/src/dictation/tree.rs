//! All words of an n-gram as one tree of phones that shares beginnings.

use std::collections::VecDeque;

use super::names::Names;
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
    /// Entries that end at a node, nodes in order.
    pub(super) words: Vec<u32>,
    /// First phones are the nodes before this one.
    pub(super) roots: u32,
    /// What can be said: first the words of the n-gram by number, then the names.
    entries: Vec<Entry>,
    /// Natural logarithm of the share that a name has of the probability of its class, by word of the n-gram; 0 for others.
    shares: Vec<f32>,
    /// The last nodes of the pronunciations of each word, or of all names of each class.
    last_nodes: Vec<u32>,
    first_last: Vec<u32>,
    unsayable: usize,
}

/// Something that can be said.
#[derive(Debug)]
pub(super) struct Entry {
    /// The n-gram's word, which for a name is its class.
    pub word: u16,
    text: String,
}

struct Spelled {
    phones: Vec<Unit>,
    entry: u32,
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
        LexiconTree::with_names(ngram, lexicon, &Names::default())
    }

    /// The same with names in place of the n-gram's classes. A class without names cannot be said.
    pub fn with_names(ngram: &NGram, lexicon: &Lexicon, names: &Names) -> LexiconTree {
        let plain = (0..).zip(ngram.words()).map(|(word, text)| Entry {
            word,
            text: text.clone(),
        });
        let mut entries: Vec<Entry> = plain.collect();
        let mut shares = vec![0.0; entries.len()];
        let mut unsayable = 0;
        let mut spelled = Vec::new();
        for (word, text) in ngram.sayable() {
            let Some(members) = names.of(text) else {
                let ways = lexicon.pronunciations(text).unwrap_or_default();
                unsayable += usize::from(ways.is_empty());
                let entry = u32::from(word);
                spelled.extend(ways.into_iter().map(|phones| Spelled { phones, entry }));
                continue;
            };
            shares[usize::from(word)] = -(members.len().max(1) as f32).ln();
            for name in members {
                let ways = lexicon.pronunciations(&name.join("-")).unwrap_or_default();
                unsayable += usize::from(ways.is_empty());
                let entry = entries.len() as u32;
                spelled.extend(ways.into_iter().map(|phones| Spelled { phones, entry }));
                let text = name.join(" ");
                entries.push(Entry { word, text });
            }
        }
        spelled.sort_by(|a, b| (&a.phones, a.entry).cmp(&(&b.phones, b.entry)));
        spelled.dedup_by(|a, b| (&a.phones, a.entry) == (&b.phones, b.entry));
        let mut tree = LexiconTree {
            nodes: Vec::new(),
            words: Vec::new(),
            roots: 0,
            entries,
            shares,
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

    /// What can be said, by its number.
    pub(super) fn entry(&self, number: u32) -> &Entry {
        &self.entries[number as usize]
    }

    /// Natural logarithm of the share of a word's probability that what can be said for it has.
    pub(super) fn share(&self, word: u16) -> f32 {
        self.shares[usize::from(word)]
    }

    /// The words of an entry.
    pub(super) fn text(&self, number: u32) -> &str {
        &self.entries[number as usize].text
    }

    /// The entries that end at a node.
    pub(super) fn words_at(&self, node: u32) -> &[u32] {
        let node = &self.nodes[node as usize];
        &self.words[node.first_word as usize..][..usize::from(node.words)]
    }

    /// The nodes at which a word ends, or a name of the class that it stands for.
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
                        .extend(group[..over].iter().map(|item| item.entry));
                }
                None => self.roots = children,
            }
        }
    }

    /// Finds the last nodes of every word.
    fn index(&mut self, words: usize) {
        let mut ends: Vec<(u16, u32)> = Vec::with_capacity(self.words.len());
        for number in 0..self.nodes.len() as u32 {
            let here = self.words_at(number).iter();
            ends.extend(here.map(|&entry| (self.entries[entry as usize].word, number)));
        }
        ends.sort_unstable();
        ends.dedup();
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
            let here = self.words_at(number as u32).iter().map(|&entry| {
                let word = self.entries[entry as usize].word;
                ngram.single(word) + self.share(word)
            });
            let best = here.fold(self.nodes[number].best, f32::max);
            self.nodes[number].best = best;
            let parent = self.nodes[number].parent;
            if let Some(parent) = self.nodes.get_mut(parent as usize) {
                parent.best = parent.best.max(best);
            }
        }
    }
}
