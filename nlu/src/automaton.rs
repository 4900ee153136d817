//! Finite automata over words or slots: everything a domain can say, without repetition, as small as it gets.
//!
//! Sentences are finite, so every automaton here is acyclic; minimising is then one bottom-up pass that shares equal
//! tails.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::Hash;

/// An automaton under construction: arcs carry a symbol or nothing, final states carry a label.
#[derive(Debug)]
pub struct Builder<S> {
    arcs: Vec<Vec<(Option<S>, u32)>>,
    finals: Vec<(u32, u32)>,
}

impl<S: Clone + Ord + Hash> Default for Builder<S> {
    fn default() -> Self {
        Self {
            arcs: vec![Vec::new()],
            finals: Vec::new(),
        }
    }
}

impl<S: Clone + Ord + Hash> Builder<S> {
    /// The state all sentences start in.
    pub const START: u32 = 0;

    /// A fresh state.
    pub fn state(&mut self) -> u32 {
        self.arcs.push(Vec::new());
        (self.arcs.len() - 1) as u32
    }

    /// An arc between two states. Arcs must not form a cycle.
    pub fn arc(&mut self, from: u32, symbol: Option<S>, to: u32) {
        self.arcs[from as usize].push((symbol, to));
    }

    /// Makes `state` an end of sentences labelled `label`.
    pub fn accept(&mut self, state: u32, label: u32) {
        self.finals.push((state, label));
    }

    /// Adds one sequence of symbols, accepted with `label`.
    pub fn sequence(&mut self, symbols: impl IntoIterator<Item = S>, label: u32) {
        let mut at = Self::START;
        for symbol in symbols {
            let next = self.state();
            self.arc(at, Some(symbol), next);
            at = next;
        }
        self.accept(at, label);
    }

    /// The smallest deterministic automaton that accepts the same sequences with the same labels.
    pub fn build(&self) -> Automaton<S> {
        self.determinise().minimised(true)
    }

    fn closure(&self, states: impl IntoIterator<Item = u32>) -> BTreeSet<u32> {
        let mut seen = BTreeSet::new();
        let mut todo: Vec<u32> = states.into_iter().collect();
        while let Some(state) = todo.pop() {
            if seen.insert(state) {
                let silent = self.arcs[state as usize]
                    .iter()
                    .filter(|(symbol, _)| symbol.is_none());
                todo.extend(silent.map(|(_, to)| *to));
            }
        }
        seen
    }

    fn determinise(&self) -> Automaton<S> {
        let mut labels_of: HashMap<u32, Vec<u32>> = HashMap::new();
        for (state, label) in &self.finals {
            labels_of.entry(*state).or_default().push(*label);
        }
        let start = self.closure([Self::START]);
        let mut index: HashMap<BTreeSet<u32>, u32> = HashMap::from([(start.clone(), 0)]);
        let mut sets = vec![start];
        let mut states: Vec<State<S>> = Vec::new();
        while states.len() < sets.len() {
            let set = sets[states.len()].clone();
            let mut targets: BTreeMap<S, BTreeSet<u32>> = BTreeMap::new();
            for (symbol, to) in set.iter().flat_map(|s| &self.arcs[*s as usize]) {
                if let Some(symbol) = symbol {
                    targets.entry(symbol.clone()).or_default().insert(*to);
                }
            }
            let mut arcs = Vec::with_capacity(targets.len());
            for (symbol, to) in targets {
                let to = self.closure(to);
                let fresh = sets.len() as u32;
                let id = *index.entry(to.clone()).or_insert_with(|| {
                    sets.push(to);
                    fresh
                });
                arcs.push((symbol, id));
            }
            let labels: BTreeSet<u32> = set
                .iter()
                .filter_map(|s| labels_of.get(s))
                .flatten()
                .copied()
                .collect();
            states.push(State {
                arcs,
                labels: labels.into_iter().collect(),
            });
        }
        Automaton { states }
    }
}

/// One state: where each symbol leads, and the labels of the sentences that end here (empty: none does).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct State<S> {
    /// Symbol and target, sorted by symbol, each symbol once.
    pub arcs: Vec<(S, u32)>,
    /// Sorted labels.
    pub labels: Vec<u32>,
}

/// A deterministic, acyclic automaton; state 0 is the start.
#[derive(Debug, Clone)]
pub struct Automaton<S> {
    states: Vec<State<S>>,
}

impl<S: Clone + Ord + Hash> Automaton<S> {
    /// The start state.
    pub const START: u32 = 0;

    /// All states; index 0 is the start.
    pub fn states(&self) -> &[State<S>] {
        &self.states
    }

    /// The state with this index.
    pub fn state(&self, id: u32) -> &State<S> {
        &self.states[id as usize]
    }

    /// Number of arcs.
    pub fn arc_count(&self) -> usize {
        self.states.iter().map(|state| state.arcs.len()).sum()
    }

    /// True when nothing is accepted.
    pub fn is_empty(&self) -> bool {
        self.states.iter().all(|state| state.labels.is_empty())
    }

    /// The target of `symbol` from `state`.
    pub fn step<Q>(&self, state: u32, symbol: &Q) -> Option<u32>
    where
        S: std::borrow::Borrow<Q>,
        Q: Ord + ?Sized,
    {
        let arcs = &self.state(state).arcs;
        arcs.binary_search_by(|(s, _)| s.borrow().cmp(symbol))
            .ok()
            .map(|at| arcs[at].1)
    }

    /// The same sentences with all labels made equal, which lets more tails be shared.
    pub fn unlabelled(&self) -> Self {
        self.minimised(false)
    }

    /// Shares equal tails, bottom-up; keeps labels apart when `labelled`.
    fn minimised(&self, labelled: bool) -> Self {
        let mut merged: Vec<State<S>> = Vec::new();
        let mut index: HashMap<State<S>, u32> = HashMap::new();
        let mut renamed = vec![u32::MAX; self.states.len()];
        for id in self.post_order() {
            let state = &self.states[id as usize];
            let labels = if labelled || state.labels.is_empty() {
                state.labels.clone()
            } else {
                vec![0]
            };
            let arcs = state
                .arcs
                .iter()
                .map(|(s, to)| (s.clone(), renamed[*to as usize]))
                .collect();
            let state = State { arcs, labels };
            let fresh = merged.len() as u32;
            renamed[id as usize] = *index.entry(state.clone()).or_insert_with(|| {
                merged.push(state);
                fresh
            });
        }
        // Post-order puts the start last; the start is state 0 by contract.
        let last = (merged.len() - 1) as u32;
        merged.reverse();
        for state in &mut merged {
            for (_, to) in &mut state.arcs {
                *to = last - *to;
            }
        }
        Self { states: merged }
    }

    fn post_order(&self) -> Vec<u32> {
        let mut order = Vec::with_capacity(self.states.len());
        let mut seen = vec![false; self.states.len()];
        let mut stack = vec![(0_u32, 0_usize)];
        seen[0] = true;
        while let Some((id, next)) = stack.pop() {
            match self.states[id as usize].arcs.get(next) {
                Some((_, to)) => {
                    stack.push((id, next + 1));
                    if !std::mem::replace(&mut seen[*to as usize], true) {
                        stack.push((*to, 0));
                    }
                }
                None => order.push(id),
            }
        }
        order
    }
}

impl Automaton<String> {
    /// Every prefix of `words[at..]` that is accepted: end position and labels.
    pub fn prefixes<'a>(&'a self, words: &[String], at: usize) -> Vec<(usize, &'a [u32])> {
        let mut ends = Vec::new();
        let mut state = Self::START;
        for end in at..=words.len() {
            let labels = &self.state(state).labels;
            if !labels.is_empty() {
                ends.push((end, labels.as_slice()));
            }
            match words
                .get(end)
                .and_then(|word| self.step(state, word.as_str()))
            {
                Some(next) => state = next,
                None => break,
            }
        }
        ends
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(sentences: &[(Vec<String>, u32)]) -> Automaton<String> {
        let mut builder = Builder::default();
        for (words, label) in sentences {
            builder.sequence(words.iter().cloned(), *label);
        }
        builder.build()
    }

    #[test]
    fn common_heads_and_tails_are_shared() {
        let say = |text: &str| (text.split(' ').map(String::from).collect::<Vec<_>>(), 0);
        let automaton = of(&[
            say("open the window now"),
            say("open the door now"),
            say("close the door now"),
        ]);
        // Twelve arcs of words, of which four tails fall together.
        assert_eq!(automaton.arc_count(), 8);
    }

    proptest! {
        #[test]
        fn exactly_the_sentences_given_are_accepted(
            sentences in prop::collection::vec((prop::collection::vec("[ab]", 1..5), 0_u32..3), 1..12),
            probe in prop::collection::vec("[ab]", 1..5),
        ) {
            let automaton = of(&sentences);
            for plain in [&automaton, &automaton.unlabelled()] {
                let accepted = plain.prefixes(&probe, 0).iter().any(|(end, _)| *end == probe.len());
                prop_assert_eq!(accepted, sentences.iter().any(|(words, _)| *words == probe));
            }
            for (words, label) in &sentences {
                let ends = automaton.prefixes(words, 0);
                let (_, labels) = ends.iter().find(|(end, _)| *end == words.len()).unwrap();
                prop_assert!(labels.contains(label));
            }
        }
    }
}
