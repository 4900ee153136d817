//! The recordings of the repository, with what each must give.

use std::path::PathBuf;
use vocar_speech::source::AudioSource;
use vocar_tests::repository;

/// Seconds of silence after each recording: longer than anything waits for more words.
pub const TAIL_S: f64 = 1.5;

/// One line of `tests/recordings/manifest.tsv`.
pub struct Row {
    /// File name.
    pub name: String,
    /// What is said.
    pub text: String,
    /// Name of the intent; empty when it is no command.
    pub intent: String,
    /// Slots of the intent.
    pub slots: serde_json::Value,
}

impl Row {
    /// The recording.
    pub fn open(&self) -> AudioSource {
        AudioSource::open(&folder().join(&self.name)).unwrap()
    }

    /// The final transcripts it must give.
    pub fn transcripts(&self) -> Vec<String> {
        self.only_if_a_command(self.text.clone())
    }

    /// The intents, with their slots, it must give.
    pub fn intents(&self) -> Vec<(String, serde_json::Value)> {
        self.only_if_a_command((self.intent.clone(), self.slots.clone()))
    }

    fn only_if_a_command<T>(&self, value: T) -> Vec<T> {
        (!self.intent.is_empty())
            .then_some(value)
            .into_iter()
            .collect()
    }
}

fn folder() -> PathBuf {
    repository().join("tests/recordings")
}

/// All of them.
pub fn rows() -> Vec<Row> {
    let table = std::fs::read_to_string(folder().join("manifest.tsv")).unwrap();
    let rows: Vec<Row> = table.lines().skip(1).map(row).collect();
    assert!(rows.iter().filter(|row| !row.intent.is_empty()).count() >= 12);
    assert!(rows.iter().filter(|row| row.intent.is_empty()).count() >= 3);
    rows
}

fn row(line: &str) -> Row {
    let fields: Vec<&str> = line.split('\t').collect();
    let [name, text, intent, slots] = fields[..] else {
        panic!("manifest.tsv: four columns, not {fields:?}");
    };
    Row {
        name: name.to_owned(),
        text: text.to_owned(),
        intent: intent.to_owned(),
        slots: serde_json::from_str(if slots.is_empty() { "{}" } else { slots }).unwrap(),
    }
}
