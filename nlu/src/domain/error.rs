//! What is wrong with a domain, where, and what to do about it.

use std::collections::BTreeMap;
use std::path::PathBuf;

/// A domain that cannot be used, with everything needed to mend it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: {field}: {problem}; {mend}", place(.file, .line))]
pub struct DomainError {
    /// The file at fault.
    pub file: PathBuf,
    /// 1-based line, where it is known.
    pub line: Option<usize>,
    /// The field at fault, such as `intents.climate.set_temperature.templates[2]`.
    pub field: String,
    /// What is wrong.
    pub problem: String,
    /// What to do about it.
    pub mend: String,
}

fn place(file: &std::path::Path, line: &Option<usize>) -> String {
    match line {
        Some(line) => format!("{}:{line}", file.display()),
        None => file.display().to_string(),
    }
}

/// Where in a domain's files something stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    pub file: PathBuf,
    pub line: Option<usize>,
    pub field: String,
}

impl Place {
    pub(crate) fn error(&self, problem: impl Into<String>, mend: impl Into<String>) -> DomainError {
        DomainError {
            file: self.file.clone(),
            line: self.line,
            field: self.field.clone(),
            problem: problem.into(),
            mend: mend.into(),
        }
    }
}

/// Where an intent and its fields stand.
#[derive(Debug)]
pub(crate) struct Places {
    pub whole: Place,
    /// By field, such as `vss` or `ask.level`.
    pub fields: BTreeMap<String, Place>,
}

impl Places {
    /// The place of a field; of the whole intent when the field is nowhere.
    pub(crate) fn of(&self, field: &str) -> &Place {
        self.fields.get(field).unwrap_or(&self.whole)
    }
}

/// 1-based line of a byte offset.
pub(crate) fn line_at(text: &str, offset: usize) -> usize {
    text.as_bytes()[..offset.min(text.len())]
        .iter()
        .filter(|byte| **byte == b'\n')
        .count()
        + 1
}
