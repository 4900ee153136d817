//! Lengths of time: "ten minutes", "half an hour", "an hour and a half", "two hours and fifteen minutes".

use super::number::{read_decimal, say_cardinal};
use super::{Saying, follows, follows_any, phrase};
use crate::value::SlotValue;

const FIXED: [(&str, u32); 9] = [
    ("half a minute", 30),
    ("half an hour", 1800),
    ("a quarter of an hour", 900),
    ("quarter of an hour", 900),
    ("three quarters of an hour", 2700),
    ("an hour and a half", 5400),
    ("a minute and a half", 90),
    ("an hour", 3600),
    ("a minute", 60),
];

/// One, many, seconds, and the largest count that is listened for.
const UNITS: [(&str, &str, u32, u32); 5] = [
    ("second", "seconds", 1, 59),
    ("minute", "minutes", 60, 90),
    ("hour", "hours", 3600, 24),
    ("day", "days", 86_400, 0),
    ("week", "weeks", 604_800, 0),
];

fn value(seconds: u32) -> SlotValue {
    SlotValue::Duration { seconds }
}

fn counted(count: u32, one: &str, many: &str) -> Vec<String> {
    let mut words = say_cardinal(count);
    words.push(if count == 1 { one } else { many }.to_string());
    words
}

/// Sayings of 1–59 seconds, 1–90 minutes, 1–24 hours, hours with five-minute parts, and the usual fractions.
pub(super) fn sayings() -> Vec<Saying> {
    let mut out: Vec<Saying> = FIXED
        .iter()
        .map(|(say, seconds)| (phrase(say), value(*seconds)))
        .collect();
    for (one, many, seconds, most) in UNITS {
        out.extend((1..=most).map(|count| (counted(count, one, many), value(count * seconds))));
    }
    for hours in 1..=12 {
        let words = counted(hours, "hour", "hours");
        let half = [say_cardinal(hours), phrase("and a half hours")].concat();
        out.push((half, value(hours * 3600 + 1800)));
        for minutes in (5..60).step_by(5) {
            let tail = counted(minutes, "minute", "minutes");
            let seconds = hours * 3600 + minutes * 60;
            out.push((
                [words.clone(), phrase("and"), tail.clone()].concat(),
                value(seconds),
            ));
            out.push(([words.clone(), tail].concat(), value(seconds)));
        }
    }
    out
}

/// Readings of a duration: any counts, decimals, and parts joined with or without "and".
pub(super) fn read(words: &[String], at: usize) -> Vec<(usize, SlotValue)> {
    let mut out: Vec<(usize, u32)> = FIXED
        .iter()
        .filter_map(|(say, seconds)| follows(words, at, say).map(|end| (end, *seconds)))
        .collect();
    let mut open = read_part(words, at, usize::MAX);
    while let Some((end, seconds, unit)) = open.pop() {
        out.push((end, seconds));
        let next = follows(words, end, "and").unwrap_or(end);
        let smaller = read_part(words, next, unit).into_iter();
        open.extend(smaller.map(|(end, more, unit)| (end, seconds.saturating_add(more), unit)));
    }
    out.into_iter()
        .map(|(end, seconds)| (end, value(seconds)))
        .collect()
}

/// "ten minutes" in units smaller than `below` (an index into [`UNITS`]): end, seconds, unit.
fn read_part(words: &[String], at: usize, below: usize) -> Vec<(usize, u32, usize)> {
    let mut out = Vec::new();
    for (end, count) in read_decimal(words, at) {
        for (unit, (one, many, seconds, _)) in
            UNITS.iter().enumerate().filter(|(unit, _)| *unit < below)
        {
            let total = (count * f64::from(*seconds)).round();
            let after =
                follows_any(words, end, &[one, many]).filter(|_| total > 0.0 && total < 1e9);
            out.extend(after.map(|end| (end, total as u32, unit)));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everyday_durations_are_read() {
        for (text, seconds) in [
            ("ten minutes", 600),
            ("one and a half hours", 5400),
            ("an hour and a half", 5400),
            ("two hours fifteen minutes and ten seconds", 8110),
            ("one hundred and twenty seconds", 120),
            ("two days and three hours", 183_600),
            ("one week", 604_800),
        ] {
            let words = phrase(text);
            assert!(
                read(&words, 0).contains(&(words.len(), value(seconds))),
                "{text}"
            );
        }
        let words = phrase("ten minutes two hours");
        assert!(
            read(&words, 0).iter().all(|(end, _)| *end < 4),
            "units only get smaller"
        );
    }
}
