//! Times of day: "seven thirty", "half past seven", "quarter to eight in the evening", "noon", "nineteen thirty".

use std::collections::BTreeMap;
use std::sync::LazyLock;

use super::{Saying, phrase};
use crate::automaton::{Automaton, Builder};
use crate::builtin::number::say_cardinal;
use crate::value::SlotValue;

fn value(hour: u32, minute: u32) -> SlotValue {
    SlotValue::Time {
        hour: hour as u8,
        minute: minute as u8,
    }
}

/// Sayings of all times of day.
pub(super) fn sayings() -> Vec<Saying> {
    let mut out = vec![
        (phrase("noon"), value(12, 0)),
        (phrase("midday"), value(12, 0)),
        (phrase("midnight"), value(0, 0)),
    ];
    for hour in 1..=12 {
        for minute in 0..60 {
            for words in faces(hour, minute) {
                out.push((words.clone(), value(hour, minute)));
                for (part, hour) in parts_of_day(hour) {
                    out.push(([words.clone(), phrase(part)].concat(), value(hour, minute)));
                }
            }
        }
    }
    for hour in 13..24 {
        out.push((
            [say_cardinal(hour), phrase("hundred")].concat(),
            value(hour, 0),
        ));
        out.extend((10..60).map(|m| {
            (
                [say_cardinal(hour), say_cardinal(m)].concat(),
                value(hour, m),
            )
        }));
    }
    out
}

/// How a clock face of twelve hours is read.
fn faces(hour: u32, minute: u32) -> Vec<Vec<String>> {
    let said = say_cardinal(hour);
    let next = say_cardinal(hour % 12 + 1);
    let mut ways = vec![match minute {
        0 => said.clone(),
        1..=9 => [said.clone(), phrase("oh"), say_cardinal(minute)].concat(),
        _ => [said.clone(), say_cardinal(minute)].concat(),
    }];
    match minute {
        0 => ways.push([said, phrase("o'clock")].concat()),
        15 => {
            ways.push([phrase("quarter past"), said.clone()].concat());
            ways.push([phrase("a quarter past"), said].concat());
        }
        30 => ways.push([phrase("half past"), said].concat()),
        45 => {
            ways.push([phrase("quarter to"), next.clone()].concat());
            ways.push([phrase("a quarter to"), next].concat());
        }
        m if m % 5 == 0 && m < 30 => ways.push([say_cardinal(m), phrase("past"), said].concat()),
        m if m % 5 == 0 => ways.push([say_cardinal(60 - m), phrase("to"), next].concat()),
        _ => {}
    }
    ways
}

/// Parts of the day that may follow an hour of the clock face, and the hour of the day they make of it.
fn parts_of_day(hour: u32) -> Vec<(&'static str, u32)> {
    let (morning, later) = (hour % 12, hour % 12 + 12);
    let mut parts = vec![("a m", morning), ("p m", later)];
    match hour {
        12 => parts.push(("at night", 0)),
        1..=5 => parts.extend([("in the morning", morning), ("in the afternoon", later)]),
        6..=8 => parts.extend([("in the morning", morning), ("in the evening", later)]),
        9..=11 => parts.extend([
            ("in the morning", morning),
            ("in the evening", later),
            ("at night", later),
        ]),
        _ => {}
    }
    if hour == 12 {
        parts.push(("in the afternoon", 12));
    }
    parts
}

/// Index of the sayings: a time is read exactly when it is said so.
struct Index {
    words: Automaton<String>,
    values: Vec<SlotValue>,
}

static INDEX: LazyLock<Index> = LazyLock::new(|| {
    let mut builder = Builder::default();
    let mut values = Vec::new();
    let mut labels = BTreeMap::new();
    for (words, value) in sayings() {
        let SlotValue::Time { hour, minute } = value else {
            continue;
        };
        let label = *labels.entry((hour, minute)).or_insert_with(|| {
            values.push(value.clone());
            (values.len() - 1) as u32
        });
        builder.sequence(words, label);
    }
    Index {
        words: builder.build(),
        values,
    }
});

/// Readings of a time of day.
pub(super) fn read(words: &[String], at: usize) -> Vec<(usize, SlotValue)> {
    let mut out = Vec::new();
    for (end, labels) in INDEX.words.prefixes(words, at) {
        out.extend(
            labels
                .iter()
                .map(|label| (end, INDEX.values[*label as usize].clone())),
        );
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everyday_times_are_read() {
        for (text, hour, minute) in [
            ("seven", 7, 0),
            ("half past seven", 7, 30),
            ("quarter to eight in the evening", 19, 45),
            ("ten to one", 12, 50),
            ("twelve thirty a m", 0, 30),
            ("twelve p m", 12, 0),
            ("midnight", 0, 0),
            ("nineteen thirty", 19, 30),
            ("seven oh five p m", 19, 5),
        ] {
            let words = phrase(text);
            assert!(
                read(&words, 0).contains(&(words.len(), value(hour, minute))),
                "{text}"
            );
        }
    }

    #[test]
    fn no_saying_means_two_times() {
        let mut seen = BTreeMap::new();
        for (words, value) in sayings() {
            let before = seen.insert(words.clone(), value.clone());
            assert!(before.is_none() || before == Some(value), "{words:?}");
        }
    }
}
