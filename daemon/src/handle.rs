//! The way to the worker: typed questions over a bounded queue, answers as futures.

use crate::command::{Command, InterpretOptions, ListenOptions, Refusal, Reply};
use crate::config::Settings;
use std::sync::mpsc::{SyncSender, TrySendError};
use tokio::sync::oneshot;
use vocar_hw::Level;
use vocar_nlu::{EntityValue, Intent};

/// Commands that may wait for the worker before further ones are refused.
pub const QUEUE: usize = 64;

/// A cloneable way to the worker.
#[derive(Debug, Clone)]
pub struct Handle {
    commands: SyncSender<Command>,
}

impl Handle {
    /// A handle over the worker's queue.
    #[must_use]
    pub const fn new(commands: SyncSender<Command>) -> Self {
        Self { commands }
    }

    /// Begins to listen; returns the session's id.
    ///
    /// # Errors
    /// [`Refusal::Busy`] while another push-to-talk session is open, [`Refusal::Unavailable`] without model or microphone.
    pub async fn start(&self, options: ListenOptions) -> Result<u64, Refusal> {
        self.ask(|reply| Command::Start(options, reply)).await
    }

    /// Ends a session and takes what was heard as complete.
    ///
    /// # Errors
    /// [`Refusal::UnknownSession`].
    pub async fn stop(&self, session: u64) -> Result<(), Refusal> {
        self.ask(|reply| Command::Stop(session, reply)).await
    }

    /// Ends a session and forgets what was heard.
    ///
    /// # Errors
    /// [`Refusal::UnknownSession`].
    pub async fn cancel(&self, session: u64) -> Result<(), Refusal> {
        self.ask(|reply| Command::Cancel(session, reply)).await
    }

    /// Understands a text.
    ///
    /// # Errors
    /// [`Refusal::InvalidArgument`] for an empty or endless text; for an adapter as [`Handle::load_adapter`].
    pub async fn interpret(
        &self,
        text: String,
        options: InterpretOptions,
    ) -> Result<Vec<Vec<Intent>>, Refusal> {
        self.ask(|reply| Command::Interpret {
            text,
            options,
            reply,
        })
        .await
    }

    /// Answers a question of the dialogue.
    ///
    /// # Errors
    /// [`Refusal::NothingToConfirm`].
    pub async fn confirm(&self, session: u64, yes: bool) -> Result<(), Refusal> {
        self.ask(|reply| Command::Confirm {
            session,
            yes,
            reply,
        })
        .await
    }

    /// Replaces the values of an entity list.
    ///
    /// # Errors
    /// [`Refusal::UnknownList`], [`Refusal::InvalidArgument`].
    pub async fn set_entities(
        &self,
        list: String,
        values: Vec<EntityValue>,
    ) -> Result<(), Refusal> {
        self.ask(|reply| Command::SetEntities {
            list,
            values,
            reply,
        })
        .await
    }

    /// Switches a domain on or off.
    ///
    /// # Errors
    /// [`Refusal::UnknownDomain`].
    pub async fn switch_domain(&self, name: String, on: bool) -> Result<(), Refusal> {
        self.ask(|reply| Command::SwitchDomain { name, on, reply })
            .await
    }

    /// Uses other settings.
    ///
    /// # Errors
    /// [`Refusal::Failed`] when they cannot be used; the old ones stay.
    pub async fn apply(&self, settings: Settings) -> Result<(), Refusal> {
        self.ask(|reply| Command::Apply(Box::new(settings), reply))
            .await
    }

    /// Tells the worker which power level is in force; waits for nothing. False when the queue is full.
    #[must_use]
    pub fn power(&self, level: Level, why: String) -> bool {
        self.commands
            .try_send(Command::Power { level, why })
            .is_ok()
    }

    /// Ends the worker; waits for nothing.
    pub fn shutdown(&self) {
        if self.commands.try_send(Command::Shutdown).is_err() {
            tracing::debug!("the worker has ended already or is busy");
        }
    }

    pub(crate) async fn ask<T>(
        &self,
        command: impl FnOnce(Reply<T>) -> Command,
    ) -> Result<T, Refusal> {
        let (reply, answer) = oneshot::channel();
        self.commands
            .try_send(command(reply))
            .map_err(|error| match error {
                TrySendError::Full(_) => {
                    Refusal::Failed("too many commands are waiting: try again later".into())
                }
                TrySendError::Disconnected(_) => ended(),
            })?;
        answer.await.map_err(|_| ended())?
    }
}

fn ended() -> Refusal {
    Refusal::Failed("the service is shutting down".into())
}
