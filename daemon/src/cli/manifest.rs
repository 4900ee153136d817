//! Manifests of `vocar eval`: a table with the columns `path` and `text`, and for intents `intent` and `slots`.

use super::{Code, Failure};
use serde_json::{Map, Value};
use std::path::{Path, PathBuf};

/// One recording and what was said in it.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// The recording; relative paths start at the manifest.
    pub path: PathBuf,
    /// The words, in lower case without punctuation; empty when no speech is in it.
    pub text: String,
    /// Name of the intent; `None` when it is no command.
    pub intent: Option<String>,
    /// The slots of the intent.
    pub slots: Map<String, Value>,
    /// Seat of the speaker, where it matters.
    pub zone: Option<String>,
}

/// What a row asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Question {
    /// Was the sentence understood word for word?
    Sentence,
    /// Was the command understood with all slots?
    Command,
    /// Was it left alone?
    NoCommand,
}

impl Row {
    /// What the row asks for. `meaningless`: sentences are recognised, not commands.
    #[must_use]
    pub const fn question(&self, meaningless: bool) -> Question {
        match (meaningless, &self.intent) {
            (true, _) if !self.text.is_empty() => Question::Sentence,
            (false, Some(_)) => Question::Command,
            _ => Question::NoCommand,
        }
    }
}

/// Reads a manifest.
///
/// # Errors
/// [`Code::Input`] names the line and the column.
pub fn read(file: &Path) -> Result<Vec<Row>, Failure> {
    let text = std::fs::read_to_string(file)
        .map_err(|error| Failure::new(Code::Input, format!("{}: {error}", file.display())))?;
    parse(&text, file.parent().unwrap_or(Path::new(".")))
        .map_err(|problem| Failure::new(Code::Input, format!("{}: {problem}", file.display())))
}

fn parse(text: &str, dir: &Path) -> Result<Vec<Row>, String> {
    let mut lines = (1..)
        .zip(text.lines())
        .filter(|(_, line)| !line.trim().is_empty());
    let (_, header) = lines
        .next()
        .ok_or("is empty: the first line names the columns path, text, intent, slots")?;
    let columns: Vec<&str> = header.split('\t').map(str::trim).collect();
    let index = |name: &str| columns.iter().position(|column| *column == name);
    let path = index("path").ok_or("has no column path: the first line names the columns")?;
    let said = index("text").ok_or("has no column text: the first line names the columns")?;
    let (intent, slots, zone) = (index("intent"), index("slots"), index("zone"));
    let rows = lines.map(|(number, line)| {
        let fields: Vec<&str> = line.split('\t').collect();
        let field = |at: Option<usize>| {
            at.and_then(|at| fields.get(at))
                .map_or("", |field| field.trim())
        };
        if field(Some(path)).is_empty() {
            return Err(format!(
                "line {number}: the column path is empty: name a recording"
            ));
        }
        Ok(Row {
            path: dir.join(field(Some(path))),
            text: normal(field(Some(said))),
            intent: Some(field(intent))
                .filter(|intent| !intent.is_empty())
                .map(str::to_owned),
            slots: object(field(slots))
                .map_err(|error| format!("line {number}: slots: {error}"))?,
            zone: Some(field(zone))
                .filter(|zone| !zone.is_empty())
                .map(str::to_owned),
        })
    });
    let rows: Vec<Row> = rows.collect::<Result<_, _>>()?;
    if rows.is_empty() {
        Err("holds no row below its columns".into())
    } else {
        Ok(rows)
    }
}

fn object(text: &str) -> Result<Map<String, Value>, String> {
    if text.is_empty() {
        return Ok(Map::new());
    }
    serde_json::from_str(text).map_err(|error| {
        format!("{error}: write a JSON object such as {{\"zone\":{{\"zone\":\"driver\"}}}}")
    })
}

/// Words as the recogniser writes them: lower case, no punctuation but the apostrophe.
#[must_use]
pub fn normal(text: &str) -> String {
    let kept: String = text
        .to_lowercase()
        .replace('\u{2019}', "'")
        .chars()
        .map(|c| {
            if c.is_alphanumeric() || c == '\'' {
                c
            } else {
                ' '
            }
        })
        .collect();
    kept.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_may_stand_in_any_order() {
        let text = "text\tpath\tslots\tintent\n\"Set it, please!\"\ta.wav\t{\"level\":{\"number\":3}}\tfan.set\n\tb.wav\n";
        let rows = parse(text, Path::new("/d")).unwrap();
        assert_eq!(rows[0].path, Path::new("/d/a.wav"));
        assert_eq!(rows[0].text, "set it please");
        assert_eq!(rows[0].intent.as_deref(), Some("fan.set"));
        assert_eq!(rows[0].slots["level"]["number"], 3);
        assert_eq!((rows[1].text.as_str(), &rows[1].intent), ("", &None));
    }

    #[test]
    fn every_error_says_where() {
        for (text, part) in [
            ("", "first line"),
            ("path\twords\na\tb\n", "column text"),
            ("path\ttext\n", "no row"),
            ("path\ttext\n\thello\n", "line 2"),
            ("path\ttext\tslots\na\tb\t[1]\n", "line 2: slots"),
        ] {
            let error = parse(text, Path::new(".")).unwrap_err();
            assert!(error.contains(part), "{text:?} gave {error:?}");
        }
    }
}
