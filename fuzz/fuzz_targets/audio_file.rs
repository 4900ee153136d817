//! A recording of any content gives finite samples or an error.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use tempfile::TempDir;
use vocar_speech::source::AudioSource;

static FOLDER: LazyLock<TempDir> = LazyLock::new(|| tempfile::tempdir().expect("a folder for the recording"));
/// How a recording's format is known.
const ENDINGS: [&str; 3] = ["wav", "flac", "opus"];

fuzz_target!(|data: &[u8]| {
    let Some((kind, recording)) = data.split_first() else {
        return;
    };
    let path = FOLDER.path().join(format!("a.{}", ENDINGS[usize::from(*kind) % ENDINGS.len()]));
    std::fs::write(&path, recording).expect("the recording is written");
    let Ok(mut source) = AudioSource::open(&path) else {
        return;
    };
    for _ in 0..64 {
        match source.next_chunk() {
            Ok(Some(samples)) => assert!(samples.iter().all(|sample| sample.is_finite())),
            Ok(None) | Err(_) => return,
        }
    }
});
