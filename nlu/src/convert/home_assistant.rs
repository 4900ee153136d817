//! Home Assistant's sentence files: `intents`, `lists`, `expansion_rules`, `skip_words`.

use super::sentence::{Syntax, parse};
use super::yaml::{Document, Node, Value};
use super::{Draft, Entry, Range, Sentence, plain_name};
use crate::domain::DomainError;
use crate::template::Expr;

/// What a block of sentences may say besides that has no counterpart here.
const CONDITIONS: [&str; 2] = ["requires_context", "excludes_context"];

pub(super) fn read(document: &Document, draft: &mut Draft) -> Result<(), DomainError> {
    let root = &document.root;
    if root.entries().is_empty() {
        let place = document.place(root, "file");
        return Err(place.error(
            "is no map of intents, lists or expansion_rules",
            "give a sentence file of Home Assistant",
        ));
    }
    definitions(document, draft, root);
    for node in root.get("skip_words").map_or(&[][..], Node::items) {
        let words = sentence(document, draft, node);
        draft.frame.extend(words);
    }
    for (name, intent) in entries(root, "intents") {
        for block in intent.get("data").map_or(&[][..], Node::items) {
            self::block(document, draft, name, block);
        }
    }
    Ok(())
}

/// Lists that no file defines are filled by Home Assistant when it runs, as entities are here.
pub(super) fn finish(draft: &mut Draft) {
    let sentences = draft.intents.iter().flat_map(|intent| &intent.templates);
    let exprs = sentences
        .chain(draft.rules.values())
        .map(|sentence| &sentence.expr);
    let mut kinds = Vec::new();
    exprs.for_each(|expr| kinds_in(expr, &mut kinds));
    for kind in kinds {
        if !draft.knows(&kind) && !draft.impossible.contains_key(&kind) {
            let about = format!("filled by the host, as Home Assistant fills {{{kind}}}");
            draft.entities.insert(kind, about);
        }
    }
}

fn kinds_in(expr: &Expr, kinds: &mut Vec<String>) {
    match expr {
        Expr::Word(_) | Expr::Rule(_) => {}
        Expr::Slot { kind, .. } => kinds.push(kind.clone()),
        Expr::Seq(parts) | Expr::Alt(parts) => parts.iter().for_each(|part| kinds_in(part, kinds)),
        Expr::Opt(inner) => kinds_in(inner, kinds),
    }
}

fn entries<'a>(node: &'a Node, key: &str) -> &'a [(String, Node)] {
    node.get(key).map_or(&[], Node::entries)
}

/// Lists and rules, of the file or of one block.
fn definitions(document: &Document, draft: &mut Draft, node: &Node) {
    for (name, list) in entries(node, "lists") {
        self::list(document, draft, &plain_name(name), list);
    }
    for (name, text) in entries(node, "expansion_rules") {
        let name = plain_name(name);
        let Some(rule) = sentence(document, draft, text) else {
            continue;
        };
        match draft.rules.get(&name) {
            Some(before) if before.expr != rule.expr => {
                let problem = format!("the rule '{name}' is defined twice: the first one counts");
                draft.note(document, text, problem);
            }
            Some(_) => {}
            None => {
                draft.rules.insert(name, rule);
            }
        }
    }
}

fn list(document: &Document, draft: &mut Draft, name: &str, list: &Node) {
    if list.get("wildcard").is_some_and(Node::is_true) {
        draft.impossible.insert(
            name.into(),
            format!("'{name}' takes any words (wildcard), which no slot type does"),
        );
        return;
    }
    if let Some(range) = list.get("range") {
        return self::range(document, draft, name, range);
    }
    let Some(values) = list.get("values") else {
        return draft.note(
            document,
            list,
            format!("the list '{name}' has neither values nor a range"),
        );
    };
    let mut found: Vec<Entry> = Vec::new();
    for node in values.items() {
        let said = node.get("in").unwrap_or(node);
        let text = said.text().unwrap_or_default();
        let value = node.get("out").and_then(Node::text).unwrap_or(text);
        match parse(text, Syntax::HomeAssistant) {
            Ok(say) => match found.iter_mut().find(|entry| entry.value == value) {
                Some(entry) => entry.says.push(say.to_string()),
                None => found.push(Entry {
                    value: value.into(),
                    says: vec![say.to_string()],
                }),
            },
            Err(why) => draft.note(
                document,
                node,
                format!("the value \"{text}\" is left out: {why}"),
            ),
        }
    }
    if draft.lists.get(name).is_some_and(|before| *before != found) {
        return draft.note(
            document,
            list,
            format!("the list '{name}' is defined twice: the first one counts"),
        );
    }
    draft.lists.insert(name.into(), found);
}

fn range(document: &Document, draft: &mut Draft, name: &str, range: &Node) {
    let number = |key: &str| range.get(key).and_then(Node::number);
    let (Some(min), Some(max)) = (number("from"), number("to")) else {
        return draft.note(
            document,
            range,
            format!("the range of '{name}' has no from and to"),
        );
    };
    if range.get("multiplier").is_some() {
        let text =
            format!("the multiplier of '{name}' is left out: the number that is said counts");
        draft.note(document, range, text);
    }
    let halves = range.get("fractions").and_then(Node::text);
    let step = match halves {
        Some("halves") => Some(0.5),
        Some("tenths") => Some(0.1),
        _ => number("step"),
    };
    let range = Range {
        kind: "number",
        min: Some(min),
        max: Some(max),
        step,
    };
    draft.slots.insert(name.into(), range);
}

fn block(document: &Document, draft: &mut Draft, intent: &str, block: &Node) {
    definitions(document, draft, block);
    for key in CONDITIONS {
        if let Some(condition) = block.get(key) {
            let text = format!("{key} is left out: the sentences count always");
            draft.note(document, condition, text);
        }
    }
    let fixed: Vec<String> = entries(block, "slots")
        .iter()
        .map(|(name, value)| fixed(name, value))
        .collect();
    let target = [vec![intent.to_string()], fixed].concat().join(" ");
    for node in block.get("sentences").map_or(&[][..], Node::items) {
        if let Some(sentence) = sentence(document, draft, node) {
            draft.intent(&target).templates.push(sentence);
        }
    }
}

/// A slot that is set without being said goes into the target.
fn fixed(name: &str, value: &Node) -> String {
    let values: Vec<&str> = value.items().iter().filter_map(Node::text).collect();
    format!("{name}={}", values.join(","))
}

fn sentence(document: &Document, draft: &mut Draft, node: &Node) -> Option<Sentence> {
    let text = match &node.value {
        Value::Text(text) => text.as_str(),
        _ => "",
    };
    match parse(text, Syntax::HomeAssistant) {
        Ok(expr) => Some(Sentence {
            expr,
            file: document.file.clone(),
            line: node.line,
        }),
        Err(why) => {
            draft.note(document, node, format!("\"{text}\" is left out: {why}"));
            None
        }
    }
}
