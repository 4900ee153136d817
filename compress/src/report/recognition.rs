//! How many sentences a bundle recognises out of a closed set.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::Serialize;
use vocar_inference::{AcousticModel, Bundle, LoadError, Precision};
use vocar_speech::decoder::DecodingGraph;
use vocar_speech::event::{Recognition, SpeechEvent};
use vocar_speech::grammar::{GrammarError, WordGraph};
use vocar_speech::lexicon::Lexicon;
use vocar_speech::recogniser::{Mode, Recogniser, RecogniserConfig, RecogniserError};
use vocar_speech::resample::RATE;
use vocar_speech::resource::ResourceError;

use crate::recordings::{Recording, RecordingsError};

/// How sure the recogniser must be after a button, as the daemon is unless told otherwise.
const SURE: f32 = 0.2;

/// Why nothing could be recognised.
#[derive(Debug, thiserror::Error)]
pub enum RecognitionError {
    /// A recording cannot be heard.
    #[error(transparent)]
    Recordings(#[from] RecordingsError),
    /// The network cannot be loaded.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The lexicon cannot be read.
    #[error(transparent)]
    Lexicon(#[from] ResourceError),
    /// A sentence cannot be said.
    #[error("the sentences: {0}")]
    Sentence(#[from] GrammarError),
    /// The recogniser fails.
    #[error(transparent)]
    Recogniser(#[from] RecogniserError),
    /// No text to compare with.
    #[error(
        "the table of recordings has no column `text`, so that nobody knows what is right; add it"
    )]
    NoText,
}

/// Recordings of sentences, and all the sentences that may be said.
pub struct ClosedSet {
    recordings: Vec<(Vec<f32>, String)>,
    sentences: Vec<String>,
}

/// What became of the recordings.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Score {
    /// Recordings that were heard.
    pub asked: usize,
    /// Share of them whose sentence was accepted and right, 0 to 1.
    pub accepted_right: f64,
    /// Share of them with another sentence accepted.
    pub accepted_wrong: f64,
    /// Share of them whose best sentence was right, accepted or not.
    pub best_right: f64,
    /// Words of the best sentence that had to be substituted, deleted or inserted, for each word that was said.
    pub word_error: f64,
}

impl ClosedSet {
    /// Reads recordings with their texts. Without sentences, what may be said is what is said in them.
    ///
    /// # Errors
    /// [`RecognitionError`] when one cannot be read or has no text.
    pub fn new(
        listed: &[Recording],
        sentences: Option<Vec<String>>,
    ) -> Result<ClosedSet, RecognitionError> {
        let read = |recording: &Recording| {
            let text = recording.text.clone().ok_or(RecognitionError::NoText)?;
            let mut samples = recording.samples()?;
            samples.resize(samples.len() + RATE as usize, 0.0);
            Ok((samples, text))
        };
        let recordings: Vec<_> = listed
            .iter()
            .map(read)
            .collect::<Result<_, RecognitionError>>()?;
        let said = || {
            let distinct: BTreeSet<&String> = recordings.iter().map(|(_, text)| text).collect();
            distinct.into_iter().cloned().collect()
        };
        Ok(ClosedSet {
            sentences: sentences.unwrap_or_else(said),
            recordings,
        })
    }

    /// Recognises every recording with a bundle's network of this precision, as after a button.
    ///
    /// # Errors
    /// [`RecognitionError`] when the bundle cannot be loaded or fails.
    pub fn score(&self, bundle: &Bundle, precision: Precision) -> Result<Score, RecognitionError> {
        let mut recogniser = recogniser(bundle, precision, &self.sentences)?;
        let mut tally = Tally::default();
        for (samples, said) in &self.recordings {
            tally.add(said, &listen(&mut recogniser, samples)?);
        }
        Ok(tally.score())
    }
}

/// A recogniser for these sentences with a bundle's network of this precision.
pub(super) fn recogniser(
    bundle: &Bundle,
    precision: Precision,
    sentences: &[String],
) -> Result<Recogniser, RecognitionError> {
    let lexicon = Lexicon::load(bundle)?;
    let words = WordGraph::from_sentences(sentences);
    let graph = Arc::new(DecodingGraph::compile(&words, &lexicon)?);
    let model = AcousticModel::load(bundle, precision)?;
    let mut config = RecogniserConfig::default();
    config.decoder.rejection = SURE;
    Ok(Recogniser::new(bundle, model, graph, &lexicon, config)?)
}

/// What is decided about a recording: the best sentence, and whether it is accepted.
fn listen(
    recogniser: &mut Recogniser,
    samples: &[f32],
) -> Result<Option<(Recognition, bool)>, RecogniserError> {
    let mut decided = None;
    let mut sink = |event| {
        let new = match event {
            SpeechEvent::Final(best) => Some((best, true)),
            SpeechEvent::Rejected {
                best: Some(best), ..
            } => Some((best, false)),
            _ => None,
        };
        // The first decision counts, as after a button.
        decided = decided.take().or(new);
    };
    recogniser.listen(Mode::PushToTalk);
    recogniser.push(samples, &mut sink)?;
    recogniser.finish(&mut sink)?;
    Ok(decided)
}

#[derive(Default)]
struct Tally {
    asked: usize,
    right: usize,
    wrong: usize,
    best: usize,
    words: usize,
    errors: usize,
}

impl Tally {
    fn add(&mut self, said: &str, decided: &Option<(Recognition, bool)>) {
        let heard = decided.as_ref().map(|(best, _)| best.best().text());
        let accepted = decided.as_ref().is_some_and(|(_, accepted)| *accepted);
        let is_right = heard.as_deref() == Some(said);
        self.asked += 1;
        self.right += usize::from(accepted && is_right);
        self.wrong += usize::from(accepted && !is_right);
        self.best += usize::from(is_right);
        self.words += said.split_whitespace().count();
        self.errors += word_errors(said, &heard.unwrap_or_default());
    }

    fn score(&self) -> Score {
        let share = |count: usize| count as f64 / self.asked.max(1) as f64;
        Score {
            asked: self.asked,
            accepted_right: share(self.right),
            accepted_wrong: share(self.wrong),
            best_right: share(self.best),
            word_error: self.errors as f64 / self.words.max(1) as f64,
        }
    }
}

/// Fewest words to substitute, delete or insert (V. Levenshtein, 1966).
fn word_errors(said: &str, heard: &str) -> usize {
    let said: Vec<&str> = said.split_whitespace().collect();
    let mut row: Vec<usize> = (0..=said.len()).collect();
    for (count, word) in heard.split_whitespace().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], count + 1);
        for (at, expected) in said.iter().enumerate() {
            let substituted = diagonal + usize::from(*expected != word);
            diagonal = row[at + 1];
            row[at + 1] = substituted.min(row[at] + 1).min(diagonal + 1);
        }
    }
    row[said.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn word_errors_count_the_shortest_way() {
        for (said, heard, wanted) in [
            ("a b c", "a b c", 0),
            ("a b c", "a x c", 1),
            ("a b c", "", 3),
            ("", "a b", 2),
            ("a b c d", "b c d e", 2),
        ] {
            assert_eq!(word_errors(said, heard), wanted, "{said} / {heard}");
        }
    }

    #[test]
    fn nothing_heard_is_neither_right_nor_wrong_but_all_words_are_missing() {
        let mut tally = Tally::default();
        tally.add("open the door", &None);
        let score = tally.score();
        assert_eq!(
            (score.accepted_right, score.accepted_wrong, score.word_error),
            (0.0, 0.0, 1.0)
        );
    }
}
