//! Corrections of the last command and references to it.

use std::collections::BTreeMap;
use std::ops::Range;

use super::matcher::{self, Reading};
use super::{Candidate, Context, Follows, Intent, Last, Merit, Pending, Understander, spans};
use crate::dialogue::{self, OLD, Step, WHICH, WHICH_KIND};
use crate::domain::{Domain, SlotKind};
use crate::value::SlotValue;

/// A longer list is not one that the speaker sees before him and counts.
const MOST_SHOWN: usize = 10;

impl Understander {
    /// The number of the last command's intent in a domain, if it is of this one.
    pub(super) fn last_in<'a>(
        &self,
        domain: &Domain,
        context: &'a Context,
    ) -> Option<(usize, &'a Last)> {
        let last = context.last.as_ref();
        let last = last.filter(|last| last.domain == domain.name())?;
        Some((domain.intent_number(&last.intent)?, last))
    }

    /// What the words do with the last command.
    pub(super) fn follow_ups(
        &self,
        words: &[String],
        context: &Context,
        found: &mut Vec<Candidate>,
    ) {
        let mut fits = Vec::new();
        for domain in self.active() {
            let Some((number, last)) = self.last_in(domain, context) else {
                continue;
            };
            let compiled = domain.compiled();
            let read_slot = |kind: &str, at: usize| self.read_slot(domain, kind, words, at);
            let layer = domain.follow_up(number);
            for span in spans(&compiled.before, &compiled.after, words) {
                for reading in matcher::readings(&layer.labelled, words, span, &read_slot) {
                    let steps = reading.intents.iter().map(|label| Step::of(*label));
                    fits.extend(steps.filter_map(|step| {
                        self.follow_up(domain, number, last, step, &reading, words)
                    }));
                }
            }
        }
        // "I meant three" is about the value that was said, if one was.
        let said = fits.iter().any(|fit| fit.was_said);
        let fits = fits.into_iter().filter(|fit| fit.was_said || !said);
        found.extend(fits.map(|fit| fit.candidate));
    }

    fn follow_up(
        &self,
        domain: &Domain,
        number: usize,
        last: &Last,
        step: Step,
        reading: &Reading,
        words: &[String],
    ) -> Option<Fit> {
        let mut slots = last.slots.clone();
        let mut target = number;
        let mut was_said = true;
        match step {
            Step::Again => {}
            Step::To(relation) => {
                target = *domain.device_of(number)?.relations.get(&relation)?;
                let (from, to) = (&domain.intents()[number], &domain.intents()[target]);
                slots.retain(|name, _| to.slots.get(name) == from.slots.get(name));
            }
            Step::Change | Step::Vary => {
                let (name, value) = self.new_value(domain, number, &reading.slots)?;
                let before = last.slots.get(&name);
                let wrong = reading.slots.get(&format!("{OLD}{name}"));
                let other = before != Some(&value) && (wrong.is_none() || wrong == before);
                if !other {
                    return None;
                }
                was_said = before.is_some();
                slots.insert(name, value);
            }
        }
        let mut intent = self.intent(domain, &domain.intents()[target], slots, words);
        intent.follows = Some(match step {
            Step::Change => Follows::Corrects,
            _ => Follows::Refers,
        });
        let merit = Merit {
            answer: true,
            literal: reading.literal,
            fewer_slots: usize::MAX - reading.slots.len(),
        };
        Some(Fit {
            was_said,
            candidate: Candidate {
                merit,
                order: target as u32,
                intent,
            },
        })
    }

    /// The slot that gets another value, and the value: one that was said, or the place of one that is shown.
    fn new_value(
        &self,
        domain: &Domain,
        number: usize,
        said: &BTreeMap<String, SlotValue>,
    ) -> Option<(String, SlotValue)> {
        let (name, value) = said.iter().find(|(name, _)| !name.starts_with(OLD))?;
        let Some(slot) = name.strip_prefix(WHICH) else {
            return Some((name.clone(), value.clone()));
        };
        let kind = domain.intents()[number].slots.get(slot)?;
        let entities = self.shown_of(domain, kind)?;
        Some((slot.to_owned(), nth(&entities, value)?))
    }

    /// The words as a whole command that corrects the last one: "no, open the rear window".
    pub(super) fn corrected(
        &self,
        words: &[String],
        context: &Context,
        found: &mut Vec<Candidate>,
    ) {
        let Some((rest, context)) = after_lead_in(words, context) else {
            return;
        };
        let before = found.len();
        for domain in self.active() {
            self.candidates(domain, rest, &context, found);
        }
        for candidate in &mut found[before..] {
            candidate.intent.follows = Some(Follows::Corrects);
            candidate.intent.text = words.join(" ");
        }
    }

    /// What the encoder takes the words for, as a command or as a correction.
    pub(super) fn encoder_says(&self, words: &[String], context: &Context) -> Vec<Intent> {
        let Some((rest, context)) = after_lead_in(words, context) else {
            return self.guess(words, context);
        };
        let mut found = self.guess(rest, &context);
        for intent in &mut found {
            intent.follows = Some(Follows::Corrects);
        }
        found
    }

    /// "The second one" as the answer to a question for one of the entities that are shown.
    pub(super) fn shown(
        &self,
        domain: &Domain,
        number: usize,
        pending: &Pending,
        words: &[String],
        span: Range<usize>,
    ) -> Option<Reading> {
        let kind = domain.intents()[number].slots.get(&pending.ask)?;
        let entities = self.shown_of(domain, kind)?;
        let place = self.place_said(domain, words, span)?;
        let value = nth(&entities, &place)?;
        Some(Reading {
            intents: vec![number as u32],
            slots: BTreeMap::from([(pending.ask.clone(), value)]),
            literal: 0,
        })
    }

    /// Whether the values of a slot are entities that are shown.
    pub(super) fn shows(&self, domain: &Domain, number: usize, slot: &str) -> bool {
        let kind = domain.intents()[number].slots.get(slot);
        kind.is_some_and(|kind| self.shown_of(domain, kind).is_some())
    }

    /// One of the commands that the speaker was asked to choose from.
    pub(super) fn chosen(&self, words: &[String], context: &Context) -> Option<Intent> {
        if context.choices.is_empty() {
            return None;
        }
        let domain = self.active().next()?;
        let compiled = domain.compiled();
        let mut spans = spans(&compiled.before, &compiled.after, words).into_iter();
        let place = spans.find_map(|span| self.place_said(domain, words, span))?;
        let mut chosen = nth(&context.choices, &place)?;
        chosen.confidence = 1.0;
        Some(chosen)
    }

    fn place_said(
        &self,
        domain: &Domain,
        words: &[String],
        span: Range<usize>,
    ) -> Option<SlotValue> {
        let read_slot = |kind: &str, at: usize| self.read_slot(domain, kind, words, at);
        let readings = matcher::readings(dialogue::which(), words, span, &read_slot);
        readings.into_iter().next()?.slots.remove(WHICH_KIND)
    }

    /// The entities of a kind, if they are so few that they may be shown.
    fn shown_of(&self, domain: &Domain, kind: &str) -> Option<Vec<SlotValue>> {
        let Some(SlotKind::Entities { .. }) = domain.kind(kind) else {
            return None;
        };
        let values = self.entities.get(kind)?.values();
        let few = (1..=MOST_SHOWN).contains(&values.len());
        few.then(|| values.iter().map(|entity| entity.value.clone()).collect())
    }
}

/// A follow-up, and whether the slot it changes had a value before.
struct Fit {
    was_said: bool,
    candidate: Candidate,
}

/// Counted from 1; -1 is the last one.
fn nth<T: Clone>(all: &[T], place: &SlotValue) -> Option<T> {
    match place {
        SlotValue::Number(number) if *number < 0.0 => all.last().cloned(),
        SlotValue::Number(number) => all.get((*number as usize).checked_sub(1)?).cloned(),
        _ => None,
    }
}

/// The words behind "no, I meant", and a context in which they are a command of their own.
fn after_lead_in<'a>(words: &'a [String], context: &Context) -> Option<(&'a [String], Context)> {
    context.last.as_ref()?;
    let ends = dialogue::lead_in().prefixes(words, 0).into_iter();
    let longest = ends.map(|(end, _)| end).max()?;
    let context = Context {
        last: None,
        ..context.clone()
    };
    (1..words.len())
        .contains(&longest)
        .then(|| (&words[longest..], context))
}
