//! Sessions: when they begin, when they end, and which may be.

use super::{Open, Shift};
use crate::assembly;
use crate::command::{ListenOptions, Refusal};
use crate::config::ListenMode;
use crate::event::{Event, EventKind, SAMPLE_RATE};
use crate::microphone::Microphone;
use crate::status::{Counters, OK};
use std::time::{Duration, Instant};
use vocar_hw::Level;

/// How long what is being said may go on when everything shall pause: logind waits 5 s.
const LAST_WORDS: Duration = Duration::from_millis(3500);

/// How long a microphone may take to open before a session begins without waiting for it.
const OPENING: Duration = Duration::from_millis(500);

impl Shift {
    pub(super) fn start(&mut self, options: ListenOptions) -> Result<u64, Refusal> {
        if let Some(open) = self.open.as_ref().filter(|open| !open.standing) {
            return Err(Refusal::Busy(open.id));
        }
        self.power.allows(options.mode)?;
        self.prepare(&options.adapters)?;
        if self.pipeline.backend().is_none() {
            let why = self
                .outlet
                .board()
                .read()
                .health
                .get("model")
                .cloned()
                .unwrap_or_default();
            return Err(Refusal::Unavailable(format!(
                "speech cannot be recognised: {why}"
            )));
        }
        let mut tracks = Vec::new();
        if self.microphone.is_none() {
            self.microphone = Some(self.open_microphone(&mut tracks)?);
        }
        let standing = self.open.is_some();
        self.leave();
        let started = self.begin(options, false);
        if started.is_err() && standing {
            self.stand();
        }
        self.hear(&tracks);
        started
    }

    /// Whoever asks for a session learns at once when there is no microphone.
    pub(super) fn open_microphone(
        &self,
        tracks: &mut Vec<Vec<f32>>,
    ) -> Result<Microphone, Refusal> {
        let opened = Microphone::open(&self.settings.audio)
            .and_then(|mut microphone| microphone.wait(OPENING, tracks).map(|()| microphone));
        match opened {
            Ok(microphone) => {
                self.outlet.board().health("microphone", OK);
                Ok(microphone)
            }
            Err(why) => {
                self.outlet.fault("microphone", &why);
                Err(Refusal::Unavailable(why))
            }
        }
    }

    pub(super) fn begin(&mut self, options: ListenOptions, standing: bool) -> Result<u64, Refusal> {
        let seat = options.zone;
        let zone = seat.as_ref().unwrap_or(&self.settings.audio.zone).clone();
        let id = self.last_id + 1;
        self.pipeline.name_adapters(options.adapters);
        self.pipeline
            .begin(id, seat.as_deref(), options.mode)
            .map_err(|error| Refusal::Failed(error.to_string()))?;
        self.last_id = id;
        Counters::add(&self.outlet.board().counters.sessions, 1);
        let limit = (options.mode == ListenMode::PushToTalk).then(|| samples(options.timeout));
        self.open = Some(Open {
            id,
            zone,
            seat,
            mode: options.mode,
            limit,
            heard: 0,
            awake: false,
            standing,
            done: false,
        });
        Ok(id)
    }

    /// Begins what the configuration says shall always go on.
    pub(super) fn stand(&mut self) {
        let Some(mode) = self.settings.listen.start.listen() else {
            return;
        };
        let possible = self.pipeline.backend().is_some() && self.power.allows(mode).is_ok();
        if self.open.is_some() || !possible {
            return;
        }
        let options = ListenOptions {
            mode,
            zone: None,
            timeout: Duration::ZERO,
            adapters: Vec::new(),
        };
        if let Err(error) = self.begin(options, true) {
            self.outlet.fault("recogniser", &error.to_string());
        }
    }

    pub(super) fn stop(&mut self, session: u64) -> Result<(), Refusal> {
        self.the_open(session)?;
        self.finish();
        Ok(())
    }

    pub(super) fn cancel(&mut self, session: u64) -> Result<(), Refusal> {
        self.the_open(session)?;
        self.pipeline.cancel();
        self.close();
        Ok(())
    }

    pub(super) fn the_open(&self, session: u64) -> Result<(), Refusal> {
        match &self.open {
            Some(open) if open.id == session => Ok(()),
            _ => Err(Refusal::UnknownSession(session)),
        }
    }

    pub(super) fn finish(&mut self) {
        let mut events = Vec::new();
        let result = self.pipeline.finish(&mut |event| events.push(event));
        self.follow(events);
        if let Err(error) = result {
            self.outlet.fault("recogniser", &error.to_string());
        }
        self.close();
    }

    /// Ends a session whose command was heard, unless it waits for an answer.
    pub(super) fn close_if_done(&mut self) {
        let done = self.open.as_ref().is_some_and(|open| open.done);
        if done && !self.pipeline.mind().is_asking() {
            self.close();
        }
    }

    /// Ends the session; without another one the microphone is closed too: nobody listens unasked.
    pub(super) fn close(&mut self) {
        self.leaving = None;
        self.leave();
        self.stand();
        if self.open.is_none() {
            self.microphone = None;
        }
    }

    /// No session is open: what the last one asked is withdrawn.
    pub(super) fn leave(&mut self) {
        if self.open.is_none() {
            return;
        }
        let mut events = Vec::new();
        self.pipeline.leave(&mut |event| events.push(event));
        self.open = None;
        self.follow(events);
    }

    /// Another power level: sessions that it does not allow end, standing ones that it allows again begin.
    pub(super) fn restrain(&mut self, level: Level, why: String) {
        if level != self.power.level() {
            self.power.enter(level, why);
            self.power_changed();
        }
    }

    /// Tells of the level in force and obeys it.
    pub(super) fn power_changed(&mut self) {
        self.show_power();
        self.tell(EventKind::PowerChanged {
            level: self.power.level().to_string(),
            reason: self.power.why().to_owned(),
        });
        self.refit();
        self.leaving = None;
        if self.is_forbidden() {
            let paused = self.power.level() == Level::Paused;
            self.leaving = Some(paused.then(|| Instant::now() + LAST_WORDS));
            self.let_go();
        } else {
            self.stand();
        }
    }

    fn is_forbidden(&self) -> bool {
        let forbidden = |open: &Open| self.power.allows(open.mode).is_err();
        self.open.as_ref().is_some_and(forbidden)
    }

    /// Ends a session that the power level forbids, once nothing is being said; what is being said at the last moment
    /// is taken as complete.
    pub(super) fn let_go(&mut self) {
        let Some(latest) = self.leaving else { return };
        if self.open.is_none() {
            self.leaving = None;
        } else if !self.pipeline.is_engaged() {
            self.pipeline.cancel();
            self.close();
        } else if latest.is_some_and(|latest| Instant::now() >= latest) {
            self.finish();
        }
    }

    /// Takes the variant of the acoustic model that the plan wants, from the next utterance on.
    fn refit(&mut self) {
        let wanted =
            assembly::precision(self.settings.model.precision, self.power.plan().precision);
        match self.pipeline.take_variant(wanted) {
            Ok(()) => self.publish(),
            Err(error) => self.outlet.fault("model", &error.to_string()),
        }
        self.show_power();
    }

    /// Puts the level on the board.
    pub(super) fn show_power(&self) {
        let board = self.outlet.board();
        board.health("power", &self.power.health());
        let level = self.power.level().to_string();
        let ears = self.pipeline.ears();
        let plan = self.power.report(ears.map(crate::ears::Ears::variant));
        board.change(|status| {
            status.power_level = level;
            status.power_plan = plan;
        });
    }

    /// An event that belongs to no session.
    pub(super) fn tell(&self, kind: EventKind) {
        self.outlet.emit(Event {
            session: 0,
            zone: self.settings.audio.zone.clone(),
            at: 0,
            kind,
        });
    }
}

fn samples(time: Duration) -> u64 {
    (time.as_secs_f64() * SAMPLE_RATE as f64) as u64
}
