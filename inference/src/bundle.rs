//! Opening a model bundle: read the manifest, check every file against its hash.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};

use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};
use vocar_hw::Precision;

use crate::manifest::{FORMAT, Manifest};
use crate::signature::{SignatureError, Trust};

pub(crate) const MANIFEST: &str = "manifest.toml";

/// Why a bundle was not accepted. Every message names the file, the field where there is one, and the mend.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// There is no such folder.
    #[error("{}: there is no model bundle here; install the models or point `models` of the configuration at their folder", dir.display())]
    Missing {
        /// The folder looked for.
        dir: PathBuf,
    },
    /// The folder is there, its manifest is not.
    #[error("{}: the folder has no manifest.toml, so it is not a model bundle; reinstall it", dir.display())]
    NoManifest {
        /// The folder.
        dir: PathBuf,
    },
    /// A file could not be read although it is there.
    #[error("{}: cannot be read ({source}); check its permissions and the disk", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The manifest is not TOML, or a field is missing or of the wrong type.
    #[error("{}: {problem}; correct the manifest or reinstall the bundle", path.display())]
    BadManifest {
        /// The manifest.
        path: PathBuf,
        /// The parser's words, with line and field.
        problem: String,
    },
    /// The manifest is of another format.
    #[error("{}: `format` is {found}, this build reads {FORMAT}; install the bundle made for this version of Vocar", path.display())]
    WrongFormat {
        /// The manifest.
        path: PathBuf,
        /// What `format` says, `nothing` when absent.
        found: String,
    },
    /// A field has a value that cannot be used.
    #[error("{}: `{field}` {problem}; correct the manifest or reinstall the bundle", path.display())]
    BadField {
        /// The manifest.
        path: PathBuf,
        /// Dotted name of the field.
        field: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A file that the manifest names is absent.
    #[error("{}: named by the manifest but missing; reinstall the bundle", path.display())]
    FileMissing {
        /// The file.
        path: PathBuf,
    },
    /// A file's content is not what the manifest promises.
    #[error("{}: its SHA-256 is {found}, the manifest's [files] says {expected}; the file was changed or damaged, reinstall the bundle", path.display())]
    WrongHash {
        /// The file.
        path: PathBuf,
        /// From the manifest.
        expected: String,
        /// Of the file as it is.
        found: String,
    },
    /// Nobody who is trusted vouches for the manifest.
    #[error(transparent)]
    Signature(#[from] SignatureError),
}

/// A folder of models whose every file has been checked.
#[derive(Debug, Clone)]
pub struct Bundle {
    dir: PathBuf,
    manifest: Manifest,
}

impl Bundle {
    /// Reads `dir/manifest.toml` and checks every file it lists.
    ///
    /// # Errors
    /// [`BundleError`], a distinct variant for each way a bundle can be wrong.
    pub fn open(dir: impl AsRef<Path>) -> Result<Bundle, BundleError> {
        Bundle::open_trusted(dir, &Trust::everybody())
    }

    /// As [`Bundle::open`], once somebody who is trusted has vouched for the manifest.
    ///
    /// # Errors
    /// As [`Bundle::open`]; [`BundleError::Signature`].
    pub fn open_trusted(dir: impl AsRef<Path>, trust: &Trust) -> Result<Bundle, BundleError> {
        let dir = dir.as_ref();
        let path = dir.join(MANIFEST);
        let manifest: Manifest = parse_manifest(&path, &read_manifest(dir, &path, trust)?)?;
        if let Some((field, problem)) = manifest.first_nonsense() {
            return Err(BundleError::BadField {
                path,
                field: field.to_owned(),
                problem,
            });
        }
        check_files(dir, &manifest.files, manifest.referenced_files())?;
        Ok(Bundle {
            dir: dir.to_owned(),
            manifest,
        })
    }

    /// The folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// What the manifest says.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Path of a file of the bundle, given by the name the manifest uses.
    pub fn path(&self, file: &str) -> PathBuf {
        self.dir.join(file)
    }

    /// Content of a file of the bundle as text.
    ///
    /// # Errors
    /// [`BundleError::Unreadable`], also when the file is not UTF-8.
    pub fn read_text(&self, file: &str) -> Result<String, BundleError> {
        let path = self.path(file);
        fs::read_to_string(&path).map_err(|source| BundleError::Unreadable { path, source })
    }

    /// Precisions the acoustic model comes in, lightest last.
    pub fn precisions(&self) -> impl Iterator<Item = Precision> + '_ {
        self.manifest.acoustic.models.keys().copied()
    }

    /// The lightest of them.
    pub fn lightest(&self) -> Precision {
        self.precisions().last().unwrap_or(Precision::F32)
    }
}

/// The text of a manifest that is signed as it should be.
pub(crate) fn read_manifest(dir: &Path, path: &Path, trust: &Trust) -> Result<String, BundleError> {
    let text = fs::read_to_string(path).map_err(|source| match source.kind() {
        io::ErrorKind::NotFound if !dir.is_dir() => BundleError::Missing {
            dir: dir.to_owned(),
        },
        io::ErrorKind::NotFound => BundleError::NoManifest {
            dir: dir.to_owned(),
        },
        io::ErrorKind::InvalidData => BundleError::BadManifest {
            path: path.to_owned(),
            problem: "is not UTF-8 text".into(),
        },
        _ => BundleError::Unreadable {
            path: path.to_owned(),
            source,
        },
    })?;
    trust.check(path, text.as_bytes())?;
    Ok(text)
}

/// The format number is looked at before the rest, so that a future manifest is called what it is.
pub(crate) fn parse_manifest<M: DeserializeOwned>(
    path: &Path,
    text: &str,
) -> Result<M, BundleError> {
    let bad = |e: toml::de::Error| BundleError::BadManifest {
        path: path.to_owned(),
        problem: e.to_string().trim().to_owned(),
    };
    let table: toml::Table = toml::from_str(text).map_err(bad)?;
    let format = table.get("format");
    if format.and_then(toml::Value::as_integer) != Some(FORMAT) {
        let found = format.map_or_else(|| "missing".to_owned(), ToString::to_string);
        return Err(BundleError::WrongFormat {
            path: path.to_owned(),
            found,
        });
    }
    toml::from_str(text).map_err(bad)
}

/// Checks `files` (hashes by name) and that each of `referenced` (field and name) is among them.
///
/// # Errors
/// [`BundleError`].
pub(crate) fn check_files(
    dir: &Path,
    files: &BTreeMap<String, String>,
    referenced: Vec<(String, &str)>,
) -> Result<(), BundleError> {
    check_references(&dir.join(MANIFEST), files, referenced)?;
    for (name, expected) in files {
        check_hash(&dir.join(name), expected)?;
    }
    Ok(())
}

/// No unchecked file may be used and no file outside the folder may be reached.
fn check_references(
    path: &Path,
    files: &BTreeMap<String, String>,
    referenced: Vec<(String, &str)>,
) -> Result<(), BundleError> {
    let bad = |field: String, problem: String| {
        Err(BundleError::BadField {
            path: path.to_owned(),
            field,
            problem,
        })
    };
    for (name, hash) in files {
        let field = format!("files.\"{name}\"");
        if !stays_inside(name) {
            return bad(field, "points outside the bundle".into());
        }
        if hash.len() != 64 || !hash.bytes().all(|b| b.is_ascii_hexdigit()) {
            return bad(
                field,
                format!("is not a SHA-256 of 64 hex digits: \"{hash}\""),
            );
        }
    }
    for (field, file) in referenced {
        if !files.contains_key(file) {
            return bad(
                field,
                format!("names \"{file}\", for which [files] has no hash"),
            );
        }
    }
    Ok(())
}

fn stays_inside(name: &str) -> bool {
    !name.is_empty()
        && Path::new(name)
            .components()
            .all(|c| matches!(c, Component::Normal(_)))
}

fn check_hash(path: &Path, expected: &str) -> Result<(), BundleError> {
    let found = hash_file(path).map_err(|source| match source.kind() {
        io::ErrorKind::NotFound => BundleError::FileMissing {
            path: path.to_owned(),
        },
        _ => BundleError::Unreadable {
            path: path.to_owned(),
            source,
        },
    })?;
    if found.eq_ignore_ascii_case(expected) {
        return Ok(());
    }
    Err(BundleError::WrongHash {
        path: path.to_owned(),
        expected: expected.to_owned(),
        found,
    })
}

/// In pieces, so that checking a bundle never holds a whole model in memory.
fn hash_file(path: &Path) -> io::Result<String> {
    let mut file = fs::File::open(path)?;
    let mut hasher = Sha256::new();
    let mut piece = vec![0; 64 * 1024];
    loop {
        match file.read(&mut piece)? {
            0 => return Ok(hex(&hasher.finalize())),
            n => hasher.update(&piece[..n]),
        }
    }
}

/// SHA-256 of `bytes` as the manifest's `[files]` writes it.
pub fn sha256_hex(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hash_of_abc_is_the_published_one() {
        assert_eq!(
            sha256_hex(b"abc"),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }

    #[test]
    fn names_that_leave_the_folder_are_seen() {
        for name in ["../x", "/etc/passwd", "a/../../b", ""] {
            assert!(!stays_inside(name), "{name}");
        }
        assert!(stays_inside("am.onnx") && stays_inside("sub/am.onnx"));
    }
}
