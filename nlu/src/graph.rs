//! The sentence graph: every word sequence a recogniser should listen for, as nodes and arcs.

use std::collections::BTreeMap;

use crate::automaton::Automaton;
use crate::domain::Symbol;

/// Cost (negative natural logarithm of a probability) of entering the politeness before or after a sentence.
pub(crate) const FRAME_COST: f32 = 1.0;

/// Cost of going on where the sentence could as well be over: whoever has said a whole sentence is mostly done. A
/// listener need not wait long for what costs something.
const GO_ON_COST: f32 = 0.1;

/// The words of a slot.
#[derive(Clone, Copy)]
pub(crate) struct SlotWords<'a> {
    /// Everything that may be said for it.
    pub words: &'a Automaton<String>,
    /// Whether people pause within it, as between the groups of a telephone number.
    pub paused: bool,
    /// Whether people say several of them in a row, with "and" between.
    pub repeated: bool,
}

/// A step of the templates over a slot of which several may be said.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Repeat {
    /// The node before it.
    pub from: u32,
    /// The node behind it.
    pub to: u32,
    /// Where sentences end of which it is the last such step: they may go on with "and" and another value.
    pub end: u32,
}

/// Where in a sentence of the templates a node is.
#[derive(Debug, Clone, Copy)]
struct Place {
    /// The node before the last step of which several may be said; nothing before the first one.
    step: Option<u32>,
    /// Where the sentence ends.
    end: u32,
}

/// The nodes of a graph for the states of templates, and the states whose arcs are still to be made. Behind a step of which
/// several may be said a state has a node of its own, which remembers the step.
struct Expansion<'a> {
    templates: &'a Automaton<Symbol>,
    nodes: BTreeMap<(u32, Option<u32>), u32>,
    todo: Vec<(u32, u32, Place)>,
}

impl<'a> Expansion<'a> {
    fn new(templates: &'a Automaton<Symbol>, from: u32, end: u32) -> Self {
        let start = Place { step: None, end };
        Self {
            templates,
            nodes: BTreeMap::from([((0, None), from)]),
            todo: vec![(0, from, start)],
        }
    }

    /// The node of a state; a state with nothing after it is the end of the sentence.
    fn node(&mut self, state: u32, place: Place, graph: &mut SentenceGraph) -> u32 {
        if self.templates.state(state).arcs.is_empty() {
            return place.end;
        }
        *self.nodes.entry((state, place.step)).or_insert_with(|| {
            let node = graph.node();
            self.todo.push((state, node, place));
            node
        })
    }
}

/// An arc between two nodes.
#[derive(Debug, Clone, PartialEq)]
pub struct SentenceArc {
    /// Node it leaves.
    pub from: u32,
    /// Node it enters.
    pub to: u32,
    /// The word said on the way, of `[a-z']`; nothing for a silent arc.
    pub word: Option<String>,
    /// Cost of taking it: a negative natural logarithm, 0 or more.
    pub cost: f32,
}

/// A graph of words. Every path from `start` to one of `finals` is a sentence; cycles lead over words.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct SentenceGraph {
    /// Number of nodes; nodes are `0..nodes`.
    pub nodes: u32,
    /// Where sentences begin.
    pub start: u32,
    /// Where sentences may end.
    pub finals: Vec<u32>,
    /// All arcs.
    pub arcs: Vec<SentenceArc>,
}

impl SentenceGraph {
    /// An empty graph: a start node, no sentences.
    pub(crate) fn empty() -> Self {
        Self {
            nodes: 1,
            start: 0,
            finals: Vec::new(),
            arcs: Vec::new(),
        }
    }

    pub(crate) fn node(&mut self) -> u32 {
        self.nodes += 1;
        self.nodes - 1
    }

    pub(crate) fn arc(&mut self, from: u32, to: u32, word: Option<&str>, cost: f32) {
        self.arcs.push(SentenceArc {
            from,
            to,
            word: word.map(String::from),
            cost,
        });
    }

    /// Puts the sentences of an automaton of words between two nodes. The automaton's states with nothing after them
    /// become `to`, so that only ends in mid-sentence need a silent arc. `enter` is the cost of the first word, `go_on`
    /// that of a word where the automaton could end.
    pub(crate) fn inline(
        &mut self,
        words: &Automaton<String>,
        from: u32,
        to: u32,
        enter: f32,
        go_on: f32,
    ) {
        let nodes = self.nodes_for(words.states().len(), from, |state| {
            words.states()[state].arcs.is_empty().then_some(to)
        });
        for (state, node) in words.states().iter().zip(&nodes) {
            for (word, target) in &state.arcs {
                let cost = match (*node == from, state.labels.is_empty()) {
                    (true, _) => enter,
                    (false, true) => 0.0,
                    (false, false) => go_on,
                };
                self.arc(*node, nodes[*target as usize], Some(word), cost);
            }
            if !state.labels.is_empty() && *node != to && *node != from {
                self.arc(*node, to, None, 0.0);
            }
        }
    }

    /// Puts the sentences of templates between two nodes, with every slot replaced by the words `slot_words` gives. Tells
    /// the steps of which several may follow each other.
    pub(crate) fn expand<'a>(
        &mut self,
        templates: &Automaton<Symbol>,
        slot_words: impl Fn(&str) -> Option<SlotWords<'a>>,
        from: u32,
        to: u32,
    ) -> Vec<Repeat> {
        let mut repeats = Vec::new();
        let mut expansion = Expansion::new(templates, from, to);
        while let Some((state, node, place)) = expansion.todo.pop() {
            let state = templates.state(state);
            let ends = !state.labels.is_empty();
            let cost = if ends { GO_ON_COST } else { 0.0 };
            for (symbol, target) in &state.arcs {
                let slot = match symbol {
                    Symbol::Slot { kind, .. } => slot_words(kind),
                    Symbol::Word(word) => {
                        let target = expansion.node(*target, place, self);
                        self.arc(node, target, Some(word), cost);
                        continue;
                    }
                };
                let Some(slot) = slot else { continue };
                let place = if slot.repeated {
                    self.behind(node, to)
                } else {
                    place
                };
                let target = expansion.node(*target, place, self);
                let go_on = if slot.paused { 0.0 } else { GO_ON_COST };
                self.inline(slot.words, node, target, cost, go_on);
                if slot.repeated {
                    repeats.push(Repeat {
                        from: node,
                        to: target,
                        end: place.end,
                    });
                }
            }
            if ends && node != place.end {
                self.arc(node, place.end, None, 0.0);
            }
        }
        repeats
    }

    /// The place behind a step from `node` of which several may be said, in sentences that all lead `to` the same node.
    fn behind(&mut self, node: u32, to: u32) -> Place {
        let end = self.node();
        self.arc(end, to, None, 0.0);
        Place {
            step: Some(node),
            end,
        }
    }

    /// Politeness that may stand between two nodes; nothing at all costs nothing.
    pub(crate) fn optional(&mut self, words: &Automaton<String>, from: u32, to: u32) {
        self.arc(from, to, None, 0.0);
        self.inline(words, from, to, FRAME_COST, 0.0);
    }

    fn nodes_for(
        &mut self,
        states: usize,
        first: u32,
        end: impl Fn(usize) -> Option<u32>,
    ) -> Vec<u32> {
        let mut nodes = vec![first];
        for state in 1..states {
            let node = end(state).unwrap_or_else(|| self.node());
            nodes.push(node);
        }
        nodes
    }

    /// Takes away what lies on no way from the start to an end (slots of empty lists leave such stumps) and numbers the
    /// remaining nodes anew.
    pub(crate) fn trimmed(mut self) -> Self {
        let forward = self.reached(&[self.start], |arc| (arc.from, arc.to));
        let backward = self.reached(&self.finals, |arc| (arc.to, arc.from));
        let mut renamed = vec![None; self.nodes as usize];
        let mut nodes = 0;
        for node in 0..self.nodes {
            if node == self.start || (forward[node as usize] && backward[node as usize]) {
                renamed[node as usize] = Some(nodes);
                nodes += 1;
            }
        }
        let rename = |node: u32| renamed[node as usize];
        self.arcs = std::mem::take(&mut self.arcs)
            .into_iter()
            .filter_map(|arc| {
                Some(SentenceArc {
                    from: rename(arc.from)?,
                    to: rename(arc.to)?,
                    ..arc
                })
            })
            .collect();
        self.finals = self
            .finals
            .iter()
            .filter_map(|node| rename(*node))
            .collect();
        self.start = rename(self.start).unwrap_or(0);
        self.nodes = nodes;
        self
    }

    fn reached(&self, from: &[u32], ends: impl Fn(&SentenceArc) -> (u32, u32)) -> Vec<bool> {
        let mut next = vec![Vec::new(); self.nodes as usize];
        for arc in &self.arcs {
            let (a, b) = ends(arc);
            next[a as usize].push(b);
        }
        let mut seen = vec![false; self.nodes as usize];
        let mut todo = from.to_vec();
        while let Some(node) = todo.pop() {
            if !std::mem::replace(&mut seen[node as usize], true) {
                todo.extend(&next[node as usize]);
            }
        }
        seen
    }

    /// True when the words are a sentence of the graph. For tests and checks: a linear walk with state sets.
    pub fn accepts(&self, words: &[String]) -> bool {
        let mut next: Vec<Vec<&SentenceArc>> = vec![Vec::new(); self.nodes as usize];
        self.arcs
            .iter()
            .for_each(|arc| next[arc.from as usize].push(arc));
        let silent = |mut todo: Vec<u32>| {
            let mut seen = std::collections::BTreeSet::new();
            while let Some(node) = todo.pop() {
                if seen.insert(node) {
                    todo.extend(
                        next[node as usize]
                            .iter()
                            .filter(|arc| arc.word.is_none())
                            .map(|arc| arc.to),
                    );
                }
            }
            seen
        };
        let mut here = silent(vec![self.start]);
        for word in words {
            let arcs = here.iter().flat_map(|node| &next[*node as usize]);
            here = silent(
                arcs.filter(|arc| arc.word.as_deref() == Some(word))
                    .map(|arc| arc.to)
                    .collect(),
            );
        }
        self.finals.iter().any(|node| here.contains(node))
    }
}
