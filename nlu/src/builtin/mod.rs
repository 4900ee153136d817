//! Slot types that come with the house. Each can say all its values (for the recogniser's graph and for samples) and
//! read any of those sayings, and more, back into a typed value.

pub mod clock;
pub mod digits;
pub mod duration;
pub mod number;
pub mod temperature;

use crate::automaton::{Automaton, Builder};
use crate::value::SlotValue;

/// One way to say one value: words and what they mean.
pub type Saying = (Vec<String>, SlotValue);

/// A builtin slot type with its range.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Builtin {
    /// A number from `min` to `max`; the graph holds every `step`-th, the reader takes any within the range.
    Number {
        /// Smallest value.
        min: f64,
        /// Largest value, at most 999999.
        max: f64,
        /// Distance of the values the recogniser listens for: whole, or 0.5 or 0.1.
        step: f64,
    },
    /// A temperature as people set in a cabin: 10–32 °C by halves, 50–90 °F.
    Temperature,
    /// 0 to 100 percent, halves and quarters.
    Percent,
    /// Seconds, minutes, hours.
    Duration,
    /// A time of day.
    Time,
    /// First to thirty-first.
    Ordinal,
    /// Digits to dial, `min` to `max` of them.
    Digits {
        /// Fewest digits.
        min: usize,
        /// Most digits, at most 20.
        max: usize,
    },
}

impl Builtin {
    /// The builtin of this name with its usual range, if there is one.
    pub fn named(name: &str) -> Option<Self> {
        Some(match name {
            "number" => Self::Number {
                min: 0.0,
                max: 100.0,
                step: 1.0,
            },
            "temperature" => Self::Temperature,
            "percent" => Self::Percent,
            "duration" => Self::Duration,
            "time" => Self::Time,
            "ordinal" => Self::Ordinal,
            "digits" => Self::Digits { min: 3, max: 15 },
            _ => return None,
        })
    }

    /// Names of all builtins, for messages.
    pub const NAMES: &str = "number, temperature, percent, duration, time, ordinal, digits";

    /// Every value with every way the recogniser listens for. Digits have too many to list and give none.
    pub fn sayings(&self) -> Vec<Saying> {
        match *self {
            Self::Number { min, max, step } => number::sayings(min, max, step),
            Self::Temperature => temperature::sayings(),
            Self::Percent => number::percent_sayings(),
            Self::Duration => duration::sayings(),
            Self::Time => clock::sayings(),
            Self::Ordinal => number::ordinal_sayings(),
            Self::Digits { .. } => Vec::new(),
        }
    }

    /// The word sequences the recogniser listens for.
    pub fn words(&self) -> Automaton<String> {
        if let Self::Digits { min, max } = *self {
            return digits::words(min, max);
        }
        let mut builder = Builder::default();
        for (words, _) in self.sayings() {
            builder.sequence(words, 0);
        }
        builder.build()
    }

    /// All readings that begin at `words[at]`: end position (exclusive) and value.
    pub fn read(&self, words: &[String], at: usize) -> Vec<(usize, SlotValue)> {
        match *self {
            Self::Number { min, max, .. } => number::read(words, at, min, max),
            Self::Temperature => temperature::read(words, at),
            Self::Percent => number::read_percent(words, at),
            Self::Duration => duration::read(words, at),
            Self::Time => clock::read(words, at),
            Self::Ordinal => number::read_ordinal(words, at),
            Self::Digits { min, max } => digits::read(words, at, min, max),
        }
    }
}

/// Splits a phrase into owned words.
pub(crate) fn phrase(text: &str) -> Vec<String> {
    text.split_whitespace().map(String::from).collect()
}

/// True when `words[at..]` begins with the words of `text`.
pub(crate) fn follows(words: &[String], at: usize, text: &str) -> Option<usize> {
    let mut end = at;
    for expected in text.split(' ') {
        if words.get(end).is_none_or(|word| word != expected) {
            return None;
        }
        end += 1;
    }
    Some(end)
}

/// The end after the first of `texts` found at `at`.
pub(crate) fn follows_any(words: &[String], at: usize, texts: &[&str]) -> Option<usize> {
    texts.iter().find_map(|text| follows(words, at, text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn all() -> Vec<Builtin> {
        vec![
            Builtin::Number {
                min: 0.0,
                max: 100.0,
                step: 1.0,
            },
            Builtin::Number {
                min: 20.0,
                max: 250.0,
                step: 5.0,
            },
            Builtin::Number {
                min: 87.5,
                max: 108.0,
                step: 0.1,
            },
            Builtin::Number {
                min: 0.0,
                max: 20.0,
                step: 0.5,
            },
            Builtin::Temperature,
            Builtin::Percent,
            Builtin::Duration,
            Builtin::Time,
            Builtin::Ordinal,
            Builtin::Digits { min: 3, max: 15 },
        ]
    }

    #[test]
    fn every_saying_of_every_value_is_read_as_that_value() {
        for builtin in all() {
            let sayings = builtin.sayings();
            assert!(
                matches!(builtin, Builtin::Digits { .. }) || sayings.len() > 20,
                "{builtin:?} says too little"
            );
            for (words, value) in sayings {
                let readings = builtin.read(&words, 0);
                let whole: Vec<_> = readings
                    .iter()
                    .filter(|(end, _)| *end == words.len())
                    .collect();
                assert!(
                    whole.iter().any(|(_, read)| *read == value),
                    "{builtin:?} {words:?} {value:?}: {readings:?}"
                );
                let first = whole.first().map(|(_, read)| read);
                assert_eq!(
                    first,
                    Some(&value),
                    "{builtin:?} {words:?} is first read otherwise"
                );
            }
        }
    }

    proptest! {
        #[test]
        fn every_walk_through_the_recogniser_graph_is_read(
            which in 0_usize..10,
            turns in prop::collection::vec(0_usize..1000, 40),
        ) {
            let builtin = all()[which];
            let graph = builtin.words();
            let (mut state, mut words) = (0, Vec::new());
            for turn in turns {
                let here = graph.state(state);
                if here.arcs.is_empty() || (!here.labels.is_empty() && turn % 3 == 0) {
                    break;
                }
                let (word, to) = &here.arcs[turn % here.arcs.len()];
                words.push(word.clone());
                state = *to;
            }
            prop_assume!(!graph.state(state).labels.is_empty());
            let readings = builtin.read(&words, 0);
            prop_assert!(readings.iter().any(|(end, _)| *end == words.len()), "{:?} {:?}", builtin, words);
        }

        #[test]
        fn no_words_break_a_reader(words in prop::collection::vec(
            "one|two|twenty|hundred|thousand|and|a|half|point|oh|past|quarter|to|minutes|hour|degrees|plus|double", 0..9)) {
            for builtin in all() {
                for at in 0..=words.len() {
                    for (end, _) in builtin.read(&words, at) {
                        prop_assert!(end > at && end <= words.len());
                    }
                }
            }
        }
    }
}
