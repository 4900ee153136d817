//! A bundle of a model that reads words: its manifest and the files that it vouches for.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use vocar_hw::Precision;

use crate::bundle::{BundleError, MANIFEST, check_files, parse_manifest, read_manifest};
use crate::signature::Trust;

/// Everything in the `manifest.toml` of a bundle that reads words.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TextManifest {
    /// Format number; always [`crate::FORMAT`] in a manifest that was accepted.
    pub format: i64,
    /// Name of the bundle, `nlu-en`.
    pub name: String,
    /// Version of the bundle, `0.1.0`.
    pub version: String,
    /// Language, an ISO 639-1 code.
    pub language: String,
    /// SPDX expression of the licence of the bundle.
    pub licence: String,
    /// How words become rows.
    pub text: Text,
    /// ONNX file of each precision the bundle has, at least one.
    pub models: BTreeMap<Precision, String>,
    /// The file of heads of each domain it was trained for, by the domain's name.
    pub heads: BTreeMap<String, String>,
    /// What is said to the domains in free speech, if the bundle knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub free_speech: Option<FreeSpeech>,
    /// SHA-256 (64 hex digits) of every file of the bundle, by its name.
    pub files: BTreeMap<String, String>,
}

/// What is said in free speech.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FreeSpeech {
    /// n-gram file of the words.
    pub words: String,
}

/// How words become rows of numbers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Text {
    /// File of the words that have a row of their own, one a line.
    pub words: String,
    /// safetensors file of the rows.
    pub rows: String,
    /// Rows of the n-gram table.
    pub buckets: usize,
    /// Shortest and longest n-gram, in characters.
    pub grams: [usize; 2],
    /// Most n-grams of a word that count.
    pub most_grams: usize,
    /// Most words of a sentence.
    pub most_words: usize,
}

/// A folder with a model that reads words, every file of it checked.
#[derive(Debug, Clone)]
pub struct TextBundle {
    dir: PathBuf,
    manifest: TextManifest,
}

impl TextBundle {
    /// Reads `dir/manifest.toml` and checks every file it lists.
    ///
    /// # Errors
    /// [`BundleError`], a distinct variant for each way a bundle can be wrong.
    pub fn open(dir: impl AsRef<Path>) -> Result<TextBundle, BundleError> {
        TextBundle::open_trusted(dir, &Trust::everybody())
    }

    /// As [`TextBundle::open`], once somebody who is trusted has vouched for the manifest.
    ///
    /// # Errors
    /// As [`TextBundle::open`]; [`BundleError::Signature`].
    pub fn open_trusted(dir: impl AsRef<Path>, trust: &Trust) -> Result<TextBundle, BundleError> {
        let dir = dir.as_ref();
        let path = dir.join(MANIFEST);
        let manifest: TextManifest = parse_manifest(&path, &read_manifest(dir, &path, trust)?)?;
        if let Some((field, problem)) = manifest.first_nonsense() {
            return Err(BundleError::BadField {
                path,
                field: field.to_owned(),
                problem: problem.to_owned(),
            });
        }
        check_files(dir, &manifest.files, manifest.referenced_files())?;
        Ok(TextBundle {
            dir: dir.to_owned(),
            manifest,
        })
    }

    /// What the manifest says.
    pub fn manifest(&self) -> &TextManifest {
        &self.manifest
    }

    /// Path of a file of the bundle, given by the name the manifest uses.
    pub fn path(&self, file: &str) -> PathBuf {
        self.dir.join(file)
    }

    /// The network of the lightest precision.
    pub fn lightest(&self) -> (Precision, PathBuf) {
        let lightest = self.manifest.models.last_key_value();
        // A manifest that names no model was not accepted.
        lightest.map_or_else(
            || (Precision::F32, self.dir.clone()),
            |(precision, file)| (*precision, self.path(file)),
        )
    }
}

impl TextManifest {
    fn referenced_files(&self) -> Vec<(String, &str)> {
        let models = self.models.iter();
        let heads = self.heads.iter();
        let free = self.free_speech.iter();
        let mut files = vec![
            ("text.words".to_owned(), self.text.words.as_str()),
            ("text.rows".to_owned(), self.text.rows.as_str()),
        ];
        files
            .extend(models.map(|(precision, file)| (format!("models.{precision}"), file.as_str())));
        files.extend(heads.map(|(domain, file)| (format!("heads.{domain}"), file.as_str())));
        files.extend(free.map(|free| ("free_speech.words".to_owned(), free.words.as_str())));
        files
    }

    fn first_nonsense(&self) -> Option<(&'static str, &'static str)> {
        let [shortest, longest] = self.text.grams;
        let checks = [
            ("models", !self.models.is_empty(), "names no model"),
            ("text.buckets", self.text.buckets > 0, "must be at least 1"),
            (
                "text.grams",
                0 < shortest && shortest <= longest,
                "is no range of lengths from 1",
            ),
            (
                "text.most_grams",
                self.text.most_grams > 0,
                "must be at least 1",
            ),
            (
                "text.most_words",
                self.text.most_words > 0,
                "must be at least 1",
            ),
        ];
        let wrong = checks.into_iter().find(|(_, sound, _)| !sound);
        wrong.map(|(field, _, problem)| (field, problem))
    }
}
