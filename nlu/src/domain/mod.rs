//! Domains: what can be said about a part of the car, and what it means.
//!
//! A domain is a folder with `domain.toml` and the files it includes. Format in short:
//!
//! ```toml
//! name = "car"
//! locale = "en-GB"                      # where it is used, unless the configuration says: decides the scale of temperatures
//! include = ["climate.toml"]
//!
//! [rules]                               # reusable parts, used as <set>
//! set = "(set|turn|put|change)"
//!
//! [slots.fan_level]                     # a builtin with a range of its own
//! type = "number"
//! min = 1
//! max = 7
//!
//! [slots.fridge]
//! type = "temperature"
//! min = -20
//! max = 10
//! unit = "celsius"                      # of the range; and of what is said, where no locale decides
//!
//! [lists.mode]                          # a closed list; type is choice, zone, colour or number
//! values = ["eco", { say = ["sport", "sporty"], value = "sport" }]
//!
//! [entities.contact]                    # filled by the host at run time
//! about = "people in the phone book"
//!
//! [frame]                               # politeness around any sentence
//! before = ["please"]
//! after = ["please", "thank you"]
//!
//! [[devices]]                           # what "it" means after one of these, and what else can be done with it:
//! more = "climate.increase_fan"         # on, off, open, close, more, less
//! less = "climate.decrease_fan"
//! also = ["climate.set_fan"]
//!
//! [[intents]]
//! name = "climate.set_fan"
//! templates = ["<set> [the] fan [speed] [to {fan_level}]"]   # always listened for
//! short = ["fan {fan_level}"]           # only when the assistant has been addressed
//! context = "always"                    # or "dialogue": only while a question is open
//! required = ["fan_level"]
//! ask = { fan_level = "Which fan level?" }
//! vss = "Vehicle.Cabin.HVAC.Station.*.FanSpeed"             # or target = "whatever the host understands"
//! confirm = true                        # or the question: the speaker has to agree before it is done
//! examples = ["put [a bit more](fan_level) air on"]           # to learn from; not listened for as they stand
//! ```

mod built_in;
mod compile;
mod error;
mod example;
mod extent;
mod file;
mod load;
mod phrasebook;
mod resolve;
mod signed;
mod slot;
mod starter;
pub mod trial;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, LazyLock, OnceLock};

pub use built_in::built_in_names;
pub(crate) use compile::{Compiled, Layer, Symbol, add, plain_words};
pub use error::DomainError;
pub(crate) use error::Place;
pub use example::Example;
pub use phrasebook::Phrasebook;
pub use starter::{is_domain_name, starter};
use vocar_inference::Trust;

use crate::builtin::Builtin;
use crate::dialogue::{self, Device};
use crate::locale::Locale;
use crate::template::Expr;
use crate::value::Entities;

/// When a template is listened for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reach {
    /// At an open microphone, too.
    Always,
    /// Only when the assistant knows that it is spoken to: push to talk, wake phrase, typed text.
    Addressed,
    /// Only while a question is open.
    Dialogue,
}

/// What a slot type is made of.
#[derive(Debug)]
pub enum SlotKind {
    /// A builtin with its range.
    Builtin(Builtin),
    /// A closed list.
    List(Phrasebook),
    /// A list that the host fills at run time.
    Entities {
        /// What belongs in it.
        about: String,
    },
}

/// A template of an intent.
#[derive(Debug, Clone)]
pub struct Template {
    /// The parsed template.
    pub expr: Expr,
    /// When it is listened for.
    pub reach: Reach,
    pub(crate) place: Place,
}

/// An intent as the domain defines it.
#[derive(Debug)]
pub struct IntentSpec {
    /// Name, such as `climate.set_temperature`.
    pub name: String,
    /// One line for people.
    pub about: String,
    /// All templates.
    pub templates: Vec<Template>,
    /// Slots without which the intent cannot be carried out.
    pub required: Vec<String>,
    /// Question per required slot.
    pub ask: BTreeMap<String, String>,
    pub(crate) answers: BTreeMap<String, Vec<(Expr, Place)>>,
    /// VSS path with `{slot}` or `{slot.key}` placeholders.
    pub vss: Option<String>,
    /// Where it goes instead of to a VSS signal, with the same placeholders; only the host knows what it means.
    pub target: Option<String>,
    /// The question that the speaker has to agree to before a dangerous or dear command is carried out.
    pub confirm: Option<String>,
    /// Sentences to learn from.
    pub examples: Vec<Example>,
    /// Slot names and their types.
    pub slots: BTreeMap<String, String>,
    pub(crate) place: Place,
}

impl IntentSpec {
    /// The question to ask for a missing slot.
    pub fn question(&self, slot: &str) -> String {
        self.ask
            .get(slot)
            .cloned()
            .unwrap_or_else(|| format!("Which {}?", slot.replace('_', " ")))
    }
}

/// A loaded, checked and compiled domain.
#[derive(Debug)]
pub struct Domain {
    name: String,
    kinds: BTreeMap<String, SlotKind>,
    intents: Vec<IntentSpec>,
    rules: BTreeMap<String, Expr>,
    compiled: Compiled,
    devices: Vec<Device>,
    /// What may follow each intent; made when it is first needed.
    follow_ups: Vec<OnceLock<Layer>>,
}

static CAR_DOMAIN: LazyLock<Result<Arc<Domain>, DomainError>> =
    LazyLock::new(|| Domain::car_in(None).map(Arc::new));

impl Domain {
    /// Loads the domain in a folder.
    ///
    /// # Errors
    /// Missing or malformed files, unknown fields, templates that cannot be read, names that do not resolve. Each error
    /// names the file, the line, the field and the mend.
    pub fn load(folder: &Path) -> Result<Self, DomainError> {
        Self::load_in(folder, None)
    }

    /// As [`Self::load`], for a place, which goes before the one that the domain names.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub fn load_in(folder: &Path, locale: Option<&Locale>) -> Result<Self, DomainError> {
        load::load(&load::Folder(folder), locale)
    }

    /// As [`Self::load_in`], once somebody who is trusted has vouched for the files: `domain.sha256` has the hash of each, as
    /// `sha256sum` prints them, and is signed. Where no signature is asked for there need be no such file.
    ///
    /// # Errors
    /// As [`Self::load`]; no such file, no signature of it, or another file than was signed.
    pub fn load_trusted(
        folder: &Path,
        locale: Option<&Locale>,
        trust: &Trust,
    ) -> Result<Self, DomainError> {
        if !trust.is_asked() {
            return Self::load_in(folder, locale);
        }
        load::load(&signed::Signed::open(folder, trust)?, locale)
    }

    /// The built-in car domain.
    ///
    /// # Errors
    /// None in a released build; tests load it.
    pub fn car() -> Result<Arc<Self>, DomainError> {
        CAR_DOMAIN.clone()
    }

    /// The built-in car domain for a place.
    ///
    /// # Errors
    /// As [`Self::car`].
    pub fn car_in(locale: Option<&Locale>) -> Result<Self, DomainError> {
        built_in::car(locale)
    }

    /// The domain's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// All intents in the order of the files.
    pub fn intents(&self) -> &[IntentSpec] {
        &self.intents
    }

    /// The intent of this name.
    pub fn intent(&self, name: &str) -> Option<&IntentSpec> {
        self.intents.iter().find(|intent| intent.name == name)
    }

    /// Names of the entity lists that the host can fill.
    pub fn entity_lists(&self) -> impl Iterator<Item = &str> {
        let entities = self
            .kinds
            .iter()
            .filter(|(_, kind)| matches!(kind, SlotKind::Entities { .. }));
        entities.map(|(name, _)| name.as_str())
    }

    pub(crate) fn kind(&self, name: &str) -> Option<&SlotKind> {
        self.kinds.get(name)
    }

    pub(crate) fn rule(&self, name: &str) -> Option<&Expr> {
        self.rules.get(name)
    }

    pub(crate) fn compiled(&self) -> &Compiled {
        &self.compiled
    }

    /// What may follow an intent, by its number.
    pub(crate) fn follow_up(&self, number: usize) -> &Layer {
        let make = || {
            let spec = &self.intents[number];
            dialogue::layer(spec, self.device_of(number), |kind| self.kind(kind))
        };
        self.follow_ups[number].get_or_init(make)
    }

    /// The device that an intent, by its number, is about.
    pub(crate) fn device_of(&self, number: usize) -> Option<&Device> {
        self.devices.iter().find(|device| device.concerns(number))
    }

    pub(crate) fn intent_number(&self, name: &str) -> Option<usize> {
        self.intents.iter().position(|intent| intent.name == name)
    }
}

/// Reads entity lists from TOML: `[[contact]]` tables with `id` and `says`.
///
/// # Errors
/// Malformed TOML or fields, with file and line.
pub fn read_entities(file: &Path) -> Result<Entities, DomainError> {
    let place = |line| Place {
        file: file.to_path_buf(),
        line,
        field: "entities".into(),
    };
    let text = std::fs::read_to_string(file).map_err(|error| {
        place(None).error(
            format!("cannot be read: {error}"),
            "check the name and the permissions",
        )
    })?;
    entities_from(&text).map_err(|error| {
        let line = error.span().map(|span| error::line_at(&text, span.start));
        place(line).error(
            error.message().trim().to_string(),
            "write [[list]] tables with id = \"…\" and says = [\"…\"]",
        )
    })
}

/// Made-up contacts, stations, places, artists and titles for development and evaluation of the car domain.
pub fn car_demo_entities() -> Entities {
    entities_from(include_str!("../../domains/car/entities.toml")).unwrap_or_default()
}

fn entities_from(text: &str) -> Result<Entities, toml::de::Error> {
    toml::from_str(text)
}

#[cfg(test)]
mod tests;
