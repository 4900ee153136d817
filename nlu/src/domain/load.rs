//! From files to a checked domain: reads the includes, resolves names, refuses what cannot work.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use super::compile::{Compiled, compile};
use super::error::{DomainError, Place, Places, line_at};
use super::example;
use super::extent::Extent;
use super::file::{self, Confirm, ContextKind, File, ListKind};
use super::phrasebook::{Paths, Phrasebook, Value, expand};
use super::resolve::Rules;
use super::slot::builtin;
use super::{Domain, Example, IntentSpec, Reach, SlotKind, Template};
use crate::builtin::Builtin;
use crate::dialogue::{Device, RawDevice};
use crate::locale::Locale;
use crate::template::{self, Expr};
use crate::value::SlotValue;

/// The file a domain folder must have.
pub(crate) const MAIN: &str = "domain.toml";

/// More sayings than this for one list value are a mistake.
const MOST_SAYINGS: usize = 64;

/// Where the files of a domain come from.
pub(crate) trait Source {
    fn path(&self, name: &str) -> PathBuf;
    fn read(&self, name: &str) -> Result<String, NoText>;
}

/// Why a file of a domain cannot be had.
pub(crate) struct NoText {
    pub problem: String,
    /// What to do about it; none: make sure that the file is there.
    pub mend: Option<String>,
}

impl NoText {
    fn because(problem: impl ToString) -> Self {
        Self {
            problem: problem.to_string(),
            mend: None,
        }
    }
}

/// A folder on disk.
pub(crate) struct Folder<'a>(pub &'a Path);

impl Source for Folder<'_> {
    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    fn read(&self, name: &str) -> Result<String, NoText> {
        std::fs::read_to_string(self.path(name)).map_err(NoText::because)
    }
}

/// Files compiled into the program.
pub(crate) struct Embedded {
    /// What stands for the folder in messages.
    pub root: &'static str,
    /// File names and texts.
    pub files: &'static [(&'static str, &'static str)],
}

impl Source for Embedded {
    fn path(&self, name: &str) -> PathBuf {
        Path::new(self.root).join(name)
    }

    fn read(&self, name: &str) -> Result<String, NoText> {
        let found = self.files.iter().find(|(file, _)| *file == name);
        found
            .map(|(_, text)| (*text).to_string())
            .ok_or_else(|| NoText::because("no such built-in file"))
    }
}

/// Loads, checks and compiles a domain for a place, or for the place that the domain names.
pub(crate) fn load(source: &dyn Source, locale: Option<&Locale>) -> Result<Domain, DomainError> {
    let mut draft = Draft {
        locale: locale.cloned(),
        ..Draft::default()
    };
    let defaults = Embedded {
        root: "(defaults)",
        files: &[(MAIN, include_str!("lists.toml"))],
    };
    draft.file(&defaults, MAIN, &whole(defaults.path(MAIN)))?;
    draft.defaults = draft.kinds.keys().cloned().collect();
    draft.file(source, MAIN, &whole(source.path(MAIN)))?;
    draft.finish(source.path(MAIN))
}

fn whole(file: PathBuf) -> Place {
    Place {
        file,
        line: None,
        field: "file".into(),
    }
}

#[derive(Default)]
struct Draft {
    name: Option<String>,
    locale: Option<Locale>,
    kinds: BTreeMap<String, SlotKind>,
    defaults: BTreeSet<String>,
    rules: BTreeMap<String, (Expr, Place)>,
    before: Vec<(Expr, Place)>,
    after: Vec<(Expr, Place)>,
    intents: Vec<(IntentSpec, Places)>,
    devices: Vec<(RawDevice, Place)>,
    seen: BTreeSet<PathBuf>,
}

/// One file being read: gives every complaint its place.
struct Reading {
    file: PathBuf,
    text: String,
}

impl Reading {
    fn at<T>(&self, spanned: &toml::Spanned<T>, field: impl Into<String>) -> Place {
        let line = Some(line_at(&self.text, spanned.span().start));
        Place {
            file: self.file.clone(),
            line,
            field: field.into(),
        }
    }

    fn template(
        &self,
        text: &toml::Spanned<String>,
        field: String,
    ) -> Result<(Expr, Place), DomainError> {
        let place = self.at(text, field);
        match template::parse(text.get_ref()) {
            Ok(expr) => Ok((expr, place)),
            Err(e) => Err(place.error(
                format!(
                    "column {} of \"{}\": {}",
                    e.column,
                    text.get_ref(),
                    e.problem
                ),
                e.mend,
            )),
        }
    }

    fn templates(
        &self,
        texts: &[toml::Spanned<String>],
        field: &str,
    ) -> Result<Vec<(Expr, Place)>, DomainError> {
        texts
            .iter()
            .enumerate()
            .map(|(n, text)| self.template(text, format!("{field}[{n}]")))
            .collect()
    }

    fn examples(
        &self,
        texts: &[toml::Spanned<String>],
        intent: &str,
    ) -> Result<Vec<Example>, DomainError> {
        let read = |(n, text): (usize, &toml::Spanned<String>)| {
            let place = self.at(text, format!("{intent}.examples[{n}]"));
            example::parse(text.get_ref(), place.line)
                .map_err(|(problem, mend)| place.error(problem, mend))
        };
        texts.iter().enumerate().map(read).collect()
    }
}

impl Draft {
    fn file(
        &mut self,
        source: &dyn Source,
        name: &str,
        asked_by: &Place,
    ) -> Result<(), DomainError> {
        let path = source.path(name);
        if !self.seen.insert(path.clone()) {
            return Err(asked_by.error(
                format!("'{name}' is included twice"),
                "include each file once",
            ));
        }
        let text = source.read(name).map_err(|NoText { problem, mend }| {
            let create = || format!("create {} or correct the name", path.display());
            let problem = format!("'{name}' cannot be read: {problem}");
            asked_by.error(problem, mend.unwrap_or_else(create))
        })?;
        let file: File = toml::from_str(&text).map_err(|error| {
            let line = error.span().map(|span| line_at(&text, span.start));
            let place = Place {
                file: path.clone(),
                line,
                field: "syntax".into(),
            };
            place.error(
                error.message().trim().replace('\n', " "),
                "correct this line",
            )
        })?;
        let reading = Reading { file: path, text };
        if file.name.is_some() {
            self.name = file.name.clone();
        }
        if let Some(text) = &file.locale {
            let place = reading.at(text, "locale");
            let own = text.get_ref().parse::<Locale>();
            let own = own.map_err(|error| place.error(error.to_string(), "or leave locale out"))?;
            self.locale.get_or_insert(own);
        }
        self.kinds(&reading, &file)?;
        for (name, text) in &file.rules {
            let (expr, place) = reading.template(text, format!("rules.{name}"))?;
            if self
                .rules
                .insert(name.clone(), (expr, place.clone()))
                .is_some()
            {
                return Err(place.error("this rule exists already", "give each rule its own name"));
            }
        }
        self.before
            .extend(reading.templates(&file.frame.before, "frame.before")?);
        self.after
            .extend(reading.templates(&file.frame.after, "frame.after")?);
        for intent in &file.intents {
            self.intent(&reading, intent)?;
        }
        for device in &file.devices {
            let place = reading.at(device, "devices");
            self.devices.push((device.get_ref().clone(), place));
        }
        for included in &file.include {
            self.file(source, included.get_ref(), &reading.at(included, "include"))?;
        }
        Ok(())
    }

    fn kinds(&mut self, reading: &Reading, file: &File) -> Result<(), DomainError> {
        for (name, list) in &file.lists {
            let book = phrasebook(reading, name, list.get_ref())?;
            self.kind(
                name,
                SlotKind::List(book),
                &reading.at(list, format!("lists.{name}")),
            )?;
        }
        for (name, slot) in &file.slots {
            let place = reading.at(slot, format!("slots.{name}"));
            self.kind(
                name,
                SlotKind::Builtin(builtin(slot.get_ref(), &place)?),
                &place,
            )?;
        }
        for (name, list) in &file.entities {
            let about = list.get_ref().about.clone();
            self.kind(
                name,
                SlotKind::Entities { about },
                &reading.at(list, format!("entities.{name}")),
            )?;
        }
        Ok(())
    }

    fn kind(&mut self, name: &str, kind: SlotKind, place: &Place) -> Result<(), DomainError> {
        let replaces_default = self.defaults.remove(name);
        if self.kinds.insert(name.to_string(), kind).is_some() && !replaces_default {
            let problem = format!("the slot type '{name}' exists already");
            return Err(place.error(
                problem,
                "lists, slots and entities share their names: choose another",
            ));
        }
        Ok(())
    }

    fn intent(
        &mut self,
        reading: &Reading,
        spanned: &toml::Spanned<file::Intent>,
    ) -> Result<(), DomainError> {
        let raw = spanned.get_ref();
        let field = format!("intents.{}", raw.name);
        let place = reading.at(spanned, field.clone());
        if raw.name.is_empty()
            || raw
                .name
                .contains(|c: char| !(c.is_ascii_lowercase() || "._0123456789".contains(c)))
        {
            return Err(place.error(
                "the name is not made of a-z, 0-9, '.' and '_'",
                "name it like climate.set_temperature",
            ));
        }
        if self
            .intents
            .iter()
            .any(|(intent, _)| intent.name == raw.name)
        {
            return Err(place.error(
                "this intent exists already",
                "add its templates to the first one",
            ));
        }
        if raw.templates.is_empty() && raw.short.is_empty() && raw.examples.is_empty() {
            return Err(place.error(
                "there are no templates and no examples",
                "add templates = [\"…\"] with the sentences people say",
            ));
        }
        let reach = if raw.context == ContextKind::Dialogue {
            Reach::Dialogue
        } else {
            Reach::Always
        };
        let mut templates = Vec::new();
        for (texts, field, reach) in [
            (&raw.templates, format!("{field}.templates"), reach),
            (
                &raw.short,
                format!("{field}.short"),
                reach.max(Reach::Addressed),
            ),
        ] {
            let read = reading.templates(texts, &field)?;
            templates.extend(
                read.into_iter()
                    .map(|(expr, place)| Template { expr, reach, place }),
            );
        }
        let mut answers = BTreeMap::new();
        for (slot, texts) in &raw.answers {
            answers.insert(
                slot.clone(),
                reading.templates(texts, &format!("{field}.answers.{slot}"))?,
            );
        }
        let examples = reading.examples(&raw.examples, &field)?;
        let spec = IntentSpec {
            name: raw.name.clone(),
            about: raw.about.clone(),
            templates,
            required: raw.required.iter().map(plain).collect(),
            ask: raw
                .ask
                .iter()
                .map(|(slot, text)| (slot.clone(), plain(text)))
                .collect(),
            answers,
            vss: raw.vss.as_ref().map(plain),
            target: raw.target.as_ref().map(plain),
            confirm: question(&raw.confirm, &raw.about),
            examples,
            slots: BTreeMap::new(),
            place: place.clone(),
        };
        let fields = places(reading, raw, &field);
        let places = Places {
            whole: place,
            fields,
        };
        self.intents.push((spec, places));
        Ok(())
    }

    /// Everything must be of a bearable length before anything walks through it.
    fn check_extents(&self) -> Result<(), DomainError> {
        let mut extent = Extent::new(&self.rules);
        let intents = || self.intents.iter().map(|(intent, _)| intent);
        let templates = intents().flat_map(|intent| &intent.templates);
        let answers = intents().flat_map(|intent| intent.answers.values().flatten());
        let frame = self.before.iter().chain(&self.after);
        self.rules
            .values()
            .chain(frame)
            .chain(answers)
            .map(|(expr, place)| (expr, place))
            .chain(templates.map(|template| (&template.expr, &template.place)))
            .try_for_each(|(expr, place)| extent.check(expr, place))
    }

    fn finish(mut self, main: PathBuf) -> Result<Domain, DomainError> {
        let place = Place {
            file: main,
            line: None,
            field: "name".into(),
        };
        let name = self
            .name
            .take()
            .ok_or_else(|| place.error("the domain has no name", "add name = \"…\" at the top"))?;
        if self.intents.is_empty() {
            let place = Place {
                field: "intents".into(),
                ..place
            };
            return Err(place.error(
                "the domain has no intents",
                "add [[intents]] with a name and templates",
            ));
        }
        self.check_extents()?;
        let rules = Rules {
            rules: &self.rules,
            kinds: &self.kinds,
        };
        for (name, (expr, place)) in &self.rules {
            rules.check(expr, place, &mut vec![name.clone()])?;
        }
        for (expr, place) in self.before.iter().chain(&self.after) {
            rules.check(expr, place, &mut Vec::new())?;
        }
        let rule_exprs: BTreeMap<String, Expr> = self
            .rules
            .iter()
            .map(|(name, (expr, _))| (name.clone(), expr.clone()))
            .collect();
        let mut intents = Vec::new();
        for (mut intent, places) in self.intents {
            rules.check_intent(&mut intent, &places)?;
            intents.push(intent);
        }
        let frame = [self.before, self.after]
            .map(|side| side.into_iter().map(|(expr, _)| expr).collect::<Vec<_>>());
        let mut kinds = self.kinds;
        add_builtins(&mut kinds, &intents);
        if let Some(locale) = &self.locale {
            settle(&mut kinds, locale);
        }
        let compiled: Compiled = compile(&intents, &kinds, &rule_exprs, &frame);
        let devices = devices(&self.devices, &intents)?;
        let follow_ups = intents.iter().map(|_| OnceLock::new()).collect();
        Ok(Domain {
            name,
            kinds,
            intents,
            rules: rule_exprs,
            compiled,
            devices,
            follow_ups,
        })
    }
}

fn plain(text: &toml::Spanned<String>) -> String {
    text.get_ref().clone()
}

/// Where the fields of an intent stand that are checked once all is known.
fn places(reading: &Reading, raw: &file::Intent, intent: &str) -> BTreeMap<String, Place> {
    let required = raw.required.iter().map(|slot| {
        (
            format!("required.{}", slot.get_ref()),
            "required".into(),
            slot,
        )
    });
    let ask = raw.ask.iter().map(|(slot, text)| {
        let field = format!("ask.{slot}");
        (field.clone(), field, text)
    });
    let goals = [("vss", &raw.vss), ("target", &raw.target)];
    let goals = goals
        .into_iter()
        .filter_map(|(field, text)| Some((field.into(), field.to_string(), text.as_ref()?)));
    let all = required.chain(ask).chain(goals);
    all.map(|(key, field, text): (String, String, _)| {
        (key, reading.at(text, format!("{intent}.{field}")))
    })
    .collect()
}

/// Devices with the numbers of their intents.
fn devices(raw: &[(RawDevice, Place)], intents: &[IntentSpec]) -> Result<Vec<Device>, DomainError> {
    let number = |name: &str| intents.iter().position(|intent| intent.name == name);
    let device = |(device, place): &(RawDevice, Place)| {
        device.resolve(number).map_err(|name| {
            let problem = format!("the device names '{name}', which is no intent");
            place.error(problem, "name an intent of this domain, or take it away")
        })
    };
    raw.iter().map(device).collect()
}

/// Builtins used by their own name become kinds like all others.
fn add_builtins(kinds: &mut BTreeMap<String, SlotKind>, intents: &[IntentSpec]) {
    for kind in intents.iter().flat_map(|intent| intent.slots.values()) {
        if let (false, Some(builtin)) = (kinds.contains_key(kind), Builtin::named(kind)) {
            kinds.insert(kind.clone(), SlotKind::Builtin(builtin));
        }
    }
}

/// The place decides the scale of temperatures.
fn settle(kinds: &mut BTreeMap<String, SlotKind>, locale: &Locale) {
    for kind in kinds.values_mut() {
        if let SlotKind::Builtin(Builtin::Temperature(thermometer)) = kind {
            thermometer.unsaid = Some(locale.temperature_unit());
        }
    }
}

fn phrasebook(reading: &Reading, name: &str, list: &file::List) -> Result<Phrasebook, DomainError> {
    let mut values = Vec::new();
    for (n, spanned) in list.values.iter().enumerate() {
        let place = reading.at(spanned, format!("lists.{name}.values[{n}]"));
        let entry = &spanned.get_ref().0;
        let text = entry
            .value
            .clone()
            .or_else(|| entry.say.0.first().cloned())
            .unwrap_or_default();
        let mut says: Vec<Vec<String>> = Vec::new();
        for say in &entry.say.0 {
            let expr = template::parse(say)
                .map_err(|e| place.error(format!("\"{say}\": {}", e.problem), e.mend))?;
            let ways = expand(&expr, MOST_SAYINGS).filter(|ways| !ways.contains(&Vec::new()));
            says.extend(ways.ok_or_else(|| {
                place.error(
                    format!("\"{say}\" holds slots, can be nothing, or is too many sayings"),
                    "write plain sayings",
                )
            })?);
        }
        if says.is_empty() || text.is_empty() {
            return Err(place.error("a value needs at least one saying", "add say = \"…\""));
        }
        let value = list_value(list.kind, &text, &place)?;
        let driver_right = if entry.paths_driver_right.is_empty() {
            &entry.paths
        } else {
            &entry.paths_driver_right
        }
        .clone();
        let paths = Paths {
            driver_left: entry.paths.clone(),
            driver_right,
        };
        values.push(Value {
            value,
            says,
            also: Vec::new(),
            paths,
        });
    }
    Ok(Phrasebook::new(values))
}

fn list_value(kind: ListKind, text: &str, place: &Place) -> Result<SlotValue, DomainError> {
    Ok(match kind {
        ListKind::Choice => SlotValue::Choice(text.to_string()),
        ListKind::Zone => SlotValue::Zone(text.to_string()),
        ListKind::Colour => SlotValue::Colour(text.to_string()),
        ListKind::Number => SlotValue::Number(text.parse().map_err(|_| {
            place.error(
                format!("'{text}' is no number, and the list is of type number"),
                "give value = \"3\"",
            )
        })?),
    })
}

/// The question that has to be agreed to, if any.
fn question(confirm: &Confirm, about: &str) -> Option<String> {
    match confirm {
        Confirm::No => None,
        Confirm::Yes if about.is_empty() => Some("Are you sure?".into()),
        Confirm::Yes => Some(format!("{about}: are you sure?")),
        Confirm::Question(text) => Some(text.clone()),
    }
}
