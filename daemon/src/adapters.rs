//! Adapters as the service has them: the store as configured, and what may be asked of it.

use crate::command::{Command, Refusal, Reply};
use crate::config::Settings;
use crate::handle::Handle;
use std::collections::BTreeMap;
use std::sync::Arc;
use vocar_nlu::adapter::{AdapterInfo, LoadOptions};
use vocar_nlu::{AdapterError, AdapterStore, Encoder};

/// Adapters by the seat whose speaker they read.
pub type Seats = BTreeMap<String, Vec<String>>;

/// A command about adapters.
#[derive(Debug)]
pub enum AdapterCommand {
    /// Load one, or load it anew.
    Load(String, LoadOptions, Reply<()>),
    /// Let go of one.
    Unload(String, Reply<()>),
    /// Keep one in memory whatever comes, or no more.
    Pin(String, bool, Reply<()>),
    /// All that are in memory or in the folder.
    List(Reply<Vec<AdapterInfo>>),
}

impl Handle {
    /// Loads an adapter, or loads it anew; the old one stays when it is refused.
    ///
    /// # Errors
    /// [`Refusal::UnknownAdapter`], [`Refusal::BadAdapter`], [`Refusal::NoRoom`], [`Refusal::Unavailable`].
    pub async fn load_adapter(&self, name: String, options: LoadOptions) -> Result<(), Refusal> {
        self.ask(|reply| Command::Adapter(AdapterCommand::Load(name, options, reply)))
            .await
    }

    /// Lets go of an adapter.
    ///
    /// # Errors
    /// [`Refusal::UnknownAdapter`] when it is not loaded.
    pub async fn unload_adapter(&self, name: String) -> Result<(), Refusal> {
        self.ask(|reply| Command::Adapter(AdapterCommand::Unload(name, reply)))
            .await
    }

    /// Keeps an adapter in memory, or no more.
    ///
    /// # Errors
    /// [`Refusal::UnknownAdapter`] when it is not loaded.
    pub async fn pin_adapter(&self, name: String, pinned: bool) -> Result<(), Refusal> {
        self.ask(|reply| Command::Adapter(AdapterCommand::Pin(name, pinned, reply)))
            .await
    }

    /// The adapters in memory and in the folder.
    ///
    /// # Errors
    /// [`Refusal::Unavailable`] without an encoder.
    pub async fn list_adapters(&self) -> Result<Vec<AdapterInfo>, Refusal> {
        self.ask(|reply| Command::Adapter(AdapterCommand::List(reply)))
            .await
    }
}

impl From<AdapterError> for Refusal {
    fn from(error: AdapterError) -> Self {
        let text = error.to_string();
        match error {
            AdapterError::BadName { .. } => Self::InvalidArgument(text),
            AdapterError::Unknown { .. } | AdapterError::NotLoaded { .. } => {
                Self::UnknownAdapter(text)
            }
            AdapterError::Full { .. } => Self::NoRoom(text),
            _ => Self::BadAdapter(text),
        }
    }
}

/// The adapters of an encoder as configured, with the active ones loaded as far as they can be; what is wrong with the others is
/// told to `fault`.
pub fn store(
    settings: &Settings,
    encoder: Arc<Encoder>,
    mut fault: impl FnMut(&AdapterError),
) -> Arc<AdapterStore> {
    let configured = &settings.adapters;
    let store = AdapterStore::new(encoder, &configured.folder, configured.bytes())
        .trusting(settings.trust.adapters());
    let options = LoadOptions {
        merge: configured.merge,
        pin: false,
        activate: true,
    };
    for name in &configured.active {
        if let Err(error) = store.load(name, options) {
            fault(&error);
        }
    }
    Arc::new(store)
}
