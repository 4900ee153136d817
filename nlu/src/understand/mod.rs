//! Words to intents, over all active domains.

mod choice;
mod context;
mod follow;
mod learned;
mod listen;
mod matcher;
mod several;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

pub use choice::Choice;
pub use context::{Context, Last, Pending};

use crate::adapter::AdapterStore;
use crate::automaton::Automaton;
use crate::domain::{Domain, IntentSpec, Layer, Phrasebook, Reach, SlotKind};
use crate::encoder::Encoder;
use crate::value::{EntityValue, SlotValue};
use crate::words;
use matcher::Reading;

/// An understood command.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Intent {
    /// Domain it belongs to.
    pub domain: String,
    /// Name, such as `climate.set_temperature`.
    pub name: String,
    /// Values by slot name.
    pub slots: BTreeMap<String, SlotValue>,
    /// VSS 6 path of the signal, if one exists. What was not said, or means several places, is `*`.
    pub vss: Option<String>,
    /// Where it goes instead, as the domain says, filled in like a VSS path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// 0 to 1: 1 when nothing else fits the words, less for every other intent that fits as well.
    pub confidence: f32,
    /// Required slots that were not said.
    pub missing: Vec<String>,
    /// Question for the first missing slot.
    pub prompt: Option<String>,
    /// The words that were understood.
    pub text: String,
    /// What it has to do with the command before it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub follows: Option<Follows>,
    /// Question to which the speaker has to say yes before it is done: it is dangerous or dear.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confirm: Option<String>,
}

/// What a command has to do with the one before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Follows {
    /// That one was wrong, this is right.
    Corrects,
    /// It was told with reference to that one.
    Refers,
}

impl Intent {
    /// Whether it only carries the conversation: yes, no, cancel.
    pub fn is_dialogue(&self) -> bool {
        self.name.starts_with("dialogue.")
    }
}

/// A name that no active domain knows.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no {what} '{name}'; use one of: {known}")]
pub struct UnknownName {
    /// What was looked for ("entity list", "domain").
    pub what: &'static str,
    /// The name given.
    pub name: String,
    /// The names there are.
    pub known: String,
}

/// The side the driver sits on, which decides what left and right mean in VSS paths.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DriverSide {
    /// Left-hand drive.
    #[default]
    Left,
    /// Right-hand drive.
    Right,
}

/// The active domains with the host's entities.
#[derive(Debug)]
pub struct Understander {
    domains: Vec<(Arc<Domain>, bool)>,
    entities: BTreeMap<String, Phrasebook>,
    driver: DriverSide,
    encoder: Option<Arc<Encoder>>,
    adapters: Option<Arc<AdapterStore>>,
}

impl Understander {
    /// All given domains enabled, all entity lists empty, driver on the left.
    pub fn new(domains: Vec<Arc<Domain>>) -> Self {
        let domains = domains.into_iter().map(|domain| (domain, true)).collect();
        Self {
            domains,
            entities: BTreeMap::new(),
            driver: DriverSide::Left,
            encoder: None,
            adapters: None,
        }
    }

    /// Says where the driver sits.
    pub fn set_driver_side(&mut self, side: DriverSide) {
        self.driver = side;
    }

    /// Domains with their state, in order.
    pub fn domains(&self) -> impl Iterator<Item = (&Domain, bool)> {
        self.domains
            .iter()
            .map(|(domain, enabled)| (domain.as_ref(), *enabled))
    }

    /// Switches a domain on or off.
    ///
    /// # Errors
    /// When no domain has this name.
    pub fn set_enabled(&mut self, name: &str, enabled: bool) -> Result<(), UnknownName> {
        match self
            .domains
            .iter_mut()
            .find(|(domain, _)| domain.name() == name)
        {
            Some(entry) => {
                entry.1 = enabled;
                Ok(())
            }
            None => {
                let known = self
                    .domains
                    .iter()
                    .map(|(domain, _)| domain.name())
                    .collect::<Vec<_>>()
                    .join(", ");
                Err(UnknownName {
                    what: "domain",
                    name: name.into(),
                    known,
                })
            }
        }
    }

    /// Replaces the values of an entity list. Takes effect at once for understanding; ask for a new [`Self::graph`] so
    /// that the recogniser hears them too.
    ///
    /// # Errors
    /// When no domain has an entity list of this name.
    pub fn set_entities(&mut self, list: &str, values: &[EntityValue]) -> Result<(), UnknownName> {
        let known: BTreeSet<&str> = self
            .domains
            .iter()
            .flat_map(|(domain, _)| domain.entity_lists())
            .collect();
        if !known.contains(list) {
            let known = known.into_iter().collect::<Vec<_>>().join(", ");
            return Err(UnknownName {
                what: "entity list",
                name: list.into(),
                known,
            });
        }
        self.entities
            .insert(list.to_string(), Phrasebook::of_entities(values));
        Ok(())
    }

    fn active(&self) -> impl Iterator<Item = &Arc<Domain>> {
        self.domains
            .iter()
            .filter(|(_, enabled)| *enabled)
            .map(|(domain, _)| domain)
    }

    fn read_slot(
        &self,
        domain: &Domain,
        kind: &str,
        words: &[String],
        at: usize,
    ) -> Vec<(usize, SlotValue)> {
        match domain.kind(kind) {
            Some(SlotKind::Builtin(builtin)) => builtin.read(words, at),
            Some(SlotKind::List(book)) => book.read(words, at),
            Some(SlotKind::Entities { .. }) => self
                .entities
                .get(kind)
                .map(|book| book.read(words, at))
                .unwrap_or_default(),
            None => Vec::new(),
        }
    }

    /// The intents that a text means, most likely first; empty when it is no command. Case, punctuation, digits,
    /// hesitations and politeness do not matter. What a template says counts first; for what none says the encoder is
    /// asked, if there is one. For a text that may be several commands see [`Self::commands`].
    pub fn understand(&self, text: &str, context: &Context) -> Vec<Intent> {
        let ways = words::spoken(text);
        let found = self.templates_say(&ways, context);
        if !found.is_empty() {
            return found;
        }
        ways.first()
            .map(|words| self.encoder_says(words, context))
            .unwrap_or_default()
    }

    /// What templates say of any of the ways to say a text, and what may follow the last command.
    fn templates_say(&self, ways: &[Vec<String>], context: &Context) -> Vec<Intent> {
        let mut found: Vec<Candidate> = Vec::new();
        for words in ways {
            if let Some(chosen) = self.chosen(words, context) {
                return vec![chosen];
            }
            for domain in self.active() {
                self.candidates(domain, words, context, &mut found);
            }
            self.follow_ups(words, context, &mut found);
        }
        if found.is_empty() {
            for words in ways {
                self.corrected(words, context, &mut found);
            }
        }
        rank(found)
    }

    fn candidates(
        &self,
        domain: &Arc<Domain>,
        words: &[String],
        context: &Context,
        found: &mut Vec<Candidate>,
    ) {
        let compiled = domain.compiled();
        let read_slot = |kind: &str, at: usize| self.read_slot(domain, kind, words, at);
        let pending = pending_in(domain, context);
        for span in spans(&compiled.before, &compiled.after, words) {
            let readings =
                |layer: &Layer| matcher::readings(&layer.labelled, words, span.clone(), &read_slot);
            for reach in [Reach::Always, Reach::Addressed, Reach::Dialogue] {
                if let Some(layer) = compiled.layer(reach).filter(|_| context.reaches(reach)) {
                    for reading in readings(layer) {
                        let answers = reach == Reach::Dialogue;
                        self.add(domain, reading, None, answers, words, found);
                    }
                }
            }
            let Some((number, pending)) = pending else {
                continue;
            };
            if let Some(layer) = compiled.answer(number, &pending.ask) {
                for reading in readings(layer) {
                    self.add(domain, reading, Some(pending), true, words, found);
                }
            }
            if let Some(reading) = self.shown(domain, number, pending, words, span) {
                self.add(domain, reading, Some(pending), true, words, found);
            }
        }
    }

    fn add(
        &self,
        domain: &Domain,
        reading: Reading,
        pending: Option<&Pending>,
        answer: bool,
        words: &[String],
        found: &mut Vec<Candidate>,
    ) {
        for number in &reading.intents {
            let spec = &domain.intents()[*number as usize];
            let mut slots = pending
                .map(|pending| pending.slots.clone())
                .unwrap_or_default();
            let said = reading.slots.len();
            slots.extend(reading.slots.clone());
            let intent = self.intent(domain, spec, slots, words);
            let merit = Merit {
                answer,
                literal: reading.literal,
                fewer_slots: usize::MAX - said,
            };
            found.push(Candidate {
                merit,
                order: *number,
                intent,
            });
        }
    }

    fn intent(
        &self,
        domain: &Domain,
        spec: &IntentSpec,
        slots: BTreeMap<String, SlotValue>,
        words: &[String],
    ) -> Intent {
        let missing: Vec<String> = spec
            .required
            .iter()
            .filter(|slot| !slots.contains_key(*slot))
            .cloned()
            .collect();
        let filled = |path: &Option<String>| {
            let path = path.as_ref()?;
            Some(self.path(domain, spec, path, &slots))
        };
        Intent {
            domain: domain.name().to_string(),
            name: spec.name.clone(),
            vss: filled(&spec.vss),
            target: filled(&spec.target),
            confidence: 1.0,
            prompt: missing.first().map(|slot| spec.question(slot)),
            missing,
            slots,
            text: words.join(" "),
            follows: None,
            confirm: spec.confirm.clone(),
        }
    }

    /// Fills the placeholders of a VSS path.
    fn path(
        &self,
        domain: &Domain,
        spec: &IntentSpec,
        path: &str,
        slots: &BTreeMap<String, SlotValue>,
    ) -> String {
        let mut pieces = path.split('{');
        let mut out = pieces.next().unwrap_or_default().to_string();
        for piece in pieces {
            let (placeholder, rest) = piece.split_once('}').unwrap_or((piece, ""));
            let (slot, key) = placeholder.split_once('.').unwrap_or((placeholder, ""));
            let part = slots
                .get(slot)
                .and_then(|value| self.path_part(domain, spec.slots.get(slot)?, key, value));
            out.push_str(part.as_deref().unwrap_or("*"));
            out.push_str(rest);
        }
        out
    }

    fn path_part(
        &self,
        domain: &Domain,
        kind: &str,
        key: &str,
        value: &SlotValue,
    ) -> Option<String> {
        if let (false, Some(SlotKind::List(book))) = (key.is_empty(), domain.kind(kind)) {
            let paths = book.paths_of(value)?;
            let side = if self.driver == DriverSide::Right {
                &paths.driver_right
            } else {
                &paths.driver_left
            };
            return side.get(key).cloned();
        }
        match value {
            SlotValue::Zone(text) | SlotValue::Colour(text) | SlotValue::Choice(text) => {
                Some(text.clone())
            }
            SlotValue::Number(number) | SlotValue::Percent(number) => Some(number.to_string()),
            _ => None,
        }
    }
}

fn pending_in<'a>(domain: &Domain, context: &'a Context) -> Option<(usize, &'a Pending)> {
    let pending = context
        .pending
        .as_ref()
        .filter(|pending| pending.domain == domain.name())?;
    domain
        .intent_number(&pending.intent)
        .map(|number| (number, pending))
}

/// The parts of the words that may be the command once politeness is taken off either end.
fn spans(
    before: &Automaton<String>,
    after: &Automaton<String>,
    words: &[String],
) -> Vec<std::ops::Range<usize>> {
    let mut starts = vec![0];
    starts.extend(
        before
            .prefixes(words, 0)
            .into_iter()
            .map(|(end, _)| end)
            .filter(|end| *end > 0),
    );
    let polite_to_the_end = |at: &usize| {
        after
            .prefixes(words, *at)
            .iter()
            .any(|(end, _)| *end == words.len())
    };
    let mut ends: Vec<usize> = (1..words.len()).filter(polite_to_the_end).collect();
    ends.push(words.len());
    let pairs = starts
        .iter()
        .flat_map(|start| ends.iter().map(move |end| *start..*end));
    pairs.filter(|span| span.start < span.end).collect()
}

/// What makes one reading better than another, most important first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Merit {
    answer: bool,
    literal: usize,
    fewer_slots: usize,
}

struct Candidate {
    merit: Merit,
    order: u32,
    intent: Intent,
}

/// Best first, each intent with the same slots once, with confidence shared among those that fit equally well.
fn rank(mut found: Vec<Candidate>) -> Vec<Intent> {
    found.sort_by(|a, b| b.merit.cmp(&a.merit).then(a.order.cmp(&b.order)));
    let mut kept: Vec<Candidate> = Vec::new();
    for candidate in found {
        let same = |other: &Candidate| {
            (
                &other.intent.domain,
                &other.intent.name,
                &other.intent.slots,
            ) == (
                &candidate.intent.domain,
                &candidate.intent.name,
                &candidate.intent.slots,
            )
        };
        if !kept.iter().any(same) {
            kept.push(candidate);
        }
    }
    let Some(best) = kept.first().map(|candidate| candidate.merit) else {
        return Vec::new();
    };
    let equals = kept
        .iter()
        .filter(|candidate| candidate.merit == best)
        .count();
    let confidence = |merit: Merit| {
        if merit == best {
            1.0 / equals as f32
        } else {
            0.5 / (equals + 1) as f32
        }
    };
    kept.into_iter()
        .map(|c| Intent {
            confidence: confidence(c.merit),
            ..c.intent
        })
        .collect()
}

#[cfg(test)]
mod tests;
