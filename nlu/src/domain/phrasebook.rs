//! A list of values with their sayings: found in words through an automaton, said by the sampler.

use std::collections::BTreeMap;

use crate::automaton::{Automaton, Builder};
use crate::template::Expr;
use crate::value::{EntityValue, SlotValue};
use crate::words;

/// Values and how they are said.
#[derive(Debug)]
pub struct Phrasebook {
    values: Vec<Value>,
    reads: Automaton<String>,
    says: Automaton<String>,
}

/// One value of a phrasebook.
#[derive(Debug, Clone)]
pub(crate) struct Value {
    pub value: SlotValue,
    /// Word sequences the recogniser listens for.
    pub says: Vec<Vec<String>>,
    /// Word sequences that are understood besides (typed forms).
    pub also: Vec<Vec<String>>,
    pub paths: Paths,
}

/// Parts of VSS paths by key, for either side the driver may sit on.
#[derive(Debug, Clone, Default)]
pub(crate) struct Paths {
    pub driver_left: BTreeMap<String, String>,
    pub driver_right: BTreeMap<String, String>,
}

impl Phrasebook {
    pub(crate) fn new(values: Vec<Value>) -> Self {
        let (mut reads, mut says) = (Builder::default(), Builder::default());
        for (label, value) in values.iter().enumerate() {
            for words in &value.says {
                says.sequence(words.iter().cloned(), 0);
                reads.sequence(words.iter().cloned(), label as u32);
            }
            for words in &value.also {
                reads.sequence(words.iter().cloned(), label as u32);
            }
        }
        Self {
            values,
            reads: reads.build(),
            says: says.build(),
        }
    }

    /// A phrasebook of entities. Names without a sayable word are left out.
    pub fn of_entities(entities: &[EntityValue]) -> Self {
        let values = entities.iter().map(|entity| {
            let (mut says, mut also) = (Vec::new(), Vec::new());
            for name in &entity.says {
                let mut ways = words::spoken_name(name).into_iter();
                says.extend(ways.next());
                also.extend(ways);
            }
            Value {
                value: entity.slot_value(),
                says,
                also,
                paths: Paths::default(),
            }
        });
        Self::new(values.filter(|value| !value.says.is_empty()).collect())
    }

    /// The word sequences the recogniser listens for.
    pub fn words(&self) -> &Automaton<String> {
        &self.says
    }

    pub(crate) fn values(&self) -> &[Value] {
        &self.values
    }

    /// All readings that begin at `words[at]`.
    pub fn read(&self, words: &[String], at: usize) -> Vec<(usize, SlotValue)> {
        let mut out = Vec::new();
        for (end, labels) in self.reads.prefixes(words, at) {
            out.extend(
                labels
                    .iter()
                    .map(|label| (end, self.values[*label as usize].value.clone())),
            );
        }
        out
    }

    /// The path parts of a value.
    pub(crate) fn paths_of(&self, value: &SlotValue) -> Option<&Paths> {
        self.values
            .iter()
            .find(|entry| entry.value == *value)
            .map(|entry| &entry.paths)
    }
}

/// Every word sequence of an expression without slots and rules; nothing when there are more than `most`, or when it
/// holds slots or rules.
pub(crate) fn expand(expr: &Expr, most: usize) -> Option<Vec<Vec<String>>> {
    let ways = match expr {
        Expr::Word(word) => vec![vec![word.clone()]],
        Expr::Slot { .. } | Expr::Rule(_) => return None,
        Expr::Opt(inner) => [vec![Vec::new()], expand(inner, most)?].concat(),
        Expr::Alt(parts) => parts
            .iter()
            .map(|part| expand(part, most))
            .collect::<Option<Vec<_>>>()?
            .concat(),
        Expr::Seq(parts) => {
            let mut ways = vec![Vec::new()];
            for part in parts {
                let tails = expand(part, most)?;
                if ways.len() * tails.len() > most {
                    return None;
                }
                ways = ways
                    .iter()
                    .flat_map(|way| {
                        tails
                            .iter()
                            .map(move |tail| [way.clone(), tail.clone()].concat())
                    })
                    .collect();
            }
            ways
        }
    };
    (ways.len() <= most).then_some(ways)
}
