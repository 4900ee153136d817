//! What has been said before, as far as it changes what may be said now.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Intent;
use crate::domain::Reach;
use crate::value::SlotValue;

/// The state of the conversation.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Context {
    /// The assistant knows it is spoken to (push to talk, wake phrase, typed text), so short commands count.
    pub addressed: bool,
    /// A question is open that yes, no or another dialogue word may answer.
    pub asking: bool,
    /// A command that waits for a missing slot.
    pub pending: Option<Pending>,
    /// The command before, while it may be corrected or referred to.
    pub last: Option<Last>,
    /// Commands of which the speaker has been asked to choose one.
    pub choices: Vec<Intent>,
    /// Names of the adapters to read with; for a domain that none of them is for, its active one.
    #[serde(default)]
    pub adapters: Vec<String>,
}

/// A command that may be corrected or referred to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Last {
    /// Domain of the intent.
    pub domain: String,
    /// Name of the intent.
    pub intent: String,
    /// Its slots.
    pub slots: BTreeMap<String, SlotValue>,
}

impl Last {
    /// What can be said about a command after it; nothing about words that only carry the conversation.
    pub fn of(intent: &Intent) -> Option<Self> {
        (!intent.is_dialogue()).then(|| Self {
            domain: intent.domain.clone(),
            intent: intent.name.clone(),
            slots: intent.slots.clone(),
        })
    }
}

/// A command that waits for a missing slot.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Pending {
    /// Domain of the intent.
    pub domain: String,
    /// Name of the intent.
    pub intent: String,
    /// Slots known so far.
    pub slots: BTreeMap<String, SlotValue>,
    /// The slot that was asked for.
    pub ask: String,
}

impl Pending {
    /// The question that an intent leaves open.
    pub fn of(intent: &Intent) -> Option<Self> {
        intent.missing.first().map(|slot| Self {
            domain: intent.domain.clone(),
            intent: intent.name.clone(),
            slots: intent.slots.clone(),
            ask: slot.clone(),
        })
    }
}

impl Context {
    /// An open microphone: only complete sentences count.
    pub fn open_microphone() -> Self {
        Self::default()
    }

    /// The assistant has been addressed.
    pub fn addressed() -> Self {
        Self {
            addressed: true,
            ..Self::default()
        }
    }

    /// The same, read with these adapters.
    pub fn with_adapters(self, adapters: &[String]) -> Self {
        Self {
            adapters: adapters.to_vec(),
            ..self
        }
    }

    /// The context after an intent was understood: an intent with missing slots opens a question, any other closes it and
    /// may be referred to if the assistant is spoken to.
    pub fn after(&self, intent: &Intent) -> Self {
        let pending = Pending::of(intent);
        let referable = self.addressed && pending.is_none();
        Self {
            addressed: self.addressed,
            pending,
            last: Last::of(intent).filter(|_| referable),
            adapters: self.adapters.clone(),
            ..Self::default()
        }
    }

    /// True while a question is open.
    pub fn is_open(&self) -> bool {
        self.asking || self.pending.is_some() || !self.choices.is_empty()
    }

    /// True when templates of this reach are listened for.
    pub fn reaches(&self, reach: Reach) -> bool {
        let open = self.is_open();
        match reach {
            Reach::Always => true,
            Reach::Addressed => self.addressed || open,
            Reach::Dialogue => open,
        }
    }
}
