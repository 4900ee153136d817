//! Sentences that were misunderstood, with what they mean: kept in a file, so that each training learns all of them.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

use serde::{Deserialize, Serialize};
use vocar_nlu::{Domain, words};

use crate::TrainError;
use crate::corpus::{NONE, Sentence};

/// One line of the file: a sentence as it was heard, and what it means.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Correction {
    /// The sentence.
    pub text: String,
    /// The intent, or [`NONE`].
    pub intent: String,
    /// The words of each slot, as they stand in the sentence.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub slots: BTreeMap<String, String>,
}

impl Correction {
    /// What is learnt from it.
    ///
    /// # Errors
    /// [`TrainError::Correction`] when the domain has no such intent or slot, or the words of a slot are not in the sentence.
    pub fn sentence(&self, domain: &Domain) -> Result<Sentence, TrainError> {
        let bad = |problem: String, mend: String| TrainError::Correction {
            text: self.text.clone(),
            problem,
            mend,
        };
        let said = words::spoken(&self.text).into_iter().next();
        let said = said.ok_or_else(|| {
            bad(
                "holds no word".into(),
                "give the sentence as it was heard".into(),
            )
        })?;
        let spec = domain.intent(&self.intent);
        if spec.is_none() && self.intent != NONE {
            let known: Vec<_> = domain.intents().iter().map(|i| i.name.as_str()).collect();
            return Err(bad(
                format!("the domain {} has no intent {}", domain.name(), self.intent),
                format!("use one of {}, or {NONE}", known.join(", ")),
            ));
        }
        let mut spans: Vec<(String, usize, usize)> = Vec::new();
        for (slot, value) in &self.slots {
            let slots = spec.map(|spec| &spec.slots);
            if !slots.is_some_and(|slots| slots.contains_key(slot)) {
                let known: Vec<_> = slots.into_iter().flat_map(|s| s.keys()).cloned().collect();
                return Err(bad(
                    format!("{} has no slot {slot}", self.intent),
                    format!("its slots are: {}", known.join(", ")),
                ));
            }
            let mut ways = words::spoken(value).into_iter();
            let found = ways.find_map(|way| place(&said, &way, &spans));
            let (from, to) = found.ok_or_else(|| {
                bad(
                    format!("the words \"{value}\" of {slot} are not in the sentence"),
                    format!("write {slot}=WORDS with words of the sentence"),
                )
            })?;
            spans.push((slot.clone(), from, to));
        }
        spans.sort_by_key(|(_, from, _)| *from);
        Ok(Sentence {
            words: said,
            intent: self.intent.clone(),
            spans,
            weight: 1.0,
            rehearsed: false,
        })
    }
}

/// Where words stand in a sentence, first and one after the last, in none of the places that are taken.
fn place(
    said: &[String],
    words: &[String],
    taken: &[(String, usize, usize)],
) -> Option<(usize, usize)> {
    let all = said.windows(words.len().max(1)).enumerate();
    let mut ranges = all
        .filter(|(_, window)| *window == words)
        .map(|(at, _)| (at, at + words.len()));
    ranges.find(|(from, to)| taken.iter().all(|(_, a, b)| to <= a || b <= from))
}

/// The corrections of a file, none when there is no such file. Of two for the same sentence the later one counts.
///
/// # Errors
/// When it cannot be read, or a line is none, with its number.
pub fn corrections(path: &Path) -> Result<Vec<Correction>, TrainError> {
    let text = match fs::read_to_string(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.map_err(|source| TrainError::File {
            path: path.to_owned(),
            source,
        })?,
    };
    let mut found: Vec<Correction> = Vec::new();
    for (number, line) in text.lines().enumerate() {
        // A last line without its end was being written when the power went.
        if !text.ends_with('\n') && number + 1 == text.lines().count() {
            break;
        }
        let correction: Correction =
            serde_json::from_str(line).map_err(|error| TrainError::BadLine {
                path: path.to_owned(),
                line: number + 1,
                problem: error.to_string(),
            })?;
        found.retain(|earlier| words::spoken(&earlier.text) != words::spoken(&correction.text));
        found.push(correction);
    }
    Ok(found)
}

/// Adds a correction to a file.
///
/// # Errors
/// What the system says.
pub fn add(path: &Path, correction: &Correction) -> Result<(), TrainError> {
    let failed = |source| TrainError::File {
        path: path.to_owned(),
        source,
    };
    let mut all = corrections(path)?;
    all.retain(|earlier| words::spoken(&earlier.text) != words::spoken(&correction.text));
    all.push(correction.clone());
    let mut text = String::new();
    for correction in &all {
        let line = serde_json::to_string(correction).map_err(|e| failed(e.into()))?;
        text += &format!("{line}\n");
    }
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(failed)?;
    }
    let beside = path.with_extension("new");
    let mut file = File::create(&beside).map_err(failed)?;
    file.write_all(text.as_bytes()).map_err(failed)?;
    file.sync_all().map_err(failed)?;
    fs::rename(&beside, path).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn correction(text: &str, intent: &str, slots: &[(&str, &str)]) -> Correction {
        Correction {
            text: text.into(),
            intent: intent.into(),
            slots: slots
                .iter()
                .map(|(slot, words)| ((*slot).to_owned(), (*words).to_owned()))
                .collect(),
        }
    }

    #[test]
    fn slots_are_found_by_their_words() {
        let car = Domain::car().unwrap();
        let heard = correction(
            "Make it 21 for the driver",
            "climate.set_temperature",
            &[("temperature", "21"), ("zone", "driver")],
        );
        let sentence = heard.sentence(&car).unwrap();
        assert_eq!(
            sentence.words.join(" "),
            "make it twenty one for the driver"
        );
        let spans = [("temperature".to_owned(), 2, 4), ("zone".to_owned(), 6, 7)];
        assert_eq!(sentence.spans, spans);
    }

    #[test]
    fn what_does_not_fit_the_domain_is_refused_with_what_would() {
        let car = Domain::car().unwrap();
        let refused = |correction: Correction| correction.sentence(&car).unwrap_err().to_string();
        let unknown = refused(correction("do it", "climate.wish", &[]));
        assert!(
            unknown.contains("climate.wish") && unknown.contains("climate.set_temperature"),
            "{unknown}"
        );
        let slot = refused(correction(
            "do it",
            "climate.set_temperature",
            &[("size", "it")],
        ));
        assert!(
            slot.contains("size") && slot.contains("temperature"),
            "{slot}"
        );
        let words = refused(correction(
            "do it",
            "climate.set_temperature",
            &[("temperature", "twenty")],
        ));
        assert!(words.contains("\"twenty\""), "{words}");
        assert!(refused(correction("...", NONE, &[])).contains("no word"));
    }

    #[test]
    fn the_later_correction_of_a_sentence_counts_and_a_cut_line_does_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state/car.jsonl");
        assert!(corrections(&path).unwrap().is_empty());
        let (first, second) = (correction("brr", "a", &[]), correction("Phew!", "b", &[]));
        add(&path, &first).unwrap();
        add(&path, &second).unwrap();
        let third = correction("Brr", "c", &[]);
        add(&path, &third).unwrap();
        let all = [second, third];
        assert_eq!(corrections(&path).unwrap(), all);
        let mut text = fs::read_to_string(&path).unwrap();
        text += "{\"text\":\"hal";
        fs::write(&path, &text).unwrap();
        assert_eq!(corrections(&path).unwrap(), all);
        fs::write(&path, text + "f\n").unwrap();
        let error = corrections(&path).unwrap_err().to_string();
        assert!(error.contains("car.jsonl:3"), "{error}");
    }
}
