//! An adapter of any content is loaded or refused. The manifest names the right base and the right hash, so that what is
//! behind these checks is reached, too.
#![no_main]

use std::path::Path;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use tempfile::TempDir;
use vocar_inference::sha256_hex;
use vocar_nlu::{Adapter, Encoder};

static FOLDER: LazyLock<TempDir> = LazyLock::new(|| tempfile::tempdir().expect("a folder for the adapter"));
static BASE: LazyLock<Encoder> = LazyLock::new(|| {
    Encoder::load(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/nlu-en")).expect("the shipped encoder")
});

fuzz_target!(|data: (u8, u8, Vec<u8>)| {
    let (rank, alpha, weights) = data;
    let base = BASE.base();
    let manifest = format!(
        "format = 1\nname = \"fuzz\"\ndomain = \"fuzz\"\nbase = \"{}\"\nbase_sha256 = \"{}\"\nrank = {rank}\nalpha = {alpha}.5\n\
         weights = \"adapter.safetensors\"\nsha256 = \"{}\"\n",
        base.name,
        base.sha256,
        sha256_hex(&weights)
    );
    // An adapter is refused at once when its folder has another name.
    let dir = FOLDER.path().join("fuzz");
    std::fs::create_dir_all(&dir).expect("a folder of the adapter's name");
    std::fs::write(dir.join("adapter.toml"), manifest).expect("the manifest is written");
    std::fs::write(dir.join("adapter.safetensors"), weights).expect("the weights are written");
    if let Err(error) = Adapter::load(&dir, &BASE) {
        assert!(!error.to_string().is_empty());
    }
});
