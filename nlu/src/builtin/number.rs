//! Numbers said in words: cardinals, decimals, "and a half", ordinals, percent.

use super::{Saying, follows, phrase};
use crate::value::SlotValue;

const SMALL: [&str; 20] = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
];
const TENS: [&str; 10] = [
    "", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety",
];
const ORDINALS: [&str; 20] = [
    "zeroth",
    "first",
    "second",
    "third",
    "fourth",
    "fifth",
    "sixth",
    "seventh",
    "eighth",
    "ninth",
    "tenth",
    "eleventh",
    "twelfth",
    "thirteenth",
    "fourteenth",
    "fifteenth",
    "sixteenth",
    "seventeenth",
    "eighteenth",
    "nineteenth",
];
const TENTHS: [&str; 10] = [
    "",
    "",
    "twentieth",
    "thirtieth",
    "fortieth",
    "fiftieth",
    "sixtieth",
    "seventieth",
    "eightieth",
    "ninetieth",
];

/// The value of a single word below one hundred: "seven", "twelve", "forty".
pub fn small_value(word: &str) -> Option<u32> {
    let small = SMALL.iter().position(|w| *w == word);
    small
        .or_else(|| {
            TENS.iter()
                .skip(2)
                .position(|w| *w == word)
                .map(|at| (at + 2) * 10)
        })
        .map(|v| v as u32)
}

/// The ordinal of a cardinal word: "one" → "first".
pub fn ordinal_word(word: &str) -> Option<String> {
    let small = SMALL.iter().position(|w| *w == word).map(|at| ORDINALS[at]);
    small
        .or_else(|| {
            TENS.iter()
                .skip(2)
                .position(|w| *w == word)
                .map(|at| TENTHS[at + 2])
        })
        .map(String::from)
}

/// The usual way to say a whole number below one million; larger ones are said digit by digit.
pub fn say_cardinal(value: u32) -> Vec<String> {
    match value {
        0..=19 => vec![SMALL[value as usize].to_string()],
        20..=99 => {
            let mut words = vec![TENS[(value / 10) as usize].to_string()];
            if !value.is_multiple_of(10) {
                words.push(SMALL[(value % 10) as usize].to_string());
            }
            words
        }
        100..=999 => with_rest(value / 100, "hundred", value % 100),
        1_000..=999_999 => with_rest(value / 1_000, "thousand", value % 1_000),
        _ => value
            .to_string()
            .chars()
            .filter_map(|c| c.to_digit(10))
            .flat_map(say_cardinal)
            .collect(),
    }
}

fn with_rest(count: u32, unit: &str, rest: u32) -> Vec<String> {
    let mut words = say_cardinal(count);
    words.push(unit.to_string());
    if rest > 0 {
        words.extend(say_cardinal(rest));
    }
    words
}

/// All ways to say a whole number: with and without "and", "a hundred", and "one twenty" as of speeds.
pub fn cardinal_sayings(value: u32) -> Vec<Vec<String>> {
    let usual = say_cardinal(value);
    let mut ways = vec![usual.clone()];
    if (100..1000).contains(&value) {
        let (hundreds, rest) = (value / 100, value % 100);
        if rest > 0 {
            let mut with_and = usual.clone();
            with_and.insert(2, "and".into());
            ways.push(with_and);
            let mut short = say_cardinal(hundreds);
            if rest < 10 {
                short.push("oh".into());
            }
            short.extend(say_cardinal(rest));
            ways.push(short);
        }
        if hundreds == 1 {
            let full: Vec<_> = ways
                .iter()
                .filter(|way| way[1] == "hundred")
                .cloned()
                .collect();
            ways.extend(full.into_iter().map(|mut way| {
                way[0] = "a".into();
                way
            }));
        }
    }
    ways
}

/// Readings of a whole number that begin at `at`: end and value.
pub fn read_cardinal(words: &[String], at: usize) -> Vec<(usize, u32)> {
    let mut out = below_thousand(words, at);
    for (end, count) in below_thousand(words, at) {
        if let Some(end) = follows(words, end, "thousand").filter(|_| count > 0) {
            out.push((end, count * 1000));
            let rest = follows(words, end, "and").unwrap_or(end);
            out.extend(
                below_thousand(words, rest)
                    .into_iter()
                    .map(|(end, rest)| (end, count * 1000 + rest)),
            );
        }
    }
    out
}

fn below_hundred(words: &[String], at: usize) -> Vec<(usize, u32)> {
    let Some(value) = words.get(at).and_then(|word| small_value(word)) else {
        return Vec::new();
    };
    let mut out = vec![(at + 1, value)];
    if value >= 20 {
        let unit = words.get(at + 1).and_then(|word| small_value(word));
        out.extend(
            unit.filter(|unit| (1..10).contains(unit))
                .map(|unit| (at + 2, value + unit)),
        );
    }
    out
}

fn below_thousand(words: &[String], at: usize) -> Vec<(usize, u32)> {
    let mut out = below_hundred(words, at);
    let digit = words
        .get(at)
        .and_then(|word| small_value(word))
        .filter(|value| (1..10).contains(value));
    let hundreds = digit.or_else(|| follows(words, at, "a").map(|_| 1));
    if let (Some(hundreds), Some(end)) = (hundreds, follows(words, at + 1, "hundred")) {
        out.push((end, hundreds * 100));
        let rest = follows(words, end, "and").unwrap_or(end);
        let tail = below_hundred(words, rest)
            .into_iter()
            .filter(|(_, rest)| *rest > 0);
        out.extend(tail.map(|(end, rest)| (end, hundreds * 100 + rest)));
    }
    if let Some(hundreds) = digit {
        let tens = below_hundred(words, at + 1)
            .into_iter()
            .filter(|(_, rest)| *rest >= 10);
        out.extend(tens.map(|(end, rest)| (end, hundreds * 100 + rest)));
        let unit =
            follows(words, at + 1, "oh").and_then(|at| below_hundred(words, at).into_iter().next());
        out.extend(
            unit.filter(|(_, unit)| (1..10).contains(unit))
                .map(|(end, unit)| (end, hundreds * 100 + unit)),
        );
    }
    out
}

/// Readings of a number with an optional decimal part: "twenty one point five", "twenty one and a half".
pub fn read_decimal(words: &[String], at: usize) -> Vec<(usize, f64)> {
    let mut out = Vec::new();
    for (end, whole) in read_cardinal(words, at) {
        let whole = f64::from(whole);
        out.push((end, whole));
        for (part, value) in [
            ("and a half", 0.5),
            ("and a quarter", 0.25),
            ("and three quarters", 0.75),
        ] {
            out.extend(follows(words, end, part).map(|end| (end, whole + value)));
        }
        if let Some(mut end) = follows(words, end, "point") {
            let (mut value, mut weight) = (whole, 10.0);
            while let Some(digit) = words
                .get(end)
                .and_then(|word| small_value(word))
                .filter(|v| *v < 10)
            {
                value += f64::from(digit) / weight;
                weight *= 10.0;
                end += 1;
                out.push((end, (value * 1e6).round() / 1e6));
            }
        }
    }
    out
}

/// Words that make a number one below nought.
const BELOW_NOUGHT: [&str; 2] = ["minus", "negative"];

/// As [`read_decimal`], below nought too: "minus four and a half".
pub fn read_signed(words: &[String], at: usize) -> Vec<(usize, f64)> {
    match super::follows_any(words, at, &BELOW_NOUGHT) {
        Some(place) => read_decimal(words, place)
            .into_iter()
            .filter(|(_, value)| *value > 0.0)
            .map(|(end, value)| (end, -value))
            .collect(),
        None => read_decimal(words, at),
    }
}

/// All ways to say a number given to a tenth; below nought it begins with "minus".
pub fn decimal_sayings(value: f64) -> Vec<Vec<String>> {
    if value < 0.0 {
        let ways = decimal_sayings(-value).into_iter();
        return ways
            .map(|way| [phrase(BELOW_NOUGHT[0]), way].concat())
            .collect();
    }
    let tenths = (value * 10.0).round() as u32;
    let (whole, tenth) = (tenths / 10, tenths % 10);
    let mut ways = cardinal_sayings(whole);
    if tenth > 0 {
        let plain = ways.clone();
        let tail = [vec!["point".to_string()], say_cardinal(tenth)].concat();
        ways = plain
            .iter()
            .map(|way| [way.clone(), tail.clone()].concat())
            .collect();
        if tenth == 5 {
            ways.extend(
                plain
                    .iter()
                    .map(|way| [way.clone(), phrase("and a half")].concat()),
            );
        }
    }
    ways
}

/// Sayings of the numbers from `min` to `max` in steps.
pub(super) fn sayings(min: f64, max: f64, step: f64) -> Vec<Saying> {
    let tenths = |value: f64| (value * 10.0).round() as i64;
    let mut out = Vec::new();
    let mut at = tenths(min);
    while at <= tenths(max) {
        let value = at as f64 / 10.0;
        out.extend(
            decimal_sayings(value)
                .into_iter()
                .map(|words| (words, SlotValue::Number(value))),
        );
        at += tenths(step).max(1);
    }
    out
}

/// Readings of a number within a range.
pub(super) fn read(words: &[String], at: usize, min: f64, max: f64) -> Vec<(usize, SlotValue)> {
    let within = read_signed(words, at)
        .into_iter()
        .filter(|(_, value)| (min..=max).contains(value));
    within
        .map(|(end, value)| (end, SlotValue::Number(value)))
        .collect()
}

const PARTS: [(&str, f64); 7] = [
    ("half", 50.0),
    ("halfway", 50.0),
    ("half way", 50.0),
    ("a quarter", 25.0),
    ("one quarter", 25.0),
    ("three quarters", 75.0),
    ("a third", 33.0),
];

/// Sayings of all percentages.
pub(super) fn percent_sayings() -> Vec<Saying> {
    let percents = (0..=100_u32).flat_map(|value| {
        cardinal_sayings(value).into_iter().map(move |mut words| {
            words.push("percent".into());
            (words, SlotValue::Percent(f64::from(value)))
        })
    });
    percents
        .chain(
            PARTS
                .iter()
                .map(|(say, value)| (phrase(say), SlotValue::Percent(*value))),
        )
        .collect()
}

/// Readings of a percentage.
pub(super) fn read_percent(words: &[String], at: usize) -> Vec<(usize, SlotValue)> {
    let mut out: Vec<_> = PARTS
        .iter()
        .filter_map(|(say, value)| {
            follows(words, at, say).map(|end| (end, SlotValue::Percent(*value)))
        })
        .collect();
    for (end, value) in read_decimal(words, at)
        .into_iter()
        .filter(|(_, value)| *value <= 100.0)
    {
        let unit = super::follows_any(words, end, &["percent", "per cent"]);
        out.extend(unit.map(|end| (end, SlotValue::Percent(value))));
    }
    out
}

fn say_ordinal(value: u32) -> Vec<String> {
    let mut words = say_cardinal(value);
    if let Some(last) = words.last_mut() {
        *last = match last.as_str() {
            "hundred" => "hundredth".into(),
            word => ordinal_word(word).unwrap_or_default(),
        };
    }
    words
}

/// Sayings of the ordinals from `min` to `max`.
pub(super) fn ordinal_sayings(min: u32, max: u32) -> Vec<Saying> {
    (min..=max)
        .map(|value| (say_ordinal(value), SlotValue::Number(f64::from(value))))
        .collect()
}

/// Readings of an ordinal within a range, with and without "and" after hundreds.
pub(super) fn read_ordinal(
    words: &[String],
    at: usize,
    min: u32,
    max: u32,
) -> Vec<(usize, SlotValue)> {
    let said = &words[at.min(words.len())..];
    let mut out = Vec::new();
    for value in min..=max {
        let plain = say_ordinal(value);
        let mut with_and = plain.clone();
        if value > 100 && !value.is_multiple_of(100) {
            with_and.insert(2, "and".into());
        }
        if let Some(way) = [plain, with_and]
            .into_iter()
            .find(|way| said.starts_with(way))
        {
            out.push((at + way.len(), SlotValue::Number(f64::from(value))));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn everyday_numbers_are_read() {
        for (text, value) in [
            ("one twenty", 120.0),
            ("one oh five", 105.0),
            ("a hundred and ten", 110.0),
            ("ninety five point eight", 95.8),
            ("twenty one and a half", 21.5),
            ("two thousand and six", 2006.0),
            ("zero", 0.0),
            ("two and three quarters", 2.75),
        ] {
            let words = phrase(text);
            assert!(
                read_decimal(&words, 0).contains(&(words.len(), value)),
                "{text}"
            );
        }
    }

    proptest! {
        #[test]
        fn whole_numbers_survive_being_said(value in 0_u32..1_000_000) {
            for words in cardinal_sayings(value) {
                prop_assert!(read_cardinal(&words, 0).contains(&(words.len(), value)), "{:?}", words);
            }
        }

        #[test]
        fn tenths_survive_being_said(tenths in -9990_i32..9990) {
            let value = f64::from(tenths) / 10.0;
            for words in decimal_sayings(value) {
                prop_assert!(read_signed(&words, 0).contains(&(words.len(), value)), "{:?}", words);
            }
        }
    }
}
