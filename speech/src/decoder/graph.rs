//! Compiling a word graph into the phone graph that tokens walk.
//!
//! The words that may follow a grammar node form a tree of phones that shares beginnings. Silent arcs are closed: a
//! token that ends a word stands at an *entry*, which lists the trees (*doors*) that can be reached from there without
//! a word. Every entry has a silence of its own, so that a pause may stand between any two words.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};

use serde::Serialize;

use crate::grammar::{GrammarError, WordGraph};
use crate::lexicon::Lexicon;
use crate::phones::Unit;

/// In place of a word at the end of a silence.
pub(super) const NO_WORD: u32 = u32::MAX;

/// A continuation that costs less than this, nats, is as likely as any other word.
const FREE: f32 = 0.05;
/// A continuation of this cost, nats, is one that nobody waits for.
const DEAR: f32 = 0.5;

/// Whether a sentence that could be over goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Continuation {
    /// Nothing can follow, or only what the grammar makes dear (politeness).
    Unlikely,
    /// Something may follow that the grammar gives a cost.
    Possible,
    /// What may follow costs nothing: nobody knows whether the speaker is done.
    Likely,
}

/// One phone of the graph.
#[derive(Debug, Clone, Copy)]
pub(super) struct Node {
    /// Cost on entering: what the cheapest word below costs beyond what has been paid.
    pub cost: f32,
    pub first_child: u32,
    pub first_end: u32,
    pub ends: u32,
    pub children: u8,
    pub unit: Unit,
}

/// A word, or a silence, that is over with a node.
#[derive(Debug, Clone, Copy)]
pub(super) struct End {
    pub word: u32,
    pub entry: u32,
    pub cost: f32,
}

/// First phones that may follow an entry.
#[derive(Debug, Clone, Copy)]
pub(super) struct Door {
    pub first_node: u32,
    pub nodes: u32,
    pub cost: f32,
}

/// Where a token stands between two words.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry {
    pub first_door: u32,
    pub doors: u32,
    pub silence: u32,
    /// Cost of ending the sentence here; infinite where it may not end.
    pub final_cost: f32,
}

/// What may be said, spelled in phones. Compiled once, shared by decoders.
#[derive(Debug)]
pub struct DecodingGraph {
    pub(super) nodes: Vec<Node>,
    pub(super) ends: Vec<End>,
    pub(super) entries: Vec<Entry>,
    pub(super) doors: Vec<Door>,
    words: Vec<String>,
}

impl DecodingGraph {
    /// Spells every word of the graph and arranges the phones for decoding.
    ///
    /// # Errors
    /// [`GrammarError`]: wrong node numbers or costs, no sentence, a word that cannot be said.
    pub fn compile(graph: &WordGraph, lexicon: &Lexicon) -> Result<DecodingGraph, GrammarError> {
        graph.check()?;
        Compiler::new(graph, lexicon)?.run()
    }

    /// Number of phone nodes.
    pub fn nodes(&self) -> usize {
        self.nodes.len()
    }

    /// Different words that may be said.
    pub fn words(&self) -> &[String] {
        &self.words
    }

    pub(super) fn word(&self, number: u32) -> &str {
        &self.words[number as usize]
    }

    pub(super) fn ends_of(&self, node: u32) -> &[End] {
        let node = &self.nodes[node as usize];
        &self.ends[node.first_end as usize..][..node.ends as usize]
    }

    /// How likely words are to follow this node: the cheapest word says.
    pub(super) fn continuation(&self, node: u32) -> Continuation {
        let doors = self
            .ends_of(node)
            .iter()
            .flat_map(|end| self.doors_of(end.entry));
        let cheapest = doors.flat_map(|door| {
            let roots = &self.nodes[door.first_node as usize..][..door.nodes as usize];
            roots.iter().map(|root| door.cost + root.cost)
        });
        match cheapest.min_by(f32::total_cmp) {
            Some(cost) if cost < FREE => Continuation::Likely,
            Some(cost) if cost < DEAR => Continuation::Possible,
            _ => Continuation::Unlikely,
        }
    }

    pub(super) fn doors_of(&self, entry: u32) -> &[Door] {
        let entry = &self.entries[entry as usize];
        &self.doors[entry.first_door as usize..][..entry.doors as usize]
    }
}

/// A word arc ready to be spelled.
#[derive(Clone, Copy)]
struct Step {
    word: u32,
    to: u32,
    cost: f32,
}

/// One way to say the word of an arc.
struct Spelled<'a> {
    phones: &'a [Unit],
    step: Step,
}

struct Compiler {
    /// Word arcs and silent arcs by the node they leave; arcs that lead nowhere are left out.
    steps: Vec<Vec<Step>>,
    silent: Vec<Vec<(u32, f32)>>,
    is_final: Vec<bool>,
    start: u32,
    spellings: Vec<Vec<Vec<Unit>>>,
    /// The tree of each grammar node: its first phones.
    trees: Vec<Option<(u32, u32)>>,
    /// The entry made for each grammar node, by need.
    entry_of: Vec<Option<u32>>,
    wanted: Vec<u32>,
    out: DecodingGraph,
}

impl Compiler {
    fn new(graph: &WordGraph, lexicon: &Lexicon) -> Result<Compiler, GrammarError> {
        let size = graph.nodes as usize;
        let useful = useful_nodes(graph);
        if !useful[graph.start as usize] {
            return Err(GrammarError::NoSentence);
        }
        let mut compiler = Compiler {
            steps: vec![Vec::new(); size],
            silent: vec![Vec::new(); size],
            is_final: vec![false; size],
            start: graph.start,
            spellings: Vec::new(),
            trees: vec![None; size],
            entry_of: vec![None; size],
            wanted: Vec::new(),
            out: DecodingGraph {
                nodes: Vec::new(),
                ends: Vec::new(),
                entries: Vec::new(),
                doors: Vec::new(),
                words: Vec::new(),
            },
        };
        for &node in &graph.finals {
            compiler.is_final[node as usize] = true;
        }
        let mut numbers: HashMap<&str, u32> = HashMap::new();
        for arc in graph.arcs.iter().filter(|arc| useful[arc.to as usize]) {
            let from = arc.from as usize;
            let Some(word) = arc.word.as_deref() else {
                compiler.silent[from].push((arc.to, arc.cost));
                continue;
            };
            let word = match numbers.get(word) {
                Some(&number) => number,
                None => {
                    let number = compiler.out.words.len() as u32;
                    compiler.spellings.push(lexicon.pronunciations(word)?);
                    compiler.out.words.push(word.to_owned());
                    numbers.insert(word, number);
                    number
                }
            };
            compiler.steps[from].push(Step {
                word,
                to: arc.to,
                cost: arc.cost,
            });
        }
        Ok(compiler)
    }

    /// Makes the start's entry, then every entry and tree that is reached from what has been made.
    fn run(mut self) -> Result<DecodingGraph, GrammarError> {
        self.entry(self.start);
        let mut done = 0;
        while done < self.wanted.len() {
            self.open(done as u32, self.wanted[done]);
            done += 1;
        }
        let most = self
            .out
            .nodes
            .len()
            .max(self.out.ends.len())
            .max(self.out.doors.len());
        if most >= NO_WORD as usize / 2 {
            Err(GrammarError::TooLarge)
        } else {
            Ok(self.out)
        }
    }

    /// The number of a grammar node's entry; a new one is filled in later by [`Self::open`].
    fn entry(&mut self, node: u32) -> u32 {
        if let Some(entry) = self.entry_of[node as usize] {
            return entry;
        }
        let entry = self.wanted.len() as u32;
        self.entry_of[node as usize] = Some(entry);
        self.wanted.push(node);
        entry
    }

    fn open(&mut self, entry: u32, node: u32) {
        let silence = self.out.nodes.len() as u32;
        self.out.nodes.push(Node {
            cost: 0.0,
            first_child: 0,
            children: 0,
            first_end: self.out.ends.len() as u32,
            ends: 1,
            unit: Unit::SIL,
        });
        self.out.ends.push(End {
            word: NO_WORD,
            entry,
            cost: 0.0,
        });
        let reached = self.closure(node);
        let mut final_cost = f32::INFINITY;
        let mut doors = Vec::new();
        for &(node, cost) in &reached {
            if self.is_final[node as usize] {
                final_cost = final_cost.min(cost);
            }
            if !self.steps[node as usize].is_empty() {
                let (first_node, nodes) = self.tree(node);
                doors.push(Door {
                    first_node,
                    nodes,
                    cost,
                });
            }
        }
        let first_door = self.out.doors.len() as u32;
        self.out.entries.push(Entry {
            first_door,
            doors: doors.len() as u32,
            silence,
            final_cost,
        });
        self.out.doors.extend(doors);
    }

    /// Every node that silent arcs lead to, with the cheapest way's cost.
    fn closure(&self, from: u32) -> Vec<(u32, f32)> {
        if self.silent[from as usize].is_empty() {
            return vec![(from, 0.0)];
        }
        let mut settled: HashMap<u32, f32> = HashMap::new();
        // Costs are never negative, so their bits order as they do.
        let mut open = BinaryHeap::from([Reverse((0f32.to_bits(), from))]);
        let mut reached = Vec::new();
        while let Some(Reverse((bits, node))) = open.pop() {
            if settled.contains_key(&node) {
                continue;
            }
            let cost = f32::from_bits(bits);
            settled.insert(node, cost);
            reached.push((node, cost));
            for &(to, more) in &self.silent[node as usize] {
                open.push(Reverse(((cost + more).to_bits(), to)));
            }
        }
        reached
    }

    /// The phone tree of the words that leave a grammar node.
    fn tree(&mut self, node: u32) -> (u32, u32) {
        if let Some(tree) = self.trees[node as usize] {
            return tree;
        }
        let steps = std::mem::take(&mut self.steps[node as usize]);
        let spellings = std::mem::take(&mut self.spellings);
        let mut spelled: Vec<Spelled> = Vec::new();
        for &step in &steps {
            spelled.extend(
                spellings[step.word as usize]
                    .iter()
                    .map(|phones| Spelled { phones, step }),
            );
        }
        self.steps[node as usize] = steps;
        spelled.sort_by(|a, b| a.phones.cmp(b.phones));
        let tree = self.grow(&spelled);
        self.spellings = spellings;
        self.trees[node as usize] = Some(tree);
        tree
    }

    /// Lays the tree out breadth first, so that the children of a node stand together.
    fn grow(&mut self, spelled: &[Spelled]) -> (u32, u32) {
        struct Branch {
            from: usize,
            to: usize,
            depth: usize,
            node: u32,
            paid: f32,
        }
        let mut queue = std::collections::VecDeque::from([Branch {
            from: 0,
            to: spelled.len(),
            depth: 0,
            node: NO_WORD,
            paid: 0.0,
        }]);
        let first = self.out.nodes.len() as u32;
        let mut roots = 0;
        while let Some(branch) = queue.pop_front() {
            let group = &spelled[branch.from..branch.to];
            let over = group
                .iter()
                .take_while(|item| item.phones.len() == branch.depth)
                .count();
            let first_end = self.out.ends.len() as u32;
            for &Spelled { step, .. } in &group[..over] {
                let entry = self.entry(step.to);
                self.out.ends.push(End {
                    word: step.word,
                    entry,
                    cost: step.cost - branch.paid,
                });
            }
            let first_child = self.out.nodes.len() as u32;
            let mut from = branch.from + over;
            for part in
                group[over..].chunk_by(|a, b| a.phones[branch.depth] == b.phones[branch.depth])
            {
                let cheapest = part
                    .iter()
                    .map(|item| item.step.cost)
                    .fold(f32::INFINITY, f32::min);
                let node = self.out.nodes.len() as u32;
                let unit = part[0].phones[branch.depth];
                self.out.nodes.push(Node {
                    cost: cheapest - branch.paid,
                    first_child: 0,
                    children: 0,
                    first_end: 0,
                    ends: 0,
                    unit,
                });
                queue.push_back(Branch {
                    from,
                    to: from + part.len(),
                    depth: branch.depth + 1,
                    node,
                    paid: cheapest,
                });
                from += part.len();
            }
            let children = self.out.nodes.len() as u32 - first_child;
            match self.out.nodes.get_mut(branch.node as usize) {
                Some(node) => {
                    *node = Node {
                        first_child,
                        children: children as u8,
                        first_end,
                        ends: over as u32,
                        ..*node
                    };
                }
                None => roots = children,
            }
        }
        (first, roots)
    }
}

/// Nodes from which a sentence can be ended.
fn useful_nodes(graph: &WordGraph) -> Vec<bool> {
    let mut before: Vec<Vec<u32>> = vec![Vec::new(); graph.nodes as usize];
    for arc in &graph.arcs {
        before[arc.to as usize].push(arc.from);
    }
    let mut useful = vec![false; graph.nodes as usize];
    let mut open = graph.finals.clone();
    while let Some(node) = open.pop() {
        if !std::mem::replace(&mut useful[node as usize], true) {
            open.extend(&before[node as usize]);
        }
    }
    useful
}
