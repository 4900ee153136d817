//! A converted domain as a file that people go on with.

use std::collections::BTreeSet;
use std::fmt::{Display, Write};

use super::{Draft, Entry, Intent, Range};

/// The text of `domain.toml`.
pub(super) fn toml(draft: &Draft, name: &str) -> String {
    let mut out = format!("name = {}\n", quoted(name));
    if !draft.frame.is_empty() {
        let words = array(draft.frame.iter().map(|sentence| &sentence.expr));
        out.push_str(&format!("\n[frame]\nbefore = {words}\nafter = {words}\n"));
    }
    if !draft.rules.is_empty() {
        out.push_str("\n[rules]\n");
        for (name, rule) in &draft.rules {
            line(&mut out, name, quoted(&rule.expr));
        }
    }
    for (name, list) in draft.lists.iter().filter(|(_, list)| !list.is_empty()) {
        out.push_str(&format!("\n[lists.{name}]\nvalues = [\n"));
        for entry in list {
            out.push_str(&format!("  {},\n", value(entry)));
        }
        out.push_str("]\n");
    }
    let used = used_kinds(draft);
    for (name, slot) in draft.slots.iter().filter(|(name, _)| used.contains(*name)) {
        range(&mut out, name, slot);
    }
    for (name, about) in &draft.entities {
        out.push_str(&format!("\n[entities.{name}]\nabout = {}\n", quoted(about)));
    }
    for one in &draft.intents {
        intent(&mut out, one);
    }
    out
}

fn used_kinds(draft: &Draft) -> BTreeSet<String> {
    let sentences = draft.intents.iter().flat_map(|intent| &intent.templates);
    sentences
        .flat_map(|sentence| draft.names_in(&sentence.expr))
        .collect()
}

fn intent(out: &mut String, intent: &Intent) {
    out.push_str(&format!("\n[[intents]]\nname = {}\n", quoted(&intent.name)));
    line(out, "target", quoted(&intent.target));
    if !intent.templates.is_empty() {
        line(
            out,
            "templates",
            array(intent.templates.iter().map(|sentence| &sentence.expr)),
        );
    }
    if !intent.examples.is_empty() {
        line(out, "examples", array(&intent.examples));
    }
}

fn range(out: &mut String, name: &str, range: &Range) {
    out.push_str(&format!(
        "\n[slots.{name}]\ntype = {}\n",
        quoted(range.kind)
    ));
    for (key, number) in [("min", range.min), ("max", range.max), ("step", range.step)] {
        if let Some(number) = number {
            line(out, key, number);
        }
    }
}

fn value(entry: &Entry) -> String {
    match entry.says.as_slice() {
        [say] if *say == entry.value => quoted(say),
        says => format!(
            "{{ say = {}, value = {} }}",
            array(says).replace("\n  ", " ").replace(",\n]", " ]"),
            quoted(&entry.value)
        ),
    }
}

fn line(out: &mut String, key: &str, value: impl Display) {
    let _ = writeln!(out, "{key} = {value}");
}

fn array<T: Display>(items: impl IntoIterator<Item = T>) -> String {
    let items: Vec<String> = items
        .into_iter()
        .map(|item| format!("\n  {},", quoted(item)))
        .collect();
    format!("[{}\n]", items.concat())
}

fn quoted(text: impl Display) -> String {
    ::toml::Value::String(text.to_string()).to_string()
}
