//! The shipped models, and bundles made of them for a test.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use vocar_inference::{Precision, sha256_hex};

use crate::{found, repository};

/// The shipped speech bundle. When it is not there, says so and what is skipped.
#[must_use]
pub fn speech_bundle(skipped: &str) -> Option<PathBuf> {
    let dir = repository().join("models/speech-en");
    found(dir.join("manifest.toml"), skipped).map(|_| dir)
}

/// The same with its network in floats.
#[must_use]
pub fn float_bundle(skipped: &str) -> Option<PathBuf> {
    let dir = repository().join("models/speech-en-f32");
    found(dir.join("manifest.toml"), skipped).map(|_| dir)
}

/// A copy of a bundle in `room` that has this network of this precision, too.
///
/// # Panics
/// When the copy cannot be made.
#[must_use]
pub fn bundle_with(bundle: &Path, room: &Path, precision: Precision, network: &[u8]) -> PathBuf {
    for file in fs::read_dir(bundle).expect("the bundle's folder") {
        let file = file.expect("a file of the bundle");
        symlink(file.path(), room.join(file.file_name())).expect("room for a link");
    }
    let name = format!("added-{precision}.onnx");
    fs::write(room.join(&name), network).expect("room for a network");
    let path = room.join("manifest.toml");
    let models = format!("[acoustic.models]\n{precision} = \"{name}\"");
    let files = format!("[files]\n\"{name}\" = \"{}\"", sha256_hex(network));
    let manifest = fs::read_to_string(&path)
        .expect("a manifest")
        .replace("[acoustic.models]", &models)
        .replace("[files]", &files);
    fs::remove_file(&path).expect("a link");
    fs::write(&path, manifest).expect("room for a manifest");
    room.to_path_buf()
}
