//! A domain's templates as automata, one per reach, and one per question that may be open.

use std::collections::BTreeMap;

use super::{IntentSpec, Reach, SlotKind};
use crate::automaton::{Automaton, Builder};
use crate::template::Expr;

/// What an arc of a template asks for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Symbol {
    /// This word.
    Word(String),
    /// Any saying of this slot type.
    Slot {
        /// Slot type.
        kind: String,
        /// Slot name.
        name: String,
    },
}

/// Templates as one automaton with intent numbers as labels, and the same without labels, smaller, for the recogniser.
#[derive(Debug)]
pub(crate) struct Layer {
    pub(crate) labelled: Automaton<Symbol>,
    pub(crate) plain: Automaton<Symbol>,
}

impl Layer {
    pub(crate) fn new(builder: &Builder<Symbol>) -> Self {
        let labelled = builder.build();
        let plain = labelled.unlabelled();
        Self { labelled, plain }
    }
}

/// All automata of a domain.
#[derive(Debug)]
pub(crate) struct Compiled {
    layers: BTreeMap<Reach, Layer>,
    /// By intent number and missing slot.
    answers: BTreeMap<(usize, String), Layer>,
    pub before: Automaton<String>,
    pub after: Automaton<String>,
    /// What the recogniser listens for in slots whose values are known when the domain is loaded.
    pub slot_words: BTreeMap<String, Automaton<String>>,
}

impl Compiled {
    pub(crate) fn layer(&self, reach: Reach) -> Option<&Layer> {
        self.layers.get(&reach)
    }

    pub(crate) fn answer(&self, intent: usize, slot: &str) -> Option<&Layer> {
        self.answers.get(&(intent, slot.to_string()))
    }
}

/// Words that may stand before a bare value in an answer.
const LEAD_INS: [&str; 8] = ["to", "for", "at", "on", "in", "the", "make it", "set it to"];

pub(crate) fn compile(
    intents: &[IntentSpec],
    kinds: &BTreeMap<String, SlotKind>,
    rules: &BTreeMap<String, Expr>,
    frame: &[Vec<Expr>; 2],
) -> Compiled {
    let mut builders: BTreeMap<Reach, Builder<Symbol>> = BTreeMap::new();
    let mut answers = BTreeMap::new();
    for (number, intent) in intents.iter().enumerate() {
        for template in &intent.templates {
            add(
                builders.entry(template.reach).or_default(),
                &template.expr,
                rules,
                number as u32,
            );
        }
        for slot in &intent.required {
            answers.insert(
                (number, slot.clone()),
                answer_layer(intent, slot, rules, number as u32),
            );
        }
    }
    let [before, after] = frame.each_ref().map(|exprs| plain_words(exprs, rules));
    let slot_words = kinds.iter().filter_map(|(name, kind)| match kind {
        SlotKind::Builtin(builtin) => Some((name.clone(), builtin.words())),
        SlotKind::List(book) => Some((name.clone(), book.words().clone())),
        SlotKind::Entities { .. } => None,
    });
    let slot_words = slot_words.collect();
    let layers = builders
        .iter()
        .map(|(reach, builder)| (*reach, Layer::new(builder)))
        .collect();
    Compiled {
        layers,
        answers,
        before,
        after,
        slot_words,
    }
}

/// What may answer the question for a missing slot: the bare value with a lead-in, and the intent's own answers.
fn answer_layer(
    intent: &IntentSpec,
    slot: &str,
    rules: &BTreeMap<String, Expr>,
    label: u32,
) -> Layer {
    let mut builder = Builder::default();
    let kind = intent
        .slots
        .get(slot)
        .cloned()
        .unwrap_or_else(|| slot.to_string());
    let value = Expr::Slot {
        kind,
        name: slot.to_string(),
    };
    let lead_ins = LEAD_INS.map(|text| {
        Expr::Seq(
            text.split(' ')
                .map(|word| Expr::Word(word.into()))
                .collect(),
        )
    });
    let bare = Expr::Seq(vec![
        Expr::Opt(Box::new(Expr::Alt(lead_ins.to_vec()))),
        value,
    ]);
    add(&mut builder, &bare, rules, label);
    for (expr, _) in intent.answers.get(slot).into_iter().flatten() {
        add(&mut builder, expr, rules, label);
    }
    Layer::new(&builder)
}

/// Adds the sentences of an expression, accepted with `label`.
pub(crate) fn add(
    builder: &mut Builder<Symbol>,
    expr: &Expr,
    rules: &BTreeMap<String, Expr>,
    label: u32,
) {
    let end = builder.state();
    connect(builder, expr, rules, Builder::<Symbol>::START, end);
    builder.accept(end, label);
}

fn connect(
    builder: &mut Builder<Symbol>,
    expr: &Expr,
    rules: &BTreeMap<String, Expr>,
    from: u32,
    to: u32,
) {
    match expr {
        Expr::Word(word) => builder.arc(from, Some(Symbol::Word(word.clone())), to),
        Expr::Slot { kind, name } => {
            builder.arc(
                from,
                Some(Symbol::Slot {
                    kind: kind.clone(),
                    name: name.clone(),
                }),
                to,
            );
        }
        // Loading has checked that the rule exists and does not use itself.
        Expr::Rule(name) => connect(builder, &rules[name], rules, from, to),
        Expr::Seq(parts) => {
            let mut at = from;
            for part in parts {
                let next = builder.state();
                connect(builder, part, rules, at, next);
                at = next;
            }
            builder.arc(at, None, to);
        }
        Expr::Alt(parts) => parts
            .iter()
            .for_each(|part| connect(builder, part, rules, from, to)),
        Expr::Opt(inner) => {
            connect(builder, inner, rules, from, to);
            builder.arc(from, None, to);
        }
    }
}

/// Templates without slots as an automaton of words; slots in a frame have no meaning and are passed over.
pub(crate) fn plain_words(exprs: &[Expr], rules: &BTreeMap<String, Expr>) -> Automaton<String> {
    let mut symbols = Builder::default();
    exprs
        .iter()
        .for_each(|expr| add(&mut symbols, expr, rules, 0));
    let automaton = symbols.build();
    let mut words = Builder::default();
    let states: Vec<u32> = automaton.states().iter().map(|_| words.state()).collect();
    words.arc(Builder::<String>::START, None, states[0]);
    for (state, from) in automaton.states().iter().zip(&states) {
        for (symbol, to) in &state.arcs {
            if let Symbol::Word(word) = symbol {
                words.arc(*from, Some(word.clone()), states[*to as usize]);
            }
        }
        if !state.labels.is_empty() {
            words.accept(*from, 0);
        }
    }
    words.build()
}
