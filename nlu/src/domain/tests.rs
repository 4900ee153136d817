use super::*;
use crate::understand::{Context, Understander};

fn load(files: &[(&str, &str)]) -> Result<Domain, DomainError> {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    Domain::load(folder.path())
}

const GOOD: &str = r#"
name = "lamp"
[rules]
on = "(turn|switch) on"
[[intents]]
name = "lamp.on"
templates = ["<on> the lamp [to {percent}]"]
"#;

#[test]
fn a_small_domain_works_from_its_folder() {
    let domain = Arc::new(load(&[("domain.toml", GOOD)]).unwrap());
    assert_eq!((domain.name(), domain.intents().len()), ("lamp", 1));
    let understander = Understander::new(vec![domain]);
    let found = understander.understand("Switch on the lamp to 30%", &Context::default());
    assert_eq!(found[0].name, "lamp.on");
    assert_eq!(found[0].slots["percent"], crate::SlotValue::Percent(30.0));
}

#[test]
fn includes_are_read_and_a_list_replaces_a_default_one() {
    let main = "name = \"x\"\ninclude = [\"more.toml\"]\n[[intents]]\nname = \"a\"\ntemplates = [\"light the {zone}\"]";
    let more = "[lists.zone]\ntype = \"zone\"\nvalues = [\"cargo bay\"]";
    let understander = Understander::new(vec![Arc::new(
        load(&[("domain.toml", main), ("more.toml", more)]).unwrap(),
    )]);
    assert_eq!(
        understander
            .understand("light the cargo bay", &Context::default())
            .len(),
        1
    );
    assert!(
        understander
            .understand("light the driver", &Context::default())
            .is_empty()
    );
}

/// One intent `a.b` on line 4 with the given further lines; `templates` stands on line 6 unless given otherwise.
fn intent(lines: &str) -> String {
    format!("name = \"x\"\n[slots.n]\ntype = \"number\"\n[[intents]]\nname = \"a.b\"\n{lines}\n")
}

#[test]
fn every_mistake_is_named_with_its_place_and_its_mend() {
    let cases: Vec<(String, Option<usize>, &str, &str)> = vec![
        (
            intent("templates = [\"go\", \"open (the\"]"),
            Some(6),
            "intents.a.b.templates[1]",
            "never closed",
        ),
        (
            intent("templates = [\"level 3\"]"),
            Some(6),
            "intents.a.b.templates[0]",
            "digit",
        ),
        (
            intent("templates = [\"to {nowhere}\"]"),
            Some(6),
            "intents.a.b.templates[0]",
            "'nowhere' does not exist",
        ),
        (
            intent("templates = [\"to <gone>\"]"),
            Some(6),
            "intents.a.b.templates[0]",
            "'<gone>' does not exist",
        ),
        (
            intent("templates = [\"[go]\"]"),
            Some(6),
            "intents.a.b.templates[0]",
            "nothing at all",
        ),
        (
            intent("templates = []"),
            Some(4),
            "intents.a.b",
            "no templates",
        ),
        (
            intent("templates = [\"go\"]\nrequired = [\"n\"]"),
            Some(7),
            "intents.a.b.required",
            "in no template",
        ),
        (
            intent("templates = [\"go {n}\"]\nask = { n = \"?\" }"),
            Some(7),
            "intents.a.b.ask.n",
            "not required",
        ),
        (
            intent("templates = [\"go {n}\"]\nvss = \"A.{m}\""),
            Some(7),
            "intents.a.b.vss",
            "no template has the slot 'm'",
        ),
        (
            intent("templates = [\"go\"]\ntarget = \"A.{m}\""),
            Some(7),
            "intents.a.b.target",
            "target uses '{m}'",
        ),
        (
            intent("templates = [\"go\"]\ntarget = \"x\"\nvss = \"A\""),
            Some(7),
            "intents.a.b.target",
            "a vss and a target",
        ),
        (
            intent("templates = [\"go\"]\nconfirm = 3"),
            Some(7),
            "syntax",
            "true, false or a question",
        ),
        (
            intent("examples = [\n  \"go [far](n)\",\n  \"go [far](m)\"]"),
            Some(8),
            "intents.a.b.examples[1]",
            "'m' does not exist",
        ),
        (
            intent("templates = [\"go {percent:n}\"]\nexamples = [\"go [far](number:n)\"]"),
            Some(7),
            "intents.a.b.examples[0]",
            "elsewhere",
        ),
        (
            intent("examples = [\"go (far)\"]"),
            Some(6),
            "intents.a.b.examples[0]",
            "one plain sentence",
        ),
        (
            intent("templates = [\"go {n} {percent:n}\"]"),
            Some(6),
            "intents.a.b.templates[0]",
            "elsewhere",
        ),
        (
            intent("templates = [\"go\"]\ntemplate = [\"go\"]"),
            Some(7),
            "syntax",
            "unknown field",
        ),
        (
            intent("templates = [\"go\"]\n[[intents]]\nname = \"a.b\"\ntemplates = [\"x\"]"),
            Some(7),
            "intents.a.b",
            "already",
        ),
        (
            intent("templates = [\"go\"]\n[[intents]]\nname = \"A\"\ntemplates = [\"x\"]"),
            Some(7),
            "intents.A",
            "a-z",
        ),
        (
            intent("templates = [\"go\"]\n[rules]\nr = \"a <r>\""),
            Some(8),
            "rules.r",
            "uses itself",
        ),
        (
            intent("templates = [\"go\"]\n[lists.l]\nvalues = [\"a\",\n  \"[a]\"]"),
            Some(9),
            "lists.l.values[1]",
            "can be nothing",
        ),
        (
            intent("templates = [\"go\"]\n[lists.n]\nvalues = [\"a\"]"),
            Some(2),
            "slots.n",
            "exists already",
        ),
        (
            intent("templates = [\"go\"]\n[slots.m]\ntype = \"number\"\nmin = 9\nmax = 3"),
            Some(7),
            "slots.m",
            "min <= max",
        ),
        (
            intent("templates = [\"go\"]\n[slots.m]\ntype = \"temperature\"\nmin = 3"),
            Some(7),
            "slots.m",
            "unit = \"celsius\"",
        ),
        (
            intent("templates = [\"go\"]\n[slots.m]\ntype = \"percent\"\nunit = \"celsius\""),
            Some(7),
            "slots.m",
            "no unit",
        ),
        (
            intent("templates = [\"go\"]\n[slots.m]\ntype = \"spelling\"\nmax = 99"),
            Some(7),
            "slots.m",
            "<= 30",
        ),
        (
            "name = \"x\"\nlocale = \"english\"".into(),
            Some(2),
            "locale",
            "no locale",
        ),
        (
            intent("templates = [\"go\"]\n[slots.m]\ntype = \"mood\""),
            Some(7),
            "slots.m",
            "'mood' does not exist",
        ),
        (
            intent("templates = [\"go\"]\n[lists.l]\ntype = \"number\"\nvalues = [\"a\"]"),
            Some(9),
            "lists.l.values[0]",
            "no number",
        ),
        (
            intent("templates = [\"go\"]\n[lists.l]\nvalues = [{ says = \"a\" }]"),
            Some(8),
            "syntax",
            "unknown field `says`",
        ),
        ("name = \"x\"".into(), None, "intents", "no intents"),
        (
            "[[intents]]\nname = \"a\"\ntemplates = [\"x\"]".into(),
            None,
            "name",
            "has no name",
        ),
        (
            "name = \"x\"\ninclude = [\"gone.toml\"]".into(),
            Some(2),
            "include",
            "cannot be read",
        ),
        (
            "name = \"x\"\ninclude = [\"domain.toml\"]".into(),
            Some(2),
            "include",
            "included twice",
        ),
        ("name = ".into(), Some(1), "syntax", ""),
    ];
    for (text, line, field, part) in cases {
        let error = load(&[("domain.toml", &text)]).expect_err(&text);
        let message = error.to_string();
        assert!(message.contains(part), "{message}\nfor {text}");
        assert_eq!(
            (error.line, error.field.as_str()),
            (line, field),
            "{message}\nfor {text}"
        );
        assert!(
            error.file.ends_with("domain.toml") && !error.mend.is_empty(),
            "{message}"
        );
    }
}

#[test]
fn an_intent_may_go_elsewhere_ask_first_and_be_learned_from_examples() {
    let text = intent(
        "about = \"Sell the car\"\nexamples = [\"sell it for [three](n)\"]\nrequired = [\"n\"]\nconfirm = true\ntarget = \"shop/{n}\"",
    );
    let domain = load(&[("domain.toml", &text)]).unwrap();
    let intent = &domain.intents()[0];
    assert_eq!(
        intent.confirm.as_deref(),
        Some("Sell the car: are you sure?")
    );
    assert_eq!(intent.target.as_deref(), Some("shop/{n}"));
    assert_eq!(intent.examples[0].spans["n"], (3, 4));
    assert_eq!(intent.slots["n"], "n");
    let text = text.replace("confirm = true", "confirm = \"Really?\"");
    let domain = load(&[("domain.toml", &text)]).unwrap();
    assert_eq!(domain.intents()[0].confirm.as_deref(), Some("Really?"));
    let plain = load(&[("domain.toml", GOOD)]).unwrap();
    assert_eq!(plain.intents()[0].confirm, None);
}

#[test]
fn rules_that_stand_for_too_much_are_refused() {
    let mut text = format!(
        "{}[rules]\nr0 = \"a b\"\n",
        intent("templates = [\"go <r30>\"]")
    );
    for n in 1..=30 {
        text.push_str(&format!("r{n} = \"<r{0}> <r{0}>\"\n", n - 1));
    }
    let error = load(&[("domain.toml", &text)]).unwrap_err();
    assert!(error.to_string().contains("longer than"), "{error}");
    assert!(error.field.starts_with("rules.r"), "{error}");
    let mut text = format!(
        "{}[rules]\nr0 = \"a b\"\n",
        intent("templates = [\"go <r99>\"]")
    );
    for n in 1..=99 {
        text.push_str(&format!("r{n} = \"<r{}>\"\n", n - 1));
    }
    let error = load(&[("domain.toml", &text)]).unwrap_err();
    assert!(error.to_string().contains("deep"), "{error}");
}

/// A file in memory.
struct Text(String);

impl load::Source for Text {
    fn path(&self, name: &str) -> std::path::PathBuf {
        name.into()
    }

    fn read(&self, name: &str) -> Result<String, load::NoText> {
        match name {
            load::MAIN => Ok(self.0.clone()),
            _ => Err(load::NoText {
                problem: "is not there".into(),
                mend: None,
            }),
        }
    }
}

const WHOLE: &str = r#"
name = "x"
locale = "en-GB"
[rules]
on = "(turn|switch) on"
[lists.side]
values = ["left", { say = ["right", "[the] other"], value = "right", paths = { a = "B" } }]
[slots.level]
type = "number"
min = -3
max = 9
[slots.oven]
type = "temperature"
min = 50
max = 250
unit = "celsius"
[entities.contact]
[frame]
before = ["please"]
[[intents]]
name = "a.b"
about = "Do"
templates = ["<on> the [{side}] lamp to {level}", "bake at {oven}"]
short = ["{level}"]
required = ["level"]
ask = { level = "?" }
answers = { level = ["to {level}"] }
vss = "A.{side.a}.B"
confirm = true
examples = ["put [three](level) on"]
"#;

proptest::proptest! {
    #[test]
    fn no_damage_breaks_the_reader(
        at in 0_usize..900,
        cut in 0_usize..12,
        put in "[a-c\\[\\](){}<>|\"'=.,:0-9\n -]{0,8}",
    ) {
        let at = at.min(WHOLE.len());
        let end = (at + cut).min(WHOLE.len());
        let text = format!("{}{put}{}", &WHOLE[..at], &WHOLE[end..]);
        if let Err(error) = load::load(&Text(text), None) {
            proptest::prop_assert!(!error.problem.is_empty() && !error.mend.is_empty());
        }
    }
}

#[test]
fn every_type_can_be_a_slot() {
    let text = r#"
name = "x"
locale = "en-US"
[slots.fridge]
type = "temperature"
min = -20
max = 60
unit = "celsius"
[slots.offset]
type = "number"
min = -5
max = 5
step = 0.5
[slots.place]
type = "ordinal"
max = 99
[[intents]]
name = "a"
templates = [
  "cool to {fridge}", "shift by {offset}", "the {place} one", "volume {decimal}", "on {date}", "spell {spelling}",
  "dial {phone_number}", "in {duration}", "at {time}", "to {percent}", "heat to {temperature}", "count {number}",
]
"#;
    let domain = Arc::new(load(&[("domain.toml", text)]).unwrap());
    let mut understander = Understander::new(vec![domain.clone()]);
    understander.set_today("2026-11-25".parse().ok());
    let context = Context::default();
    let graph = understander.graph(&context);
    for (said, slot, value) in [
        ("cool to minus eighteen degrees celsius", "fridge", "-18C"),
        ("cool to forty", "fridge", "40F"),
        ("shift by minus two and a half", "offset", "-2.5"),
        ("the forty second one", "place", "42"),
        ("volume three point seven", "decimal", "3.7"),
        ("on the third of march", "date", "2027-03-03"),
        ("spell m as in mike a i double l", "spelling", "maill"),
        (
            "dial plus forty four seven double zero",
            "phone_number",
            "+44700",
        ),
        ("in an hour and a half", "duration", "5400s"),
        ("at half past seven", "time", "7:30"),
        ("to three quarters", "percent", "75%"),
        ("heat to seventy", "temperature", "70F"),
        ("count twelve", "number", "12"),
    ] {
        let found = understander.understand(said, &context);
        assert_eq!(found[0].slots[slot].to_string(), value, "{said}");
        let words: Vec<String> = said.split(' ').map(String::from).collect();
        assert!(graph.accepts(&words), "{said} is not listened for");
    }
    let report = crate::check(&domain, &crate::Entities::new(), 3, 3000);
    assert!(report.conflicts.is_empty(), "{:?}", report.conflicts);
    let abroad = "fr-FR".parse().unwrap();
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("domain.toml"), text).unwrap();
    let abroad = Arc::new(Domain::load_in(folder.path(), Some(&abroad)).unwrap());
    let found = Understander::new(vec![abroad]).understand("cool to forty", &context);
    assert_eq!(
        found[0].slots["fridge"].to_string(),
        "40C",
        "the configuration goes before the domain"
    );
}

#[test]
fn a_missing_folder_is_named() {
    let error = Domain::load(Path::new("/nowhere/at/all")).unwrap_err();
    assert!(
        error.to_string().contains("/nowhere/at/all/domain.toml"),
        "{error}"
    );
}

#[test]
fn mistakes_in_included_files_name_that_file() {
    let main = "name = \"x\"\ninclude = [\"more.toml\"]";
    let more = "\n[[intents]]\nname = \"a\"\ntemplates = [\"(\"]";
    let error = load(&[("domain.toml", main), ("more.toml", more)]).unwrap_err();
    assert!(error.file.ends_with("more.toml"), "{error}");
    assert_eq!(error.line, Some(4));
}

#[test]
fn entity_files_are_read_and_their_mistakes_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("entities.toml");
    std::fs::write(&file, "[[contact]]\nid = \"1\"\nsays = [\"Anna\"]\n").unwrap();
    assert_eq!(read_entities(&file).unwrap()["contact"][0].says, ["Anna"]);
    std::fs::write(&file, "[[contact]]\nid = \"1\"\nsay = [\"Anna\"]\n").unwrap();
    let error = read_entities(&file).unwrap_err();
    assert_eq!(error.line, Some(3), "{error}");
    assert!(read_entities(&folder.path().join("gone.toml")).is_err());
    assert!(car_demo_entities().len() >= 5);
}
