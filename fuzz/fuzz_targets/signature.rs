//! A manifest and a signature of any content: only what was signed is taken. Between the two stands a zero byte.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use tempfile::TempDir;
use vocar_inference::{Trust, signature_of};

static FOLDER: LazyLock<TempDir> = LazyLock::new(|| tempfile::tempdir().expect("a folder for the signature"));
static TRUST: LazyLock<Trust> = LazyLock::new(|| {
    let key = "RWQFA1AAp4uEtcbV+lURR89qjLMghIJPsh/radFeg0IKoxEivb2XSa/a";
    Trust::of(&[key.parse().expect("a key")])
});
/// The only text that this key has signed.
const SIGNED: &[u8] = b"format = 1\nname = \"speech-en\"\n";

fuzz_target!(|data: &[u8]| {
    let Some(end) = data.iter().position(|byte| *byte == 0) else {
        return;
    };
    let (manifest, signature) = (&data[..end], &data[end + 1..]);
    let path = FOLDER.path().join("manifest.toml");
    std::fs::write(signature_of(&path), signature).expect("the signature is written");
    match TRUST.check(&path, manifest) {
        Ok(key) => assert!(key.is_some() && manifest == SIGNED),
        Err(error) => assert!(error.to_string().contains("manifest.toml.minisig")),
    }
});
