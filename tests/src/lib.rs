//! What the whole-machine tests share: the built programs, a private message bus, a service under test, and the
//! recordings that are not part of the repository.

pub mod bus;
pub mod caller;
pub mod models;
pub mod programs;
pub mod service;
pub mod sound;

pub use bus::Bus;
pub use caller::{caller, refusal};
pub use models::{bundle_with, float_bundle, speech_bundle};
pub use programs::{program, vocar};
pub use service::Service;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use vocar_speech::source::AudioSource;

/// Root of the repository.
#[must_use]
pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("..")
        .canonicalize()
        .unwrap_or_else(|_| "..".into())
}

/// The folder of shared recordings: `$VOCAR_SHARED`, else `shared` beside the checkout. When there is none, says so
/// and what is skipped.
#[must_use]
pub fn shared(skipped: &str) -> Option<PathBuf> {
    let dir = std::env::var_os("VOCAR_SHARED")
        .map_or_else(|| repository().join("../shared"), PathBuf::from);
    found(dir, skipped)
}

/// A recording of the repository, at 16 kHz.
///
/// # Panics
/// When it is not there or cannot be read: it belongs to the repository.
#[must_use]
pub fn recording(name: &str) -> Vec<f32> {
    let path = repository().join("tests/recordings").join(name);
    let source = AudioSource::open(&path).expect("the recording is there");
    source.whole().expect("the recording is whole")
}

fn found(path: PathBuf, skipped: &str) -> Option<PathBuf> {
    if path.exists() {
        return Some(path);
    }
    eprintln!("SKIPPED: {skipped}: {} is not there", path.display());
    None
}

/// Tries `probe` until it answers; panics with `what` after `limit`.
pub fn eventually<T>(what: &str, limit: Duration, mut probe: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + limit;
    loop {
        if let Some(value) = probe() {
            return value;
        }
        assert!(Instant::now() < end, "{what}: not within {limit:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
