//! The learned half of understanding: a small transformer that reads what no template says.
//!
//! Words become rows of numbers (a row of the word when it is known, and rows of its character n-grams, so that a new word
//! is not a hole), a network shared by all domains makes a state of each and one of the sentence, and the heads of a domain
//! read the intent and the slots from these. How sure it is was calibrated on sentences it had not learnt, among them
//! sentences that mean nothing to the domain.

mod chain;
pub(crate) mod head;
mod rows;
pub(crate) mod tensors;
mod text;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use vocar_inference::{
    BundleError, EngineError, Overlay, TextBundle, Trust, WordNetwork, WordSession, sha256_hex,
};

use crate::adapter::Adapter;
pub use head::{Curve, Head, Layer, Span};
pub use rows::Rows;
pub use tensors::{BadFile, Tensors};

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

impl From<BadFile> for EncoderError {
    fn from(bad: BadFile) -> EncoderError {
        EncoderError::BadFile {
            path: bad.path,
            problem: bad.problem,
        }
    }
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
    /// Rooms to work in that nobody uses at the moment.
    rooms: Mutex<Vec<WordSession>>,
    rows: Rows,
    heads: BTreeMap<String, Head>,
    base: Base,
}

/// Which network it is that adapters are made for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Base {
    /// Name of the bundle, `nlu-en`.
    pub name: String,
    /// SHA-256 (64 hex digits) of the hashes that the manifest has of the network and, after a line break, of the rows.
    pub sha256: String,
}

impl Base {
    /// That of a bundle whose `network` it is.
    pub fn of(bundle: &TextBundle, network: &Path) -> Base {
        let manifest = bundle.manifest();
        let hash = |file: &str| manifest.files.get(file).map_or("", String::as_str);
        let network = network.file_name().and_then(|name| name.to_str());
        let hashes = [network.unwrap_or_default(), &manifest.text.rows].map(hash);
        Base {
            name: manifest.name.clone(),
            sha256: sha256_hex(hashes.join("\n").as_bytes()),
        }
    }
}

impl Encoder {
    /// Loads a bundle.
    ///
    /// # Errors
    /// [`EncoderError`] names the file and what is wrong with it.
    pub fn load(dir: &Path) -> Result<Encoder, EncoderError> {
        Encoder::load_trusted(dir, &Trust::everybody())
    }

    /// As [`Encoder::load`], once somebody who is trusted has vouched for the bundle.
    ///
    /// # Errors
    /// As [`Encoder::load`].
    pub fn load_trusted(dir: &Path, trust: &Trust) -> Result<Encoder, EncoderError> {
        let bundle = TextBundle::open_trusted(dir, trust)?;
        let longest = bundle.manifest().text.most_words + 1;
        let (_, file) = bundle.lightest();
        let network = WordNetwork::load(&file, longest)?;
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
            base: Base::of(&bundle, &file),
            rooms: Mutex::new(vec![network.session()]),
            network,
            rows,
            heads,
        })
    }

    /// Which network it is that adapters are made for.
    pub fn base(&self) -> &Base {
        &self.base
    }

    /// Width of the states that heads read.
    pub fn dim(&self) -> usize {
        self.network.dim()
    }

    /// Names of the layers that an adapter can add to, each with its inputs and its outputs.
    pub fn layers(&self) -> impl Iterator<Item = (&str, usize, usize)> {
        self.network.layers()
    }

    /// The network that all domains share.
    pub(crate) fn network(&self) -> &WordNetwork {
        &self.network
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
        let guess = self.guess(&self.network, None, head, words, allowed)?;
        Ok(Some(guess))
    }

    /// The same as an adapter reads it, for the adapter's domain. `None` without a word. Any number of threads may read with
    /// any adapters at the same time.
    ///
    /// # Errors
    /// As [`Encoder::read`]; also when the adapter was loaded for another encoder.
    pub fn read_with(
        &self,
        adapter: &Adapter,
        words: &[String],
        allowed: impl Fn(&str) -> bool,
    ) -> Result<Option<Guess>, EngineError> {
        if words.is_empty() {
            return Ok(None);
        }
        let (network, overlay) = adapter.network(&self.network);
        let guess = self.guess(network, overlay, adapter.head(), words, allowed)?;
        Ok(Some(guess))
    }

    fn guess(
        &self,
        network: &WordNetwork,
        overlay: Option<&Overlay>,
        head: &Head,
        words: &[String],
        allowed: impl Fn(&str) -> bool,
    ) -> Result<Guess, EngineError> {
        let mut room = self.rooms().pop().unwrap_or_else(|| network.session());
        let read = |states: &[f32]| {
            let (sentence, rest) = states.split_at(network.dim());
            let intents = head.intents(sentence, allowed).into_iter();
            Guess {
                intents: intents
                    .map(|(name, chance)| (name.to_owned(), chance))
                    .collect(),
                spans: head.spans(rest),
            }
        };
        let states = network.run(&mut room, &self.rows.of(words), overlay);
        let guess = states.map(read);
        self.rooms().push(room);
        guess
    }

    fn rooms(&self) -> std::sync::MutexGuard<'_, Vec<WordSession>> {
        self.rooms.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
