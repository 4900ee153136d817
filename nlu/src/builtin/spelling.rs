//! Names spelled letter by letter: "m a i e r", "double l", "b as in bravo", "bravo alpha".

use super::{follows, follows_any};
use crate::automaton::{Automaton, Builder};
use crate::random::Random;
use crate::value::SlotValue;

/// The spelling alphabet of the ICAO, as words of the lexicon.
const ALPHABET: [&str; 26] = [
    "alpha", "bravo", "charlie", "delta", "echo", "foxtrot", "golf", "hotel", "india", "juliet",
    "kilo", "lima", "mike", "november", "oscar", "papa", "quebec", "romeo", "sierra", "tango",
    "uniform", "victor", "whiskey", "x ray", "yankee", "zulu",
];

/// Other words for a letter.
const ALSO: [(&str, char); 7] = [
    ("alfa", 'a'),
    ("juliett", 'j'),
    ("whisky", 'w'),
    ("xray", 'x'),
    ("zed", 'z'),
    ("zee", 'z'),
    ("double you", 'w'),
];

/// What stands between a letter and a word that begins with it.
const AS_IN: [&str; 4] = ["as in", "like in", "for", "like"];

const REPEATS: [(&str, usize); 2] = [("double", 2), ("triple", 3)];

/// Most letters a name can have in the graph.
pub const MOST: usize = 30;

fn letters() -> impl Iterator<Item = String> {
    ('a'..='z').map(String::from)
}

/// Word sequences of `min` to `max` letters.
pub(super) fn words(min: usize, max: usize) -> Automaton<String> {
    let max = max.min(MOST);
    let mut builder = Builder::default();
    let spelled: Vec<u32> = (0..=max).map(|_| builder.state()).collect();
    builder.arc(Builder::<String>::START, None, spelled[0]);
    for (count, here) in spelled.iter().enumerate() {
        let here = *here;
        if count >= min.max(1) {
            builder.accept(here, 0);
        }
        let Some(next) = spelled.get(count + 1) else {
            continue;
        };
        // "as in bravo" may follow a letter that was said plainly, and only such a one.
        let plain = builder.state();
        for letter in letters() {
            builder.arc(here, Some(letter), plain);
        }
        builder.arc(plain, None, *next);
        let (join, word) = (builder.state(), builder.state());
        builder.arc(plain, Some("as".into()), join);
        builder.arc(join, Some("in".into()), word);
        builder.arc(plain, Some("for".into()), word);
        for name in ALPHABET {
            say(&mut builder, word, name, *next);
            say(&mut builder, here, name, *next);
        }
        if let Some(after) = spelled.get(count + 2) {
            let twice = builder.state();
            builder.arc(here, Some("double".into()), twice);
            for letter in letters() {
                builder.arc(twice, Some(letter), *after);
            }
        }
    }
    builder.build()
}

fn say(builder: &mut Builder<String>, from: u32, text: &str, to: u32) {
    let mut at = from;
    for word in text.split(' ') {
        let next = builder.state();
        builder.arc(at, Some(word.into()), next);
        at = next;
    }
    builder.arc(at, None, to);
}

/// Readings with `min` to `max` letters, the longest first.
pub(super) fn read(words: &[String], at: usize, min: usize, max: usize) -> Vec<(usize, SlotValue)> {
    let mut out = Vec::new();
    let (mut name, mut end) = (String::new(), at);
    let mut count = 0;
    while count < max {
        let repeat = REPEATS
            .iter()
            .find_map(|(word, times)| Some((follows(words, end, word)?, *times)));
        // "double you" is a letter; "double u" is two.
        let repeated = repeat.and_then(|(place, times)| Some((letter(words, place)?, times)));
        let Some(((after, letter), times)) =
            repeated.or_else(|| letter(words, end).map(|found| (found, 1)))
        else {
            break;
        };
        name.extend(std::iter::repeat_n(letter, times));
        (end, count) = (after, count + times);
        if (min.max(1)..=max).contains(&count) {
            out.push((end, SlotValue::Text(name.clone())));
        }
    }
    out.reverse();
    out
}

/// One letter with what makes it clear, if anything does. The word decides: people say "b as in bravo" because the letter
/// alone is easily taken for another.
fn letter(words: &[String], at: usize) -> Option<(usize, char)> {
    let plain = words.get(at).and_then(|word| single(word));
    if let Some(plain) = plain {
        let explained = follows_any(words, at + 1, &AS_IN)
            .and_then(|place| coded(words, place).or_else(|| initial(words, place)));
        // "x ray" is one letter, not two.
        return explained
            .or_else(|| coded(words, at))
            .or(Some((at + 1, plain)));
    }
    coded(words, at)
}

fn single(word: &str) -> Option<char> {
    let mut chars = word.chars();
    chars
        .next()
        .filter(|c| c.is_ascii_lowercase() && chars.next().is_none())
}

fn coded(words: &[String], at: usize) -> Option<(usize, char)> {
    let alphabet = ALPHABET.iter().copied().zip('a'..='z');
    alphabet
        .chain(ALSO)
        .find_map(|(name, letter)| Some((follows(words, at, name)?, letter)))
}

/// "n as in nancy": any longer word gives its first letter.
fn initial(words: &[String], at: usize) -> Option<(usize, char)> {
    let word = words.get(at).filter(|word| word.len() > 1)?;
    word.chars()
        .next()
        .filter(char::is_ascii_lowercase)
        .map(|letter| (at + 1, letter))
}

/// A random name of `min` to `max` letters and one way to spell it.
pub(crate) fn random(random: &mut Random, min: usize, max: usize) -> (Vec<String>, SlotValue) {
    let count = min.max(1) + random.below(max.min(MOST) + 1 - min.max(1).min(max.min(MOST)));
    let mut name: Vec<usize> = Vec::new();
    let mut words = Vec::new();
    while name.len() < count {
        let letter = random.below(ALPHABET.len());
        let plain = char::from(b'a' + letter as u8).to_string();
        name.push(letter);
        match random.below(8) {
            0 => words.extend(super::phrase(ALPHABET[letter])),
            1 => words.extend(
                [
                    vec![plain],
                    super::phrase("as in"),
                    super::phrase(ALPHABET[letter]),
                ]
                .concat(),
            ),
            2 if name.len() < count => {
                name.push(letter);
                words.extend(["double".to_string(), plain]);
            }
            _ => words.push(plain),
        }
    }
    let text = name.iter().map(|letter| char::from(b'a' + *letter as u8));
    (words, SlotValue::Text(text.collect()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::builtin::phrase;
    use proptest::prelude::*;

    #[test]
    fn names_are_spelled_in_many_ways() {
        for (text, name) in [
            ("m a i e r", "maier"),
            ("b as in bravo o b", "bob"),
            ("d as in bravo o b", "bob"),
            ("n like nancy e w", "new"),
            ("bravo oscar bravo", "bob"),
            ("m i double l e r", "miller"),
            ("x ray e n", "xen"),
            ("m a x", "max"),
            ("r for romeo a y", "ray"),
            ("zed o double you", "zow"),
        ] {
            let words = phrase(text);
            assert_eq!(
                read(&words, 0, 1, 20)[0],
                (words.len(), SlotValue::Text(name.into())),
                "{text}"
            );
        }
        for text in ["double", "hello", "as in bravo", ""] {
            assert!(read(&phrase(text), 0, 1, 20).is_empty(), "{text}");
        }
        assert!(read(&phrase("a b"), 0, 3, 20).is_empty(), "too short");
    }

    proptest! {
        #[test]
        fn what_is_spelled_is_read_and_heard(seed: u64) {
            let (words, value) = random(&mut Random::new(seed), 2, 12);
            prop_assert_eq!(&read(&words, 0, 2, 12)[0], &(words.len(), value));
            let graph = super::words(2, 12);
            let ends = graph.prefixes(&words, 0);
            prop_assert!(ends.iter().any(|(end, _)| *end == words.len()), "{:?}", words);
        }
    }
}
