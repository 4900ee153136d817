//! Random sentences of a domain with what they mean: for evaluation manifests, synthesis and tests.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};

use crate::builtin::{Builtin, Saying, digits};
use crate::domain::{Domain, IntentSpec, Reach, SlotKind, Template};
use crate::random::Random;
use crate::template::Expr;
use crate::value::{Entities, SlotValue};
use crate::words;

/// A sentence and its meaning.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// Words of `[a-z' ]`.
    pub text: String,
    /// Intent name.
    pub intent: String,
    /// Slots by name.
    pub slots: BTreeMap<String, SlotValue>,
    /// Where each slot was said: its first word and the one after its last.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub spans: Spans,
}

/// Word positions of slots by name, ends exclusive.
pub type Spans = BTreeMap<String, (usize, usize)>;

/// `n` random sentences that count at an open microphone: uniform over intents, then over their templates, then over
/// the choices and slot values in the template. The same seed gives the same sentences. Templates whose entity lists
/// are empty in `entities` are passed over.
pub fn sample(domain: &Domain, entities: &Entities, seed: u64, n: usize) -> Vec<Sample> {
    sample_within(domain, entities, Reach::Always, seed, n)
}

/// As [`sample`], with templates of a wider reach as well.
pub fn sample_within(
    domain: &Domain,
    entities: &Entities,
    widest: Reach,
    seed: u64,
    n: usize,
) -> Vec<Sample> {
    let usable = |expr: &Expr| slots_can_be_said(domain, entities, expr);
    let intents: Vec<(&IntentSpec, Vec<&Expr>)> = domain
        .intents()
        .iter()
        .map(|intent| {
            let within = intent
                .templates
                .iter()
                .filter(|template| template.reach <= widest);
            (
                intent,
                within
                    .map(|template| &template.expr)
                    .filter(|expr| usable(expr))
                    .collect::<Vec<_>>(),
            )
        })
        .filter(|(_, templates)| !templates.is_empty())
        .collect();
    let mut speaker = Speaker {
        domain,
        entities,
        random: Random::new(seed),
        sayings: HashMap::new(),
    };
    let mut out = Vec::with_capacity(n);
    while out.len() < n && !intents.is_empty() {
        let (intent, templates) = &intents[speaker.random.below(intents.len())];
        let mut said = Sentence::default();
        let template = templates[speaker.random.below(templates.len())];
        speaker.say(template, &mut said);
        out.push(Sample {
            text: said.words.join(" "),
            intent: intent.name.clone(),
            slots: said.slots,
            spans: said.spans,
        });
    }
    out
}

/// A sentence that a certain template of an intent says.
#[derive(Debug, Clone)]
pub(crate) struct Drawn<'a> {
    pub sample: Sample,
    pub template: &'a Template,
}

/// `each` random sentences of every template, those that [`sample`] passes over left out. The same seed gives the same
/// sentences.
pub(crate) fn sample_each<'a>(
    domain: &'a Domain,
    entities: &Entities,
    seed: u64,
    each: usize,
) -> Vec<Drawn<'a>> {
    let mut speaker = Speaker {
        domain,
        entities,
        random: Random::new(seed),
        sayings: HashMap::new(),
    };
    let mut out = Vec::new();
    for intent in domain.intents() {
        let usable = |template: &&Template| slots_can_be_said(domain, entities, &template.expr);
        for template in intent.templates.iter().filter(usable) {
            for _ in 0..each {
                let mut said = Sentence::default();
                speaker.say(&template.expr, &mut said);
                let sample = Sample {
                    text: said.words.join(" "),
                    intent: intent.name.clone(),
                    slots: said.slots,
                    spans: said.spans,
                };
                out.push(Drawn { sample, template });
            }
        }
    }
    out
}

/// True when no slot of the template, optional or not, is of an entity list without sayable entities.
fn slots_can_be_said(domain: &Domain, entities: &Entities, expr: &Expr) -> bool {
    match expr {
        Expr::Word(_) => true,
        Expr::Slot { kind, .. } => match domain.kind(kind) {
            Some(SlotKind::Entities { .. }) => entities.get(kind).is_some_and(|values| {
                !values.is_empty()
                    && values.iter().all(|value| {
                        value
                            .says
                            .iter()
                            .any(|say| !words::spoken_name(say).is_empty())
                    })
            }),
            kind => kind.is_some(),
        },
        Expr::Rule(name) => domain
            .rule(name)
            .is_some_and(|rule| slots_can_be_said(domain, entities, rule)),
        Expr::Seq(parts) | Expr::Alt(parts) => parts
            .iter()
            .all(|part| slots_can_be_said(domain, entities, part)),
        Expr::Opt(inner) => slots_can_be_said(domain, entities, inner),
    }
}

/// A value with every way to say it.
type Said = (SlotValue, Vec<Vec<String>>);

/// A sentence in the making.
#[derive(Default)]
struct Sentence {
    words: Vec<String>,
    slots: BTreeMap<String, SlotValue>,
    spans: Spans,
}

struct Speaker<'a> {
    domain: &'a Domain,
    entities: &'a Entities,
    random: Random,
    /// Values of a slot type with their sayings, put together once.
    sayings: HashMap<String, Vec<Said>>,
}

impl Speaker<'_> {
    fn say(&mut self, expr: &Expr, out: &mut Sentence) {
        match expr {
            Expr::Word(word) => out.words.push(word.clone()),
            Expr::Slot { kind, name } => {
                if let Some((said, value)) = self.value(kind) {
                    let from = out.words.len();
                    out.words.extend(said);
                    out.spans.insert(name.clone(), (from, out.words.len()));
                    out.slots.insert(name.clone(), value);
                }
            }
            Expr::Rule(name) => {
                let domain = self.domain;
                if let Some(rule) = domain.rule(name) {
                    self.say(rule, out);
                }
            }
            Expr::Seq(parts) => parts.iter().for_each(|part| self.say(part, out)),
            Expr::Alt(parts) => {
                let chosen = self.random.below(parts.len());
                self.say(&parts[chosen], out);
            }
            Expr::Opt(inner) if self.random.coin() => self.say(inner, out),
            Expr::Opt(_) => {}
        }
    }

    /// A random value of a slot type and one way to say it.
    fn value(&mut self, kind: &str) -> Option<Saying> {
        if let Some(SlotKind::Builtin(Builtin::Digits { min, max })) = self.domain.kind(kind) {
            return Some(digits::random(&mut self.random, *min, *max));
        }
        if !self.sayings.contains_key(kind) {
            self.sayings.insert(
                kind.to_string(),
                all_sayings(self.domain, self.entities, kind),
            );
        }
        let (value, ways) = self.random.pick(&self.sayings[kind])?;
        Some((self.random.pick(ways)?.clone(), value.clone()))
    }
}

fn all_sayings(domain: &Domain, entities: &Entities, kind: &str) -> Vec<Said> {
    match domain.kind(kind) {
        Some(SlotKind::Builtin(builtin)) => {
            let mut values: Vec<Said> = Vec::new();
            let mut index: HashMap<String, usize> = HashMap::new();
            for (words, value) in builtin.sayings() {
                let at = *index.entry(format!("{value:?}")).or_insert_with(|| {
                    values.push((value, Vec::new()));
                    values.len() - 1
                });
                values[at].1.push(words);
            }
            values
        }
        Some(SlotKind::List(book)) => book
            .values()
            .iter()
            .map(|value| (value.value.clone(), value.says.clone()))
            .collect(),
        Some(SlotKind::Entities { .. }) => {
            let says = |say: &String| words::spoken_name(say).into_iter().next();
            let listed = entities.get(kind).into_iter().flatten();
            listed
                .map(|entity| {
                    (
                        entity.slot_value(),
                        entity.says.iter().filter_map(says).collect(),
                    )
                })
                .collect()
        }
        None => Vec::new(),
    }
}
