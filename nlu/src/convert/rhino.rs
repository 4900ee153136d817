//! Rhino contexts: `context: {expressions, slots, macros}`.

use super::sentence::{Syntax, parse};
use super::yaml::{Document, Node};
use super::{Draft, Entry, Range, Sentence, plain_name};
use crate::domain::DomainError;
use crate::template::Expr;

/// Built-in slots that are numbers: name, smallest and largest, and the type here.
const NUMBERS: [(&str, &str, f64, f64); 4] = [
    ("pv_single_digit_integer", "number", 0.0, 9.0),
    ("pv_two_digit_integer", "number", 0.0, 99.0),
    ("pv_single_digit_ordinal", "ordinal", 1.0, 9.0),
    ("pv_two_digit_ordinal", "ordinal", 1.0, 99.0),
];

pub(super) fn read(document: &Document, draft: &mut Draft) -> Result<(), DomainError> {
    let Some(context) = document.root.get("context") else {
        let place = document.place(&document.root, "context");
        return Err(place.error("there is no context", "a Rhino file begins with context:"));
    };
    for (name, kind, min, max) in NUMBERS {
        let range = Range {
            kind,
            min: Some(min),
            max: Some(max),
            step: None,
        };
        draft.slots.insert(name.into(), range);
    }
    draft.impossible.insert(
        "pv_alphanumeric".into(),
        "letters and digits mixed (pv.Alphanumeric) have no slot type here".into(),
    );
    for (name, values) in entries(context, "slots") {
        list(document, draft, name, values);
    }
    for (name, ways) in entries(context, "macros") {
        macros(document, draft, name, ways);
    }
    for (intent, sentences) in entries(context, "expressions") {
        for node in sentences.items() {
            if let Some(sentence) = sentence(document, draft, node) {
                draft.intent(intent).templates.push(sentence);
            }
        }
    }
    Ok(())
}

fn entries<'a>(context: &'a Node, key: &str) -> &'a [(String, Node)] {
    context.get(key).map_or(&[], Node::entries)
}

fn list(document: &Document, draft: &mut Draft, name: &str, values: &Node) {
    let mut list = Vec::new();
    for node in values.items() {
        let text = node.text().unwrap_or_default();
        match parse(text, Syntax::Rhino) {
            Ok(say) => list.push(Entry {
                value: text.trim().to_string(),
                says: vec![say.to_string()],
            }),
            Err(why) => draft.note(
                document,
                node,
                format!("the value \"{text}\" is left out: {why}"),
            ),
        }
    }
    draft.lists.insert(plain_name(name), list);
}

fn macros(document: &Document, draft: &mut Draft, name: &str, ways: &Node) {
    let mut found: Vec<Sentence> = Vec::new();
    for node in ways.items() {
        found.extend(sentence(document, draft, node));
    }
    let Some(first) = found.first().cloned() else {
        return;
    };
    let expr = match found.len() {
        1 => first.expr.clone(),
        _ => Expr::Alt(found.into_iter().map(|way| way.expr).collect()),
    };
    draft
        .rules
        .insert(plain_name(name), Sentence { expr, ..first });
}

fn sentence(document: &Document, draft: &mut Draft, node: &Node) -> Option<Sentence> {
    let text = node.text().unwrap_or_default();
    match parse(text, Syntax::Rhino) {
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
