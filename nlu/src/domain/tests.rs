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
            Some(4),
            "intents.a.b",
            "in no template",
        ),
        (
            intent("templates = [\"go {n}\"]\nask = { n = \"?\" }"),
            Some(4),
            "intents.a.b",
            "not required",
        ),
        (
            intent("templates = [\"go {n}\"]\nvss = \"A.{m}\""),
            Some(4),
            "intents.a.b",
            "no template has the slot 'm'",
        ),
        (
            intent("templates = [\"go\"]\ntarget = \"A.{m}\""),
            Some(4),
            "intents.a.b",
            "target uses '{m}'",
        ),
        (
            intent("templates = [\"go\"]\ntarget = \"x\"\nvss = \"A\""),
            Some(4),
            "intents.a.b",
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
