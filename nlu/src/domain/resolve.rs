//! Whether the names in templates resolve and the parts of an intent fit together.

use std::collections::BTreeMap;

use super::error::{DomainError, Place};
use super::{IntentSpec, SlotKind};
use crate::builtin::Builtin;
use crate::template::Expr;

/// The names a template may use.
pub(super) struct Rules<'a> {
    pub rules: &'a BTreeMap<String, (Expr, Place)>,
    pub kinds: &'a BTreeMap<String, SlotKind>,
}

impl Rules<'_> {
    /// Every rule and slot type must exist and no rule may use itself.
    pub(super) fn check(
        &self,
        expr: &Expr,
        place: &Place,
        within: &mut Vec<String>,
    ) -> Result<(), DomainError> {
        match expr {
            Expr::Word(_) => Ok(()),
            Expr::Slot { kind, .. }
                if self.kinds.contains_key(kind) || Builtin::named(kind).is_some() =>
            {
                Ok(())
            }
            Expr::Slot { kind, .. } => {
                let known: Vec<_> = self.kinds.keys().map(String::as_str).collect();
                let mend = format!(
                    "define it under [lists], [slots] or [entities], or use {}, {}",
                    Builtin::NAMES,
                    known.join(", ")
                );
                Err(place.error(format!("the slot type '{kind}' does not exist"), mend))
            }
            Expr::Rule(name) if within.contains(name) => Err(place.error(
                format!("the rule '{name}' uses itself"),
                "write the repetition out or use a slot",
            )),
            Expr::Rule(name) => {
                let Some((inner, _)) = self.rules.get(name) else {
                    let mend = format!("add {name} = \"…\" under [rules]");
                    return Err(place.error(format!("the rule '<{name}>' does not exist"), mend));
                };
                within.push(name.clone());
                self.check(inner, place, within)?;
                within.pop();
                Ok(())
            }
            Expr::Seq(parts) | Expr::Alt(parts) => parts
                .iter()
                .try_for_each(|part| self.check(part, place, within)),
            Expr::Opt(inner) => self.check(inner, place, within),
        }
    }

    /// An intent's templates, answers, questions and VSS path must fit together; notes the types of its slots.
    pub(super) fn check_intent(
        &self,
        intent: &mut IntentSpec,
        place: &Place,
    ) -> Result<(), DomainError> {
        let mut slots = BTreeMap::new();
        for template in &intent.templates {
            self.check(&template.expr, &template.place, &mut Vec::new())?;
            self.slots_of(&template.expr, &template.place, &mut slots)?;
            if self.can_be_silent(&template.expr) {
                return Err(template.place.error(
                    "this template can be nothing at all",
                    "keep one word outside [ ]",
                ));
            }
        }
        for (slot, answers) in &intent.answers {
            if !intent.required.contains(slot) {
                let problem = format!("answers are given for '{slot}', which is not required");
                return Err(place.error(problem, "name it in required = […]"));
            }
            for (expr, place) in answers {
                self.check(expr, place, &mut Vec::new())?;
                self.slots_of(expr, place, &mut slots)?;
            }
        }
        self.check_examples(intent, place, &mut slots)?;
        for slot in &intent.required {
            if !slots.contains_key(slot) {
                let problem = format!("the required slot '{slot}' is in no template");
                return Err(place.error(problem, "put it in a template or take it out of required"));
            }
        }
        if let Some(slot) = intent
            .ask
            .keys()
            .find(|slot| !intent.required.contains(slot))
        {
            return Err(place.error(
                format!("ask has a question for '{slot}', which is not required"),
                "name it in required = […]",
            ));
        }
        check_targets(intent, &slots, place)?;
        intent.slots = slots;
        Ok(())
    }

    /// Slots of examples must be known: of a template, or of the type that the example names or that is called the same.
    fn check_examples(
        &self,
        intent: &IntentSpec,
        place: &Place,
        slots: &mut BTreeMap<String, String>,
    ) -> Result<(), DomainError> {
        for (n, example) in intent.examples.iter().enumerate() {
            let place = Place {
                line: example.line,
                field: format!("{}.examples[{n}]", place.field),
                ..place.clone()
            };
            for name in example.spans.keys() {
                let known = slots.get(name).unwrap_or(name);
                let slot = Expr::Slot {
                    kind: example.kinds.get(name).unwrap_or(known).clone(),
                    name: name.clone(),
                };
                self.check(&slot, &place, &mut Vec::new())?;
                self.slots_of(&slot, &place, slots)?;
            }
        }
        Ok(())
    }

    fn slots_of(
        &self,
        expr: &Expr,
        place: &Place,
        slots: &mut BTreeMap<String, String>,
    ) -> Result<(), DomainError> {
        match expr {
            Expr::Word(_) => Ok(()),
            Expr::Slot { kind, name } => match slots.insert(name.clone(), kind.clone()) {
                Some(before) if before != *kind => {
                    let problem = format!(
                        "the slot '{name}' is of type '{kind}' here and '{before}' elsewhere"
                    );
                    Err(place.error(problem, "give one of them another name: {type:name}"))
                }
                _ => Ok(()),
            },
            Expr::Rule(name) => self
                .rules
                .get(name)
                .map_or(Ok(()), |(inner, _)| self.slots_of(inner, place, slots)),
            Expr::Seq(parts) | Expr::Alt(parts) => parts
                .iter()
                .try_for_each(|part| self.slots_of(part, place, slots)),
            Expr::Opt(inner) => self.slots_of(inner, place, slots),
        }
    }

    fn can_be_silent(&self, expr: &Expr) -> bool {
        match expr {
            Expr::Word(_) | Expr::Slot { .. } => false,
            Expr::Rule(name) => self
                .rules
                .get(name)
                .is_some_and(|(inner, _)| self.can_be_silent(inner)),
            Expr::Seq(parts) => parts.iter().all(|part| self.can_be_silent(part)),
            Expr::Alt(parts) => parts.iter().any(|part| self.can_be_silent(part)),
            Expr::Opt(_) => true,
        }
    }
}

/// An intent goes to one place, and the placeholders of that place must be slots of the intent.
fn check_targets(
    intent: &IntentSpec,
    slots: &BTreeMap<String, String>,
    place: &Place,
) -> Result<(), DomainError> {
    if intent.vss.is_some() && intent.target.is_some() {
        return Err(place.error("there is a vss and a target", "keep the one that is meant"));
    }
    for (field, path) in [("vss", &intent.vss), ("target", &intent.target)] {
        check_placeholders(field, path.as_deref().unwrap_or_default(), slots, place)?;
    }
    Ok(())
}

fn check_placeholders(
    field: &str,
    path: &str,
    slots: &BTreeMap<String, String>,
    place: &Place,
) -> Result<(), DomainError> {
    for placeholder in path.split('{').skip(1) {
        let Some((name, _)) = placeholder.split_once('}') else {
            let problem = format!("{field} has a '{{' without '}}'");
            return Err(place.error(problem, "close the placeholder"));
        };
        let slot = name.split('.').next().unwrap_or(name);
        if !slots.contains_key(slot) {
            let problem =
                format!("{field} uses '{{{name}}}', but no template has the slot '{slot}'");
            return Err(place.error(problem, "use a slot of this intent or write the path out"));
        }
    }
    Ok(())
}
