use super::*;
use crate::calendar::Date;
use crate::domain::{Domain, trial};
use crate::value::{Entities, EntityValue, SlotValue};
use crate::{Context, Understander, check};
use std::sync::Arc;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("testdata/convert")
        .join(name)
}

/// Converts a fixture, checks what came out of it, and gives both.
fn converted(name: &str, entities: &Entities) -> (Converted, Arc<Domain>) {
    let converted = convert(&fixture(name), None, "lights").unwrap();
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("domain.toml"), &converted.toml).unwrap();
    let domain =
        Domain::load(folder.path()).unwrap_or_else(|error| panic!("{error}\n{}", converted.toml));
    let domain = Arc::new(domain);
    let report = check(&domain, entities, 1, 500);
    assert!(report.conflicts.is_empty(), "{:?}", report.conflicts);
    assert_eq!(report.templates, converted.templates);
    assert!(trial::Trials::of_folder(folder.path()).unwrap().is_none());
    (converted, domain)
}

fn understood(
    domain: &Arc<Domain>,
    entities: &Entities,
    text: &str,
) -> (String, BTreeMap<String, SlotValue>) {
    let mut understander = Understander::new(vec![domain.clone()]);
    understander.set_today(Date::new(2026, 11, 25));
    for (list, values) in entities {
        understander.set_entities(list, values).unwrap();
    }
    let found = understander.understand(text, &Context::addressed());
    let best = found
        .first()
        .unwrap_or_else(|| panic!("\"{text}\" is not understood"));
    (best.target.clone().unwrap(), best.slots.clone())
}

fn choice(text: &str) -> SlotValue {
    SlotValue::Choice(text.into())
}

fn noted(converted: &Converted, file: &str, line: usize, part: &str) {
    let found = converted
        .notes
        .iter()
        .any(|note| note.file.ends_with(file) && note.line == line && note.text.contains(part));
    assert!(
        found,
        "no note on line {line} of {file} about {part}: {:?}",
        converted.notes
    );
}

#[test]
fn rhino_contexts_become_domains() {
    let none = Entities::new();
    let (converted, domain) = converted("rhino.yaml", &none);
    assert_eq!((converted.intents, converted.templates), (2, 4));
    let (target, slots) = understood(
        &domain,
        &none,
        "please set the living room lights to warm white",
    );
    assert_eq!(target, "changeColor");
    assert_eq!(slots["where"], choice("living room"));
    assert_eq!(slots["shade"], choice("warm white"));
    let (target, slots) = understood(&domain, &none, "Dim the lights to 30%");
    assert_eq!(
        (target.as_str(), &slots["level"]),
        ("dimLights", &SlotValue::Percent(30.0))
    );
    noted(&converted, "rhino.yaml", 9, "pv.Alphanumeric");
    noted(&converted, "rhino.yaml", 10, "']' is missing");
    assert_eq!(converted.notes.len(), 2);
}

#[test]
fn home_assistant_sentences_become_domains() {
    let area = [("area".to_string(), vec![EntityValue::new("k", ["kitchen"])])];
    let entities = Entities::from(area);
    let (converted, domain) = converted("home-assistant", &entities);
    let (target, slots) = understood(
        &domain,
        &entities,
        "please switch on the lights in the kitchen",
    );
    assert_eq!(target, "HassTurnOn domain=light");
    assert!(matches!(&slots["area"], SlotValue::Entity { id, .. } if id == "k"));
    let (target, _) = understood(&domain, &entities, "open the garage door");
    assert_eq!(target, "HassTurnOn domain=cover");
    let (target, slots) = understood(&domain, &entities, "set the brightness to 40%");
    assert_eq!(
        (target.as_str(), &slots["brightness"]),
        ("HassLightSet", &SlotValue::Number(40.0))
    );
    for text in [
        "set the lights in the kitchen to soft white",
        "in the kitchen set the lights to warm white",
    ] {
        assert_eq!(
            understood(&domain, &entities, text).1["color"],
            choice("warm"),
            "{text}"
        );
    }
    noted(&converted, "lights.yaml", 14, "requires_context");
    noted(&converted, "lights.yaml", 22, "'gone' is defined nowhere");
    noted(&converted, "lights.yaml", 26, "wildcard");
}

#[test]
fn snips_datasets_become_domains() {
    let none = Entities::new();
    let (converted, domain) = converted("snips.json", &none);
    let (target, slots) = understood(&domain, &none, "make the cook room 19.5 degrees");
    assert_eq!(
        (target.as_str(), &slots["room"]),
        ("setTemperature", &choice("kitchen"))
    );
    assert!(matches!(slots["target"], SlotValue::Temperature { degrees, .. } if degrees == 19.5));
    assert_eq!(
        understood(&domain, &none, "heat the bath room").1["room"],
        choice("bath room")
    );
    let example = &domain.intent("set_temperature").unwrap().examples[0];
    assert_eq!(
        example.words.join(" "),
        "make the kitchen twenty one degrees"
    );
    assert_eq!(example.spans["target"], (3, 6));
    noted(&converted, "snips.json", 4, "automatically_extensible");
    noted(&converted, "snips.json", 23, "snips/musicArtist");
}

#[test]
fn what_is_none_of_the_three_is_refused_with_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("x.yaml");
    for (text, line, part) in [
        ("hello: 1\n", Some(1), "--from"),
        ("intents: [\n", Some(2), "correct this line"),
        ("intents: {}\n", None, "no intent with a sentence"),
        (
            "context: {expressions: {a: [\"$x:y on\"]}}\n",
            None,
            "'x' is defined nowhere",
        ),
    ] {
        std::fs::write(&file, text).unwrap();
        let error = convert(&file, None, "x").unwrap_err();
        assert_eq!(error.line, line, "{error}");
        assert!(error.to_string().contains(part), "{error}");
        assert!(error.file.ends_with("x.yaml"));
    }
    std::fs::remove_file(&file).unwrap();
    assert!(
        convert(folder.path(), None, "x")
            .unwrap_err()
            .to_string()
            .contains("holds no")
    );
    assert!(
        convert(&file, Some(Format::Snips), "x")
            .unwrap_err()
            .to_string()
            .contains("cannot be read")
    );
    assert_eq!("snips".parse(), Ok(Format::Snips));
    assert!("alexa".parse::<Format>().is_err());
}

#[test]
fn names_become_plain() {
    for (name, plain) in [
        ("changeColor", "change_color"),
        ("HassTurnOn domain=light", "hass_turn_on_domain_light"),
        ("pv.TwoDigitInteger", "pv_two_digit_integer"),
        ("snips/number", "snips_number"),
        ("äöü", "unnamed"),
    ] {
        assert_eq!(plain_name(name), plain);
    }
}
