//! The conversation's own phrases, read once from the file that comes with the program.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::Deserialize;

use super::device::Relation;
use crate::automaton::{Automaton, Builder};
use crate::domain::{Symbol, add, plain_words};
use crate::template::{self, Expr};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    rules: BTreeMap<String, String>,
    lead_in: Says,
    change: Says,
    vary: Says,
    again: Says,
    on: Says,
    off: Says,
    open: Says,
    close: Says,
    more: Says,
    less: Says,
    which: Says,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Says {
    says: Vec<String>,
}

/// The phrases, parsed.
#[derive(Debug)]
pub(super) struct Phrases {
    pub rules: BTreeMap<String, Expr>,
    pub change: Vec<Expr>,
    pub vary: Vec<Expr>,
    pub again: Vec<Expr>,
    pub relations: BTreeMap<Relation, Vec<Expr>>,
    /// "no", "I meant": before a whole command.
    pub lead_in: Automaton<String>,
    /// "the second one".
    pub which: Automaton<Symbol>,
}

static PHRASES: LazyLock<Phrases> = LazyLock::new(Phrases::read);

/// The phrases.
pub(super) fn phrases() -> &'static Phrases {
    &PHRASES
}

impl Phrases {
    fn read() -> Self {
        let file: File = match toml::from_str(include_str!("phrases.toml")) {
            Ok(file) => file,
            Err(error) => unreachable!("phrases.toml: {error}"),
        };
        let rules = file.rules.iter();
        let rules: BTreeMap<String, Expr> = rules
            .map(|(name, text)| (name.clone(), expr(text)))
            .collect();
        let exprs = |says: &Says| says.says.iter().map(|text| expr(text)).collect::<Vec<_>>();
        let relations = [
            (Relation::On, &file.on),
            (Relation::Off, &file.off),
            (Relation::Open, &file.open),
            (Relation::Close, &file.close),
            (Relation::More, &file.more),
            (Relation::Less, &file.less),
        ];
        let mut which = Builder::default();
        for said in exprs(&file.which) {
            add(&mut which, &said, &rules, 0);
        }
        Self {
            change: exprs(&file.change),
            vary: exprs(&file.vary),
            again: exprs(&file.again),
            relations: relations
                .into_iter()
                .map(|(relation, says)| (relation, exprs(says)))
                .collect(),
            lead_in: plain_words(&exprs(&file.lead_in), &rules),
            which: which.build(),
            rules,
        }
    }
}

/// The file is part of the program: a test reads it.
fn expr(text: &str) -> Expr {
    match template::parse(text) {
        Ok(expr) => expr,
        Err(error) => unreachable!("phrases.toml: \"{text}\": {error}"),
    }
}
