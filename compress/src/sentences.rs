//! Sentences that a table lists, with what they mean.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use vocar_nlu::encoder::Span;

/// A row of a table of sentences.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sentence {
    /// Its words.
    pub words: Vec<String>,
    /// What it means to the domain; nothing if there is none.
    pub intent: Option<String>,
    /// Which words are slots, in their order.
    pub spans: Vec<Span>,
}

/// Why a table of sentences cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{}: {problem}; give a tab-separated table with a header whose columns are `text`, `intent` and, with slots as \
         `{{\"name\": [first word, word behind the last]}}`, `spans`, as `training.nlu.car_domain` writes it", file.display())]
pub struct SentencesError {
    file: PathBuf,
    problem: String,
}

/// Reads a table whose header names the columns `text`, `intent` and perhaps `spans`. No intent, `none` and names that end in `.none`
/// mean nothing to the domain.
///
/// # Errors
/// [`SentencesError`] when it is not there, has no such columns or no rows, or a row is wrong.
pub fn list(table: &Path) -> Result<Vec<Sentence>, SentencesError> {
    let wrong = |problem: String| SentencesError {
        file: table.to_owned(),
        problem,
    };
    let text = std::fs::read_to_string(table).map_err(|e| wrong(e.to_string()))?;
    let mut lines = text.lines().zip(1..);
    let columns: Vec<&str> = lines.next().unwrap_or_default().0.split('\t').collect();
    let column = |name: &str| columns.iter().position(|column| *column == name);
    let needed = |name: &str| {
        column(name).ok_or_else(|| wrong(format!("its header has no column `{name}`")))
    };
    let places = Places {
        text: needed("text")?,
        intent: needed("intent")?,
        spans: column("spans"),
    };
    let rows = lines.filter(|(line, _)| !line.is_empty());
    let rows = rows.map(|(line, number)| {
        let read = places.read(line);
        read.map_err(|problem| wrong(format!("line {number}: {problem}")))
    });
    let rows = rows.collect::<Result<Vec<_>, _>>()?;
    if rows.is_empty() {
        return Err(wrong("it lists no sentence".into()));
    }
    Ok(rows)
}

/// Where the columns are.
struct Places {
    text: usize,
    intent: usize,
    spans: Option<usize>,
}

impl Places {
    fn read(&self, line: &str) -> Result<Sentence, String> {
        let cells: Vec<&str> = line.split('\t').collect();
        let cell = |at: usize| cells.get(at).copied().unwrap_or_default();
        let words: Vec<String> = cell(self.text)
            .split_whitespace()
            .map(str::to_owned)
            .collect();
        if words.is_empty() {
            return Err("a sentence without words".into());
        }
        let intent = Some(cell(self.intent));
        let intent = intent.filter(|i| !i.is_empty() && *i != "none" && !i.ends_with(".none"));
        let spans = self.spans.map(cell).filter(|spans| !spans.is_empty());
        let spans: BTreeMap<String, [usize; 2]> = match spans {
            Some(spans) => serde_json::from_str(spans).map_err(|e| format!("spans: {e}"))?,
            None => BTreeMap::new(),
        };
        let spans = spans.into_iter().map(|(slot, [first, behind])| Span {
            slot,
            words: first..behind,
        });
        let mut spans: Vec<Span> = spans.collect();
        spans.sort_by_key(|span| span.words.start);
        if spans
            .iter()
            .any(|span| span.words.is_empty() || span.words.end > words.len())
        {
            return Err(format!("spans {spans:?} of {} words", words.len()));
        }
        Ok(Sentence {
            words,
            intent: intent.map(str::to_owned),
            spans,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(text: &str) -> Result<Vec<Sentence>, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("table.tsv");
        std::fs::write(&path, text).unwrap();
        list(&path).map_err(|e| e.to_string())
    }

    #[test]
    fn a_row_has_words_an_intent_and_spans_in_their_order() {
        let rows = "text\tintent\tspans\n\
                    call anna now\tphone.call\t{\"when\": [2, 3], \"name\": [1, 2]}\n\
                    well well\tstrange.none\t{}\n";
        let rows = listed(rows).unwrap();
        let spans: Vec<&str> = rows[0].spans.iter().map(|span| &*span.slot).collect();
        assert_eq!(
            (rows[0].intent.as_deref(), spans),
            (Some("phone.call"), vec!["name", "when"])
        );
        assert_eq!((&rows[1].intent, rows[1].words.len()), (&None, 2));
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line() {
        for (text, part) in [
            ("text\nhello\n", "`intent`"),
            ("text\tintent\n", "no sentence"),
            (
                "text\tintent\tspans\ncall\tcall\t{\"name\": [0, 2]}\n",
                "line 2",
            ),
            ("text\tintent\tspans\ncall\tcall\t[]\n", "line 2: spans"),
        ] {
            let refused = listed(text).unwrap_err();
            assert!(
                refused.contains(part) && refused.contains("table.tsv"),
                "{refused}"
            );
        }
    }
}
