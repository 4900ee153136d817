//! The inference thread: owns the pipeline and the microphone, obeys commands, emits events.

mod accelerators;
mod adapters;
mod sessions;
mod settings;
mod sound;

use crate::assembly;
use crate::command::{Command, Refusal, Reply};
use crate::config::{ListenMode, Settings};
use crate::event::State;
use crate::microphone::{self, Microphone};
use crate::mind::Mind;
use crate::outlet::Outlet;
use crate::pipeline::{Language, Pipeline};
use crate::power::Power;
use crate::status::{Counters, OK};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::sync::watch;
use vocar_hw::Choice;
use vocar_nlu::{AdapterStore, Encoder, EncoderError, EntityValue};
use vocar_speech::cabin::Cabin;
use vocar_speech::recogniser::Work;

/// How long the thread sleeps without a session; the watchdog's heartbeat is this slow.
const IDLE: Duration = Duration::from_millis(500);

/// The inference thread before it runs.
#[derive(Debug)]
pub struct Worker {
    settings: Settings,
    choice: Choice,
    commands: Receiver<Command>,
    outlet: Outlet,
}

impl Worker {
    /// A worker that will obey `commands`. `choice` is the machine it runs on.
    #[must_use]
    pub const fn new(
        settings: Settings,
        choice: Choice,
        commands: Receiver<Command>,
        outlet: Outlet,
    ) -> Self {
        Self {
            settings,
            choice,
            commands,
            outlet,
        }
    }

    /// Starts the thread; `loaded` becomes true when it is ready for commands and closes when the thread ends.
    ///
    /// # Errors
    /// If the system refuses a thread.
    pub fn spawn(self, loaded: watch::Sender<bool>) -> std::io::Result<JoinHandle<()>> {
        std::thread::Builder::new()
            .name("vocar-inference".into())
            .spawn(move || {
                let commands = self.commands;
                let mut shift = Shift::load(self.settings, self.choice, self.outlet);
                loaded.send_replace(true);
                while shift.turn(&commands) {}
                shift.outlet.enter(State::Stopping, 0, "");
            })
    }
}

/// A session that is open.
#[derive(Debug)]
struct Open {
    id: u64,
    zone: String,
    /// The seat that was asked for; nothing: whoever speaks.
    seat: Option<String>,
    mode: ListenMode,
    /// Samples after which a session in which nobody speaks ends.
    limit: Option<u64>,
    /// Samples heard so far.
    heard: u64,
    /// The wake phrase was said and the command is awaited.
    awake: bool,
    /// Began by itself; begins again after a session that was asked for.
    standing: bool,
    /// The command was heard: nothing more to listen for.
    done: bool,
}

/// What reads what no template says; when its bundle is damaged, templates alone count.
fn shown(
    encoder: Result<Option<Arc<Encoder>>, EncoderError>,
    outlet: &Outlet,
) -> Option<Arc<Encoder>> {
    match encoder {
        Ok(encoder) => {
            if encoder.is_some() {
                outlet.board().health("understanding", OK);
            }
            encoder
        }
        Err(error) => {
            outlet.fault("understanding", &error.to_string());
            None
        }
    }
}

/// The worker at work.
#[derive(Debug)]
struct Shift {
    settings: Settings,
    power: Power,
    outlet: Outlet,
    pipeline: Pipeline,
    /// The adapters of the encoder, if there is one.
    adapters: Option<Arc<AdapterStore>>,
    /// Injected entities, to inject again when the domains are loaded anew.
    entities: BTreeMap<String, Vec<EntityValue>>,
    microphone: Option<Microphone>,
    open: Option<Open>,
    /// The power level forbids the session, but something is being said: when it ends at the latest, if ever.
    leaving: Option<Option<Instant>>,
    last_id: u64,
    /// Of the pipeline, as far as it is counted on the board.
    work: Work,
    /// Until when time without a session has been counted.
    rested: Instant,
}

impl Shift {
    fn load(settings: Settings, choice: Choice, outlet: Outlet) -> Self {
        let mut mind = assembly::mind(&settings).unwrap_or_else(|error| {
            outlet.fault("domains", &error.to_string());
            Mind::new(Vec::new(), 0.0)
        });
        if !outlet.board().read().health.contains_key("domains") {
            outlet.board().health("domains", OK);
        }
        let encoder = shown(assembly::encoder(&settings), &outlet);
        let adapters = adapters::furnish(&mut mind, encoder, &settings, &outlet);
        let power = Power::new(&settings.hardware, choice);
        let mut pipeline = pipeline(mind, &settings);
        let advised = power.plan().precision;
        match assembly::ears(&settings, &pipeline.words(), advised) {
            Ok(ears) => {
                pipeline.set_ears(Some(ears));
                outlet.board().health("model", OK);
            }
            Err(error) => outlet.fault("model", &error.to_string()),
        }
        pipeline.set_cabin(cabin(&settings, &outlet));
        let entities = BTreeMap::new();
        let mut shift = Self {
            settings,
            power,
            outlet,
            pipeline,
            adapters,
            entities,
            microphone: None,
            open: None,
            leaving: None,
            last_id: 0,
            work: Work::default(),
            rested: Instant::now(),
        };
        shift.publish();
        shift.show_accelerators();
        shift.show_power();
        shift.stand();
        shift.show();
        shift
    }

    /// One turn: a command if there is one, then some sound. False at the end.
    fn turn(&mut self, commands: &Receiver<Command>) -> bool {
        Counters::add(&self.outlet.board().counters.heartbeat, 1);
        let patience = match &self.open {
            None => IDLE,
            Some(_) if self.rests() => self.power.rest(),
            Some(_) => Duration::ZERO,
        };
        match commands.recv_timeout(patience) {
            Ok(Command::Shutdown) | Err(RecvTimeoutError::Disconnected) => return false,
            Ok(command) => self.obey(command),
            Err(RecvTimeoutError::Timeout) => {}
        }
        let rested = std::mem::replace(&mut self.rested, Instant::now());
        if self.open.is_some() {
            self.listen();
            self.let_go();
        } else {
            self.rest(rested.elapsed());
        }
        self.mind_the_accelerator();
        self.power.work(self.pipeline.hears_command());
        self.show();
        true
    }

    /// Whether sound may gather: nobody speaks, and the microphone is there.
    fn rests(&self) -> bool {
        self.microphone.is_some() && !self.pipeline.is_hearing()
    }

    fn obey(&mut self, command: Command) {
        match command {
            Command::Start(options, reply) => {
                let result = self.start(options);
                self.answer(reply, result);
            }
            Command::Stop(session, reply) => {
                let result = self.stop(session);
                self.answer(reply, result);
            }
            Command::Cancel(session, reply) => {
                let result = self.cancel(session);
                self.answer(reply, result);
            }
            Command::Interpret {
                text,
                options,
                reply,
            } => {
                let result = self.interpret(&text, &options);
                self.answer(reply, result);
            }
            Command::Confirm {
                session,
                yes,
                reply,
            } => {
                let result = self.confirm(session, yes);
                self.answer(reply, result);
            }
            Command::SetEntities {
                list,
                values,
                reply,
            } => {
                let result = self.set_entities(list, values);
                self.answer(reply, result);
            }
            Command::SwitchDomain { name, on, reply } => {
                let result = self.switch(&name, on);
                self.answer(reply, result);
            }
            Command::Adapter(command) => self.adapt(command),
            Command::Apply(settings, reply) => {
                let result = self.apply(*settings);
                self.answer(reply, result);
            }
            Command::Power { level, why } => self.restrain(level, why),
            Command::Shutdown => {}
        }
    }

    /// Answers a caller, who may look at the state right away: it is shown first.
    fn answer<T>(&self, reply: Reply<T>, result: Result<T, Refusal>) {
        self.show();
        if reply.send(result).is_err() {
            tracing::debug!("a caller went before the answer");
        }
    }

    /// Puts what is in force on the board.
    fn publish(&self) {
        let backend = self.pipeline.backend().unwrap_or("none").to_owned();
        let domains = self.pipeline.mind().enabled();
        self.outlet.board().change(|status| {
            status.backend = backend;
            status.domains = domains;
        });
    }

    /// Announces the state if it is another one.
    fn show(&self) {
        self.show_adapters();
        let (session, zone) = self
            .open
            .as_ref()
            .map_or((0, self.settings.audio.zone.as_str()), |open| {
                (open.id, open.zone.as_str())
            });
        self.outlet.enter(self.state(), session, zone);
    }

    fn state(&self) -> State {
        if self.pipeline.mind().is_asking_anybody() {
            return State::Asking;
        }
        match &self.open {
            Some(open) if open.mode == ListenMode::Wake && !open.awake => State::Waiting,
            Some(_) => State::Listening,
            None if self.pipeline.backend().is_none() => State::Unavailable,
            None => State::Idle,
        }
    }
}

/// The cabin as configured; where echoes cannot be cancelled it is told, and the microphones are heard as they are.
fn cabin(settings: &Settings, outlet: &Outlet) -> Option<Cabin> {
    let mut config = microphone::cabin(&settings.audio)?;
    match Cabin::new(&config) {
        Ok(cabin) => {
            outlet.board().health("echo", OK);
            Some(cabin)
        }
        Err(error) => {
            outlet.fault("echo", &error.to_string());
            config.references = 0;
            Cabin::new(&config).ok()
        }
    }
}

fn pipeline(mind: Mind, settings: &Settings) -> Pipeline {
    let mut pipeline = Pipeline::new(
        mind,
        Language::Domains,
        assembly::thresholds(settings),
        settings.audio.zone.clone(),
    );
    pipeline.set_seats(settings.adapters.seats.clone());
    pipeline
}
