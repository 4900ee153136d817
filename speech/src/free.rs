//! Free speech: what fits no sentence of the graph is heard once more, as any words in any order.
//!
//! The rows of acoustic scores of an utterance are kept. When the graph's best sentence is weak at the end, a search over
//! all words of an n-gram ([`crate::dictation`]) goes through them; what it finds is reported beside the graph's sentence,
//! and whoever knows what sentences mean decides between the two.

use std::sync::Arc;

use crate::decoder::{ConfidenceScale, Evidence};
use crate::dictation::{Dictation, DictationConfig, LexiconTree, NGram, Names, Sentence};
use crate::lexicon::Lexicon;

/// The words that can be said freely, and which follows which.
#[derive(Debug, Clone)]
pub struct FreeLanguage {
    ngram: Arc<NGram>,
    tree: Arc<LexiconTree>,
}

impl FreeLanguage {
    /// The words of an n-gram, and names in place of its classes, spelled by a lexicon.
    pub fn new(ngram: Arc<NGram>, names: &Names, lexicon: &Lexicon) -> FreeLanguage {
        let tree = Arc::new(LexiconTree::with_names(&ngram, lexicon, names));
        FreeLanguage { ngram, tree }
    }
}

/// When free speech is listened to, and how wide the search is.
#[derive(Debug, Clone, PartialEq)]
pub struct FreeConfig {
    /// The search.
    pub search: DictationConfig,
    /// Different sentences to report, at least 1.
    pub n_best: usize,
    /// A sentence of the graph with at least this confidence, 0 to 1, is what was said: no search is made.
    pub below: f32,
    /// The graph explains weakly what has less confidence than this, 0 to 1.
    pub weak: f32,
    /// Silence after which an utterance is over that the graph explains weakly, milliseconds: there is no template that says
    /// whether more is to come.
    pub patience_ms: u32,
    /// Longest utterance that is searched, milliseconds; of a longer one there are no sentences.
    pub longest_ms: u32,
}

impl Default for FreeConfig {
    fn default() -> Self {
        FreeConfig {
            search: DictationConfig {
                beam: 16.0,
                word_beam: 14.0,
                max_active: 1500,
                word_bonus: 0.0,
                rivals: 4,
                ..DictationConfig::default()
            },
            n_best: 8,
            below: 0.9,
            weak: 0.7,
            patience_ms: 600,
            longest_ms: 10_000,
        }
    }
}

/// One sentence of the search against the phone loop over the same frames.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Reading {
    pub sentence: Sentence,
    pub evidence: Evidence,
    /// 0 to 1.
    pub confidence: f32,
}

/// The rows of one utterance, and the search that may go through them.
#[derive(Debug)]
pub(crate) struct FreeSpeech {
    search: Dictation,
    n_best: usize,
    rows: Vec<f32>,
    /// Values kept at most; more than that, and the utterance is too long.
    most: usize,
    too_long: bool,
}

impl FreeSpeech {
    /// Nothing was heard yet; frames hold `columns` acoustic scores and last `frame_ms`.
    pub fn new(
        language: &FreeLanguage,
        config: &FreeConfig,
        columns: usize,
        frame_ms: u32,
    ) -> FreeSpeech {
        let (ngram, tree) = (Arc::clone(&language.ngram), Arc::clone(&language.tree));
        let most = (config.longest_ms / frame_ms.max(1)) as usize * columns;
        FreeSpeech {
            search: Dictation::new(ngram, tree, columns, config.search.clone()),
            n_best: config.n_best.max(1),
            rows: Vec::with_capacity(most),
            most,
            too_long: false,
        }
    }

    /// Forgets what was heard.
    pub fn reset(&mut self) {
        self.rows.clear();
        self.too_long = false;
    }

    /// Keeps whole frames of acoustic scores.
    pub fn hear(&mut self, rows: &[f32]) {
        self.too_long |= self.rows.len() + rows.len() > self.most;
        if !self.too_long {
            self.rows.extend_from_slice(rows);
        }
    }

    /// Sentences that the kept rows may be, best first. `background` gives the phone loop's score of the frames before one,
    /// nats.
    pub fn readings(
        &mut self,
        scale: &ConfidenceScale,
        background: impl Fn(u32) -> f32,
    ) -> Vec<Reading> {
        if self.too_long {
            return Vec::new();
        }
        self.search.reset();
        self.search.push(&self.rows);
        let mut sentences = self.search.n_best(self.n_best + 1);
        sentences.retain(|sentence| !sentence.words.is_empty());
        let scores: Vec<f32> = sentences.iter().map(|sentence| sentence.score).collect();
        let readings = sentences.into_iter().zip(1..).map(|(sentence, next)| {
            let evidence = evidence(&sentence, scores.get(next).copied(), &background);
            Reading {
                confidence: scale.sentence(&evidence),
                evidence,
                sentence,
            }
        });
        readings.take(self.n_best).collect()
    }
}

/// How well a sentence fits, by the sound and by the n-gram; `next` is the score of the next best one.
fn evidence(sentence: &Sentence, next: Option<f32>, background: &impl Fn(u32) -> f32) -> Evidence {
    let words = sentence.words.iter().map(|word| &word.frames);
    let frames = (words.clone().map(|frames| frames.len() as u32))
        .sum::<u32>()
        .max(1);
    let clear: f32 = words
        .map(|frames| background(frames.end) - background(frames.start))
        .sum();
    let ratio = (sentence.score - background(u32::MAX)) / frames as f32;
    Evidence {
        ratio,
        worst_word: ratio,
        margin: next.map(|next| (sentence.score - next) / frames as f32),
        frames,
        clarity: clear / frames as f32,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decoder::synthetic::{Noise, lexicon, say, scores};
    use crate::dictation::synthetic::uniform;

    const UNITS: usize = 40;
    const COLUMNS: usize = 2 * UNITS;

    fn config() -> FreeConfig {
        FreeConfig {
            longest_ms: 6000,
            ..FreeConfig::default()
        }
    }

    /// Rows of a sentence said clearly.
    fn rows(sentence: &str) -> Vec<f32> {
        spoken(sentence, 6.0)
    }

    /// Rows of a sentence; the more contrast, the clearer.
    fn spoken(sentence: &str, contrast: f32) -> Vec<f32> {
        let said = say(&lexicon(), sentence, &mut Noise(1));
        scores(&said.phones, UNITS, contrast, 0.0, &mut Noise(1))
    }

    fn free() -> FreeSpeech {
        let ngram = Arc::new(uniform(&[
            "it's",
            "cold",
            "warm",
            "in",
            "here",
            "call",
            "{contact}",
        ]));
        let mut names = Names::default();
        names.add("contact", vec!["anna".into(), "miller".into()]);
        names.add("contact", vec!["peter".into()]);
        names.add("station", vec!["never".into()]);
        let language = FreeLanguage::new(ngram, &names, &lexicon());
        FreeSpeech::new(&language, &config(), COLUMNS, 30)
    }

    fn best(free: &mut FreeSpeech) -> Option<String> {
        let readings = free.readings(&ConfidenceScale::default(), |_| 0.0);
        let words = readings.first()?.sentence.words.iter();
        Some(
            words
                .map(|word| word.word.clone())
                .collect::<Vec<_>>()
                .join(" "),
        )
    }

    #[test]
    fn what_no_grammar_has_is_found_and_names_with_it() {
        let mut free = free();
        for said in ["it's cold in here", "call anna miller", "peter in here"] {
            free.reset();
            free.hear(&rows(said));
            assert_eq!(best(&mut free).as_deref(), Some(said));
        }
    }

    #[test]
    fn readings_differ_and_come_best_first() {
        let mut free = free();
        free.hear(&spoken("it's warm in here", 1.5));
        let readings = free.readings(&ConfidenceScale::default(), |_| 0.0);
        assert!(readings.len() > 1);
        for pair in readings.windows(2) {
            assert!(pair[0].sentence.score >= pair[1].sentence.score);
            let words = |reading: &Reading| {
                let words = reading.sentence.words.iter();
                words.map(|word| word.word.clone()).collect::<Vec<_>>()
            };
            assert_ne!(words(&pair[0]), words(&pair[1]));
            let margin = pair[0].sentence.score - pair[1].sentence.score;
            let frames = pair[0].evidence.frames as f32;
            assert!((pair[0].evidence.margin.unwrap() - margin / frames).abs() < 1e-3);
        }
    }

    #[test]
    fn an_utterance_that_is_too_long_has_no_readings() {
        let mut free = free();
        for _ in 0..20 {
            free.hear(&rows("it's cold in here"));
        }
        assert_eq!(best(&mut free), None);
        free.reset();
        assert_eq!(best(&mut free), None);
        free.hear(&rows("in here"));
        assert_eq!(best(&mut free).as_deref(), Some("in here"));
    }
}
