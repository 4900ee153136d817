//! Why an adapter is refused.

use std::io;
use std::path::PathBuf;

use vocar_inference::SignatureError;

use crate::encoder::tensors::BadFile;

/// Why an adapter cannot be had. Every message names the file, the field where there is one, and the mend.
#[derive(Debug, thiserror::Error)]
pub enum AdapterError {
    /// No folder can have this name.
    #[error(
        "\"{name}\" is no name of an adapter: a name has 1 to 64 of the characters a-z, 0-9, _ and -"
    )]
    BadName {
        /// The name.
        name: String,
    },
    /// There is no such adapter.
    #[error("there is no adapter \"{name}\" in {} (there: {known}); train it with `vocar adapter train`", folder.display())]
    Unknown {
        /// The name.
        name: String,
        /// Where adapters are.
        folder: PathBuf,
        /// Those there are.
        known: String,
    },
    /// The adapter is not in memory.
    #[error("adapter \"{name}\" is not loaded (loaded: {known}); load it first")]
    NotLoaded {
        /// The name.
        name: String,
        /// Those that are.
        known: String,
    },
    /// A file could not be read.
    #[error("{}: cannot be read ({source}); check its permissions, or train the adapter again", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The manifest is not TOML, or a field is missing or of the wrong type.
    #[error("{}: {problem}; correct the manifest or train the adapter again", path.display())]
    BadManifest {
        /// The manifest.
        path: PathBuf,
        /// The parser's words, with line and field.
        problem: String,
    },
    /// A field has a value that cannot be used.
    #[error("{}: `{field}` {problem}; correct the manifest or train the adapter again", path.display())]
    BadField {
        /// The manifest.
        path: PathBuf,
        /// Name of the field.
        field: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// It was made for another network.
    #[error("{}: `base_sha256`: the adapter was trained for {found}, the base here is {base}; train it again for this base", path.display())]
    OtherBase {
        /// The manifest.
        path: PathBuf,
        /// Name and hash that the manifest has.
        found: String,
        /// Name and hash of the base.
        base: String,
    },
    /// The file of weights is not what the manifest promises.
    #[error("{}: its SHA-256 is {found}, the manifest's `sha256` says {expected}; the file was cut off, changed or damaged: copy or train the adapter again", path.display())]
    WrongHash {
        /// The file.
        path: PathBuf,
        /// From the manifest.
        expected: String,
        /// Of the file as it is.
        found: String,
    },
    /// A file holds something else than it should.
    #[error("{}: {problem}; train the adapter again", path.display())]
    BadFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// Nobody who is trusted vouches for the manifest.
    #[error(transparent)]
    Signature(#[from] SignatureError),
    /// It cannot have layers of its own.
    #[error("adapter \"{name}\" cannot be merged: {problem}")]
    CannotMerge {
        /// The name.
        name: String,
        /// Why.
        problem: String,
    },
    /// There is no memory for it.
    #[error(
        "adapter \"{name}\" takes {needed} bytes, {cap} are allowed for all and pinned ones take {pinned}: unpin or unload \
         one, or raise adapters.memory_mb"
    )]
    Full {
        /// The name.
        name: String,
        /// What it takes.
        needed: usize,
        /// What all may take.
        cap: usize,
        /// What those take that cannot go.
        pinned: usize,
    },
}

impl From<BadFile> for AdapterError {
    fn from(bad: BadFile) -> AdapterError {
        AdapterError::BadFile {
            path: bad.path,
            problem: bad.problem,
        }
    }
}
