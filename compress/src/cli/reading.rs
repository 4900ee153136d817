//! What commands need that run a network over sentences.

use std::path::Path;

use clap::Args;
use vocar_compress::sentences::{self, Sentence, SentencesError};
use vocar_compress::texts::{Texts, TextsError};

/// Sentences for a bundle of words.
#[derive(Args)]
pub struct Reading {
    /// Domain whose heads read the sentences, of a bundle of words.
    #[arg(long, default_value = "car")]
    domain: String,
    /// Sentences that are used, spread over the whole table.
    #[arg(long, value_name = "N", default_value_t = 2000, value_parser = clap::value_parser!(u32).range(1..))]
    sentences: u32,
}

impl Reading {
    /// As many of the table's sentences as are used.
    pub fn list(&self, table: &Path) -> Result<Vec<Sentence>, SentencesError> {
        let listed = sentences::list(table)?;
        let every = listed.len().div_ceil(self.sentences as usize);
        Ok(listed.into_iter().step_by(every).collect())
    }

    /// Sentences for a bundle's network and heads.
    pub fn texts(&self, bundle: &Path, sentences: &[Sentence]) -> Result<Texts, TextsError> {
        Texts::new(bundle, &self.domain, sentences)
    }
}
