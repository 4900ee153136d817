//! Text as the encoder reads it: words, and the character n-grams each is made of.
//!
//! The twin of `training/nlu/text.py`; `nlu/testdata/encoder-text.tsv` holds both to the same answers.

use vocar_inference::text::Text;

use crate::words::plain_char;

/// The words of a text: lower case, accents taken off, runs of `[a-z0-9']`, and a `.`, `,` or `:` between two digits.
pub fn words(text: &str) -> Vec<String> {
    let folded: Vec<char> = text
        .chars()
        .flat_map(char::to_lowercase)
        .flat_map(plain_char)
        .collect();
    let (mut found, mut run) = (Vec::new(), String::new());
    for (at, &c) in folded.iter().enumerate() {
        let after_digit = run.ends_with(|last: char| last.is_ascii_digit());
        let before_digit = folded.get(at + 1).is_some_and(char::is_ascii_digit);
        let inside = matches!(c, '.' | ',' | ':') && after_digit && before_digit;
        if c.is_ascii_lowercase() || c.is_ascii_digit() || c == '\'' || inside {
            run.push(c);
        } else {
            take(&mut run, &mut found);
        }
    }
    take(&mut run, &mut found);
    found
}

fn take(run: &mut String, found: &mut Vec<String>) {
    let word = run.trim_matches('\'');
    if !word.is_empty() {
        found.push(word.to_owned());
    }
    run.clear();
}

/// Buckets of the n-grams of a word between `<` and `>`, shortest n-grams first, each from left to right.
pub fn grams(word: &str, text: &Text) -> Vec<usize> {
    let marked = format!("<{word}>").into_bytes();
    let [shortest, longest] = text.grams;
    (shortest..=longest)
        .flat_map(|length| marked.windows(length))
        .take(text.most_grams)
        .map(|gram| fnv(gram) as usize % text.buckets)
        .collect()
}

/// FNV-1a, 32 bits.
fn fnv(data: &[u8]) -> u32 {
    data.iter().fold(0x811c_9dc5, |value, byte| {
        (value ^ u32::from(*byte)).wrapping_mul(0x0100_0193)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn text() -> Text {
        Text {
            words: String::new(),
            rows: String::new(),
            buckets: 8192,
            grams: [3, 5],
            most_grams: 24,
            most_words: 32,
        }
    }

    #[test]
    fn texts_are_split_as_the_training_splits_them() {
        let fixture = include_str!("../../testdata/encoder-text.tsv");
        let mut lines = 0;
        for line in fixture.lines().skip(1) {
            let mut columns = line.split('\t');
            let (raw, split, numbers) = (columns.next(), columns.next(), columns.next());
            let raw: String = serde_json::from_str(raw.unwrap()).unwrap();
            let wanted: Vec<&str> = split
                .unwrap()
                .split(' ')
                .filter(|w| !w.is_empty())
                .collect();
            let found = words(&raw);
            assert_eq!(found, wanted, "{raw:?}");
            let buckets: Vec<String> = found
                .iter()
                .flat_map(|word| grams(word, &text()))
                .map(|bucket| bucket.to_string())
                .collect();
            assert_eq!(buckets.join(" "), numbers.unwrap(), "{raw:?}");
            lines += 1;
        }
        assert!(lines > 15, "only {lines} texts");
    }

    proptest! {
        #[test]
        fn any_text_gives_sayable_words(raw in ".{0,60}") {
            for word in words(&raw) {
                prop_assert!(!word.is_empty() && !word.starts_with('\'') && !word.ends_with('\''));
                prop_assert!(word.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "'.,:".contains(c)));
                prop_assert!(grams(&word, &text()).iter().all(|bucket| *bucket < 8192));
            }
        }
    }
}
