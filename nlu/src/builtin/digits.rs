//! Digits to dial: "oh seven double nine", "plus four four", "plus forty four", "twenty one fifty".

use super::follows;
use crate::automaton::{Automaton, Builder};
use crate::builtin::number::{say_cardinal, small_value};
use crate::random::Random;
use crate::value::SlotValue;

const REPEATS: [(&str, usize); 2] = [("double", 2), ("triple", 3)];

/// Most digits a number can have in the graph, whatever a domain asks for.
pub const MOST: usize = 20;

/// Word sequences of `min` to `max` digits with an optional leading "plus" and, after it, a country in tens. "Double" counts
/// as two digits.
pub(super) fn words(min: usize, max: usize) -> Automaton<String> {
    let max = max.min(MOST);
    let mut builder = Builder::default();
    let states: Vec<u32> = (0..=max).map(|_| builder.state()).collect();
    builder.arc(Builder::<String>::START, None, states[0]);
    let abroad = builder.state();
    builder.arc(Builder::<String>::START, Some("plus".into()), abroad);
    builder.arc(abroad, None, states[0]);
    if let Some(country) = states.get(2) {
        let tens = builder.state();
        for value in (20..100).step_by(10) {
            builder.arc(abroad, say_cardinal(value).pop(), tens);
        }
        for value in 1..10 {
            builder.arc(tens, say_cardinal(value).pop(), *country);
        }
    }
    for (count, state) in states.iter().enumerate() {
        if count >= min.max(1) {
            builder.accept(*state, 0);
        }
        for word in digit_words() {
            if let Some(to) = states.get(count + 1) {
                builder.arc(*state, Some(word.clone()), *to);
            }
        }
        for (repeat, times) in REPEATS {
            if let Some(to) = states.get(count + times) {
                let inner = builder.state();
                builder.arc(*state, Some(repeat.into()), inner);
                for word in digit_words() {
                    builder.arc(inner, Some(word), *to);
                }
            }
        }
    }
    builder.build()
}

fn digit_words() -> impl Iterator<Item = String> {
    (0..10).flat_map(say_cardinal).chain([String::from("oh")])
}

fn digit(word: &str) -> Option<char> {
    let value = if matches!(word, "oh" | "o" | "nought" | "nil") {
        Some(0)
    } else {
        small_value(word).filter(|value| *value < 10)
    };
    value.and_then(|value| char::from_digit(value, 10))
}

/// Readings with `min` to `max` digits, the longest first.
pub(super) fn read(words: &[String], at: usize, min: usize, max: usize) -> Vec<(usize, SlotValue)> {
    let plus = follows(words, at, "plus");
    let mut number = String::from(if plus.is_some() { "+" } else { "" });
    let (mut end, mut count) = (plus.unwrap_or(at), 0);
    let mut out = Vec::new();
    loop {
        let times = REPEATS
            .iter()
            .find_map(|(word, times)| follows(words, end, word).map(|_| *times))
            .unwrap_or(1);
        let place = if times > 1 { end + 1 } else { end };
        if let Some(digit) = words.get(place).and_then(|word| digit(word)) {
            number.extend(std::iter::repeat_n(digit, times));
            (end, count) = (place + 1, count + times);
        } else if let Some((after, pair)) = pair(words, place).filter(|_| times == 1) {
            number.push_str(&pair);
            (end, count) = (after, count + 2);
        } else {
            break;
        }
        if (min..=max).contains(&count) {
            out.push((end, SlotValue::PhoneNumber(number.clone())));
        }
    }
    out.reverse();
    out
}

/// Two digits said as a number: "forty four", "fifteen", "twenty".
fn pair(words: &[String], at: usize) -> Option<(usize, String)> {
    let value = small_value(words.get(at)?).filter(|value| *value >= 10)?;
    let unit = words
        .get(at + 1)
        .and_then(|word| small_value(word))
        .filter(|unit| value >= 20 && (1..10).contains(unit));
    let end = at + 1 + usize::from(unit.is_some());
    Some((end, (value + unit.unwrap_or(0)).to_string()))
}

/// A random number of `min` to `max` digits and one way to say it.
pub(crate) fn random(random: &mut Random, min: usize, max: usize) -> (Vec<String>, SlotValue) {
    let max = max.min(MOST);
    let count = min + random.below(max + 1 - min.min(max));
    let digits: Vec<u32> = (0..count).map(|_| random.below(10) as u32).collect();
    let mut words = Vec::new();
    let mut at = 0;
    while at < digits.len() {
        let pair = digits.get(at + 1) == Some(&digits[at]) && random.coin();
        if pair {
            words.push("double".into());
        }
        words.extend(if digits[at] == 0 && random.coin() {
            vec!["oh".into()]
        } else {
            say_cardinal(digits[at])
        });
        at += if pair { 2 } else { 1 };
    }
    let number = digits
        .iter()
        .filter_map(|value| char::from_digit(*value, 10))
        .collect();
    (words, SlotValue::PhoneNumber(number))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::builtin::phrase;
    use proptest::prelude::*;

    #[test]
    fn doubles_triples_plus_and_oh_are_read() {
        for (text, number) in [
            ("oh two oh seven", "0207"),
            ("plus four four double seven", "+4477"),
            ("triple nine", "999"),
            ("nine one one", "911"),
            ("plus forty four double seven", "+4477"),
            ("plus forty nine one five one", "+49151"),
            ("twenty one fifty oh five", "215005"),
            ("double oh seven", "007"),
            ("o four fifteen", "0415"),
        ] {
            let words = phrase(text);
            assert_eq!(
                read(&words, 0, 3, 15)[0],
                (words.len(), SlotValue::PhoneNumber(number.into())),
                "{text}"
            );
        }
        assert!(read(&phrase("double"), 0, 3, 15).is_empty());
    }

    #[test]
    fn a_country_in_tens_is_heard() {
        let graph = super::words(3, 15);
        for text in [
            "plus forty four double seven",
            "plus four four double seven",
        ] {
            let words = phrase(text);
            let ends = graph.prefixes(&words, 0);
            assert!(ends.iter().any(|(end, _)| *end == words.len()), "{text}");
        }
    }

    proptest! {
        #[test]
        fn digits_in_pairs_are_read(pairs in prop::collection::vec(10_u32..100, 2..6)) {
            let words: Vec<String> = pairs.iter().flat_map(|pair| say_cardinal(*pair)).collect();
            let number: String = pairs.iter().map(u32::to_string).collect();
            prop_assert_eq!(&read(&words, 0, 3, 15)[0], &(words.len(), SlotValue::PhoneNumber(number)));
        }

        #[test]
        fn what_is_dialled_is_read(seed: u64) {
            let (words, value) = random(&mut Random::new(seed), 3, 15);
            prop_assert_eq!(&read(&words, 0, 3, 15)[0], &(words.len(), value));
            let graph = super::words(3, 15);
            let ends = graph.prefixes(&words, 0);
            prop_assert!(ends.iter().any(|(end, _)| *end == words.len()));
        }
    }
}
