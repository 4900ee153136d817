//! A domain file exactly as written, before it is checked.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use toml::Spanned;

use crate::dialogue::RawDevice;

/// One `.toml` file of a domain.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct File {
    pub name: Option<String>,
    #[serde(default)]
    pub include: Vec<Spanned<String>>,
    #[serde(default)]
    pub lists: BTreeMap<String, Spanned<List>>,
    #[serde(default)]
    pub entities: BTreeMap<String, Spanned<EntityList>>,
    #[serde(default)]
    pub slots: BTreeMap<String, Spanned<Slot>>,
    #[serde(default)]
    pub rules: BTreeMap<String, Spanned<String>>,
    #[serde(default)]
    pub frame: Frame,
    #[serde(default)]
    pub devices: Vec<Spanned<RawDevice>>,
    #[serde(default)]
    pub intents: Vec<Spanned<Intent>>,
}

/// Politeness around any sentence.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Frame {
    #[serde(default)]
    pub before: Vec<Spanned<String>>,
    #[serde(default)]
    pub after: Vec<Spanned<String>>,
}

/// A closed list of values.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct List {
    #[serde(default, rename = "type")]
    pub kind: ListKind,
    pub values: Vec<Spanned<Entry>>,
}

/// What a list's values become.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ListKind {
    #[default]
    Choice,
    Zone,
    Colour,
    Number,
}

/// One value with its sayings.
#[derive(Debug, Clone)]
pub(crate) struct Entry(pub FullEntry);

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FullEntry {
    pub say: OneOrMany,
    pub value: Option<String>,
    /// Parts of VSS paths, chosen by `{slot.key}` in an intent's path.
    #[serde(default)]
    pub paths: BTreeMap<String, String>,
    /// The same where the driver sits on the right.
    #[serde(default)]
    pub paths_driver_right: BTreeMap<String, String>,
}

/// A list that the host fills at run time.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct EntityList {
    #[serde(default)]
    pub about: String,
}

/// A builtin under a name of the domain's own, with its own range.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Slot {
    #[serde(rename = "type")]
    pub kind: String,
    pub min: Option<f64>,
    pub max: Option<f64>,
    pub step: Option<f64>,
}

/// An intent.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Intent {
    pub name: String,
    #[serde(default)]
    pub about: String,
    #[serde(default)]
    pub templates: Vec<Spanned<String>>,
    #[serde(default)]
    pub short: Vec<Spanned<String>>,
    #[serde(default)]
    pub context: ContextKind,
    #[serde(default)]
    pub required: Vec<String>,
    #[serde(default)]
    pub ask: BTreeMap<String, String>,
    #[serde(default)]
    pub answers: BTreeMap<String, Vec<Spanned<String>>>,
    pub vss: Option<String>,
    /// Where it goes instead of to a VSS signal.
    pub target: Option<String>,
    /// Sentences with their slots marked, to learn from.
    #[serde(default)]
    pub examples: Vec<Spanned<String>>,
    /// Whether the speaker has to agree first.
    #[serde(default)]
    pub confirm: Confirm,
}

/// `true`, or the question that the speaker has to agree to.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) enum Confirm {
    #[default]
    No,
    Yes,
    Question(String),
}

/// When an intent's templates are listened for.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ContextKind {
    #[default]
    Always,
    Dialogue,
}

/// `"a"` or `["a", "b"]`.
#[derive(Debug, Clone)]
pub(crate) struct OneOrMany(pub Vec<String>);

impl<'de> Deserialize<'de> for OneOrMany {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Either::<Self>(
            "a string or an array of strings",
            PhantomData,
        ))
    }
}

impl<'de> Deserialize<'de> for Entry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Either::<Self>(
            "a string or a table with `say`",
            PhantomData,
        ))
    }
}

impl<'de> Deserialize<'de> for Confirm {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Either::<Self>("true, false or a question", PhantomData))
    }
}

/// Reads a type that is written either as a plain string or at length, keeping the precise messages of the long form
/// (an untagged enum would only say that nothing fits).
struct Either<T>(&'static str, PhantomData<T>);

impl<'de> Visitor<'de> for Either<OneOrMany> {
    type Value = OneOrMany;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }

    fn visit_str<E>(self, text: &str) -> Result<OneOrMany, E> {
        Ok(OneOrMany(vec![text.to_string()]))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<OneOrMany, A::Error> {
        Vec::deserialize(SeqAccessDeserializer::new(seq)).map(OneOrMany)
    }
}

impl<'de> Visitor<'de> for Either<Confirm> {
    type Value = Confirm;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }

    fn visit_bool<E>(self, yes: bool) -> Result<Confirm, E> {
        Ok(if yes { Confirm::Yes } else { Confirm::No })
    }

    fn visit_str<E>(self, question: &str) -> Result<Confirm, E> {
        Ok(Confirm::Question(question.to_string()))
    }
}

impl<'de> Visitor<'de> for Either<Entry> {
    type Value = Entry;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }

    fn visit_str<E>(self, text: &str) -> Result<Entry, E> {
        let say = OneOrMany(vec![text.to_string()]);
        let (paths, paths_driver_right) = Default::default();
        Ok(Entry(FullEntry {
            say,
            value: Some(text.to_string()),
            paths,
            paths_driver_right,
        }))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Entry, A::Error> {
        FullEntry::deserialize(MapAccessDeserializer::new(map)).map(Entry)
    }
}
