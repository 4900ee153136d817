//! The inference thread: owns the pipeline and the microphone, obeys commands, emits events.

use crate::assembly;
use crate::command::{Command, ListenOptions, Refusal, Reply};
use crate::config::{ListenMode, Settings};
use crate::event::{Event, EventKind, SAMPLE_RATE, State};
use crate::microphone::{Change, Microphone};
use crate::outlet::Outlet;
use crate::pipeline::{Language, Pipeline};
use crate::status::{Counters, OK};
use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::sync::watch;
use vocar_inference::Precision;
use vocar_nlu::{EntityValue, Intent};

/// How long the thread sleeps without a session; the watchdog's heartbeat is this slow.
const IDLE: Duration = Duration::from_millis(500);
/// How long it waits for sound within a session; commands wait as long.
const PATIENCE: Duration = Duration::from_millis(30);
/// How long a microphone may take to open before a session begins without waiting for it.
const OPENING: Duration = Duration::from_millis(500);
/// The longest text that is taken for a command, in bytes.
const LONGEST_TEXT: usize = 1000;

/// The inference thread before it runs.
#[derive(Debug)]
pub struct Worker {
    settings: Settings,
    advised: Precision,
    commands: Receiver<Command>,
    outlet: Outlet,
}

impl Worker {
    /// A worker that will obey `commands`. `advised` is the hardware profile's choice of arithmetic.
    #[must_use]
    pub const fn new(
        settings: Settings,
        advised: Precision,
        commands: Receiver<Command>,
        outlet: Outlet,
    ) -> Self {
        Self {
            settings,
            advised,
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
                let mut shift = Shift::load(self.settings, self.advised, self.outlet);
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

/// The worker at work.
#[derive(Debug)]
struct Shift {
    settings: Settings,
    advised: Precision,
    outlet: Outlet,
    pipeline: Pipeline,
    /// Injected entities, to inject again when the domains are loaded anew.
    entities: BTreeMap<String, Vec<EntityValue>>,
    microphone: Option<Microphone>,
    open: Option<Open>,
    last_id: u64,
}

impl Shift {
    fn load(settings: Settings, advised: Precision, outlet: Outlet) -> Self {
        let mind = assembly::mind(&settings).unwrap_or_else(|error| {
            outlet.fault("domains", &error.to_string());
            crate::mind::Mind::new(Vec::new(), 0.0)
        });
        if !outlet.board().read().health.contains_key("domains") {
            outlet.board().health("domains", OK);
        }
        let mut pipeline = Pipeline::new(mind, Language::Domains, settings.audio.zone.clone());
        match assembly::ears(&settings, &pipeline.words(), advised) {
            Ok(ears) => {
                pipeline.set_ears(Some(ears));
                outlet.board().health("model", OK);
            }
            Err(error) => outlet.fault("model", &error.to_string()),
        }
        let entities = BTreeMap::new();
        let mut shift = Self {
            settings,
            advised,
            outlet,
            pipeline,
            entities,
            microphone: None,
            open: None,
            last_id: 0,
        };
        shift.publish();
        shift.stand();
        shift.show();
        shift
    }

    /// One turn: a command if there is one, then some sound. False at the end.
    fn turn(&mut self, commands: &Receiver<Command>) -> bool {
        Counters::add(&self.outlet.board().counters.heartbeat, 1);
        let patience = if self.open.is_some() {
            Duration::ZERO
        } else {
            IDLE
        };
        match commands.recv_timeout(patience) {
            Ok(Command::Shutdown) | Err(RecvTimeoutError::Disconnected) => return false,
            Ok(command) => self.obey(command),
            Err(RecvTimeoutError::Timeout) => {}
        }
        if self.open.is_some() {
            self.listen();
        }
        self.show();
        true
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
                announce,
                reply,
            } => {
                let result = self.interpret(&text, announce);
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
            Command::Apply(settings, reply) => {
                let result = self.apply(*settings);
                self.answer(reply, result);
            }
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

    fn start(&mut self, options: ListenOptions) -> Result<u64, Refusal> {
        if let Some(open) = self.open.as_ref().filter(|open| !open.standing) {
            return Err(Refusal::Busy(open.id));
        }
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
        let mut sound = Vec::new();
        if self.microphone.is_none() {
            self.microphone = Some(self.open_microphone(&mut sound)?);
        }
        let standing = self.open.take();
        let started = self.begin(options, false);
        if started.is_err() && standing.is_some() {
            self.stand();
        }
        self.hear(&sound);
        started
    }

    /// Whoever asks for a session learns at once when there is no microphone.
    fn open_microphone(&self, sound: &mut Vec<f32>) -> Result<Microphone, Refusal> {
        let opened = Microphone::open(&self.settings.audio)
            .and_then(|mut microphone| microphone.wait(OPENING, sound).map(|()| microphone));
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

    fn begin(&mut self, options: ListenOptions, standing: bool) -> Result<u64, Refusal> {
        let zone = options
            .zone
            .unwrap_or_else(|| self.settings.audio.zone.clone());
        let id = self.last_id + 1;
        self.pipeline
            .begin(id, &zone, options.mode)
            .map_err(|error| Refusal::Failed(error.to_string()))?;
        self.last_id = id;
        Counters::add(&self.outlet.board().counters.sessions, 1);
        let limit = (options.mode == ListenMode::PushToTalk).then(|| samples(options.timeout));
        self.open = Some(Open {
            id,
            zone,
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
    fn stand(&mut self) {
        let Some(mode) = self.settings.listen.start.listen() else {
            return;
        };
        if self.open.is_some() || self.pipeline.backend().is_none() {
            return;
        }
        let options = ListenOptions {
            mode,
            zone: None,
            timeout: Duration::ZERO,
        };
        if let Err(error) = self.begin(options, true) {
            self.outlet.fault("recogniser", &error.to_string());
        }
    }

    fn stop(&mut self, session: u64) -> Result<(), Refusal> {
        self.the_open(session)?;
        self.finish();
        Ok(())
    }

    fn cancel(&mut self, session: u64) -> Result<(), Refusal> {
        self.the_open(session)?;
        self.pipeline.cancel();
        self.close();
        Ok(())
    }

    fn the_open(&self, session: u64) -> Result<(), Refusal> {
        match &self.open {
            Some(open) if open.id == session => Ok(()),
            _ => Err(Refusal::UnknownSession(session)),
        }
    }

    fn interpret(&mut self, text: &str, announce: bool) -> Result<Vec<Intent>, Refusal> {
        if text.trim().is_empty() {
            return Err(Refusal::InvalidArgument(
                "the text is empty: give the words of a command".into(),
            ));
        }
        if text.len() > LONGEST_TEXT {
            return Err(Refusal::InvalidArgument(format!(
                "the text has {} bytes: no command is longer than {LONGEST_TEXT}",
                text.len()
            )));
        }
        let mut events = Vec::new();
        let readings = self
            .pipeline
            .interpret(text, announce, &mut |event| events.push(event));
        self.follow(events);
        Ok(readings)
    }

    fn confirm(&mut self, session: u64, yes: bool) -> Result<(), Refusal> {
        if self.open.as_ref().map_or(0, |open| open.id) != session {
            return Err(Refusal::UnknownSession(session));
        }
        let mut events = Vec::new();
        if !self.pipeline.confirm(yes, &mut |event| events.push(event)) {
            return Err(Refusal::NothingToConfirm(session));
        }
        self.follow(events);
        self.close_if_done();
        Ok(())
    }

    fn set_entities(&mut self, list: String, values: Vec<EntityValue>) -> Result<(), Refusal> {
        if let Some(silent) = values
            .iter()
            .find(|value| value.says.iter().all(|says| says.trim().is_empty()))
        {
            return Err(Refusal::InvalidArgument(format!(
                "entity \"{}\" of list \"{list}\" has no name that can be said: give at least one",
                silent.id
            )));
        }
        self.pipeline
            .change_mind(|mind| mind.set_entities(&list, &values))
            .map_err(|error| Refusal::UnknownList(error.to_string()))?;
        self.entities.insert(list, values);
        Ok(())
    }

    fn switch(&mut self, name: &str, on: bool) -> Result<(), Refusal> {
        self.pipeline
            .change_mind(|mind| mind.switch(name, on))
            .map_err(|_| Refusal::UnknownDomain(name.to_owned()))?;
        self.publish();
        Ok(())
    }

    /// Uses other settings, all or nothing: the new parts are made before the old ones go.
    fn apply(&mut self, settings: Settings) -> Result<(), Refusal> {
        let failed = |error: String| Refusal::Failed(error);
        let mut mind = assembly::mind(&settings).map_err(|error| failed(error.to_string()))?;
        for (list, values) in &self.entities {
            if let Err(error) = mind.set_entities(list, values) {
                tracing::info!("the new domains have no use for injected values: {error}");
            }
        }
        let mut pipeline = Pipeline::new(mind, Language::Domains, settings.audio.zone.clone());
        let ears = assembly::ears(&settings, &pipeline.words(), self.advised);
        match ears {
            Ok(ears) => {
                pipeline.set_ears(Some(ears));
                self.outlet.board().health("model", OK);
            }
            Err(error) if self.pipeline.backend().is_some() => {
                return Err(failed(error.to_string()));
            }
            Err(error) => self.outlet.board().health("model", &error.to_string()),
        }
        if settings.audio != self.settings.audio {
            self.microphone = None;
        }
        self.outlet.board().health("domains", OK);
        self.pipeline = pipeline;
        self.settings = settings;
        self.open = None;
        self.publish();
        self.stand();
        Ok(())
    }

    /// Takes some sound from the microphone. A standing session outlasts its microphone.
    fn listen(&mut self) {
        let mut sound = Vec::new();
        let changes = match &mut self.microphone {
            Some(microphone) => microphone.read(PATIENCE, &mut sound),
            None => match Microphone::open(&self.settings.audio) {
                Ok(microphone) => {
                    self.microphone = Some(microphone);
                    return;
                }
                Err(why) => {
                    std::thread::sleep(PATIENCE);
                    vec![Change::Lost(why)]
                }
            },
        };
        for change in changes {
            self.note(change);
        }
        if !sound.is_empty() {
            self.hear(&sound);
        }
    }

    fn note(&mut self, change: Change) {
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
    fn forget_utterance(&mut self) {
        let Some(open) = &self.open else { return };
        if let Err(error) = self.pipeline.begin(open.id, &open.zone, open.mode) {
            self.outlet.fault("recogniser", &error.to_string());
        }
    }

    fn hear(&mut self, sound: &[f32]) {
        let begin = Instant::now();
        let mut events = Vec::new();
        let result = self.pipeline.push(sound, &mut |event| events.push(event));
        let counters = &self.outlet.board().counters;
        Counters::add(
            &counters.busy_us,
            u64::try_from(begin.elapsed().as_micros()).unwrap_or(u64::MAX),
        );
        Counters::add(&counters.samples, sound.len() as u64);
        self.follow(events);
        if let Err(error) = result {
            self.outlet.fault("recogniser", &error.to_string());
            self.pipeline.cancel();
            return self.close();
        }
        if let Some(open) = &mut self.open {
            open.heard += sound.len() as u64;
            if open.limit.is_some_and(|limit| open.heard >= limit) {
                return self.finish();
            }
        }
        self.close_if_done();
    }

    /// Passes events on and learns from them how the session goes.
    fn follow(&mut self, events: Vec<Event>) {
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

    fn finish(&mut self) {
        let mut events = Vec::new();
        let result = self.pipeline.finish(&mut |event| events.push(event));
        self.follow(events);
        if let Err(error) = result {
            self.outlet.fault("recogniser", &error.to_string());
        }
        self.close();
    }

    fn close_if_done(&mut self) {
        if self.open.as_ref().is_some_and(|open| open.done) {
            self.close();
        }
    }

    /// Ends the session; without another one the microphone is closed too: nobody listens unasked.
    fn close(&mut self) {
        self.open = None;
        self.stand();
        if self.open.is_none() {
            self.microphone = None;
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
        let (session, zone) = self
            .open
            .as_ref()
            .map_or((0, self.settings.audio.zone.as_str()), |open| {
                (open.id, open.zone.as_str())
            });
        self.outlet.enter(self.state(), session, zone);
    }

    fn state(&self) -> State {
        if self.pipeline.mind().is_asking() {
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

fn samples(time: Duration) -> u64 {
    (time.as_secs_f64() * SAMPLE_RATE as f64) as u64
}
