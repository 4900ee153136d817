//! Slot types that come with the house. Each can say all its values (for the recogniser's graph and for samples) and
//! read any of those sayings, and more, back into a typed value.

pub mod clock;
pub mod date;
pub mod digits;
pub mod duration;
pub mod number;
pub mod spelling;
pub mod temperature;

use crate::automaton::{Automaton, Builder};
use crate::calendar::Date;
use crate::value::SlotValue;
pub use temperature::{Scale, Thermometer};

/// One way to say one value: words and what they mean.
pub type Saying = (Vec<String>, SlotValue);

/// A builtin slot type with its range.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Builtin {
    /// A number from `min` to `max`; the graph holds every `step`-th, the reader takes any within the range.
    Number {
        /// Smallest value, at least -999999.
        min: f64,
        /// Largest value, at most 999999.
        max: f64,
        /// Distance of the values the recogniser listens for: whole, or 0.5 or 0.1.
        step: f64,
    },
    /// A temperature, unless the domain says otherwise as people set in a cabin.
    Temperature(Thermometer),
    /// 0 to 100 percent, halves and quarters.
    Percent,
    /// Seconds, minutes, hours.
    Duration,
    /// A time of day.
    Time,
    /// A day.
    Date,
    /// First, second and so on.
    Ordinal {
        /// Smallest, 1 or more.
        min: u32,
        /// Largest, at most 999.
        max: u32,
    },
    /// Digits to dial, `min` to `max` of them.
    Digits {
        /// Fewest digits.
        min: usize,
        /// Most digits, at most 20.
        max: usize,
    },
    /// A name spelled letter by letter.
    Spelling {
        /// Fewest letters.
        min: usize,
        /// Most letters, at most 30.
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
            "decimal" => Self::Number {
                min: 0.0,
                max: 100.0,
                step: 0.1,
            },
            "temperature" => Self::Temperature(Thermometer::cabin()),
            "percent" => Self::Percent,
            "duration" => Self::Duration,
            "time" => Self::Time,
            "date" => Self::Date,
            "ordinal" => Self::Ordinal { min: 1, max: 31 },
            "digits" | "phone_number" => Self::Digits { min: 3, max: 15 },
            "spelling" => Self::Spelling { min: 2, max: 15 },
            _ => return None,
        })
    }

    /// Names of all builtins, for messages.
    pub const NAMES: &str = "number, decimal, ordinal, percent, temperature, duration, time, date, phone_number, digits, spelling";

    /// Every value with every way the recogniser listens for; days as they are meant on this day and without their year.
    /// Digits and spelled names have too many to list and give none.
    pub fn sayings(&self, today: Date) -> Vec<Saying> {
        match *self {
            Self::Number { min, max, step } => number::sayings(min, max, step),
            Self::Temperature(thermometer) => thermometer.sayings(),
            Self::Percent => number::percent_sayings(),
            Self::Duration => duration::sayings(),
            Self::Time => clock::sayings(),
            Self::Date => date::sayings(today),
            Self::Ordinal { min, max } => number::ordinal_sayings(min, max),
            Self::Digits { .. } | Self::Spelling { .. } => Vec::new(),
        }
    }

    /// The word sequences the recogniser listens for.
    pub fn words(&self) -> Automaton<String> {
        match *self {
            Self::Digits { min, max } => return digits::words(min, max),
            Self::Spelling { min, max } => return spelling::words(min, max),
            Self::Date => return date::words(),
            _ => {}
        }
        let mut builder = Builder::default();
        for (words, _) in self.sayings(Date::today_utc()) {
            builder.sequence(words, 0);
        }
        builder.build()
    }

    /// All readings that begin at `words[at]` on a day: end position (exclusive) and value.
    pub fn read(&self, words: &[String], at: usize, today: Date) -> Vec<(usize, SlotValue)> {
        match *self {
            Self::Number { min, max, .. } => number::read(words, at, min, max),
            Self::Temperature(thermometer) => thermometer.read(words, at),
            Self::Percent => number::read_percent(words, at),
            Self::Duration => duration::read(words, at),
            Self::Time => clock::read(words, at),
            Self::Date => date::read(words, at, today),
            Self::Ordinal { min, max } => number::read_ordinal(words, at, min, max),
            Self::Digits { min, max } => digits::read(words, at, min, max),
            Self::Spelling { min, max } => spelling::read(words, at, min, max),
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
    use crate::value::TemperatureUnit;
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
            Builtin::Number {
                min: -30.0,
                max: 5.0,
                step: 0.5,
            },
            Builtin::Temperature(Thermometer::cabin()),
            Builtin::Temperature(Thermometer {
                unsaid: Some(TemperatureUnit::Fahrenheit),
                ..Thermometer::cabin()
            }),
            Builtin::Percent,
            Builtin::Duration,
            Builtin::Time,
            Builtin::Date,
            Builtin::Ordinal { min: 1, max: 31 },
            Builtin::Ordinal { min: 1, max: 120 },
            Builtin::Digits { min: 3, max: 15 },
            Builtin::Spelling { min: 2, max: 10 },
        ]
    }

    /// A Wednesday.
    fn today() -> Date {
        Date::new(2026, 11, 25).unwrap()
    }

    #[test]
    fn every_saying_of_every_value_is_read_as_that_value() {
        for builtin in all() {
            let sayings = builtin.sayings(today());
            let endless = matches!(builtin, Builtin::Digits { .. } | Builtin::Spelling { .. });
            assert!(endless || sayings.len() > 20, "{builtin:?} says too little");
            for (words, value) in sayings {
                let readings = builtin.read(&words, 0, today());
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
            which in 0_usize..16,
            turns in prop::collection::vec(0_usize..1000, 40),
        ) {
            let all = all();
            let builtin = all[which % all.len()];
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
            let readings = builtin.read(&words, 0, today());
            prop_assert!(readings.iter().any(|(end, _)| *end == words.len()), "{:?} {:?}", builtin, words);
        }

        #[test]
        fn no_words_break_a_reader(words in prop::collection::vec(
            "one|two|twenty|hundred|thousand|and|a|half|point|oh|past|quarter|to|minutes|hour|degrees|plus|minus|double|the|third|of|may|next|friday|in|week|from|now|x|ray|as|for|bravo", 0..9)) {
            for builtin in all() {
                for at in 0..=words.len() {
                    for (end, _) in builtin.read(&words, at, today()) {
                        prop_assert!(end > at && end <= words.len());
                    }
                }
            }
        }
    }
}
