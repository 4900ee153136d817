//! The message bus: the object, the signals, and a connection that comes back when the bus was away.

mod client;
mod emit;
mod errors;
mod interface;
pub mod options;
mod peers;
mod throttle;
mod wire;

pub use client::VoiceAssistant1Proxy;
pub use errors::Error;
pub use interface::{ReloadRequest, VoiceAssistant};
pub use peers::Peers;
pub use throttle::Throttle;
pub use wire::Dict;

use crate::event::Event;
use crate::status::{Counters, OK, Status};
use futures_util::StreamExt;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use zbus::fdo::{DBusProxy, NameOwnerChangedStream};
use zbus::object_server::SignalEmitter;
use zbus::{Connection, connection};

/// The name on the bus.
pub const NAME: &str = "org.vocar.VoiceAssistant1";
/// The object's path.
pub const PATH: &str = "/org/vocar/VoiceAssistant1";
/// Events that may wait for the bus; when it is slower, further ones are dropped and counted.
pub const EVENTS: usize = 256;

/// First and longest pause between two attempts to reach the bus.
const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// A bus that takes longer than this to answer is not working.
const SILENCE: Duration = Duration::from_secs(3);

/// Connects to `system`, `session` or an address.
///
/// # Errors
/// If nobody answers there.
pub async fn connect(address: &str) -> zbus::Result<Connection> {
    tokio::time::timeout(SILENCE, builder(address).build())
        .await
        .unwrap_or_else(|_| Err(silent()))
}

fn silent() -> zbus::Error {
    std::io::Error::new(
        std::io::ErrorKind::TimedOut,
        "the bus takes the connection and does not answer",
    )
    .into()
}

fn builder(address: &str) -> connection::Builder<'_> {
    match address {
        "system" => connection::Builder::system(),
        "session" => connection::Builder::session(),
        other => connection::Builder::address(other),
    }
}

/// The service's side of the bus.
#[derive(Debug)]
pub struct Link {
    object: VoiceAssistant,
    address: String,
    events: mpsc::Receiver<Event>,
    up: watch::Sender<bool>,
}

impl Link {
    /// A link that is not yet up; the receiver tells when it is.
    #[must_use]
    pub fn new(
        object: VoiceAssistant,
        address: String,
        events: mpsc::Receiver<Event>,
    ) -> (Self, watch::Receiver<bool>) {
        let (up, watch) = watch::channel(false);
        (
            Self {
                object,
                address,
                events,
                up,
            },
            watch,
        )
    }

    /// Keeps the object on the bus until the worker has ended. Sessions, domains and entities live in the worker: they outlast the bus.
    pub async fn keep_up(mut self) {
        let mut pause = PAUSES.0;
        loop {
            match self.open().await {
                Ok(connection) => {
                    pause = PAUSES.0;
                    self.object.board.health("bus", OK);
                    self.up.send_replace(true);
                    let end = self.attend(&connection).await;
                    self.up.send_replace(false);
                    self.object.peers.clear();
                    self.object.throttle.clear();
                    self.object.vehicle.forget(None);
                    if self.events.is_closed() {
                        return;
                    }
                    self.trouble(&format!("the connection ended ({end}); trying again"));
                }
                Err(error) => self.trouble(&mend(&error, &self.address)),
            }
            if !self.rest(pause).await {
                return;
            }
            pause = (pause * 2).min(PAUSES.1);
        }
    }

    async fn open(&self) -> zbus::Result<Connection> {
        let opening = builder(&self.address)
            .serve_at(PATH, self.object.clone())
            .name(NAME)
            .allow_name_replacements(false)
            .replace_existing_names(false)
            .build();
        tokio::time::timeout(SILENCE, opening)
            .await
            .unwrap_or_else(|_| Err(silent()))
    }

    /// Sends what happens until the connection ends; says why it ended.
    async fn attend(&mut self, connection: &Connection) -> String {
        match self.serve(connection).await {
            Ok(why) => why,
            Err(error) => error.to_string(),
        }
    }

    async fn serve(&mut self, connection: &Connection) -> zbus::Result<String> {
        let emitter = SignalEmitter::new(connection, PATH)?;
        let mut owners = name_owners(connection).await?;
        let mut status = self.object.board.watch();
        let mut sent: Status = status.borrow_and_update().clone();
        loop {
            tokio::select! {
                () = connection.closed() => return Ok("closed by the bus".into()),
                event = self.events.recv() => match event {
                    Some(event) => emit::event(&self.object, &emitter, &event).await?,
                    None => return Ok("the service ends".into()),
                },
                _ = status.changed() => {
                    let now = status.borrow_and_update().clone();
                    emit::changes(&self.object, &emitter, &sent, &now).await?;
                    sent = now;
                }
                owner = owners.next() => match owner {
                    Some(change) => {
                        let owner = change.args()?.new_owner().as_ref().map(ToString::to_string);
                        if owner != connection.unique_name().map(ToString::to_string) {
                            return Ok(format!("another program took the name {NAME}"));
                        }
                    }
                    None => return Ok("closed by the bus".into()),
                },
            }
        }
    }

    /// Waits; events meanwhile have no listener and are counted as dropped. False when the service ends.
    async fn rest(&mut self, pause: Duration) -> bool {
        let end = tokio::time::sleep(pause);
        tokio::pin!(end);
        loop {
            tokio::select! {
                () = &mut end => return true,
                event = self.events.recv() => match event {
                    Some(_) => Counters::add(&self.object.board.counters.dropped_events, 1),
                    None => return false,
                },
            }
        }
    }

    fn trouble(&self, text: &str) {
        tracing::warn!("bus: {text}");
        self.object.board.health("bus", text);
    }
}

/// Changes of our own name's owner; of no other name, or every program that comes and goes would wake us.
async fn name_owners(connection: &Connection) -> zbus::Result<NameOwnerChangedStream> {
    DBusProxy::new(connection)
        .await?
        .receive_name_owner_changed_with_args(&[(0, NAME)])
        .await
}

fn mend(error: &zbus::Error, address: &str) -> String {
    match error {
        zbus::Error::NameTaken => {
            format!("{NAME} is taken: another vocard is running on this bus; stop it")
        }
        zbus::Error::MethodError(name, _, _) if name.as_str().ends_with("AccessDenied") => {
            format!(
                "the bus refuses the name {NAME}: install org.vocar.VoiceAssistant1.conf as its policy ({error})"
            )
        }
        other => format!(
            "no connection to the bus \"{address}\" ({other}): start it, or set bus.address"
        ),
    }
}
