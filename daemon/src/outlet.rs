//! The worker's end of the spine: counts, logs and passes events on, never waits.

use crate::event::{Event, EventKind, State};
use crate::status::{Board, Counters};
use std::sync::Arc;
use tokio::sync::mpsc::Sender;

/// Where the worker's events go.
#[derive(Debug, Clone)]
pub struct Outlet {
    events: Sender<Event>,
    board: Arc<Board>,
}

impl Outlet {
    /// An outlet into a bounded queue.
    #[must_use]
    pub const fn new(events: Sender<Event>, board: Arc<Board>) -> Self {
        Self { events, board }
    }

    /// The snapshot that subscribers read.
    #[must_use]
    pub fn board(&self) -> &Board {
        &self.board
    }

    /// Passes one event on; when the queue is full it is dropped and counted.
    pub fn emit(&self, event: Event) {
        self.count(&event.kind);
        self.log(&event);
        if self.events.try_send(event).is_err() {
            Counters::add(&self.board.counters.dropped_events, 1);
        }
    }

    /// Announces another state, once.
    pub fn enter(&self, state: State, session: u64, zone: &str) {
        let previous = self.board.read().state;
        if previous == state {
            return;
        }
        self.board.change(|status| status.state = state);
        self.emit(Event {
            session,
            zone: zone.to_owned(),
            at: 0,
            kind: EventKind::StateChanged { state, previous },
        });
    }

    /// Something is broken: in the log, in Health, and as an event.
    pub fn fault(&self, component: &str, message: &str) {
        self.board.health(component, message);
        let kind = EventKind::Fault {
            component: component.to_owned(),
            message: message.to_owned(),
        };
        self.emit(Event {
            session: 0,
            zone: String::new(),
            at: 0,
            kind,
        });
    }

    fn count(&self, kind: &EventKind) {
        let counters = &self.board.counters;
        match kind {
            EventKind::IntentRecognized { .. } => Counters::add(&counters.intents, 1),
            EventKind::Rejected { .. } => Counters::add(&counters.rejected, 1),
            _ => {}
        }
    }

    /// One line a turn, so that "inconsistent" can be looked up; words only at debug, and none in the private mode.
    fn log(&self, event: &Event) {
        let (session, at) = (event.session, event.seconds());
        match &event.kind {
            EventKind::IntentRecognized {
                intent,
                latency,
                source,
                ..
            } => {
                let ms = latency.total_ms();
                let confidence = f64::from(intent.confidence);
                tracing::info!(session, at, name = %intent.name, confidence, ms, ?source, "intent");
            }
            EventKind::Rejected {
                stage,
                reason,
                confidence,
                ..
            } => {
                tracing::info!(session, at, ?stage, %reason, ?confidence, "rejected");
            }
            EventKind::StateChanged { state, previous } => {
                tracing::info!(session, from = previous.name(), to = state.name(), "state");
            }
            EventKind::PowerChanged { level, reason } => {
                tracing::info!(level, reason, "power level");
            }
            EventKind::ProfileChanged { profile } => tracing::info!(profile, "hardware profile"),
            EventKind::Fault { component, message } => tracing::error!(component, "{message}"),
            EventKind::AudioDropped { frames } => tracing::warn!(session, frames, "audio lost"),
            EventKind::FinalTranscript {
                text, confidence, ..
            } if !self.board.is_private() => {
                tracing::debug!(session, at, text, confidence, "heard");
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::Ordering;

    #[test]
    fn a_full_queue_drops_and_counts() {
        let board = Arc::new(Board::new(false));
        let (sender, mut receiver) = tokio::sync::mpsc::channel(1);
        let outlet = Outlet::new(sender, Arc::clone(&board));
        outlet.enter(State::Idle, 0, "driver");
        outlet.enter(State::Idle, 0, "driver");
        assert_eq!(board.counters.dropped_events.load(Ordering::Relaxed), 0);
        outlet.fault("microphone", "gone");
        assert_eq!(board.counters.dropped_events.load(Ordering::Relaxed), 1);
        assert_eq!(board.read().troubles(), ["microphone: gone"]);
        let kept = receiver.try_recv().unwrap();
        assert!(matches!(
            kept.kind,
            EventKind::StateChanged {
                state: State::Idle,
                previous: State::Starting
            }
        ));
    }
}
