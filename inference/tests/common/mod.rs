//! A complete bundle around the committed tiny networks.

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use vocar_inference::sha256_hex;

pub fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data")
        .join(name)
}

/// The manifest without `[files]`.
pub const MANIFEST: &str = r#"
format = 1
name = "tiny"
version = "0.1.0"
language = "en"
licence = "Apache-2.0"
[features]
sample_rate = 16000
window = 400
hop = 160
fft = 512
mels = 8
low_hz = 20.0
high_hz = 7600.0
floor = 1e-7
[acoustic]
subsampling = 3
chunk = 4
topology = "begin-continue"
input = "features"
output = "log_posteriors"
state_prefix = "state."
next_prefix = "next."
[acoustic.models]
f32 = "tiny-f32.onnx"
int8 = "tiny-int8.onnx"
[lexicon]
phones = "phones.txt"
words = "lexicon.txt"
g2p = "g2p.bin"
[background]
phone_lm = "phone-lm.tsv"
[confidence]
slope = 1.0
offset = 0.0
"#;

/// A sound bundle in a temporary folder.
pub fn bundle() -> TempDir {
    bundle_of(MANIFEST)
}

/// A bundle with the given manifest text, every file hashed as it is.
pub fn bundle_of(manifest: &str) -> TempDir {
    let dir = tempfile::tempdir().expect("temporary folder");
    for (name, content) in files() {
        fs::write(dir.path().join(name), content).expect("write a bundle file");
    }
    seal(dir.path(), manifest);
    dir
}

/// Writes `manifest.toml`: `manifest` and the hashes of the files as they are now.
pub fn seal(dir: &Path, manifest: &str) {
    let mut text = format!("{manifest}[files]\n");
    for (name, _) in files() {
        let content = fs::read(dir.join(name)).expect("read a bundle file");
        text.push_str(&format!("\"{name}\" = \"{}\"\n", sha256_hex(&content)));
    }
    fs::write(dir.join("manifest.toml"), text).expect("write the manifest");
}

fn files() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        (
            "tiny-f32.onnx",
            fs::read(data("tiny-f32.onnx")).expect("tiny-f32.onnx"),
        ),
        (
            "tiny-int8.onnx",
            fs::read(data("tiny-int8.onnx")).expect("tiny-int8.onnx"),
        ),
        ("phones.txt", b"SIL\nAH\nB\n".to_vec()),
        ("lexicon.txt", b"bub\tB AH B\n".to_vec()),
        ("g2p.bin", b"none".to_vec()),
        ("phone-lm.tsv", b"SIL\tSIL\t-0.1\n".to_vec()),
    ]
}
