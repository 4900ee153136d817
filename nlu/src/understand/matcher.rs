//! Walks words through a domain's templates, keeping track of what each slot holds.

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::automaton::Automaton;
use crate::domain::Symbol;
use crate::value::SlotValue;

/// More readings of one sentence than this are cut off; real sentences have one or two.
const MOST_READINGS: usize = 64;

/// One reading of a sentence.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Reading {
    /// Intents whose templates fit, in the order of the domain.
    pub intents: Vec<u32>,
    /// Values by slot name.
    pub slots: BTreeMap<String, SlotValue>,
    /// Words of the template itself; the rest is in slots.
    pub literal: usize,
}

/// Reads the values of a slot type that begin at a word: ends and values.
pub(crate) type SlotReader<'a> = dyn Fn(&str, usize) -> Vec<(usize, SlotValue)> + 'a;

/// All readings of `words[from..to]`.
pub(crate) fn readings(
    templates: &Automaton<Symbol>,
    words: &[String],
    span: std::ops::Range<usize>,
    read_slot: &SlotReader<'_>,
) -> Vec<Reading> {
    let mut walk = Walk {
        templates,
        words,
        end: span.end,
        read_slot,
        slots_at: HashMap::new(),
        dead: HashSet::new(),
        held: Vec::new(),
        found: Vec::new(),
    };
    walk.visit(0, span.start, 0);
    walk.found
}

struct Walk<'a> {
    templates: &'a Automaton<Symbol>,
    words: &'a [String],
    end: usize,
    read_slot: &'a SlotReader<'a>,
    slots_at: HashMap<(&'a str, usize), Vec<(usize, SlotValue)>>,
    /// State and position from which no end is reached.
    dead: HashSet<(u32, usize)>,
    held: Vec<(&'a str, SlotValue)>,
    found: Vec<Reading>,
}

impl<'a> Walk<'a> {
    /// True when an end was reached from here.
    fn visit(&mut self, state: u32, at: usize, literal: usize) -> bool {
        if self.found.len() >= MOST_READINGS || self.dead.contains(&(state, at)) {
            return false;
        }
        let templates = self.templates;
        let here = templates.state(state);
        if at == self.end {
            if !here.labels.is_empty() {
                let slots = self
                    .held
                    .iter()
                    .map(|(name, value)| ((*name).to_string(), value.clone()))
                    .collect();
                self.found.push(Reading {
                    intents: here.labels.clone(),
                    slots,
                    literal,
                });
            }
            return !here.labels.is_empty();
        }
        let mut reached = false;
        let word = &self.words[at];
        // Word arcs sort before slot arcs, by word.
        let words_end = here
            .arcs
            .partition_point(|(symbol, _)| matches!(symbol, Symbol::Word(_)));
        let (word_arcs, slot_arcs) = here.arcs.split_at(words_end);
        let hit = word_arcs.binary_search_by(|(symbol, _)| match symbol {
            Symbol::Word(said) => said.as_str().cmp(word),
            Symbol::Slot { .. } => std::cmp::Ordering::Greater,
        });
        if let Ok(hit) = hit {
            reached |= self.visit(word_arcs[hit].1, at + 1, literal + 1);
        }
        for (symbol, to) in slot_arcs {
            if let Symbol::Slot { kind, name } = symbol {
                reached |= self.visit_slot(kind, name, *to, at, literal);
            }
        }
        if !reached && self.found.len() < MOST_READINGS {
            self.dead.insert((state, at));
        }
        reached
    }

    fn visit_slot(
        &mut self,
        kind: &'a str,
        name: &'a str,
        to: u32,
        at: usize,
        literal: usize,
    ) -> bool {
        if self.held.iter().any(|(held, _)| *held == name) {
            return false;
        }
        let read_slot = self.read_slot;
        let values = self
            .slots_at
            .entry((kind, at))
            .or_insert_with(|| read_slot(kind, at))
            .clone();
        let mut reached = false;
        for (end, value) in values {
            if end <= self.end {
                self.held.push((name, value));
                reached |= self.visit(to, end, literal);
                self.held.pop();
            }
        }
        reached
    }
}
