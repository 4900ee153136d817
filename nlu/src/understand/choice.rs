//! What the speaker has to be asked to choose from: names that several entities have.

use super::{Intent, Understander};
use crate::value::SlotValue;

/// More than this are not read out to anybody.
const MOST_CHOICES: usize = 5;

/// A question that only the speaker can answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Choice {
    /// The question.
    pub prompt: String,
    /// The commands to choose from, two or more.
    pub among: Vec<Intent>,
    /// The slot in which they differ, if it is one.
    pub slot: Option<String>,
}

impl Understander {
    /// Whether the readings of a text leave a choice: they are equally good and hold different entities of the same name.
    pub fn choice(&self, readings: &[Intent]) -> Option<Choice> {
        let best = readings.first()?;
        let equal: Vec<&Intent> = readings
            .iter()
            .filter(|intent| intent.confidence == best.confidence)
            .collect();
        let named = equal.iter().all(|intent| entity_of(intent).is_some());
        if !named || !(2..=MOST_CHOICES).contains(&equal.len()) {
            return None;
        }
        let slot = differing(&equal);
        let same = equal.iter().all(|intent| intent.name == best.name);
        if same && slot.is_none() {
            return None;
        }
        let names = equal.iter().map(|intent| match (same, entity_of(intent)) {
            (true, Some((_, name))) => name.to_owned(),
            _ => self.purpose(intent),
        });
        let names: Vec<String> = names.collect();
        let prompt = format!("Which one: {}?", listed(&names));
        Some(Choice {
            prompt,
            among: equal.into_iter().cloned().collect(),
            slot,
        })
    }

    /// What an intent is for, in a few words.
    fn purpose(&self, intent: &Intent) -> String {
        let domain = self.active().find(|domain| domain.name() == intent.domain);
        let about = domain
            .and_then(|domain| domain.intent(&intent.name))
            .map(|spec| spec.about.as_str())
            .filter(|about| !about.is_empty())
            .unwrap_or(&intent.name);
        about.to_lowercase()
    }

    /// A command in words of its domain: what it is for, and its values by name. Not the words that were said.
    pub fn describe(&self, intent: &Intent) -> String {
        let values: Vec<String> = intent.slots.values().filter_map(plain).collect();
        let purpose = self.purpose(intent);
        if values.is_empty() {
            return purpose;
        }
        format!("{purpose}: {}", values.join(", "))
    }
}

/// A value as one reads it out; nothing for what has no name of its own.
fn plain(value: &SlotValue) -> Option<String> {
    Some(match value {
        SlotValue::Number(number) => number.to_string(),
        SlotValue::Percent(percent) => format!("{percent} percent"),
        SlotValue::Temperature { degrees, .. } => format!("{degrees} degrees"),
        SlotValue::Entity { name, .. } => name.clone(),
        SlotValue::PhoneNumber(text) => text.clone(),
        SlotValue::Zone(text) | SlotValue::Colour(text) | SlotValue::Choice(text) => {
            text.replace('_', " ")
        }
        _ => return None,
    })
}

fn entity_of(intent: &Intent) -> Option<(&str, &str)> {
    intent.slots.iter().find_map(|(slot, value)| match value {
        SlotValue::Entity { name, .. } => Some((slot.as_str(), name.as_str())),
        _ => None,
    })
}

/// The only slot in which intents of one name differ.
fn differing(intents: &[&Intent]) -> Option<String> {
    let (slot, _) = entity_of(intents.first()?)?;
    let rest = |intent: &Intent| {
        let mut slots = intent.slots.clone();
        slots.remove(slot);
        (intent.name.clone(), slots)
    };
    let first = rest(intents[0]);
    intents
        .iter()
        .all(|intent| rest(intent) == first)
        .then(|| slot.to_owned())
}

/// "a, b or c".
fn listed(names: &[String]) -> String {
    match names.split_last() {
        Some((last, others)) if !others.is_empty() => format!("{} or {last}", others.join(", ")),
        _ => names.concat(),
    }
}
