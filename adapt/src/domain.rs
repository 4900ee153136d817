//! What a domain is learnt from: its own sentences, and others that mean nothing to it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use vocar_nlu::lessons::{Lesson, lessons};
use vocar_nlu::{Domain, DomainError, Entities};

use crate::corpus::{Corpus, Labels, NONE, Sentence};

/// What people say to each other, to a radio, or to an assistant for something else; a sentence a line.
const EVERYDAY: &str = include_str!("everyday.txt");
/// Sentences of all templates together, about.
const SENTENCES: usize = 3000;
/// Sentences of a template, at least and at most.
const OF_TEMPLATE: (usize, usize) = (4, 60);
/// Sentences of a template of another domain.
const OF_OTHER: usize = 2;
/// One sentence in so many is held out.
const HELD_OUT: u64 = 8;
/// Share of what is learnt that means nothing to the domain.
const OTHERS: f32 = 0.2;

impl Corpus {
    /// The corpus of a domain. Its templates are said with `entities` in its lists; what `others` say and it does not means
    /// nothing to it.
    ///
    /// # Errors
    /// When a domain contradicts itself: see [`lessons`].
    pub fn of_domain(
        domain: &Domain,
        entities: &Entities,
        others: &[Arc<Domain>],
        seed: u64,
    ) -> Result<Corpus, DomainError> {
        let templates: usize = domain
            .intents()
            .iter()
            .map(|intent| intent.templates.len())
            .sum();
        let each = (SENTENCES / templates.max(1)).clamp(OF_TEMPLATE.0, OF_TEMPLATE.1);
        let mut sentences: Vec<Sentence> = weighted(lessons(domain, entities, seed, each)?);
        let said: BTreeSet<String> = sentences.iter().map(|s| s.words.join(" ")).collect();
        let commands: f32 = sentences.iter().map(|sentence| sentence.weight).sum();
        let mut foreign: BTreeSet<String> = EVERYDAY.lines().map(String::from).collect();
        for other in others.iter().filter(|other| other.name() != domain.name()) {
            let lessons = lessons(other, entities, seed, OF_OTHER)?;
            foreign.extend(lessons.into_iter().map(|lesson| lesson.words.join(" ")));
        }
        foreign.retain(|sentence| !said.contains(sentence));
        let weight = commands * OTHERS / (1.0 - OTHERS) / foreign.len().max(1) as f32;
        sentences.extend(foreign.iter().map(|sentence| Sentence {
            words: sentence.split(' ').map(String::from).collect(),
            intent: NONE.to_owned(),
            spans: Vec::new(),
            weight,
            rehearsed: false,
        }));
        Ok(Corpus::split(sentences))
    }

    /// Keeps one sentence in eight for measuring, by its words.
    pub(crate) fn split(sentences: Vec<Sentence>) -> Corpus {
        let labels = Labels::of(&sentences);
        let (held_out, train) = sentences
            .into_iter()
            .partition(|sentence| sentence.held_out(HELD_OUT));
        Corpus {
            labels,
            train,
            held_out,
        }
    }
}

/// Every intent counts as much as every other, its examples as much as all that its templates say.
fn weighted(lessons: Vec<Lesson>) -> Vec<Sentence> {
    let mut counts: BTreeMap<(String, bool), usize> = BTreeMap::new();
    for lesson in &lessons {
        *counts
            .entry((lesson.intent.clone(), lesson.example))
            .or_default() += 1;
    }
    let weight = |lesson: &Lesson| {
        let count = |example: bool| counts.get(&(lesson.intent.clone(), example));
        let both = count(!lesson.example).is_some();
        let of_kind = count(lesson.example).copied().unwrap_or(1) as f32;
        if both { 0.5 / of_kind } else { 1.0 / of_kind }
    };
    lessons
        .iter()
        .map(|lesson| Sentence {
            weight: weight(lesson),
            rehearsed: false,
            words: lesson.words.clone(),
            intent: lesson.intent.clone(),
            spans: lesson
                .spans
                .iter()
                .map(|(slot, (from, to))| (slot.clone(), *from, *to))
                .collect(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_domain_is_learnt_against_what_means_nothing_to_it() {
        let dir = tempfile::tempdir().unwrap();
        let text = r#"
            name = "house"
            [[intents]]
            name = "door.open"
            templates = ["open [the] (door|gate|garage) [please]", "are we there yet"]
            examples = ["let me in", "i am home"]
            [[intents]]
            name = "light.on"
            templates = ["(switch|turn) on the (light|lamp) in the {room}"]
            [lists.room]
            values = ["kitchen", "cellar", "hall"]
        "#;
        fs::write(dir.path().join("domain.toml"), text).unwrap();
        let domain = Domain::load(dir.path()).unwrap();
        let car = [Domain::car().unwrap()];
        let corpus = Corpus::of_domain(&domain, &Entities::new(), &car, 1).unwrap();
        assert_eq!(corpus.labels.intents, ["none", "door.open", "light.on"]);
        assert_eq!(corpus.labels.tags, ["O", "B-room", "I-room"]);
        let all = || corpus.train.iter().chain(&corpus.held_out);
        let share = |intent: &str| -> f32 {
            let some = all().filter(|sentence| sentence.intent == intent);
            some.map(|sentence| sentence.weight).sum()
        };
        assert!((share("door.open") - 1.0).abs() < 1e-3 && (share("light.on") - 1.0).abs() < 1e-3);
        assert!((share(NONE) - 0.5).abs() < 1e-2);
        let intent = |words: &str| {
            let found: Vec<_> = all().filter(|s| s.words.join(" ") == words).collect();
            assert_eq!(found.len(), 1, "{words}");
            found[0].intent.as_str()
        };
        assert_eq!(intent("are we there yet"), "door.open");
        assert_eq!(intent("tell me a joke about penguins"), NONE);
        assert!(all().filter(|sentence| sentence.intent == NONE).count() > 300);
        assert!(
            corpus
                .held_out
                .iter()
                .all(|sentence| sentence.held_out(HELD_OUT))
        );
    }
}
