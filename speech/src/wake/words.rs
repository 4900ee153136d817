//! Words against words: whether the sound around a wake phrase is better explained by other words.
//!
//! The phone loop is a mild rival: it knows nothing of words, so "at the end of" passes for *athena*. A candidate is
//! therefore weighed once more, together with what was said just before and after it: the best row of words that has
//! the phrase in its place against the best row of any words.

use std::sync::Arc;

use vocar_inference::Bundle;

use super::chain::Chain;
use crate::dictation::{Dictation, DictationConfig, LexiconTree, NGram};
use crate::lexicon::Lexicon;
use crate::resource::ResourceError;

/// Frames heard before a candidate, 360 ms.
const BEFORE: u32 = 12;
/// And after it, 300 ms.
const AFTER: u32 = super::PAUSE_AFTER as u32;
/// Frames kept: a phrase that takes longer than what this leaves, 4 s, is none.
const KEPT: u32 = 156;

/// All words that the rivals of a wake phrase are made of.
#[derive(Debug, Clone)]
pub struct Words {
    ngram: Arc<NGram>,
    tree: Arc<LexiconTree>,
}

impl Words {
    /// The words of an n-gram, spelled by a lexicon.
    pub fn new(ngram: NGram, lexicon: &Lexicon) -> Words {
        let tree = Arc::new(LexiconTree::new(&ngram, lexicon));
        Words {
            ngram: Arc::new(ngram),
            tree,
        }
    }

    /// Reads the words of a bundle, if it has any.
    ///
    /// # Errors
    /// [`ResourceError`] when the file is damaged.
    pub fn load(bundle: &Bundle, lexicon: &Lexicon) -> Result<Option<Words>, ResourceError> {
        let Some(file) = &bundle.manifest().background.words else {
            return Ok(None);
        };
        Ok(Some(Words::new(NGram::load(&bundle.path(file))?, lexicon)))
    }
}

/// Weighs candidates against other words.
#[derive(Debug)]
pub(super) struct Rivals {
    search: Dictation,
    columns: usize,
    /// The newest frames of acoustic scores, up to twice [`KEPT`].
    rows: Vec<f32>,
    /// Frames heard.
    heard: u32,
}

impl Rivals {
    /// No frame was heard yet; frames hold `columns` acoustic scores.
    pub fn new(words: &Words, columns: usize) -> Rivals {
        // A narrow search finds the same words around a candidate as the one for whole sentences.
        let config = DictationConfig {
            beam: 16.0,
            word_beam: 14.0,
            max_active: 1000,
            ..DictationConfig::default()
        };
        let (ngram, tree) = (Arc::clone(&words.ngram), Arc::clone(&words.tree));
        Rivals {
            search: Dictation::new(ngram, tree, columns, config),
            columns,
            rows: Vec::with_capacity(2 * KEPT as usize * columns),
            heard: 0,
        }
    }

    /// Forgets what was heard.
    pub fn reset(&mut self) {
        self.rows.clear();
        self.heard = 0;
    }

    /// Takes one frame of acoustic scores.
    pub fn hear(&mut self, row: &[f32]) {
        let kept = KEPT as usize * self.columns;
        if self.rows.len() >= 2 * kept {
            self.rows.drain(..kept);
        }
        self.rows.extend_from_slice(row);
        self.heard += 1;
    }

    /// By how much words with the phrase in frames `begin..end` beat any words, nats, negative when they do not; `ways` are the
    /// phrase's pronunciations. The phrase itself costs no language.
    pub fn advantage<'a>(
        &mut self,
        ways: impl Iterator<Item = &'a Chain>,
        begin: u32,
        end: u32,
    ) -> f32 {
        let first = self.heard - (self.rows.len() / self.columns) as u32;
        let end = end.min(self.heard);
        if begin < first || begin >= end {
            return f32::NEG_INFINITY;
        }
        let at = |frame: u32| (frame - first) as usize * self.columns;
        let from = at(begin.saturating_sub(BEFORE).max(first));
        let (begin, end, to) = (at(begin), at(end), at((end + AFTER).min(self.heard)));
        let phrase = ways
            .map(|way| way.align(&self.rows[begin..end], self.columns))
            .fold(f32::NEG_INFINITY, f32::max);
        self.search.reset();
        self.search.push(&self.rows[from..begin]);
        let (_, before) = self.search.best_scores();
        self.search.push(&self.rows[begin..to]);
        let (any, _) = self.search.best_scores();
        self.search.reset();
        self.search.push(&self.rows[end..to]);
        let (after, _) = self.search.best_scores();
        before + phrase + after - any
    }
}
