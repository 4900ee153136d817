//! What several intents are about: the device that "it" means, and what else can be done with it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What can be done with a device by saying no more than "it".
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Relation {
    /// Turn it on.
    On,
    /// Turn it off.
    Off,
    /// Open it.
    Open,
    /// Close it.
    Close,
    /// A step up.
    More,
    /// A step down.
    Less,
}

impl Relation {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::On,
        Self::Off,
        Self::Open,
        Self::Close,
        Self::More,
        Self::Less,
    ];
}

/// Intents about one thing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Device {
    /// The intent of each relation, by its number in the domain.
    pub(crate) relations: BTreeMap<Relation, usize>,
    /// Further intents about it.
    pub(crate) others: Vec<usize>,
}

impl Device {
    /// Whether an intent, by its number in the domain, is about this device.
    pub(crate) fn concerns(&self, intent: usize) -> bool {
        self.others.contains(&intent) || self.relations.values().any(|other| *other == intent)
    }
}

/// What a domain's file says about a device: the intent of each relation.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawDevice {
    pub on: Option<String>,
    pub off: Option<String>,
    pub open: Option<String>,
    pub close: Option<String>,
    pub more: Option<String>,
    pub less: Option<String>,
    /// Further intents after which "it" means this device.
    #[serde(default)]
    pub also: Vec<String>,
}

impl RawDevice {
    /// Numbers instead of names.
    ///
    /// # Errors
    /// The name that is no intent's.
    pub(crate) fn resolve(&self, number: impl Fn(&str) -> Option<usize>) -> Result<Device, String> {
        let named = |name: &String| number(name).ok_or_else(|| name.clone());
        let mut device = Device::default();
        for (relation, name) in [
            (Relation::On, &self.on),
            (Relation::Off, &self.off),
            (Relation::Open, &self.open),
            (Relation::Close, &self.close),
            (Relation::More, &self.more),
            (Relation::Less, &self.less),
        ] {
            if let Some(name) = name {
                device.relations.insert(relation, named(name)?);
            }
        }
        device.others = self.also.iter().map(named).collect::<Result<_, _>>()?;
        Ok(device)
    }
}
