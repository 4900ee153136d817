//! Sound from the microphone into the pipeline, events out of it.

use super::Shift;
use crate::config::ListenMode;
use crate::event::{Event, EventKind, seconds};
use crate::microphone::{Change, Microphone};
use crate::status::{Counters, OK};
use std::time::{Duration, Instant};

/// Computing that takes less than half a step of the network is not late, however short the piece of sound: nobody
/// notices, and the next piece is there to catch up in.
const UNNOTICED: f64 = 0.12;

/// How long it waits for sound within a session; commands wait as long.
const PATIENCE: Duration = Duration::from_millis(30);

impl Shift {
    /// Takes some sound from the microphone. A standing session outlasts its microphone.
    pub(super) fn listen(&mut self) {
        let mut tracks = Vec::new();
        let changes = match &mut self.microphone {
            Some(microphone) => microphone.read(PATIENCE, &mut tracks),
            None => match Microphone::open(&self.settings.audio) {
                Ok(microphone) => {
                    self.microphone = Some(microphone);
                    return;
                }
                Err(why) => {
                    std::thread::sleep(PATIENCE);
                    self.rest(PATIENCE);
                    vec![Change::Lost(why)]
                }
            },
        };
        for change in changes {
            self.note(change);
        }
        self.hear(&tracks);
    }

    pub(super) fn note(&mut self, change: Change) {
        match change {
            Change::Opened(device) => {
                tracing::info!(device, "microphone open");
                self.outlet.board().health("microphone", OK);
            }
            Change::Lost(why) => {
                if self.outlet.board().read().health.get("microphone") != Some(&why) {
                    self.outlet.fault("microphone", &why);
                }
                self.forget_utterance();
            }
            Change::Joined(device) => {
                tracing::info!(device, "another device open");
                self.outlet.board().health("reference", OK);
            }
            Change::Missing(why) => self.outlet.fault("reference", &why),
            Change::Overrun(count) => {
                tracing::warn!(
                    count,
                    "the sound system lost sound: its thread came too late"
                );
                Counters::add(&self.outlet.board().counters.overruns, count);
            }
            Change::Dropped(frames) => {
                Counters::add(&self.outlet.board().counters.dropped_frames, frames);
                if let Some(open) = &self.open {
                    let kind = EventKind::AudioDropped { frames };
                    self.outlet.emit(Event {
                        session: open.id,
                        zone: open.zone.clone(),
                        at: open.heard,
                        kind,
                    });
                }
            }
        }
    }

    /// The sound before and after a lost device is not one stream: a half-heard sentence is given up, the session not.
    pub(super) fn forget_utterance(&mut self) {
        let Some(open) = &self.open else { return };
        if let Err(error) = self
            .pipeline
            .begin(open.id, open.seat.as_deref(), open.mode)
        {
            self.outlet.fault("recogniser", &error.to_string());
        }
    }

    /// Time goes by without sound.
    pub(super) fn rest(&mut self, time: Duration) {
        let mut events = Vec::new();
        self.pipeline.rest(time, &mut |event| events.push(event));
        self.follow(events);
        self.close_if_done();
    }

    pub(super) fn hear(&mut self, tracks: &[Vec<f32>]) {
        let length = tracks.first().map_or(0, Vec::len) as u64;
        if length == 0 {
            return;
        }
        let begin = Instant::now();
        let mut events = Vec::new();
        let result = self.pipeline.hear(tracks, &mut |event| events.push(event));
        let counters = &self.outlet.board().counters;
        let spent = begin.elapsed();
        Counters::add(
            &counters.busy_us,
            u64::try_from(spent.as_micros()).unwrap_or(u64::MAX),
        );
        if spent.as_secs_f64() > seconds(length).max(UNNOTICED) {
            Counters::add(&counters.late, 1);
        }
        Counters::add(&counters.samples, length);
        self.count_work();
        self.follow(events);
        if let Err(error) = result {
            self.outlet.fault("recogniser", &error.to_string());
            self.pipeline.cancel();
            return self.close();
        }
        if let Some(open) = &mut self.open {
            open.heard += length;
            if open.limit.is_some_and(|limit| open.heard >= limit) {
                return self.finish();
            }
        }
        self.close_if_done();
    }

    /// Adds to the counters what each stage of the cascade has computed since the last time.
    fn count_work(&mut self) {
        let work = self.pipeline.ears().map(crate::ears::Ears::work);
        let work = work.unwrap_or_default();
        let counters = &self.outlet.board().counters;
        for (counter, now, before) in [
            (&counters.network_steps, work.steps, self.work.steps),
            (&counters.scouted_rows, work.scouted, self.work.scouted),
            (&counters.spotted_rows, work.spotted, self.work.spotted),
            (&counters.searched_rows, work.searched, self.work.searched),
        ] {
            Counters::add(counter, now.saturating_sub(before));
        }
        self.work = work;
    }

    /// Passes events on and learns from them how the session goes.
    pub(super) fn follow(&mut self, events: Vec<Event>) {
        for event in events {
            if let Some(open) = &mut self.open {
                match &event.kind {
                    EventKind::WakeDetected { .. } => open.awake = true,
                    EventKind::SpeechStarted => open.limit = None,
                    EventKind::IntentRecognized { .. } | EventKind::Rejected { .. } => {
                        open.awake = false;
                        open.done = open.mode == ListenMode::PushToTalk;
                    }
                    _ => {}
                }
            }
            self.outlet.emit(event);
        }
    }
}
