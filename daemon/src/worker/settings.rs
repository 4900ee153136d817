//! What is understood and how: texts, entities, domains, another configuration.

use super::{Shift, adapters, cabin, pipeline, shown};
use crate::assembly;
use crate::catalogue;
use crate::command::{InterpretOptions, Refusal};
use crate::config::Settings;
use crate::event::EventKind;
use crate::hardware;
use crate::mind::Mind;
use crate::status::OK;
use std::sync::Arc;
use vocar_hw::Choice;
use vocar_nlu::{Domain, DomainError, EntityValue, Intent};

/// The longest text that is taken for a command, in bytes.
const LONGEST_TEXT: usize = 1000;

impl Shift {
    pub(super) fn interpret(
        &mut self,
        text: &str,
        options: &InterpretOptions,
    ) -> Result<Vec<Vec<Intent>>, Refusal> {
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
        self.prepare(&options.adapters)?;
        self.pipeline.read_with(&options.adapters);
        let mut events = Vec::new();
        let (seat, announce) = (options.zone.as_deref(), options.announce);
        let mut sink = |event| events.push(event);
        let commands = self.pipeline.interpret(text, seat, announce, &mut sink);
        self.follow(events);
        self.close_if_done();
        Ok(commands)
    }

    pub(super) fn confirm(&mut self, session: u64, yes: bool) -> Result<(), Refusal> {
        if session != 0 {
            self.the_open(session)?;
        }
        let mut events = Vec::new();
        let mut sink = |event| events.push(event);
        if !self.pipeline.confirm(session, yes, &mut sink) {
            return Err(Refusal::NothingToConfirm(session));
        }
        self.follow(events);
        self.close_if_done();
        Ok(())
    }

    pub(super) fn set_entities(
        &mut self,
        list: String,
        values: Vec<EntityValue>,
    ) -> Result<(), Refusal> {
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

    /// Switches a domain. What is switched on is read from its folder first, so that a domain that was added or changed
    /// since is what counts; when it cannot be read, all stays as it was.
    pub(super) fn switch(&mut self, name: &str, on: bool) -> Result<(), Refusal> {
        if on && let Some(domain) = self.fetch(name)? {
            let put = |mind: &mut Mind| {
                mind.put(Arc::new(domain));
                Ok::<(), Refusal>(())
            };
            self.pipeline.change_mind(put)?;
        }
        self.pipeline
            .change_mind(|mind| mind.switch(name, on))
            .map_err(|_| Refusal::UnknownDomain(name.to_owned()))?;
        self.publish();
        Ok(())
    }

    /// The domain of this name, if it is not in force as it stands in its folder.
    fn fetch(&self, name: &str) -> Result<Option<Domain>, Refusal> {
        let wrong = |error: DomainError| Refusal::InvalidDomain(error.to_string());
        let mind = self.pipeline.mind();
        if mind.enabled().iter().any(|enabled| enabled == name) {
            return Ok(None);
        }
        let domains = &self.settings.domains;
        // A built-in domain is the same as ever once it is known, and no broken folder stands in its way.
        let built_in = catalogue::find_built_in(domains, name).map_err(wrong)?;
        match catalogue::find_in_folders(domains, name, &self.settings.trust.domains()) {
            Ok(Some(domain)) => Ok(Some(domain)),
            Err(error) if built_in.is_none() => Err(wrong(error)),
            _ => Ok(built_in.filter(|_| !mind.knows(name))),
        }
    }

    /// Uses other settings, all or nothing: the new parts are made before the old ones go.
    pub(super) fn apply(&mut self, settings: Settings) -> Result<(), Refusal> {
        let failed = |error: String| Refusal::Failed(error);
        let mut mind = assembly::mind(&settings).map_err(|error| failed(error.to_string()))?;
        for (list, values) in &self.entities {
            if let Err(error) = mind.set_entities(list, values) {
                tracing::info!("the new domains have no use for injected values: {error}");
            }
        }
        let encoder = match assembly::encoder(&settings) {
            Err(error) if self.adapters.is_some() => return Err(failed(error.to_string())),
            read => shown(read, &self.outlet),
        };
        let adapters = adapters::furnish(&mut mind, encoder, &settings, &self.outlet);
        let choice = hardware::choose(&settings.hardware);
        let mut pipeline = pipeline(mind, &settings);
        let advised = choice.variant(self.power.level());
        let ears = assembly::ears(&settings, &pipeline.words(), advised);
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
        pipeline.set_cabin(cabin(&settings, &self.outlet));
        self.outlet.board().health("domains", OK);
        self.pipeline = pipeline;
        self.work = vocar_speech::recogniser::Work::default();
        let old = std::mem::replace(&mut self.adapters, adapters);
        self.carry_over(old);
        self.open = None;
        self.leaving = None;
        let other_machine = settings.hardware != self.settings.hardware;
        self.settings = settings;
        self.publish();
        self.show_accelerators();
        if other_machine {
            self.move_to(choice);
        } else {
            self.show_power();
        }
        self.stand();
        Ok(())
    }

    /// Takes another profile, or another configured power level.
    fn move_to(&mut self, choice: Choice) {
        let profile = choice.profile.name.clone();
        let other = profile != self.power.choice().profile.name;
        self.power.replace(&self.settings.hardware, choice);
        if other {
            self.outlet
                .board()
                .change(|status| status.profile.clone_from(&profile));
            self.tell(EventKind::ProfileChanged { profile });
        }
        self.power_changed();
    }
}
