//! `adapter.toml`, and the file of weights that it vouches for.

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use vocar_inference::{Trust, sha256_hex};

use super::AdapterError;
use crate::encoder::Base;
use crate::encoder::tensors::Tensors;

/// Format number of the adapters that this build reads.
pub const FORMAT: i64 = 1;
/// The manifest's file.
pub const MANIFEST: &str = "adapter.toml";
/// No manifest is longer, in bytes.
const LONGEST_MANIFEST: u64 = 1 << 16;
/// No file of weights is longer, in bytes.
const LONGEST_WEIGHTS: u64 = 1 << 26;
/// No adapter has a higher rank: it would be no saving.
const HIGHEST_RANK: usize = 256;

/// Everything in the `adapter.toml` of an adapter.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AdapterManifest {
    /// Format number, [`FORMAT`].
    pub format: i64,
    /// Its name, which is its folder's: see [`is_name`].
    pub name: String,
    /// The domain whose sentences it reads.
    pub domain: String,
    /// Name of the bundle it was trained on.
    pub base: String,
    /// Hash of the network it was trained on: see [`Base`](crate::encoder::Base).
    pub base_sha256: String,
    /// Rank of what it adds to layers.
    pub rank: usize,
    /// What it adds is scaled by alpha / rank.
    pub alpha: f32,
    /// safetensors file of its weights.
    pub weights: String,
    /// SHA-256 (64 hex digits) of that file.
    pub sha256: String,
    /// How it was trained and how good it is, for people.
    #[serde(default, skip_serializing_if = "toml::Table::is_empty")]
    pub figures: toml::Table,
}

/// Whether a text can be the name of an adapter and its folder: 1 to 64 of the characters a-z, 0-9, _ and -.
pub fn is_name(text: &str) -> bool {
    let sayable = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'_' || c == b'-';
    (1..=64).contains(&text.len()) && text.bytes().all(sayable)
}

impl AdapterManifest {
    /// The manifest of an adapter that is still to be [written](super::write()): what names the file of weights is empty.
    pub fn new(name: &str, domain: &str, base: &Base, rank: usize, alpha: f32) -> AdapterManifest {
        AdapterManifest {
            format: FORMAT,
            name: name.to_owned(),
            domain: domain.to_owned(),
            base: base.name.clone(),
            base_sha256: base.sha256.clone(),
            rank,
            alpha,
            weights: String::new(),
            sha256: String::new(),
            figures: toml::Table::new(),
        }
    }

    /// Reads the manifest in a folder and checks each of its fields.
    ///
    /// # Errors
    /// [`AdapterError`].
    pub fn read(dir: &Path) -> Result<AdapterManifest, AdapterError> {
        AdapterManifest::read_trusted(dir, &Trust::everybody())
    }

    /// As [`AdapterManifest::read`], once somebody who is trusted has vouched for it.
    ///
    /// # Errors
    /// As [`AdapterManifest::read`]; [`AdapterError::Signature`].
    pub fn read_trusted(dir: &Path, trust: &Trust) -> Result<AdapterManifest, AdapterError> {
        let path = dir.join(MANIFEST);
        let bad = |problem: String| AdapterError::BadManifest {
            path: path.clone(),
            problem,
        };
        let bytes = read(&path, LONGEST_MANIFEST)?;
        trust.check(&path, &bytes)?;
        let text = String::from_utf8(bytes).map_err(|_| bad("is no UTF-8 text".into()))?;
        let manifest: AdapterManifest =
            toml::from_str(&text).map_err(|error| bad(error.to_string().trim_end().to_owned()))?;
        let folder = dir.file_name().and_then(|name| name.to_str());
        match manifest.first_nonsense(folder) {
            None => Ok(manifest),
            Some((field, problem)) => Err(AdapterError::BadField {
                path,
                field,
                problem,
            }),
        }
    }

    fn first_nonsense(&self, folder: Option<&str>) -> Option<(&'static str, String)> {
        let hash = |text: &str| text.len() == 64 && text.bytes().all(|c| c.is_ascii_hexdigit());
        let format = self.format;
        let folder = folder.unwrap_or_default();
        let checks = [
            (
                "format",
                format == FORMAT,
                format!("is {format}, this build reads {FORMAT}"),
            ),
            (
                "name",
                is_name(&self.name),
                "has other characters than a-z, 0-9, _ and -, or not 1 to 64 of them".into(),
            ),
            (
                "name",
                self.name == folder,
                format!("is \"{}\", its folder is \"{folder}\"", self.name),
            ),
            ("domain", !self.domain.is_empty(), "is empty".into()),
            (
                "base_sha256",
                hash(&self.base_sha256),
                "is no SHA-256 of 64 hex digits".into(),
            ),
            (
                "rank",
                (1..=HIGHEST_RANK).contains(&self.rank),
                format!("is {}, not from 1 to {HIGHEST_RANK}", self.rank),
            ),
            (
                "alpha",
                self.alpha.is_finite() && self.alpha > 0.0,
                format!("is {}, no number above nought", self.alpha),
            ),
            (
                "weights",
                is_plain(&self.weights),
                "is no name of a file beside the manifest".into(),
            ),
            (
                "sha256",
                hash(&self.sha256),
                "is no SHA-256 of 64 hex digits".into(),
            ),
        ];
        let wrong = checks.into_iter().find(|(_, sound, _)| !sound);
        wrong.map(|(field, _, problem)| (field, problem))
    }

    /// Checks that the file of weights is the one that the manifest vouches for, and holds tensors; not whether they fit a base.
    ///
    /// # Errors
    /// [`AdapterError::WrongHash`] and others.
    pub fn check_weights(&self, dir: &Path) -> Result<(), AdapterError> {
        self.tensors(dir).map(drop)
    }

    /// Reads the file of weights, which is hashed and parsed from the same bytes.
    ///
    /// # Errors
    /// [`AdapterError::WrongHash`] and others.
    pub(super) fn tensors(&self, dir: &Path) -> Result<Tensors, AdapterError> {
        let path = dir.join(&self.weights);
        let bytes = read(&path, LONGEST_WEIGHTS)?;
        let found = sha256_hex(&bytes);
        if !found.eq_ignore_ascii_case(&self.sha256) {
            return Err(AdapterError::WrongHash {
                path,
                expected: self.sha256.clone(),
                found,
            });
        }
        Ok(Tensors::parse(&path, &bytes)?)
    }
}

/// A file's name without any folder.
fn is_plain(text: &str) -> bool {
    Path::new(text).file_name().is_some_and(|name| name == text)
}

/// A file's bytes, if it is a file and no longer than that.
fn read(path: &PathBuf, longest: u64) -> Result<Vec<u8>, AdapterError> {
    let unreadable = |source| AdapterError::Unreadable {
        path: path.clone(),
        source,
    };
    let about = fs::metadata(path).map_err(unreadable)?;
    if !about.is_file() || about.len() > longest {
        return Err(AdapterError::BadFile {
            path: path.clone(),
            problem: format!("is no file of up to {longest} bytes"),
        });
    }
    fs::read(path).map_err(unreadable)
}
