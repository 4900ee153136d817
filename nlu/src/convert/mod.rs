//! Domains out of what was written for other assistants: Rhino contexts, Home Assistant sentences, Snips datasets.
//!
//! A conversion keeps what it can and notes, by file and line, what it had to leave out. Intents get names of a-z, 0-9 and
//! `_`; the name they had is their `target`, so that a host that knows it goes on as before.

mod home_assistant;
mod rhino;
mod sentence;
mod snips;
mod write;
mod yaml;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::Serialize;

use crate::builtin::Builtin;
use crate::domain::DomainError;
use crate::template::Expr;
use yaml::{Document, Node};

/// What a file was written for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// A YAML context of Picovoice's Rhino.
    Rhino,
    /// A YAML file of intents and sentences of Home Assistant, or a folder of them.
    HomeAssistant,
    /// A JSON dataset of Snips NLU.
    Snips,
}

/// A name that is no format.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is no format: use rhino, home-assistant or snips")]
pub struct NoFormat(String);

impl FromStr for Format {
    type Err = NoFormat;

    fn from_str(text: &str) -> Result<Self, NoFormat> {
        match text {
            "rhino" => Ok(Self::Rhino),
            "home-assistant" => Ok(Self::HomeAssistant),
            "snips" => Ok(Self::Snips),
            other => Err(NoFormat(other.into())),
        }
    }
}

/// What was left out or changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Note {
    /// The file.
    pub file: PathBuf,
    /// 1-based line.
    pub line: usize,
    /// What and why.
    pub text: String,
}

/// A domain that was converted.
#[derive(Debug)]
pub struct Converted {
    /// The text of its `domain.toml`.
    pub toml: String,
    /// Number of intents.
    pub intents: usize,
    /// Number of templates.
    pub templates: usize,
    /// What was left out or changed, in the order of the files.
    pub notes: Vec<Note>,
}

/// Converts a file or a folder of files; the domain gets this name. Without a format the files themselves tell.
///
/// # Errors
/// Files that cannot be read or have no such form, with file, line and mend; nothing left to convert.
pub fn convert(path: &Path, format: Option<Format>, name: &str) -> Result<Converted, DomainError> {
    let documents = yaml::documents(path)?;
    let Some(first) = documents.first() else {
        let none = yaml::place(path, None, "file");
        return Err(none.error(
            "holds no .yaml, .yml or .json file",
            "give the file or the folder to convert",
        ));
    };
    let format = match format {
        Some(format) => format,
        None => recognise(first)?,
    };
    let mut draft = Draft::default();
    match format {
        Format::Rhino => each(&documents, &mut draft, rhino::read)?,
        Format::HomeAssistant => each(&documents, &mut draft, home_assistant::read)?,
        Format::Snips => each(&documents, &mut draft, snips::read)?,
    }
    if format == Format::HomeAssistant {
        home_assistant::finish(&mut draft);
    }
    draft.drop_unusable();
    draft
        .notes
        .sort_by(|a, b| (&a.file, a.line).cmp(&(&b.file, b.line)));
    if draft.intents.is_empty() {
        let nothing = yaml::place(&first.file, None, "intents");
        let why = draft.notes.first().map_or_else(
            || "there is no intent with a sentence".to_string(),
            |note| {
                format!(
                    "no sentence could be kept: line {}: {}",
                    note.line, note.text
                )
            },
        );
        return Err(nothing.error(why, "check that --from names the right format"));
    }
    Ok(Converted {
        toml: write::toml(&draft, name),
        intents: draft.intents.len(),
        templates: draft
            .intents
            .iter()
            .map(|intent| intent.templates.len())
            .sum(),
        notes: draft.notes,
    })
}

fn each(
    documents: &[Document],
    draft: &mut Draft,
    read: fn(&Document, &mut Draft) -> Result<(), DomainError>,
) -> Result<(), DomainError> {
    documents
        .iter()
        .try_for_each(|document| read(document, draft))
}

fn recognise(document: &Document) -> Result<Format, DomainError> {
    let has = |key| document.root.get(key).is_some();
    if has("context") {
        Ok(Format::Rhino)
    } else if has("entities") && has("intents") {
        Ok(Format::Snips)
    } else if ["intents", "lists", "expansion_rules", "skip_words"]
        .into_iter()
        .any(has)
    {
        Ok(Format::HomeAssistant)
    } else {
        let place = document.place(&document.root, "file");
        Err(place.error(
            "is no Rhino context, Home Assistant sentence file or Snips dataset",
            "give --from rhino, home-assistant or snips",
        ))
    }
}

/// A domain in the making.
#[derive(Debug, Default)]
struct Draft {
    lists: BTreeMap<String, Vec<Entry>>,
    slots: BTreeMap<String, Range>,
    entities: BTreeMap<String, String>,
    rules: BTreeMap<String, Sentence>,
    frame: Vec<Sentence>,
    intents: Vec<Intent>,
    /// Slot types that nothing here can read, and why.
    impossible: BTreeMap<String, String>,
    notes: Vec<Note>,
}

/// A value of a list.
#[derive(Debug, Clone, PartialEq)]
struct Entry {
    value: String,
    says: Vec<String>,
}

/// A number slot with its range.
#[derive(Debug, Clone, PartialEq)]
struct Range {
    kind: &'static str,
    min: Option<f64>,
    max: Option<f64>,
    step: Option<f64>,
}

/// A sentence with its place.
#[derive(Debug, Clone, PartialEq)]
struct Sentence {
    expr: Expr,
    file: PathBuf,
    line: usize,
}

/// An intent with its sentences.
#[derive(Debug, Default)]
struct Intent {
    name: String,
    target: String,
    templates: Vec<Sentence>,
    examples: Vec<String>,
}

impl Draft {
    fn note(&mut self, document: &Document, node: &Node, text: impl Into<String>) {
        self.notes.push(Note {
            file: document.file.clone(),
            line: node.line,
            text: text.into(),
        });
    }

    /// The intent of this target, made when there is none.
    fn intent(&mut self, target: &str) -> &mut Intent {
        let at = self
            .intents
            .iter()
            .position(|intent| intent.target == target);
        let at = at.unwrap_or_else(|| {
            let name = self.free_name(&plain_name(target));
            self.intents.push(Intent {
                name,
                target: target.into(),
                ..Intent::default()
            });
            self.intents.len() - 1
        });
        &mut self.intents[at]
    }

    fn free_name(&self, wanted: &str) -> String {
        let taken = |name: &str| self.intents.iter().any(|intent| intent.name == name);
        let numbered = (2..).map(|n| format!("{wanted}_{n}"));
        std::iter::once(wanted.to_string())
            .chain(numbered)
            .find(|name| !taken(name))
            .unwrap_or_default()
    }

    /// Leaves out sentences that use what there is not, and says why.
    fn drop_unusable(&mut self) {
        let mut intents = std::mem::take(&mut self.intents);
        for intent in &mut intents {
            let (kept, left): (Vec<_>, Vec<_>) = std::mem::take(&mut intent.templates)
                .into_iter()
                .map(|sentence| (self.trouble(&sentence.expr, &mut Vec::new()), sentence))
                .partition(|(trouble, _)| trouble.is_none());
            intent.templates = kept.into_iter().map(|(_, sentence)| sentence).collect();
            self.notes
                .extend(left.into_iter().map(|(trouble, sentence)| Note {
                    file: sentence.file,
                    line: sentence.line,
                    text: format!(
                        "\"{}\" is left out: {}",
                        sentence.expr,
                        trouble.unwrap_or_default()
                    ),
                }));
        }
        intents.retain(|intent| !intent.templates.is_empty() || !intent.examples.is_empty());
        let used: BTreeSet<String> = intents
            .iter()
            .flat_map(|intent| &intent.templates)
            .flat_map(|sentence| self.names_in(&sentence.expr))
            .collect();
        self.intents = intents;
        let rules = std::mem::take(&mut self.rules);
        self.rules = rules
            .into_iter()
            .filter(|(name, _)| used.contains(&format!("<{name}>")))
            .collect();
        self.entities.retain(|name, _| used.contains(name));
        let frame = std::mem::take(&mut self.frame);
        self.frame = frame
            .into_iter()
            .filter(|sentence| self.trouble(&sentence.expr, &mut Vec::new()).is_none())
            .collect();
    }

    /// Why a sentence cannot be kept.
    fn trouble(&self, expr: &Expr, within: &mut Vec<String>) -> Option<String> {
        match expr {
            Expr::Word(_) => None,
            Expr::Slot { kind, .. } => match self.impossible.get(kind) {
                Some(why) => Some(why.clone()),
                None if self.knows(kind) => None,
                None => Some(format!("the slot type '{kind}' is defined nowhere")),
            },
            Expr::Rule(name) if within.contains(name) => {
                Some(format!("the rule '{name}' uses itself"))
            }
            Expr::Rule(name) => match self.rules.get(name) {
                None => Some(format!("the rule '{name}' is defined nowhere")),
                Some(rule) => {
                    within.push(name.clone());
                    let trouble = self.trouble(&rule.expr, within);
                    within.pop();
                    trouble
                }
            },
            Expr::Seq(parts) | Expr::Alt(parts) => {
                parts.iter().find_map(|part| self.trouble(part, within))
            }
            Expr::Opt(inner) => self.trouble(inner, within),
        }
    }

    fn knows(&self, kind: &str) -> bool {
        self.lists.get(kind).is_some_and(|list| !list.is_empty())
            || self.slots.contains_key(kind)
            || self.entities.contains_key(kind)
            || Builtin::named(kind).is_some()
    }

    /// Slot types and, as `<name>`, rules that a sentence uses. It has been seen to end.
    fn names_in(&self, expr: &Expr) -> Vec<String> {
        match expr {
            Expr::Word(_) => Vec::new(),
            Expr::Slot { kind, .. } => vec![kind.clone()],
            Expr::Rule(name) => {
                let inner = self.rules.get(name).map(|rule| self.names_in(&rule.expr));
                [vec![format!("<{name}>")], inner.unwrap_or_default()].concat()
            }
            Expr::Seq(parts) | Expr::Alt(parts) => {
                parts.iter().flat_map(|part| self.names_in(part)).collect()
            }
            Expr::Opt(inner) => self.names_in(inner),
        }
    }
}

/// A name of a-z, 0-9 and `_`: `changeColor` → `change_color`, `pv.Percent` → `pv_percent`.
fn plain_name(name: &str) -> String {
    let mut out = String::new();
    let mut small_before = false;
    for c in name.chars() {
        if c.is_ascii_uppercase() && small_before {
            out.push('_');
        }
        small_before = c.is_ascii_lowercase() || c.is_ascii_digit();
        if c.is_ascii_alphanumeric() {
            out.push(c.to_ascii_lowercase());
        } else if !out.is_empty() && !out.ends_with('_') {
            out.push('_');
        }
    }
    let out = out.trim_end_matches('_');
    if out.is_empty() {
        "unnamed".into()
    } else {
        out.into()
    }
}

#[cfg(test)]
mod tests;
