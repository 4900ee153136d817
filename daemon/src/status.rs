//! What the service is and how it fares: one snapshot, written by the worker and the service, read by all.

use crate::event::State;
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use tokio::sync::watch;

/// A snapshot of the service.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Status {
    /// What the assistant is doing.
    pub state: State,
    /// Name of the hardware profile in force.
    pub profile: String,
    /// Power level in force.
    pub power_level: String,
    /// What the level means here, as an object.
    pub power_plan: serde_json::Value,
    /// What computes the acoustic model, such as `fused-mixed`, or `tract-f32` for a network that is not wholly ours.
    pub backend: String,
    /// Enabled domains.
    pub domains: Vec<String>,
    /// Adapters in memory.
    pub adapters: Vec<String>,
    /// Component → `ok`, or what is wrong and how to mend it.
    pub health: BTreeMap<String, String>,
    /// Whether the private mode is on.
    pub private: bool,
}

impl Status {
    /// Components that are not well, `name: message` each.
    #[must_use]
    pub fn troubles(&self) -> Vec<String> {
        self.health
            .iter()
            .filter(|(_, text)| *text != OK)
            .map(|(name, text)| format!("{name}: {text}"))
            .collect()
    }
}

/// The health of a component that is well.
pub const OK: &str = "ok";

/// The one place where the status is kept.
#[derive(Debug)]
pub struct Board {
    status: watch::Sender<Status>,
    /// Counters.
    pub counters: Counters,
    private: AtomicBool,
}

impl Board {
    /// A board that shows a starting service.
    #[must_use]
    pub fn new(private: bool) -> Self {
        let status = Status {
            private,
            power_level: vocar_hw::Level::Balanced.to_string(),
            ..Status::default()
        };
        Self {
            status: watch::Sender::new(status),
            counters: Counters::default(),
            private: AtomicBool::new(private),
        }
    }

    /// The status now.
    #[must_use]
    pub fn read(&self) -> Status {
        self.status.borrow().clone()
    }

    /// The adapters in memory, as shown.
    #[must_use]
    pub fn adapters(&self) -> Vec<String> {
        self.status.borrow().adapters.clone()
    }

    /// A receiver that wakes at every change.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<Status> {
        self.status.subscribe()
    }

    /// Changes the status; watchers wake only if something is different afterwards.
    pub fn change(&self, edit: impl FnOnce(&mut Status)) {
        self.status.send_if_modified(|status| {
            let before = status.clone();
            edit(status);
            *status != before
        });
    }

    /// Records how a component is.
    pub fn health(&self, component: &str, text: &str) {
        self.change(|status| {
            status.health.insert(component.to_owned(), text.to_owned());
        });
    }

    /// Whether the private mode is on.
    #[must_use]
    pub fn is_private(&self) -> bool {
        self.private.load(Ordering::Relaxed)
    }

    /// Switches the private mode.
    pub fn set_private(&self, on: bool) {
        self.private.store(on, Ordering::Relaxed);
        self.change(|status| status.private = on);
    }
}

/// Counters since the start, each only ever growing.
#[derive(Debug, Default)]
pub struct Counters {
    /// Sessions begun.
    pub sessions: AtomicU64,
    /// Commands recognised.
    pub intents: AtomicU64,
    /// Utterances refused.
    pub rejected: AtomicU64,
    /// Samples (16 kHz) processed.
    pub samples: AtomicU64,
    /// Frames the capture device lost.
    pub dropped_frames: AtomicU64,
    /// Times that the sound system lost sound because its thread came too late.
    pub overruns: AtomicU64,
    /// Events that the bus could not take in time.
    pub dropped_events: AtomicU64,
    /// Calls refused because the caller had asked for too much.
    pub refused_calls: AtomicU64,
    /// Turns of the worker's loop; stands still when it hangs.
    pub heartbeat: AtomicU64,
    /// Computing time spent on audio, microseconds.
    pub busy_us: AtomicU64,
    /// Times that computing took noticeably longer than the audio it was for.
    pub late: AtomicU64,
    /// Steps of the large acoustic network.
    pub network_steps: AtomicU64,
    /// Rows of the small network's scores in which anything like a wake phrase was looked for.
    pub scouted_rows: AtomicU64,
    /// Rows of the large network's scores in which a wake phrase was looked for.
    pub spotted_rows: AtomicU64,
    /// Rows of its scores that the search for sentences took.
    pub searched_rows: AtomicU64,
}

impl Counters {
    /// Adds `n` to a counter.
    pub fn add(counter: &AtomicU64, n: u64) {
        counter.fetch_add(n, Ordering::Relaxed);
    }

    /// The named values, for the `Metrics` property.
    #[must_use]
    pub fn values(&self) -> BTreeMap<&'static str, u64> {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        BTreeMap::from([
            ("sessions", read(&self.sessions)),
            ("intents", read(&self.intents)),
            ("rejected", read(&self.rejected)),
            ("samples", read(&self.samples)),
            ("dropped_frames", read(&self.dropped_frames)),
            ("overruns", read(&self.overruns)),
            ("dropped_events", read(&self.dropped_events)),
            ("refused_calls", read(&self.refused_calls)),
            ("busy_us", read(&self.busy_us)),
            ("late", read(&self.late)),
            ("network_steps", read(&self.network_steps)),
            ("scouted_rows", read(&self.scouted_rows)),
            ("spotted_rows", read(&self.spotted_rows)),
            ("searched_rows", read(&self.searched_rows)),
        ])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn watchers_wake_only_for_changes() {
        let board = Board::new(false);
        let watch = board.watch();
        board.change(|_| ());
        assert!(!watch.has_changed().unwrap());
        board.health("model", OK);
        assert!(watch.has_changed().unwrap());
        assert!(board.read().troubles().is_empty());
        board.health("model", "missing");
        assert_eq!(board.read().troubles(), ["model: missing"]);
    }

    #[test]
    fn private_mode_shows_in_the_status() {
        let board = Board::new(false);
        board.set_private(true);
        assert!(board.is_private() && board.read().private);
    }
}
