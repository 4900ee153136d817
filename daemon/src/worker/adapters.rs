//! Adapters on the inference thread: a change falls between two utterances.

use super::Shift;
use crate::adapters::{AdapterCommand, store};
use crate::command::Refusal;
use crate::config::Settings;
use crate::mind::Mind;
use crate::outlet::Outlet;
use crate::status::OK;
use std::sync::Arc;
use std::time::Instant;
use vocar_nlu::adapter::LoadOptions;
use vocar_nlu::{AdapterStore, Encoder};

/// Has a mind read what no template says, with the adapters as configured; without an encoder there are none.
pub(super) fn furnish(
    mind: &mut Mind,
    encoder: Option<Arc<Encoder>>,
    settings: &Settings,
    outlet: &Outlet,
) -> Option<Arc<AdapterStore>> {
    let encoder = encoder?;
    let mut sound = true;
    let store = store(settings, encoder, |error| {
        sound = false;
        outlet.fault("adapters", &error.to_string());
    });
    if sound {
        outlet.board().health("adapters", OK);
    }
    mind.set_adapters(Arc::clone(&store));
    Some(store)
}

impl Shift {
    pub(super) fn adapt(&mut self, command: AdapterCommand) {
        match command {
            AdapterCommand::Load(name, options, reply) => {
                let result = self.load_adapter(&name, options);
                self.answer(reply, result);
            }
            AdapterCommand::Unload(name, reply) => {
                let result = self.store().and_then(|store| Ok(store.unload(&name)?));
                self.answer(reply, result);
            }
            AdapterCommand::Pin(name, pinned, reply) => {
                let result = self.store().and_then(|store| Ok(store.pin(&name, pinned)?));
                self.answer(reply, result);
            }
            AdapterCommand::List(reply) => {
                let result = self.store().map(AdapterStore::list);
                self.answer(reply, result);
            }
        }
    }

    fn load_adapter(&self, name: &str, options: LoadOptions) -> Result<(), Refusal> {
        let begin = Instant::now();
        let adapter = self.store()?.load(name, options)?;
        let milliseconds = begin.elapsed().as_secs_f64() * 1e3;
        tracing::info!(
            name,
            domain = adapter.domain(),
            milliseconds,
            "adapter loaded"
        );
        Ok(())
    }

    /// Loads the adapters that a request names.
    pub(super) fn prepare(&self, adapters: &[String]) -> Result<(), Refusal> {
        if adapters.is_empty() {
            return Ok(());
        }
        Ok(self.store()?.prepare(adapters)?)
    }

    fn store(&self) -> Result<&AdapterStore, Refusal> {
        self.adapters.as_deref().ok_or_else(|| {
            Refusal::Unavailable(
                "adapters need the bundle for understanding, which is not loaded: set model.understanding, or see the \
                 property Health"
                    .into(),
            )
        })
    }

    /// Loads in a new store what was loaded over the bus in the old one.
    pub(super) fn carry_over(&self, old: Option<Arc<AdapterStore>>) {
        let (Some(old), Some(new)) = (old, &self.adapters) else {
            return;
        };
        let active = new.active();
        for info in old.list().into_iter().filter(|info| info.loaded) {
            let options = LoadOptions {
                merge: info.merged,
                pin: info.pinned,
                activate: info.active && !active.contains_key(&info.domain),
            };
            if let Err(error) = new.load(&info.name, options) {
                tracing::info!("an adapter is not loaded any more: {error}");
            }
        }
    }

    /// Shows which adapters are in memory, if they are others than before.
    pub(super) fn show_adapters(&self) {
        let loaded = self.adapters.as_ref().map(|store| store.loaded());
        let loaded = loaded.unwrap_or_default();
        if self.outlet.board().adapters() != loaded {
            self.outlet
                .board()
                .change(|status| status.adapters = loaded);
        }
    }
}
