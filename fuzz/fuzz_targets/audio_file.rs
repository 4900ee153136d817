//! A recording of any content gives finite samples or an error.
//!
//! The library that reads FLAC adds up without regard for overflow, and a damaged file overflows; the programs that ship wrap
//! around there, so only this build takes it for a fault. It is overlooked; whatever else goes wrong is not.
#![no_main]

use std::panic::{self, AssertUnwindSafe, PanicHookInfo};
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use tempfile::TempDir;
use vocar_speech::source::AudioSource;

static FOLDER: LazyLock<TempDir> = LazyLock::new(|| {
    panic::set_hook(Box::new(|fault| {
        if !is_overflow_elsewhere(fault) {
            eprintln!("{fault}\n{}", std::backtrace::Backtrace::force_capture());
            std::process::abort();
        }
    }));
    tempfile::tempdir().expect("a folder for the recording")
});
/// How a recording's format is known.
const ENDINGS: [&str; 3] = ["wav", "flac", "opus"];

fn is_overflow_elsewhere(fault: &PanicHookInfo<'_>) -> bool {
    let elsewhere = fault.location().is_some_and(|place| place.file().contains("/symphonia-"));
    elsewhere && fault.payload_as_str().is_some_and(|text| text.ends_with("with overflow"))
}

fuzz_target!(|data: &[u8]| {
    let Some((kind, recording)) = data.split_first() else {
        return;
    };
    let path = FOLDER.path().join(format!("a.{}", ENDINGS[usize::from(*kind) % ENDINGS.len()]));
    std::fs::write(&path, recording).expect("the recording is written");
    let read = AssertUnwindSafe(|| {
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
    let _ = panic::catch_unwind(read);
});
