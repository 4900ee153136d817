//! Sentences that a domain must understand, in `tests.toml` beside its `domain.toml`:
//!
//! ```toml
//! today = "2026-11-25"                  # what "tomorrow" is counted from
//!
//! [[entities.contact]]                  # what the host would inject
//! id = "anna"
//! says = ["Anna"]
//!
//! [[tests]]
//! say = ["open the door", "open it"]    # one or several
//! intent = "door.open"
//! slots = { side = "left" }             # all of them, in short: 3, "21.5C", "50%", "600s", "7:05", "2026-03-01", an id
//! missing = ["level"]                   # required slots that are asked for; none unless given
//!
//! [[tests]]
//! say = "what a lovely day"
//! nothing = true                        # is no command
//! open = true                           # at an open microphone; otherwise as after the wake phrase or a button
//! ```

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use toml::Spanned;

use super::error::{DomainError, Place, line_at};
use super::file::OneOrMany;
use super::load::{Folder, Source};
use super::{Domain, IntentSpec};
use crate::calendar::Date;
use crate::understand::{Context, Intent, Understander};
use crate::value::{Entities, SlotValue};

/// The file of the tests.
pub const FILE: &str = "tests.toml";

/// The tests of a domain.
#[derive(Debug)]
pub struct Trials {
    today: Option<Date>,
    entities: Entities,
    trials: Vec<Trial>,
}

#[derive(Debug)]
struct Trial {
    place: Place,
    say: Vec<String>,
    meant: Option<Meant>,
    open: bool,
}

#[derive(Debug)]
struct Meant {
    intent: String,
    slots: BTreeMap<String, toml::Value>,
    missing: Vec<String>,
}

/// What came of the tests.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Outcome {
    /// Number of sentences that mean what they should.
    pub passed: usize,
    /// The others.
    pub failures: Vec<Failure>,
}

/// A sentence that means something else than it should.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Failure {
    /// 1-based line of its test.
    pub line: Option<usize>,
    /// The sentence.
    pub say: String,
    /// What it should be understood as.
    pub meant: String,
    /// What it is understood as.
    pub understood: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    today: Option<Spanned<String>>,
    #[serde(default)]
    entities: Entities,
    #[serde(default)]
    tests: Vec<Spanned<Entry>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    say: OneOrMany,
    intent: Option<String>,
    #[serde(default)]
    slots: BTreeMap<String, toml::Value>,
    #[serde(default)]
    missing: Vec<String>,
    #[serde(default)]
    nothing: bool,
    #[serde(default)]
    open: bool,
}

impl Trials {
    /// The tests in the folder of a domain, if there are any.
    ///
    /// # Errors
    /// A malformed file; a test that expects nothing in particular.
    pub fn of_folder(folder: &Path) -> Result<Option<Self>, DomainError> {
        if !folder.join(FILE).exists() {
            return Ok(None);
        }
        Self::read(&Folder(folder)).map(Some)
    }

    pub(super) fn read(source: &dyn Source) -> Result<Self, DomainError> {
        let path = source.path(FILE);
        let place = |line, field: &str| Place {
            file: path.clone(),
            line,
            field: field.into(),
        };
        let text = source.read(FILE).map_err(|reason| {
            let problem = format!("cannot be read: {}", reason.problem);
            place(None, "file").error(problem, "check the permissions")
        })?;
        let at = |offset: usize, field: &str| place(Some(line_at(&text, offset)), field);
        let file: File = toml::from_str(&text).map_err(|error| {
            let line = error.span().map(|span| line_at(&text, span.start));
            let problem = error.message().trim().replace('\n', " ");
            place(line, "syntax").error(problem, "correct this line")
        })?;
        let today = file.today.map(|today| {
            let day = today.get_ref().parse::<Date>();
            day.map_err(|error| {
                at(today.span().start, "today").error(error.to_string(), "or leave today out")
            })
        });
        let trials = file.tests.into_iter().enumerate().map(|(n, entry)| {
            let place = at(entry.span().start, &format!("tests[{n}]"));
            entry.into_inner().trial(place)
        });
        Ok(Self {
            today: today.transpose()?,
            entities: file.entities,
            trials: trials.collect::<Result<_, _>>()?,
        })
    }

    /// Tries the sentences on a domain, by its templates alone.
    ///
    /// # Errors
    /// A test of an intent, a slot or an entity list that the domain does not have.
    pub fn run(&self, domain: &Arc<Domain>) -> Result<Outcome, DomainError> {
        for trial in &self.trials {
            trial.check(domain)?;
        }
        let mut understander = Understander::new(vec![domain.clone()]);
        understander.set_today(self.today);
        for (list, values) in &self.entities {
            let set = understander.set_entities(list, values);
            set.map_err(|error| self.no_list(list, &error.to_string()))?;
        }
        let mut outcome = Outcome::default();
        for trial in &self.trials {
            trial.run(&understander, &mut outcome);
        }
        Ok(outcome)
    }

    fn no_list(&self, list: &str, problem: &str) -> DomainError {
        let file = self.trials.first().map(|trial| trial.place.file.clone());
        Place {
            file: file.unwrap_or_else(|| FILE.into()),
            line: None,
            field: format!("entities.{list}"),
        }
        .error(problem, "correct the name")
    }
}

impl Entry {
    fn trial(self, place: Place) -> Result<Trial, DomainError> {
        let meant = match (self.intent, self.nothing) {
            (Some(intent), false) => Some(Meant {
                intent,
                slots: self.slots,
                missing: self.missing,
            }),
            (None, true) => None,
            (Some(_), true) => {
                return Err(
                    place.error("there is an intent and nothing = true", "keep one of them")
                );
            }
            (None, false) => {
                return Err(place.error(
                    "the test does not say what is meant",
                    "add intent = \"…\" or nothing = true",
                ));
            }
        };
        if self.say.0.is_empty() {
            return Err(place.error("the test says nothing", "add say = \"…\""));
        }
        Ok(Trial {
            place,
            say: self.say.0,
            meant,
            open: self.open,
        })
    }
}

impl Trial {
    fn check(&self, domain: &Domain) -> Result<(), DomainError> {
        let Some(meant) = &self.meant else {
            return Ok(());
        };
        let Some(spec) = domain.intent(&meant.intent) else {
            let problem = format!(
                "there is no intent '{}' in '{}'",
                meant.intent,
                domain.name()
            );
            return Err(self
                .place
                .error(problem, "correct the name or add the intent"));
        };
        let named = meant.slots.keys().chain(&meant.missing);
        match named
            .into_iter()
            .find(|slot| !spec.slots.contains_key(*slot))
        {
            Some(slot) => Err(self.no_slot(spec, slot)),
            None => Ok(()),
        }
    }

    fn no_slot(&self, spec: &IntentSpec, slot: &str) -> DomainError {
        let known: Vec<&str> = spec.slots.keys().map(String::as_str).collect();
        let problem = format!("the intent '{}' has no slot '{slot}'", spec.name);
        self.place
            .error(problem, format!("it has: {}", known.join(", ")))
    }

    fn run(&self, understander: &Understander, outcome: &mut Outcome) {
        let context = if self.open {
            Context::open_microphone()
        } else {
            Context::addressed()
        };
        for say in &self.say {
            let best = understander.understand(say, &context).into_iter().next();
            let right = match (&self.meant, &best) {
                (None, None) => true,
                (Some(meant), Some(intent)) => meant.is(intent),
                _ => false,
            };
            if right {
                outcome.passed += 1;
                continue;
            }
            outcome.failures.push(Failure {
                line: self.place.line,
                say: say.clone(),
                meant: self.meant.as_ref().map_or_else(nothing, Meant::to_text),
                understood: best.as_ref().map_or_else(nothing, intent_text),
            });
        }
    }
}

impl Meant {
    fn is(&self, intent: &Intent) -> bool {
        let same = |(slot, value): (&String, &toml::Value)| {
            intent
                .slots
                .get(slot)
                .is_some_and(|got| is_same(value, got))
        };
        self.intent == intent.name
            && self.missing == intent.missing
            && self.slots.len() == intent.slots.len()
            && self.slots.iter().all(same)
    }

    fn to_text(&self) -> String {
        let slots = self.slots.iter().map(|(name, value)| (name, short(value)));
        text(&self.intent, slots, &self.missing)
    }
}

fn nothing() -> String {
    "nothing".into()
}

fn intent_text(intent: &Intent) -> String {
    let slots = intent
        .slots
        .iter()
        .map(|(name, value)| (name, value.to_string()));
    text(&intent.name, slots, &intent.missing)
}

fn text<'a>(
    intent: &str,
    slots: impl Iterator<Item = (&'a String, String)>,
    missing: &[String],
) -> String {
    let slots = slots.map(|(name, value)| format!("{name}={value}"));
    let missing = missing.iter().map(|name| format!("{name}?"));
    let parts: Vec<String> = std::iter::once(intent.to_string())
        .chain(slots)
        .chain(missing)
        .collect();
    parts.join(" ")
}

fn short(value: &toml::Value) -> String {
    match value {
        toml::Value::String(text) => text.clone(),
        toml::Value::Float(number) => number.to_string(),
        other => other.to_string(),
    }
}

/// A value as in JSON (`{ zone = "driver" }`) or in short.
fn is_same(expected: &toml::Value, got: &SlotValue) -> bool {
    if expected.is_table() {
        return expected
            .clone()
            .try_into::<SlotValue>()
            .is_ok_and(|value| value == *got);
    }
    short(expected) == got.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOMAIN: &str = r#"
name = "x"
[slots.level]
type = "number"
[lists.side]
values = ["left", "right"]
[entities.contact]
[[intents]]
name = "level"
templates = ["set the [{side}] level [to {level}]"]
required = ["level"]
[[intents]]
name = "call"
templates = ["call {contact} {date}"]
short = ["call"]
"#;

    fn outcome(tests: &str) -> Result<Outcome, DomainError> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("domain.toml"), DOMAIN).unwrap();
        std::fs::write(folder.path().join(FILE), tests).unwrap();
        let domain = Arc::new(Domain::load(folder.path()).unwrap());
        Trials::of_folder(folder.path())?.unwrap().run(&domain)
    }

    #[test]
    fn sentences_that_mean_what_they_should_pass() {
        let tests = r#"
today = "2026-11-25"
[[entities.contact]]
id = "a1"
says = ["Anna"]
[[tests]]
say = ["set the left level to 3", "set the left level to three"]
intent = "level"
slots = { side = "left", level = 3 }
[[tests]]
say = "set the left level to 3"
intent = "level"
slots = { side = { choice = "left" }, level = 3.0 }
[[tests]]
say = "set the level"
intent = "level"
missing = ["level"]
[[tests]]
say = "call anna tomorrow"
intent = "call"
slots = { contact = "a1", date = "2026-11-26" }
[[tests]]
say = "call"
open = true
nothing = true
"#;
        let outcome = outcome(tests).unwrap();
        assert_eq!((outcome.passed, outcome.failures.as_slice()), (6, &[][..]));
    }

    #[test]
    fn the_others_are_told_with_what_they_mean() {
        let tests = r#"
[[tests]]
say = "set the left level to 3"
intent = "level"
slots = { side = "right", level = 3 }
[[tests]]
say = "set the level to 3"
intent = "level"
[[tests]]
say = "set the level to 3"
nothing = true
[[tests]]
say = "what a day"
intent = "call"
"#;
        let outcome = outcome(tests).unwrap();
        let told: Vec<_> = outcome
            .failures
            .iter()
            .map(|failure| {
                (
                    failure.line.unwrap(),
                    failure.meant.as_str(),
                    failure.understood.as_str(),
                )
            })
            .collect();
        let expected = [
            (2, "level level=3 side=right", "level level=3 side=left"),
            (6, "level", "level level=3"),
            (9, "nothing", "level level=3"),
            (12, "call", "nothing"),
        ];
        assert_eq!((told.as_slice(), outcome.passed), (&expected[..], 0));
    }

    #[test]
    fn tests_that_cannot_be_run_are_named() {
        for (tests, line, part) in [
            ("[[tests]]\nsay = \"x\"", Some(1), "what is meant"),
            (
                "\n[[tests]]\nsay = \"x\"\nintent = \"y\"",
                Some(2),
                "no intent 'y'",
            ),
            (
                "[[tests]]\nsay = \"x\"\nintent = \"call\"\nslots = { z = 1 }",
                Some(1),
                "it has: contact, date",
            ),
            (
                "[[tests]]\nsay = \"x\"\nintent = \"call\"\nnothing = true",
                Some(1),
                "keep one",
            ),
            ("[[tests]]\nsays = \"x\"", Some(2), "unknown field"),
            ("today = \"soon\"", Some(1), "no day"),
            ("[[entities.pet]]\nid = \"x\"\nsays = []", None, "pet"),
        ] {
            let error = outcome(tests).unwrap_err();
            assert_eq!(error.line, line, "{error}");
            assert!(error.to_string().contains(part), "{error}");
        }
    }
}
