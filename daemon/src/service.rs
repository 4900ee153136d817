//! The service: reads the configuration, starts the worker and the bus, tells the service manager, ends in order.

use crate::bus::{self, Link, Peers, ReloadRequest, Throttle, VoiceAssistant};
use crate::config::{ConfigError, Hardware, Layers, Settings};
use crate::handle::{Handle, QUEUE};
use crate::hardware;
use crate::logging::LevelHandle;
use crate::notify;
use crate::outlet::Outlet;
use crate::power::{self, Neighbours, Told, Vehicle};
use crate::status::{Board, OK};
use crate::worker::Worker;
use arc_swap::ArcSwap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use vocar_hw::Choice;

/// Why the service ended by itself.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// The configuration is wrong at the start.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The operating system refused something that every service needs.
    #[error("{what} failed ({source}): check the limits of the unit (TasksMax, LimitNOFILE)")]
    System {
        /// What was tried.
        what: &'static str,
        /// The system's answer.
        source: std::io::Error,
    },
    /// The bus could not be reached at the start.
    #[error("{0}")]
    NoBus(String),
    /// The worker ended without being asked.
    #[error("the recognition thread ended unexpectedly; its last words are in the log above")]
    WorkerEnded,
}

impl ServiceError {
    /// The process's exit code.
    #[must_use]
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::System { .. } | Self::WorkerEnded => 1,
            Self::Config(_) => 2,
            Self::NoBus(_) => 3,
        }
    }
}

/// How long the bus may take to appear at the start.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a clean end may take.
const FAREWELL: Duration = Duration::from_secs(2);

/// Runs until SIGTERM or SIGINT.
///
/// # Errors
/// [`ServiceError`], with its exit code.
pub async fn run(
    layers: Layers,
    settings: Settings,
    level: LevelHandle,
) -> Result<(), ServiceError> {
    let mut signals = Signals::new()?;
    let board = Arc::new(Board::new(settings.privacy.private));
    board.health("configuration", OK);
    let (commands, queue) = std::sync::mpsc::sync_channel(QUEUE);
    let (events, outlet) = mpsc::channel(bus::EVENTS);
    let (loaded, mut worker_ready) = watch::channel(false);
    let choice = machine(&settings.hardware, &board);
    let worker = Worker::new(
        settings.clone(),
        choice,
        queue,
        Outlet::new(events, Arc::clone(&board)),
    );
    let thread = worker
        .spawn(loaded)
        .map_err(|source| ServiceError::System {
            what: "starting a thread",
            source,
        })?;

    let (reload, mut reloads) = mpsc::channel(4);
    let address = settings.bus.address.clone();
    let object = VoiceAssistant {
        worker: Handle::new(commands),
        reload,
        board: Arc::clone(&board),
        settings: Arc::new(ArcSwap::from_pointee(settings)),
        peers: Arc::new(Peers::default()),
        throttle: Arc::new(Throttle::default()),
        vehicle: Arc::new(Vehicle::default()),
    };
    let neighbours = Neighbours::new(&address, Arc::clone(&board));
    let told = neighbours.told(&object.vehicle);
    let neighbours = tokio::spawn(neighbours.attend());
    let mut configuration = Configuration {
        power: watch_power(&object, &told),
        told,
        layers,
        level,
        object: object.clone(),
    };
    let (link, mut up) = Link::new(object.clone(), address, outlet);
    let link = tokio::spawn(link.keep_up());

    tokio::select! {
        ready = ready(&mut worker_ready, &mut up, &board) => ready?,
        () = signals.end() => return Ok(()),
    }
    release_free_memory();
    notify::ready(&summary(&board));
    let watchdog = tokio::spawn(watchdog(Arc::clone(&board)));
    loop {
        tokio::select! {
            wish = signals.next() => match wish {
                Wish::End => break,
                Wish::Reload => configuration.reload(None).await,
            },
            Some(reply) = reloads.recv() => configuration.reload(Some(reply)).await,
            changed = worker_ready.changed() => if changed.is_err() { return Err(ServiceError::WorkerEnded); },
        }
    }
    notify::stopping();
    object.worker.shutdown();
    watchdog.abort();
    configuration.power.abort();
    neighbours.abort();
    let joined = tokio::task::spawn_blocking(move || thread.join());
    if tokio::time::timeout(FAREWELL, joined).await.is_err() {
        tracing::warn!("the recognition thread does not end; leaving it behind");
    }
    link.abort();
    Ok(())
}

/// Looks at the machine.
fn machine(settings: &Hardware, board: &Board) -> Choice {
    let choice = hardware::choose(settings);
    board.change(|status| status.profile.clone_from(&choice.profile.name));
    choice
}

/// Waits for worker and bus.
async fn ready(
    worker: &mut watch::Receiver<bool>,
    up: &mut watch::Receiver<bool>,
    board: &Board,
) -> Result<(), ServiceError> {
    worker
        .wait_for(|loaded| *loaded)
        .await
        .map_err(|_| ServiceError::WorkerEnded)?;
    match tokio::time::timeout(PATIENCE, up.wait_for(|up| *up)).await {
        Ok(_) => Ok(()),
        Err(_) => Err(ServiceError::NoBus(
            board.read().health.get("bus").cloned().unwrap_or_default(),
        )),
    }
}

/// Loading leaves much freed memory with the allocator; the vehicle can use it better.
fn release_free_memory() {
    #[cfg(target_env = "gnu")]
    // SAFETY: malloc_trim only gives free pages back to the system; it may be called at any time from any thread.
    unsafe {
        libc::malloc_trim(0);
    }
}

fn summary(board: &Board) -> String {
    let status = board.read();
    let troubles = status.troubles();
    if troubles.is_empty() {
        format!(
            "{}; domains: {}",
            status.state.name(),
            status.domains.join(", ")
        )
    } else {
        format!("{}; {}", status.state.name(), troubles.join("; "))
    }
}

/// Tells the service manager that we live, but only while the worker's loop turns, and shows the status.
async fn watchdog(board: Arc<Board>) {
    let interval = notify::watchdog_interval();
    let mut tick = tokio::time::interval(interval.unwrap_or(Duration::from_secs(5)));
    let mut seen = u64::MAX;
    let mut shown = String::new();
    loop {
        tick.tick().await;
        let heartbeat = board.counters.heartbeat.load(Ordering::Relaxed);
        if interval.is_some() && heartbeat != seen {
            notify::alive();
        }
        seen = heartbeat;
        let now = summary(&board);
        if now != shown && notify::status(&now) {
            shown = now;
        }
    }
}

/// Readings and power levels for the settings in force.
fn watch_power(object: &VoiceAssistant, told: &Told) -> JoinHandle<()> {
    let settings = object.settings.load().hardware.clone();
    tokio::spawn(power::watch(
        settings,
        Arc::clone(&object.board),
        object.worker.clone(),
        told.clone(),
    ))
}

/// The configuration in force and how to replace it.
struct Configuration {
    power: JoinHandle<()>,
    told: Told,
    layers: Layers,
    level: LevelHandle,
    object: VoiceAssistant,
}

impl Configuration {
    /// Reads everything again. What is wrong is said in the log, in Health and to the caller; the old stays in force.
    async fn reload(&mut self, reply: Option<ReloadRequest>) {
        notify::reloading();
        let result = self.replace().await;
        let board = &self.object.board;
        match &result {
            Ok(note) => {
                tracing::info!("configuration read again");
                board.health("configuration", note);
            }
            Err(error) => {
                tracing::error!("configuration unchanged: {error}");
                board.health(
                    "configuration",
                    &format!("the old one stays in force: {error}"),
                );
            }
        }
        notify::ready(&summary(board));
        if let Some(reply) = reply {
            answer(reply, result.map(|_| ()));
        }
    }

    async fn replace(&mut self) -> Result<String, String> {
        let new = self.layers.read().map_err(|error| error.to_string())?;
        let old = self.object.settings.load_full();
        self.object
            .worker
            .apply(new.clone())
            .await
            .map_err(|error| error.to_string())?;
        self.level.set(&new.log.level);
        let note = if new.bus.address == old.bus.address {
            OK.to_owned()
        } else {
            format!(
                "bus.address is now \"{}\": restart the service to move there",
                new.bus.address
            )
        };
        let other_machine = new.hardware != old.hardware;
        self.object.settings.store(Arc::new(new));
        if other_machine {
            self.power.abort();
            self.power = watch_power(&self.object, &self.told);
        }
        Ok(note)
    }
}

fn answer(reply: oneshot::Sender<Result<(), String>>, result: Result<(), String>) {
    if reply.send(result).is_err() {
        tracing::debug!("the caller of Reload went before the answer");
    }
}

/// What a signal asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wish {
    End,
    Reload,
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    fn new() -> Result<Self, ServiceError> {
        let open = |kind| {
            signal(kind).map_err(|source| ServiceError::System {
                what: "watching signals",
                source,
            })
        };
        Ok(Self {
            terminate: open(SignalKind::terminate())?,
            interrupt: open(SignalKind::interrupt())?,
            hangup: open(SignalKind::hangup())?,
        })
    }

    async fn next(&mut self) -> Wish {
        tokio::select! {
            _ = self.terminate.recv() => Wish::End,
            _ = self.interrupt.recv() => Wish::End,
            _ = self.hangup.recv() => Wish::Reload,
        }
    }

    /// Waits for the end; there is nothing to reload while starting.
    async fn end(&mut self) {
        while self.next().await == Wish::Reload {}
    }
}
