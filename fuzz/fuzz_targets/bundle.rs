//! The manifest of a bundle, of any content, is read or refused.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use tempfile::TempDir;
use vocar_inference::{Bundle, TextBundle};

static FOLDER: LazyLock<TempDir> = LazyLock::new(|| tempfile::tempdir().expect("a folder for the bundle"));

fuzz_target!(|text: &str| {
    std::fs::write(FOLDER.path().join("manifest.toml"), text).expect("the manifest is written");
    if let Err(error) = Bundle::open(FOLDER.path()) {
        assert!(!error.to_string().is_empty());
    }
    if let Err(error) = TextBundle::open(FOLDER.path()) {
        assert!(!error.to_string().is_empty());
    }
});
