//! `vocar eval --nlu`: how well texts are understood, and how fast.

use super::{Code, Common, Failure, Sayable, local, show};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};
use vocar_nlu::{Context, Intent, SlotValue};

/// A text and what it means; no intent: it is no command.
struct Row {
    text: String,
    intent: Option<String>,
    slots: BTreeMap<String, SlotValue>,
}

/// Sums over the rows.
#[derive(Default)]
struct Sums {
    commands: usize,
    intent: usize,
    intent_and_slots: usize,
    refused: usize,
    /// Texts that are no command.
    others: usize,
    /// Of these, those that were taken for one.
    taken: usize,
    times: Vec<Duration>,
}

/// Understands every text of a table and prints the sums; with `each` a JSON object a text on standard error, too. Each text
/// is read as if a question were open, so that answers count.
///
/// # Errors
/// [`Code::Input`] for a malformed table.
pub fn execute(
    common: &Common,
    table: &Path,
    sayable: &Sayable,
    each: bool,
) -> Result<(), Failure> {
    let rows = read(table)?;
    let understander = local::understander(&common.settings()?, sayable)?;
    let context = Context {
        asking: true,
        ..Context::addressed()
    };
    let mut sums = Sums::default();
    for row in &rows {
        let began = Instant::now();
        let found = understander
            .understand(&row.text, &context)
            .into_iter()
            .next();
        sums.times.push(began.elapsed());
        let right = sums.add(row, found.as_ref());
        if each {
            eprintln!(
                "{}",
                json!({"text": row.text, "intent": row.intent, "slots": row.slots, "right": right, "got": found})
            );
        }
    }
    let sums = sums.into_json();
    if common.json {
        tell!("{sums}");
    } else {
        show::table(&sums);
    }
    Ok(())
}

impl Sums {
    /// Counts a row; true when it was understood with all slots, or rightly left alone.
    fn add(&mut self, row: &Row, found: Option<&Intent>) -> bool {
        let Some(intent) = &row.intent else {
            self.others += 1;
            self.taken += usize::from(found.is_some());
            return found.is_none();
        };
        let named = found.filter(|found| found.name == *intent);
        let whole = named.is_some_and(|found| found.slots == row.slots);
        self.commands += 1;
        self.refused += usize::from(found.is_none());
        self.intent += usize::from(named.is_some());
        self.intent_and_slots += usize::from(whole);
        whole
    }

    fn into_json(mut self) -> Value {
        self.times.sort_unstable();
        let at = |part: f64| {
            let last = self.times.len().saturating_sub(1);
            let time = self.times.get((last as f64 * part).round() as usize);
            time.map_or(0.0, |time| (time.as_secs_f64() * 1e6).round() / 1e3)
        };
        let share = |count: usize, of: usize| {
            (of > 0).then(|| (count as f64 / of as f64 * 1e4).round() / 1e4)
        };
        json!({
            "texts": self.times.len(),
            "commands": self.commands,
            "intent": share(self.intent, self.commands),
            "intent_and_slots": share(self.intent_and_slots, self.commands),
            "refused": share(self.refused, self.commands),
            "others": self.others,
            "others_taken": share(self.taken, self.others),
            "milliseconds": {"p50": at(0.5), "p95": at(0.95)},
        })
    }
}

fn read(table: &Path) -> Result<Vec<Row>, Failure> {
    let wrong =
        |problem: String| Failure::new(Code::Input, format!("{}: {problem}", table.display()));
    let text = std::fs::read_to_string(table).map_err(|error| wrong(error.to_string()))?;
    let mut lines = (1..).zip(text.lines());
    let header: Vec<&str> = lines
        .next()
        .map_or(Vec::new(), |(_, line)| line.split('\t').collect());
    let column = |name: &str| {
        let place = header.iter().position(|column| *column == name);
        place.ok_or_else(|| {
            wrong(format!(
                "has no column `{name}`; the first line names the columns text, intent and slots"
            ))
        })
    };
    let (words, intent, slots) = (column("text")?, column("intent")?, column("slots")?);
    lines
        .filter(|(_, line)| !line.trim().is_empty())
        .map(|(number, line)| {
            let cells: Vec<&str> = line.split('\t').collect();
            let cell = |place: usize| cells.get(place).copied().unwrap_or_default();
            let slots = match cell(slots) {
                "" => BTreeMap::new(),
                slots => serde_json::from_str(slots)
                    .map_err(|error| wrong(format!("line {number}: slots: {error}")))?,
            };
            Ok(Row {
                text: cell(words).to_owned(),
                intent: Some(cell(intent).to_owned()).filter(|intent| !intent.is_empty()),
                slots,
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(text: &str) -> Result<Vec<Row>, Failure> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        read(file.path())
    }

    fn intent(name: &str, slots: &BTreeMap<String, SlotValue>) -> Intent {
        Intent {
            domain: "car".into(),
            name: name.into(),
            slots: slots.clone(),
            vss: None,
            target: None,
            confidence: 0.9,
            missing: Vec::new(),
            prompt: None,
            text: String::new(),
            follows: None,
            confirm: None,
        }
    }

    #[test]
    fn commands_and_others_are_counted_apart() {
        let rows = table("text\tintent\tslots\nwarmer\tup\t{}\nlevel two\tset\t{\"level\":{\"number\":2.0}}\nhello\t\t\n")
            .unwrap();
        let none = BTreeMap::new();
        let mut sums = Sums::default();
        assert!(sums.add(&rows[0], Some(&intent("up", &none))));
        assert!(
            !sums.add(&rows[1], Some(&intent("set", &none))),
            "the level is missing"
        );
        assert!(sums.add(&rows[1], Some(&intent("set", &rows[1].slots))));
        assert!(!sums.add(&rows[0], None));
        assert!(sums.add(&rows[2], None) && !sums.add(&rows[2], Some(&intent("up", &none))));
        let sums = sums.into_json();
        assert_eq!((&sums["commands"], &sums["others"]), (&json!(4), &json!(2)));
        assert_eq!(
            (&sums["intent"], &sums["intent_and_slots"]),
            (&json!(0.75), &json!(0.5))
        );
        assert_eq!(
            (&sums["refused"], &sums["others_taken"]),
            (&json!(0.25), &json!(0.5))
        );
    }

    #[test]
    fn a_malformed_table_is_refused_with_its_line() {
        let text = |table: Result<Vec<Row>, Failure>| table.err().unwrap().text;
        assert!(text(table("text\tslots\na\t{}\n")).contains("no column `intent`"));
        assert!(text(table("text\tintent\tslots\na\tup\t{}\nb\tup\t{\n")).contains("line 3"));
    }
}
