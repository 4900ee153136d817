//! The report of a bundle of words.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::time::Instant;

use serde::Serialize;
use tract_onnx::pb::ModelProto;
use vocar_inference::{EngineError, Precision, TextBundle};
use vocar_nlu::encoder::{Encoder, EncoderError, Guess, Span};

use super::{ReportError, Wanted, networks, size};
use crate::bench::{self, Engine};
use crate::bundle::{self, floats};
use crate::file::{read as read_file, write};
use crate::rest::Names;
use crate::sentences::Sentence;
use crate::sizes::{Size, fix};

/// Words of the sentence that is timed, the sentence's own row apart.
const TIMED_WORDS: usize = 8;

/// Why sentences could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadingError {
    /// The bundle cannot be loaded.
    #[error(transparent)]
    Encoder(#[from] EncoderError),
    /// The network fails.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// No heads for the domain.
    #[error("the bundle has no heads for the domain `{domain}`; it has them for {there}")]
    Domain {
        /// What was asked for.
        domain: String,
        /// What there is.
        there: String,
    },
}

/// A network of the table.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct WordRow {
    /// What was done.
    pub name: String,
    /// Size of its file.
    pub bytes: u64,
    /// Size of the words, their rows and the heads that go with it.
    pub beside_bytes: u64,
    /// Median of a sentence of eight words with our engine, the network alone, milliseconds.
    pub median_ms: f64,
    /// 95th percentile of it, milliseconds.
    pub p95_ms: f64,
    /// Most memory of a process that has loaded and run nothing else, bytes.
    pub peak_bytes: u64,
    /// Share of the sentences that are read as the floats read them, 0 to 1.
    pub same: f64,
    /// How they are read.
    pub reading: Reading,
}

/// What became of sentences.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Reading {
    /// Sentences that mean something to the domain.
    pub asked: usize,
    /// Share of them whose intent was right and passed the threshold, 0 to 1.
    pub intent: f64,
    /// Share of them whose slots were right, too.
    pub intent_and_slots: f64,
    /// Harmonic mean of precision and recall of the slots; one when there are none.
    pub slot_f1: f64,
    /// Sentences that mean nothing to the domain.
    pub others: usize,
    /// Share of those that were taken for something.
    pub others_taken: f64,
    /// Median time of a sentence, rows and heads with it, milliseconds.
    pub median_ms: f64,
    /// 95th percentile of it, milliseconds.
    pub p95_ms: f64,
}

/// Makes every kind of smaller network that [`Wanted`] names from a bundle of words, puts each into a bundle of its own, times it in a
/// process of its own and lets it read the sentences of a domain; tells `progress` what it does. A network made elsewhere that is a
/// folder comes with the rows and heads there, a file has those of the bundle. Sentences to recognise mean nothing here.
///
/// # Errors
/// [`ReportError`] when a network cannot be made, run or timed, or the bundle has no heads for the domain.
pub fn word_rows(
    bundle: &Path,
    domain: &str,
    sentences: &[Sentence],
    wanted: &Wanted,
    progress: &mut dyn FnMut(&str),
) -> Result<Vec<WordRow>, ReportError> {
    let mut rows: Vec<WordRow> = Vec::new();
    let mut reference: Option<Vec<Guess>> = None;
    let own = networks(&floats(bundle)?, Names::Kept, wanted)?.into_iter();
    let mut networks: Vec<Made> = own
        .map(|(name, model)| Made {
            name,
            model,
            from: bundle,
        })
        .collect();
    for (name, path) in &wanted.networks {
        networks.push(Made::elsewhere(name, path, bundle)?);
    }
    for Made { name, model, from } in networks {
        progress(&name);
        let folder = tempfile::tempdir().map_err(ReportError::Folder)?;
        let path = bundle::derive(from, folder.path(), Precision::F32, &model)?;
        let (reading, guesses) = read(folder.path(), domain, sentences)?;
        let reference = reference.get_or_insert_with(|| guesses.clone());
        let same = guesses
            .iter()
            .zip(reference)
            .filter(|(a, b)| alike(a, b))
            .count();
        let times = bench::apart(
            &sized(model, folder.path())?,
            Engine::Ours,
            wanted.steps,
            wanted.rounds,
        )?;
        rows.push(WordRow {
            name,
            bytes: size(&path),
            beside_bytes: beside(folder.path())?,
            median_ms: times.median_ms,
            p95_ms: times.p95_ms,
            peak_bytes: times.peak,
            same: same as f64 / guesses.len().max(1) as f64,
            reading,
        });
    }
    Ok(rows)
}

/// A network with the bundle whose rows and heads go with it.
struct Made<'a> {
    name: String,
    model: ModelProto,
    from: &'a Path,
}

impl<'a> Made<'a> {
    /// A file, or the lightest network of a folder.
    fn elsewhere(name: &str, path: &'a Path, bundle: &'a Path) -> Result<Made<'a>, ReportError> {
        let (file, from) = if path.is_dir() {
            (TextBundle::open(path)?.lightest().1, path)
        } else {
            (path.to_owned(), bundle)
        };
        Ok(Made {
            name: name.to_owned(),
            model: read_file(&file)?,
            from,
        })
    }
}

/// Bytes of a bundle's words, their rows and its heads.
fn beside(folder: &Path) -> Result<u64, ReportError> {
    let bundle = TextBundle::open(folder)?;
    let manifest = bundle.manifest();
    let files = [&manifest.text.words, &manifest.text.rows];
    let files = files.into_iter().chain(manifest.heads.values());
    Ok(files.map(|file| size(&bundle.path(file))).sum())
}

/// Writes the network for one length of sentence.
fn sized(mut model: ModelProto, folder: &Path) -> Result<PathBuf, ReportError> {
    let length = Size {
        name: "length".into(),
        size: TIMED_WORDS + 1,
    };
    fix(&mut model, &[length]);
    let path = folder.join("timed.onnx");
    write(&path, &model)?;
    Ok(path)
}

/// The intent that counts.
fn intent(guess: &Guess) -> Option<&str> {
    guess.intents.first().map(|(name, _)| &**name)
}

fn alike(one: &Guess, other: &Guess) -> bool {
    intent(one) == intent(other) && one.spans == other.spans
}

/// Reads every sentence with a bundle's lightest network.
fn read(
    bundle: &Path,
    domain: &str,
    sentences: &[Sentence],
) -> Result<(Reading, Vec<Guess>), ReadingError> {
    let encoder = Encoder::load(bundle)?;
    let unknown = || ReadingError::Domain {
        domain: domain.to_owned(),
        there: encoder.domains().collect::<Vec<_>>().join(", "),
    };
    let mut tally = Tally::default();
    let mut guesses = Vec::with_capacity(sentences.len());
    for sentence in sentences {
        let began = Instant::now();
        let guess = encoder.read(domain, &sentence.words, |_| true)?;
        tally.times.push(1e3 * began.elapsed().as_secs_f64());
        let guess = guess.ok_or_else(unknown)?;
        tally.add(sentence, &guess);
        guesses.push(guess);
    }
    Ok((tally.reading(), guesses))
}

#[derive(Default)]
struct Tally {
    asked: usize,
    right: usize,
    whole: usize,
    others: usize,
    taken: usize,
    slots: usize,
    guessed: usize,
    hit: usize,
    times: Vec<f64>,
}

impl Tally {
    fn add(&mut self, sentence: &Sentence, guess: &Guess) {
        let found = intent(guess);
        let Some(wanted) = &sentence.intent else {
            self.others += 1;
            self.taken += usize::from(found.is_some());
            return;
        };
        let key = |span: &Span| (span.slot.clone(), span.words.start, span.words.end);
        let slots: HashSet<_> = sentence.spans.iter().map(key).collect();
        let guessed: HashSet<_> = guess.spans.iter().map(key).collect();
        let right = found == Some(wanted);
        self.asked += 1;
        self.right += usize::from(right);
        self.whole += usize::from(right && slots == guessed);
        self.slots += slots.len();
        self.guessed += guessed.len();
        self.hit += slots.intersection(&guessed).count();
    }

    fn reading(mut self) -> Reading {
        self.times.sort_by(f64::total_cmp);
        let time = |part: usize| self.times.get(self.times.len() * part / 100).copied();
        let share = |count: usize, of: usize| count as f64 / of.max(1) as f64;
        let slots = self.slots + self.guessed;
        Reading {
            asked: self.asked,
            intent: share(self.right, self.asked),
            intent_and_slots: share(self.whole, self.asked),
            slot_f1: if slots == 0 {
                1.0
            } else {
                share(2 * self.hit, slots)
            },
            others: self.others,
            others_taken: share(self.taken, self.others),
            median_ms: time(50).unwrap_or_default(),
            p95_ms: time(95).unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(slot: &str, words: std::ops::Range<usize>) -> Span {
        Span {
            slot: slot.into(),
            words,
        }
    }

    #[test]
    fn slots_count_only_where_the_sentence_means_something() {
        let sentence = |intent: Option<&str>, spans| Sentence {
            words: vec!["w".into(); 4],
            intent: intent.map(str::to_owned),
            spans,
        };
        let guess = |intent: Option<&str>, spans| Guess {
            intents: intent
                .map(|name| (name.to_owned(), 0.9))
                .into_iter()
                .collect(),
            spans,
        };
        let mut tally = Tally::default();
        let (one, two) = (span("name", 1..2), span("when", 2..4));
        let both = || vec![one.clone(), two.clone()];
        tally.add(
            &sentence(Some("call"), both()),
            &guess(Some("call"), both()),
        );
        tally.add(
            &sentence(Some("call"), both()),
            &guess(Some("call"), vec![one.clone()]),
        );
        tally.add(&sentence(Some("call"), vec![]), &guess(None, vec![]));
        tally.add(&sentence(None, vec![]), &guess(Some("call"), both()));
        tally.add(&sentence(None, vec![]), &guess(None, vec![]));
        tally.times = vec![3.0, 1.0, 2.0];
        let found = tally.reading();
        assert_eq!((found.asked, found.others), (3, 2));
        assert_eq!(
            (found.intent, found.intent_and_slots),
            (2.0 / 3.0, 1.0 / 3.0)
        );
        assert_eq!((found.slot_f1, found.others_taken), (6.0 / 7.0, 0.5));
        assert_eq!((found.median_ms, found.p95_ms), (2.0, 3.0));
    }
}
