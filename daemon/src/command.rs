//! What may be asked of the worker, and how it may refuse.

use crate::adapters::AdapterCommand;
use crate::config::{ListenMode, Settings};
use std::time::Duration;
use tokio::sync::oneshot;
use vocar_hw::Level;
use vocar_nlu::{EntityValue, Intent};

/// Why a command was refused. The text says what to do instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// An argument makes no sense.
    #[error("{0}")]
    InvalidArgument(String),
    /// No such session, or it is over.
    #[error("session {0} is not open: StartListening returns the id of a session")]
    UnknownSession(u64),
    /// Another session is open.
    #[error("session {0} is open: Stop or Cancel it first")]
    Busy(u64),
    /// Speech cannot be recognised now.
    #[error("{0}")]
    Unavailable(String),
    /// The power level does not allow this way of listening.
    #[error(
        "{mode} is not possible at power level {level} ({why}): try again when the property PowerLevel has changed, \
         or use push-to-talk"
    )]
    PowerLimited {
        /// The way of listening that was asked for.
        mode: &'static str,
        /// The level in force.
        level: Level,
        /// What brought it.
        why: String,
    },
    /// No such domain.
    #[error(
        "there is no domain \"{0}\": see the property Domains and the configuration's domains.dirs"
    )]
    UnknownDomain(String),
    /// No such entity list.
    #[error("{0}")]
    UnknownList(String),
    /// No such adapter, or it is not loaded.
    #[error("{0}")]
    UnknownAdapter(String),
    /// An adapter was made for another base, or its files are damaged.
    #[error("{0}")]
    BadAdapter(String),
    /// There is no memory for an adapter.
    #[error("{0}")]
    NoRoom(String),
    /// Nothing waits for a confirmation.
    #[error("session {0} waits for no confirmation")]
    NothingToConfirm(u64),
    /// The service is shutting down or overloaded.
    #[error("{0}")]
    Failed(String),
}

/// How a session shall listen.
#[derive(Debug, Clone, PartialEq)]
pub struct ListenOptions {
    /// When is it a command?
    pub mode: ListenMode,
    /// Seat zone, if another than the configured one.
    pub zone: Option<String>,
    /// End of a push-to-talk session without a command.
    pub timeout: Duration,
    /// Names of the adapters to read with; none: those of the seat, or the active ones.
    pub adapters: Vec<String>,
}

/// How a text shall be understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InterpretOptions {
    /// The subscribers are told, too, and the conversation goes on with it.
    pub announce: bool,
    /// Seat zone, if another than the open session's, or the configured one.
    pub zone: Option<String>,
    /// Names of the adapters to read with; none: the active ones.
    pub adapters: Vec<String>,
}

/// Where the answer to a command goes.
pub type Reply<T> = oneshot::Sender<Result<T, Refusal>>;

/// One command to the worker.
#[derive(Debug)]
pub enum Command {
    /// Begin to listen; answers the session's id.
    Start(ListenOptions, Reply<u64>),
    /// End a session and take what was heard as complete.
    Stop(u64, Reply<()>),
    /// End a session and forget what was heard.
    Cancel(u64, Reply<()>),
    /// Understand a text.
    Interpret {
        /// The text.
        text: String,
        /// How.
        options: InterpretOptions,
        /// The commands in their order, each with its readings, best first.
        reply: Reply<Vec<Vec<Intent>>>,
    },
    /// Answer a question of the dialogue.
    Confirm {
        /// The session that asked.
        session: u64,
        /// Yes or no.
        yes: bool,
        /// Done.
        reply: Reply<()>,
    },
    /// Replace the values of an entity list.
    SetEntities {
        /// Name of the list.
        list: String,
        /// Its values.
        values: Vec<EntityValue>,
        /// Done.
        reply: Reply<()>,
    },
    /// Switch a domain on or off.
    SwitchDomain {
        /// Its name.
        name: String,
        /// On or off.
        on: bool,
        /// Done.
        reply: Reply<()>,
    },
    /// Something about adapters.
    Adapter(AdapterCommand),
    /// Use other settings.
    Apply(Box<Settings>, Reply<()>),
    /// Another power level is in force.
    Power {
        /// The level.
        level: Level,
        /// What brought it, a sentence.
        why: String,
    },
    /// End.
    Shutdown,
}
