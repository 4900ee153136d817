//! The sentence graph: every word sequence a recogniser should listen for, as nodes and arcs.

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

/// A step of the templates over a slot of which several may be said: from before it to behind it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Repeat {
    pub from: u32,
    pub to: u32,
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
        let nodes = self.nodes_for(templates.states().len(), from, |state| {
            templates.states()[state].arcs.is_empty().then_some(to)
        });
        for (state, node) in templates.states().iter().zip(&nodes) {
            let cost = if state.labels.is_empty() {
                0.0
            } else {
                GO_ON_COST
            };
            for (symbol, target) in &state.arcs {
                let target = nodes[*target as usize];
                match symbol {
                    Symbol::Word(word) => self.arc(*node, target, Some(word), cost),
                    Symbol::Slot { kind, .. } => {
                        if let Some(SlotWords {
                            words,
                            paused,
                            repeated,
                        }) = slot_words(kind)
                        {
                            let go_on = if paused { 0.0 } else { GO_ON_COST };
                            self.inline(words, *node, target, cost, go_on);
                            if repeated {
                                repeats.push(Repeat {
                                    from: *node,
                                    to: target,
                                });
                            }
                        }
                    }
                }
            }
            if !state.labels.is_empty() && *node != to {
                self.arc(*node, to, None, 0.0);
            }
        }
        repeats
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
