//! How long a template is once its rules are written out: a few lines of rules that use each other twice could stand for
//! more than there is memory.

use std::collections::BTreeMap;

use super::error::{DomainError, Place};
use crate::template::Expr;

/// Words and slots that one template may have, written out.
const LONGEST: u64 = 20_000;
/// Rules that may use each other in a row.
const DEEPEST: usize = 32;

/// How much an expression stands for.
#[derive(Debug, Clone, Copy, Default)]
struct Size {
    /// Words and slots, written out.
    length: u64,
    /// Rules within rules.
    depth: usize,
}

impl Size {
    const WORD: Self = Self {
        length: 1,
        depth: 0,
    };

    fn and(self, other: Self) -> Self {
        Self {
            length: self.length.saturating_add(other.length),
            depth: self.depth.max(other.depth),
        }
    }
}

/// Sizes of rules, found once each.
pub(super) struct Extent<'a> {
    rules: &'a BTreeMap<String, (Expr, Place)>,
    sizes: BTreeMap<&'a str, Size>,
}

impl<'a> Extent<'a> {
    pub(super) fn new(rules: &'a BTreeMap<String, (Expr, Place)>) -> Self {
        Self {
            rules,
            sizes: BTreeMap::new(),
        }
    }

    /// Refuses a template that stands for too much.
    pub(super) fn check(&mut self, expr: &'a Expr, place: &Place) -> Result<(), DomainError> {
        let size = self.size(expr, 0);
        let problem = if size.depth > DEEPEST {
            format!("its rules use each other more than {DEEPEST} deep")
        } else if size.length > LONGEST {
            format!("with its rules written out this is longer than {LONGEST} words")
        } else {
            return Ok(());
        };
        Err(place.error(problem, "use a list or a slot in place of rules of rules"))
    }

    fn size(&mut self, expr: &'a Expr, within: usize) -> Size {
        match expr {
            Expr::Word(_) | Expr::Slot { .. } => Size::WORD,
            Expr::Rule(name) => self.rule(name, within),
            Expr::Seq(parts) | Expr::Alt(parts) => parts
                .iter()
                .fold(Size::WORD, |sum, part| sum.and(self.size(part, within))),
            Expr::Opt(inner) => self.size(inner, within).and(Size::WORD),
        }
    }

    fn rule(&mut self, name: &'a str, within: usize) -> Size {
        if let Some(size) = self.sizes.get(name) {
            return *size;
        }
        if within > DEEPEST {
            return Size {
                length: 1,
                depth: DEEPEST + 1,
            };
        }
        // A rule that is missing or uses itself is refused elsewhere; here it must only come to an end.
        self.sizes.insert(name, Size::WORD);
        let rules = self.rules;
        let inner = rules
            .get(name)
            .map_or(Size::WORD, |(expr, _)| self.size(expr, within + 1));
        let size = Size {
            depth: inner.depth + 1,
            ..inner
        };
        self.sizes.insert(name, size);
        size
    }
}
