//! What there is to learn about a domain: sentences of its templates, and its examples.

use std::collections::HashMap;

use crate::domain::{Domain, DomainError, Place, Reach};
use crate::sample::{Spans, sample_each};
use crate::value::Entities;

/// A sentence with what it means.
#[derive(Debug, Clone, PartialEq)]
pub struct Lesson {
    /// Its words, as [`crate::words::spoken`] gives them first.
    pub words: Vec<String>,
    /// The intent's name.
    pub intent: String,
    /// Where each slot was said.
    pub spans: Spans,
    /// Whether somebody wrote the sentence as an example; else a template says it.
    pub example: bool,
}

/// A lesson with what decides whether it may stand.
struct Draft {
    lesson: Lesson,
    reach: Reach,
    place: Place,
}

/// The examples of a domain and up to `each` sentences of every template, no sentence twice. What is said only while a question
/// is open gives way to what else has the same words. The same seed gives the same sentences.
///
/// # Errors
/// When the same sentence is meant to be two intents at the same time, with file, line and field of one and place of the other.
pub fn lessons(
    domain: &Domain,
    entities: &Entities,
    seed: u64,
    each: usize,
) -> Result<Vec<Lesson>, DomainError> {
    let mut drafts = Vec::new();
    for intent in domain.intents() {
        for (number, example) in intent.examples.iter().enumerate() {
            let lesson = Lesson {
                words: example.words.clone(),
                intent: intent.name.clone(),
                spans: example.spans.clone(),
                example: true,
            };
            let place = Place {
                line: example.line,
                field: format!("intents.{}.examples[{number}]", intent.name),
                file: intent.place.file.clone(),
            };
            drafts.push(Draft {
                lesson,
                reach: Reach::Always,
                place,
            });
        }
    }
    for drawn in sample_each(domain, entities, seed, each) {
        let sample = drawn.sample;
        let lesson = Lesson {
            words: sample.text.split(' ').map(String::from).collect(),
            intent: sample.intent,
            spans: sample.spans,
            example: false,
        };
        drafts.push(Draft {
            lesson,
            reach: drawn.template.reach,
            place: drawn.template.place.clone(),
        });
    }
    without_repeats(drafts)
}

fn without_repeats(drafts: Vec<Draft>) -> Result<Vec<Lesson>, DomainError> {
    let mut kept: Vec<Draft> = Vec::new();
    let mut known: HashMap<Vec<String>, usize> = HashMap::new();
    for draft in drafts {
        let words = draft.lesson.words.clone();
        if words.iter().all(String::is_empty) {
            continue;
        }
        let Some(&at) = known.get(&words) else {
            known.insert(words, kept.len());
            kept.push(draft);
            continue;
        };
        let earlier = &kept[at];
        if earlier.lesson.intent == draft.lesson.intent {
            continue;
        }
        match (earlier.reach, draft.reach) {
            (Reach::Dialogue, Reach::Dialogue) | (_, Reach::Dialogue) => {}
            (Reach::Dialogue, _) => kept[at] = draft,
            _ => return Err(contradiction(earlier, &draft)),
        }
    }
    Ok(kept.into_iter().map(|draft| draft.lesson).collect())
}

fn contradiction(earlier: &Draft, later: &Draft) -> DomainError {
    let sentence = later.lesson.words.join(" ");
    let other = &earlier.place;
    let line = other.line.map_or(String::new(), |line| format!(":{line}"));
    let (mine, theirs) = (&later.lesson.intent, &earlier.lesson.intent);
    later.place.error(
        format!(
            "\"{sentence}\" is meant to be {mine}, and to be {theirs} ({}{line}: {})",
            other.file.display(),
            other.field
        ),
        "let one of the two intents say it in other words",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::sync::Arc;

    fn domain(text: &str) -> Result<Arc<Domain>, DomainError> {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("domain.toml"), text).unwrap();
        Domain::load(dir.path()).map(Arc::new)
    }

    const DOMAIN: &str = r#"
        name = "house"
        [[intents]]
        name = "door.open"
        templates = ["open [the] door", "let me in"]
        examples = ["could you open up for [ten](duration_minutes)"]
        [slots.duration_minutes]
        type = "number"
        min = 1
        max = 60
        [[intents]]
        name = "yes"
        context = "dialogue"
        templates = ["let me in", "yes"]
    "#;

    #[test]
    fn examples_and_templates_are_taught_and_no_sentence_twice() {
        let domain = domain(DOMAIN).unwrap();
        let found = lessons(&domain, &Entities::new(), 1, 50).unwrap();
        let mut said: Vec<(String, &str)> = found
            .iter()
            .map(|lesson| (lesson.words.join(" "), lesson.intent.as_str()))
            .collect();
        said.sort();
        let wanted = [
            ("could you open up for ten", "door.open"),
            ("let me in", "door.open"),
            ("open door", "door.open"),
            ("open the door", "door.open"),
            ("yes", "yes"),
        ];
        assert_eq!(
            said,
            wanted.map(|(words, intent)| (words.to_owned(), intent))
        );
        let example = found.iter().find(|lesson| lesson.example).unwrap();
        assert_eq!(example.spans["duration_minutes"], (5, 6));
        assert_eq!(found, lessons(&domain, &Entities::new(), 1, 50).unwrap());
    }

    #[test]
    fn a_sentence_of_two_intents_is_refused_with_both_places() {
        let text = format!(
            "{DOMAIN}\n[[intents]]\nname = \"gate.open\"\nexamples = [\n\"swing it wide\",\n\"Open the door!\"]"
        );
        let error = lessons(&domain(&text).unwrap(), &Entities::new(), 1, 20).unwrap_err();
        let said = error.to_string();
        let line = text
            .lines()
            .position(|line| line.contains("open [the] door"))
            .unwrap()
            + 1;
        assert_eq!(error.line, Some(line), "{said}");
        for part in [
            "domain.toml",
            "\"open the door\"",
            "door.open",
            "gate.open",
            "intents.gate.open.examples[1]",
        ] {
            assert!(said.contains(part), "{part} in {said}");
        }
    }
}
