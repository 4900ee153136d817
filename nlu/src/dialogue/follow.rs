//! What may follow a command, as an automaton over words and the command's own slots.

use super::device::{Device, Relation};
use super::phrases::phrases;
use crate::automaton::Builder;
use crate::domain::{IntentSpec, Layer, SlotKind, Symbol, add};
use crate::template::Expr;

/// Before the name of a slot: the value that was wrong. No slot of a domain is named like this.
pub(crate) const OLD: &str = "old:";
/// Before the name of a slot: the place of its value among those that are shown.
pub(crate) const WHICH: &str = "which:";
/// Slot type of "the second one".
pub(crate) const WHICH_KIND: &str = "which_one";

/// What a follow-up does with the last command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// It was wrong: the same with another value instead.
    Change,
    /// The same with another value besides.
    Vary,
    /// The same once more.
    Again,
    /// Something else with the same device.
    To(Relation),
}

impl Step {
    fn label(self) -> u32 {
        match self {
            Self::Change => 0,
            Self::Vary => 1,
            Self::Again => 2,
            Self::To(relation) => 3 + relation as u32,
        }
    }

    /// The step of a label of [`layer`].
    pub(crate) fn of(label: u32) -> Self {
        match label {
            0 => Self::Change,
            1 => Self::Vary,
            2 => Self::Again,
            other => Self::To(Relation::ALL[(other - 3) as usize % Relation::ALL.len()]),
        }
    }
}

/// Everything that may follow an intent, labelled with [`Step`]s. `kind` tells about slot types.
pub(crate) fn layer<'a>(
    spec: &IntentSpec,
    device: Option<&Device>,
    kind: impl Fn(&str) -> Option<&'a SlotKind>,
) -> Layer {
    let said = phrases();
    let mut builder = Builder::default();
    for (name, slot) in &spec.slots {
        let new = new_value(name, slot, kind(slot));
        let old = value(&format!("{OLD}{name}"), slot);
        for (phrases, step) in [(&said.change, Step::Change), (&said.vary, Step::Vary)] {
            for phrase in phrases {
                put(&mut builder, &filled(phrase, &new, &old), step);
            }
        }
    }
    for phrase in &said.again {
        put(&mut builder, phrase, Step::Again);
    }
    for relation in device.iter().flat_map(|device| device.relations.keys()) {
        for phrase in said.relations.get(relation).into_iter().flatten() {
            put(&mut builder, phrase, Step::To(*relation));
        }
    }
    Layer::new(&builder)
}

fn put(builder: &mut Builder<Symbol>, phrase: &Expr, step: Step) {
    add(builder, phrase, &phrases().rules, step.label());
}

fn value(name: &str, kind: &str) -> Expr {
    Expr::Slot {
        kind: kind.into(),
        name: name.into(),
    }
}

/// A value, or its place in a list that the host has filled.
fn new_value(name: &str, slot: &str, kind: Option<&SlotKind>) -> Expr {
    let said = value(name, slot);
    match kind {
        Some(SlotKind::Entities { .. }) => {
            Expr::Alt(vec![said, value(&format!("{WHICH}{name}"), WHICH_KIND)])
        }
        _ => said,
    }
}

/// A phrase with its `{new}` and `{old}` filled in.
fn filled(phrase: &Expr, new: &Expr, old: &Expr) -> Expr {
    let all = |parts: &[Expr]| parts.iter().map(|part| filled(part, new, old)).collect();
    match phrase {
        Expr::Slot { name, .. } if name == "new" => new.clone(),
        Expr::Slot { name, .. } if name == "old" => old.clone(),
        Expr::Word(_) | Expr::Slot { .. } | Expr::Rule(_) => phrase.clone(),
        Expr::Seq(parts) => Expr::Seq(all(parts)),
        Expr::Alt(parts) => Expr::Alt(all(parts)),
        Expr::Opt(inner) => Expr::Opt(Box::new(filled(inner, new, old))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_steps() {
        let all = Relation::ALL.into_iter().map(Step::To);
        for step in [Step::Change, Step::Vary, Step::Again]
            .into_iter()
            .chain(all)
        {
            assert_eq!(Step::of(step.label()), step);
        }
    }
}
