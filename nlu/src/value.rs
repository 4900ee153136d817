//! Typed values of slots, and the entities that a host injects at run time.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::calendar::Date;

/// The scale a temperature is given in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TemperatureUnit {
    /// Degrees Celsius.
    Celsius,
    /// Degrees Fahrenheit.
    Fahrenheit,
}

impl TemperatureUnit {
    /// The other scale.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::Celsius => Self::Fahrenheit,
            Self::Fahrenheit => Self::Celsius,
        }
    }
}

/// What a slot holds once understood. As JSON: `{"temperature":{"degrees":21.5,"unit":"celsius"}}`, `{"zone":"driver"}`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SlotValue {
    /// A plain number (level, speed, step, frequency, ordinal).
    Number(f64),
    /// A temperature in the scale that was said; without a scale the locale decides, and without a locale its size: up to
    /// 45 is Celsius and above is Fahrenheit.
    Temperature {
        /// Degrees in `unit`, to half or tenth degrees.
        degrees: f64,
        /// The scale.
        unit: TemperatureUnit,
    },
    /// Percent, 0 to 100.
    Percent(f64),
    /// A length of time.
    Duration {
        /// Whole seconds.
        seconds: u32,
    },
    /// A time of day. Without "a m", "p m" or a part of the day, the hour is the one that was said (1 to 12).
    Time {
        /// Hour, 0 to 23.
        hour: u8,
        /// Minute, 0 to 59.
        minute: u8,
    },
    /// A day, counted from the day it was said on: `{"date":{"year":2026,"month":3,"day":1}}`.
    Date(Date),
    /// A place in the cabin, as named in the domain's zone list (`driver`, `rear_left`, …).
    Zone(String),
    /// A colour by name.
    Colour(String),
    /// Something the host injected: a contact, a station, a place.
    Entity {
        /// The host's own key.
        id: String,
        /// The first of the entity's names.
        name: String,
    },
    /// Digits to dial, with a leading `+` where one was said.
    PhoneNumber(String),
    /// One of the values of a list in the domain.
    Choice(String),
    /// A name that was spelled, in small letters.
    Text(String),
}

/// In short, as tests of domains write it: `21.5C`, `72F`, `50%`, `600s`, `7:05`, `2026-03-01`, an entity by its id, anything
/// else as it is.
impl fmt::Display for SlotValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => write!(f, "{number}"),
            Self::Temperature { degrees, unit } => match unit {
                TemperatureUnit::Celsius => write!(f, "{degrees}C"),
                TemperatureUnit::Fahrenheit => write!(f, "{degrees}F"),
            },
            Self::Percent(percent) => write!(f, "{percent}%"),
            Self::Duration { seconds } => write!(f, "{seconds}s"),
            Self::Time { hour, minute } => write!(f, "{hour}:{minute:02}"),
            Self::Date(date) => date.fmt(f),
            Self::Entity { id, .. } => f.write_str(id),
            Self::Zone(text)
            | Self::Colour(text)
            | Self::PhoneNumber(text)
            | Self::Choice(text)
            | Self::Text(text) => f.write_str(text),
        }
    }
}

/// One entity of a run-time list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EntityValue {
    /// The host's key; comes back in [`SlotValue::Entity`].
    pub id: String,
    /// What people call it, the usual name first. Any spelling: digits, capitals and accents are turned into words.
    pub says: Vec<String>,
}

impl EntityValue {
    /// An entity with the given key and names.
    pub fn new<S: Into<String>>(id: impl Into<String>, says: impl IntoIterator<Item = S>) -> Self {
        Self {
            id: id.into(),
            says: says.into_iter().map(Into::into).collect(),
        }
    }

    /// The slot value this entity becomes.
    pub fn slot_value(&self) -> SlotValue {
        let name = self.says.first().unwrap_or(&self.id).clone();
        SlotValue::Entity {
            id: self.id.clone(),
            name,
        }
    }
}

/// Entity lists by name (`contact`, `station`, …).
pub type Entities = BTreeMap<String, Vec<EntityValue>>;
