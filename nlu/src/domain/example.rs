//! Example sentences, to learn from: `put [a bit more](level) heat on`.

use std::collections::BTreeMap;

use crate::sample::Spans;
use crate::words;

/// A sentence people say for an intent, with the words of its slots marked. It is not listened for as it stands: an
/// adapter learns from it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Example {
    /// The words, as [`words::spoken`] gives them first.
    pub words: Vec<String>,
    /// Where each slot was said.
    pub spans: Spans,
    /// Slot types by slot name, where the example names one: `[seven](number:level)`.
    pub(crate) kinds: BTreeMap<String, String>,
    pub(crate) line: Option<usize>,
}

/// What is wrong with an example and how to mend it.
pub(super) type Mistake = (String, &'static str);

/// Reads an example.
///
/// # Errors
/// Brackets that do not match, marks without words or without a slot name, a slot marked twice, no words at all.
pub(super) fn parse(text: &str, line: Option<usize>) -> Result<Example, Mistake> {
    const FORM: &str = "write [words](slot) or [words](type:slot)";
    let mut example = Example {
        words: Vec::new(),
        spans: Spans::new(),
        kinds: BTreeMap::new(),
        line,
    };
    let mut rest = text;
    while let Some((plain, marked)) = rest.split_once('[') {
        example.say(plain)?;
        let (said, after) = marked
            .split_once("](")
            .ok_or_else(|| (format!("\"[{marked}\" marks no slot"), FORM))?;
        let (name, after) = after
            .split_once(')')
            .ok_or_else(|| (format!("\"({after}\" is never closed"), FORM))?;
        example.mark(said, name)?;
        rest = after;
    }
    example.say(rest)?;
    if example.words.is_empty() {
        return Err(("the example is empty".into(), "write what people say"));
    }
    Ok(example)
}

impl Example {
    fn say(&mut self, text: &str) -> Result<(), Mistake> {
        if text.contains(['[', ']', '(', ')', '{', '}', '<', '>', '|']) {
            return Err((
                format!("\"{}\" holds a bracket of a template", text.trim()),
                "an example is one plain sentence, its slots marked as [words](slot)",
            ));
        }
        self.words
            .extend(words::spoken(text).into_iter().next().unwrap_or_default());
        Ok(())
    }

    fn mark(&mut self, said: &str, name: &str) -> Result<(), Mistake> {
        let (kind, slot) = name.split_once(':').unwrap_or(("", name));
        let is_name = |text: &str| {
            text.chars()
                .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
        };
        if slot.is_empty() || !is_name(slot) || !is_name(kind) {
            return Err((
                format!("'{name}' is no slot name"),
                "names are a-z, 0-9 and _",
            ));
        }
        let from = self.words.len();
        self.say(said)?;
        if self.words.len() == from {
            return Err((
                format!("the slot '{slot}' is marked on no words"),
                "put the words of its value between [ and ]",
            ));
        }
        if !kind.is_empty() {
            self.kinds.insert(slot.into(), kind.into());
        }
        let marked = (from, self.words.len());
        match self.spans.insert(slot.into(), marked) {
            Some(_) => Err((
                format!("the slot '{slot}' is marked twice"),
                "mark each slot once",
            )),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn marks_become_spans_of_spoken_words() {
        let example = parse(
            "Set [driver](zone) to [21.5°C](temperature), please",
            Some(3),
        )
        .unwrap();
        assert_eq!(
            example.words.join(" "),
            "set driver to twenty one point five degrees celsius please"
        );
        assert_eq!(example.spans["zone"], (1, 2));
        assert_eq!(example.spans["temperature"], (3, 9));
        assert_eq!(example.line, Some(3));
        let typed = parse("level [seven](number:level)", None).unwrap();
        assert_eq!(typed.kinds["level"], "number");
    }

    #[test]
    fn mistakes_are_told() {
        for (text, part) in [
            ("put [a bit more heat on", "marks no slot"),
            ("put [more](level heat on", "never closed"),
            ("put [](level) on", "on no words"),
            ("put [more](Level) on", "no slot name"),
            ("put [more](level) or [less](level)", "twice"),
            ("put (more|less) on", "one plain sentence"),
            ("more] heat", "bracket"),
            ("", "empty"),
        ] {
            let (problem, mend) = parse(text, None).unwrap_err();
            assert!(
                format!("{problem}; {mend}").contains(part),
                "{text}: {problem}"
            );
        }
    }

    proptest! {
        #[test]
        fn no_text_breaks_the_reader(text in "[a-c(){}<>|:\\[\\] 0é']{0,40}") {
            if let Ok(example) = parse(&text, None) {
                for (from, to) in example.spans.values() {
                    prop_assert!(from < to && *to <= example.words.len());
                }
            }
        }
    }
}
