//! Where log lines go: to the journal when it is our standard error, else to standard error as text.

use std::io::IsTerminal;
use std::os::unix::fs::MetadataExt;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::reload;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry};

/// Changes the level of a running program.
pub struct LevelHandle(reload::Handle<EnvFilter, Registry>);

impl LevelHandle {
    /// Sets the filter; `level` was checked with the configuration.
    pub fn set(&self, level: &str) {
        if let Ok(filter) = EnvFilter::try_new(level)
            && let Err(error) = self.0.reload(filter)
        {
            tracing::warn!(%error, "the log level stays as it was");
        }
    }
}

/// Installs the process's log. Call once.
#[must_use]
pub fn install(level: &str) -> LevelHandle {
    let filter = EnvFilter::try_new(level).unwrap_or_else(|_| EnvFilter::new("info"));
    let (filter, handle) = reload::Layer::new(filter);
    let registry = tracing_subscriber::registry();
    let journal = if stderr_is_journal() {
        tracing_journald::layer().ok()
    } else {
        None
    };
    let installed = match journal {
        Some(journal) => registry
            .with(filter.and_then(journal.with_syslog_identifier("vocard".into())))
            .try_init(),
        None => {
            let text = tracing_subscriber::fmt::layer()
                .with_writer(std::io::stderr)
                .with_ansi(std::io::stderr().is_terminal())
                .with_target(false);
            registry.with(filter.and_then(text)).try_init()
        }
    };
    if let Err(error) = installed {
        eprintln!("vocar: the log is already installed: {error}");
    }
    LevelHandle(handle)
}

/// `JOURNAL_STREAM` holds device and inode of the journal's socket; only when they are those of our standard
/// error is the journal really what stands behind it.
fn stderr_is_journal() -> bool {
    let Ok(stream) = std::env::var("JOURNAL_STREAM") else {
        return false;
    };
    let Ok(stderr) = std::fs::metadata("/proc/self/fd/2") else {
        return false;
    };
    stream == format!("{}:{}", stderr.dev(), stderr.ino())
}
