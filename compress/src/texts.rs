//! Sentences as a network over words gets them, for measuring and comparing.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use tract_onnx::pb::ModelProto;
use vocar_inference::{EngineError, TextBundle, WordNetwork};
use vocar_nlu::encoder::{EncoderError, Head, Rows};

use crate::bundle::BundleError;
use crate::file::{FileError, write};
use crate::sentences::Sentence;
use crate::sizes::{Size, fix};

/// Names of the network's inputs.
const ROWS: &str = "rows";
const MASK: &str = "mask";

/// Why sentences cannot be given to networks.
#[derive(Debug, thiserror::Error)]
pub enum TextsError {
    /// There is no bundle, or no float network in it.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// Its rows or heads cannot be read.
    #[error(transparent)]
    Encoder(#[from] EncoderError),
    /// A network cannot be run.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// A network cannot be written.
    #[error(transparent)]
    File(#[from] FileError),
    /// No heads for the domain.
    #[error(
        "the bundle has no heads for the domain `{domain}`; name one of these with --domain: {there}"
    )]
    Domain {
        /// What was asked for.
        domain: String,
        /// What there is.
        there: String,
    },
    /// There is no room for a network.
    #[error("no temporary folder: {0}; let TMPDIR name one")]
    Folder(std::io::Error),
}

/// Sentences in the rows of a bundle of words, with the heads of one of its domains.
pub struct Texts {
    /// Row-major `[1 + words][row]` of each sentence.
    rows: Vec<Vec<f32>>,
    by_length: Vec<(usize, Vec<usize>)>,
    /// Width of a row.
    row: usize,
    longest: usize,
    head: Head,
}

/// Log odds, row-major with so many columns.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Scores {
    pub values: Vec<f32>,
    pub columns: usize,
}

fn lengths(rows: &[Vec<f32>], row: usize) -> Vec<(usize, Vec<usize>)> {
    let mut found: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (sentence, rows) in rows.iter().enumerate() {
        found.entry(rows.len() / row).or_default().push(sentence);
    }
    found.into_iter().collect()
}

impl Texts {
    /// The sentences for a bundle's network and the heads of a domain.
    ///
    /// # Errors
    /// [`TextsError`] when the bundle cannot be loaded or has no heads for the domain.
    pub fn new(dir: &Path, domain: &str, sentences: &[Sentence]) -> Result<Texts, TextsError> {
        let bundle = TextBundle::open(dir).map_err(BundleError::from)?;
        let manifest = bundle.manifest();
        let longest = manifest.text.most_words + 1;
        let network = WordNetwork::load(&bundle.lightest().1, longest)?;
        let head = manifest.heads.get(domain).ok_or_else(|| {
            let there: Vec<&str> = manifest.heads.keys().map(String::as_str).collect();
            TextsError::Domain {
                domain: domain.to_owned(),
                there: there.join(", "),
            }
        })?;
        let head = Head::read(&bundle.path(head), network.dim()).map_err(EncoderError::from)?;
        let rows = Rows::read(&bundle, network.row()).map_err(EncoderError::from)?;
        let sentences = sentences.iter();
        let rows: Vec<Vec<f32>> = sentences.map(|one| rows.of(&one.words)).collect();
        Ok(Texts {
            by_length: lengths(&rows, network.row()),
            rows,
            row: network.row(),
            longest,
            head,
        })
    }

    /// Lengths in rows, that of the sentence itself among them, with the sentences that have them, shortest first.
    pub(crate) fn by_length(&self) -> &[(usize, Vec<usize>)] {
        &self.by_length
    }

    /// The network for sentences of one length, in rows.
    pub(crate) fn fitted(model: &ModelProto, length: usize) -> ModelProto {
        let mut model = model.clone();
        let length = Size {
            name: "length".into(),
            size: length,
        };
        fix(&mut model, &[length]);
        model
    }

    /// What a sentence is for the network: every place holds a word, so nothing is masked.
    pub(crate) fn inputs(&self, sentence: usize) -> HashMap<String, Vec<f32>> {
        let rows = &self.rows[sentence];
        let mask = vec![0.0; rows.len() / self.row];
        HashMap::from([(ROWS.to_owned(), rows.clone()), (MASK.to_owned(), mask)])
    }

    /// What the heads make of the states of a network: for each sentence a row over the intents, then one for each word over
    /// the tags.
    ///
    /// # Errors
    /// [`TextsError`] when it is no network over such rows, or cannot be run.
    pub(crate) fn scores(&self, model: &ModelProto) -> Result<Vec<Scores>, TextsError> {
        let folder = tempfile::tempdir().map_err(TextsError::Folder)?;
        let path = folder.path().join("texts.onnx");
        write(&path, model)?;
        let network = WordNetwork::load(&path, self.longest)?;
        let [intents, tags] = self.head.layers();
        let mut session = network.session();
        let mut found = Vec::with_capacity(2 * self.rows.len());
        for rows in &self.rows {
            let states = network.run(&mut session, rows, None)?;
            let (sentence, words) = states.split_at(network.dim());
            found.push(Scores {
                values: intents.of(sentence),
                columns: intents.bias.len(),
            });
            let words = words.chunks_exact(network.dim());
            found.push(Scores {
                values: words.flat_map(|state| tags.of(state)).collect(),
                columns: tags.bias.len(),
            });
        }
        Ok(found)
    }
}
