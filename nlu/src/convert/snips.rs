//! Snips datasets: `intents` with `utterances`, `entities` with values and synonyms.
//!
//! Every utterance becomes a template with its slots and, as it was written, an example to learn from.

use super::yaml::{Document, Node};
use super::{Draft, Entry, Sentence, plain_name};
use crate::domain::DomainError;
use crate::template::{self, Expr};
use crate::words;

/// Snips' built-in entities and the slot types that read the same.
const BUILTINS: [(&str, &str); 8] = [
    ("snips/number", "number"),
    ("snips/ordinal", "ordinal"),
    ("snips/percentage", "percent"),
    ("snips/temperature", "temperature"),
    ("snips/duration", "duration"),
    ("snips/time", "time"),
    ("snips/date", "date"),
    ("snips/datetime", "date"),
];

pub(super) fn read(document: &Document, draft: &mut Draft) -> Result<(), DomainError> {
    let root = &document.root;
    let Some(intents) = root.get("intents") else {
        let place = document.place(root, "intents");
        return Err(place.error("there are no intents", "give a dataset of Snips NLU"));
    };
    for (name, entity) in root.get("entities").map_or(&[][..], Node::entries) {
        entities(document, draft, name, entity);
    }
    for (name, intent) in intents.entries() {
        for utterance in intent.get("utterances").map_or(&[][..], Node::items) {
            self::utterance(document, draft, name, utterance);
        }
    }
    Ok(())
}

fn entities(document: &Document, draft: &mut Draft, name: &str, entity: &Node) {
    if name.starts_with("snips/") {
        if kind_of(name).is_none() {
            let why = format!("the built-in entity '{name}' has no slot type here");
            draft.impossible.insert(plain_name(name), why);
        } else if name == "snips/datetime" {
            draft.note(
                document,
                entity,
                "snips/datetime is read as a day, without the time of day",
            );
        }
        return;
    }
    let list = draft.lists.entry(plain_name(name)).or_default();
    let mut silent = Vec::new();
    let synonyms = entity.get("use_synonyms").is_none_or(Node::is_true);
    for node in entity.get("data").map_or(&[][..], Node::items) {
        let value = node.get("value").and_then(Node::text).unwrap_or_default();
        let others = node.get("synonyms").filter(|_| synonyms);
        let others = others
            .map_or(&[][..], Node::items)
            .iter()
            .filter_map(Node::text);
        let says: Vec<String> = std::iter::once(value)
            .chain(others)
            .filter_map(say)
            .collect();
        if says.is_empty() {
            silent.push(node.clone());
        } else {
            list.push(Entry {
                value: value.into(),
                says,
            });
        }
    }
    for node in silent {
        draft.note(document, &node, "a value that cannot be said is left out");
    }
    if entity
        .get("automatically_extensible")
        .is_some_and(Node::is_true)
    {
        let text = format!(
            "'{name}' takes other values than its own (automatically_extensible); here a list is closed"
        );
        draft.note(document, entity, text);
    }
}

fn kind_of(entity: &str) -> Option<String> {
    if !entity.starts_with("snips/") {
        return Some(plain_name(entity));
    }
    let known = BUILTINS.iter().find(|(snips, _)| *snips == entity);
    known.map(|(_, kind)| (*kind).to_string())
}

fn say(text: &str) -> Option<String> {
    let words = words::spoken(text).into_iter().next()?;
    Some(words.join(" "))
}

fn utterance(document: &Document, draft: &mut Draft, intent: &str, utterance: &Node) {
    let mut parts = Vec::new();
    let mut example = Vec::new();
    for chunk in utterance.get("data").map_or(&[][..], Node::items) {
        let Some(words) = chunk.get("text").and_then(Node::text).and_then(say) else {
            continue;
        };
        let Some(entity) = chunk.get("entity").and_then(Node::text) else {
            parts.extend(words.split(' ').map(|word| Expr::Word(word.into())));
            example.push(words);
            continue;
        };
        let slot = chunk
            .get("slot_name")
            .and_then(Node::text)
            .unwrap_or(entity);
        let kind = kind_of(entity).unwrap_or_else(|| plain_name(entity));
        let name = plain_name(slot);
        add_value(draft, &kind, entity, &words);
        example.push(if kind == name {
            format!("[{words}]({name})")
        } else {
            format!("[{words}]({kind}:{name})")
        });
        parts.push(Expr::Slot { kind, name });
    }
    let expr = Expr::Seq(parts);
    match template::parse(&expr.to_string()) {
        Ok(expr) => {
            let trouble = draft.trouble(&expr, &mut Vec::new());
            let sentence = Sentence {
                expr,
                file: document.file.clone(),
                line: utterance.line,
            };
            let intent = draft.intent(intent);
            let example = example.join(" ");
            if trouble.is_none() && !intent.examples.contains(&example) {
                intent.examples.push(example);
            }
            if !intent
                .templates
                .iter()
                .any(|before| before.expr == sentence.expr)
            {
                intent.templates.push(sentence);
            }
        }
        Err(error) => draft.note(
            document,
            utterance,
            format!("an utterance is left out: {}", error.problem),
        ),
    }
}

/// A value that only stands in an utterance belongs to its entity, too.
fn add_value(draft: &mut Draft, kind: &str, entity: &str, words: &str) {
    if entity.starts_with("snips/") {
        return;
    }
    let list = draft.lists.entry(kind.into()).or_default();
    if !list
        .iter()
        .any(|entry| entry.says.iter().any(|say| say == words))
    {
        list.push(Entry {
            value: words.into(),
            says: vec![words.into()],
        });
    }
}
