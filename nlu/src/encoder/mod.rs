//! The learned half of understanding: a small transformer that reads what no template says.
//!
//! Words become rows of numbers (a row of the word when it is known, and rows of its character n-grams, so that a new word
//! is not a hole), a network shared by all domains makes a state of each and one of the sentence, and the heads of a domain
//! read the intent and the slots from these. How sure it is was calibrated on sentences it had not learnt, among them
//! sentences that mean nothing to the domain.

mod head;
mod rows;
mod tensors;
mod text;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use vocar_inference::{BundleError, EngineError, TextBundle, WordNetwork};

pub use head::{Curve, Head, Layer, Span};
pub use rows::Rows;
pub use tensors::Tensors;

/// Lengths in words, the sentence's beginning included, for which the network is laid out besides the longest.
const LENGTHS: [usize; 2] = [8, 16];

/// Why an encoder could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum EncoderError {
    /// The folder is no bundle, or a damaged one.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// The network cannot be used.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// A file holds something else than it should.
    #[error("{}: {problem}; reinstall the bundle", path.display())]
    BadFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
}

/// What a sentence means to a domain, as the encoder has it.
#[derive(Debug, Clone, PartialEq)]
pub struct Guess {
    /// Intents with the probability of each that the sentence means it, likeliest first; empty when it is likely to mean
    /// nothing to the domain.
    pub intents: Vec<(String, f32)>,
    /// Words that are slots.
    pub spans: Vec<Span>,
}

/// A network with the heads of the domains it was trained for.
#[derive(Debug)]
pub struct Encoder {
    network: WordNetwork,
    rows: Rows,
    heads: BTreeMap<String, Head>,
}

impl Encoder {
    /// Loads a bundle.
    ///
    /// # Errors
    /// [`EncoderError`] names the file and what is wrong with it.
    pub fn load(dir: &Path) -> Result<Encoder, EncoderError> {
        let bundle = TextBundle::open(dir)?;
        let longest = bundle.manifest().text.most_words + 1;
        let mut lengths: Vec<usize> = LENGTHS
            .into_iter()
            .filter(|length| *length < longest)
            .collect();
        lengths.push(longest);
        let (_, file) = bundle.lightest();
        let network = WordNetwork::load(&file, &lengths)?;
        let rows = Rows::read(&bundle, network.row())?;
        let head = |(domain, file): (&String, &String)| {
            Ok((
                domain.clone(),
                Head::read(&bundle.path(file), network.dim())?,
            ))
        };
        let heads = bundle
            .manifest()
            .heads
            .iter()
            .map(head)
            .collect::<Result<_, EncoderError>>()?;
        Ok(Encoder {
            network,
            rows,
            heads,
        })
    }

    /// Names of the domains it has heads for.
    pub fn domains(&self) -> impl Iterator<Item = &str> {
        self.heads.keys().map(String::as_str)
    }

    /// The words of a text as the encoder reads them. What [`crate::words::spoken`] gave stays as it is.
    pub fn words(text: &str) -> Vec<String> {
        text::words(text)
    }

    /// What words mean to a domain, of the intents that `allowed` lets through. `None` without a word, or when it has no
    /// heads for the domain.
    ///
    /// # Errors
    /// [`EngineError::Run`] when the network fails.
    pub fn read(
        &self,
        domain: &str,
        words: &[String],
        allowed: impl Fn(&str) -> bool,
    ) -> Result<Option<Guess>, EngineError> {
        let Some(head) = self.heads.get(domain).filter(|_| !words.is_empty()) else {
            return Ok(None);
        };
        let states = self.network.run(&self.rows.of(words))?;
        let (sentence, rest) = states.split_at(self.network.dim());
        let intents = head.intents(sentence, allowed).into_iter();
        Ok(Some(Guess {
            intents: intents
                .map(|(name, chance)| (name.to_owned(), chance))
                .collect(),
            spans: head.spans(rest),
        }))
    }
}
