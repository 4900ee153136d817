//! Conversations in the car domain: corrections, references, choices, and several commands in one breath.

use std::path::Path;
use std::sync::Arc;

use proptest::prelude::*;
use vocar_nlu::domain::car_demo_entities;
use vocar_nlu::{Context, Domain, Encoder, EntityValue, Follows, Intent, SlotValue, Understander};

fn understander() -> Understander {
    let mut understander = Understander::new(vec![Domain::car().unwrap()]);
    for (list, values) in &car_demo_entities() {
        understander.set_entities(list, values).unwrap();
    }
    understander
}

fn best(understander: &Understander, text: &str, context: &Context) -> Intent {
    let mut commands = understander.commands(text, context);
    assert_eq!(commands.len(), 1, "{text}: {commands:?}");
    commands.remove(0).remove(0)
}

/// The context after a command to somebody who knows that he is spoken to.
fn after(understander: &Understander, text: &str) -> Context {
    let context = Context::addressed();
    context.after(&best(understander, text, &context))
}

/// `name slot=value …`, values as people write them.
fn short(intent: &Intent) -> String {
    let value = |value: &SlotValue| match value {
        SlotValue::Number(number) | SlotValue::Percent(number) => number.to_string(),
        SlotValue::Temperature { degrees, .. } => degrees.to_string(),
        SlotValue::Zone(text) | SlotValue::Colour(text) | SlotValue::Choice(text) => text.clone(),
        SlotValue::Entity { id, .. } => id.clone(),
        other => format!("{other:?}"),
    };
    let slots = intent.slots.iter();
    let slots = slots.map(|(name, held)| format!(" {name}={}", value(held)));
    intent.name.clone() + &slots.collect::<String>()
}

const WORDS_IN_GRAPH: &str = "the graph does not hold";

fn heard(understander: &Understander, text: &str, context: &Context) -> bool {
    let words: Vec<String> = text.split(' ').map(String::from).collect();
    understander.graph(context).accepts(&words)
}

#[test]
fn corrections_change_the_last_command() {
    let understander = understander();
    let open = "window.open zone=";
    for (first, then, meant) in [
        (
            "open the driver window",
            "no, the rear one",
            format!("{open}rear"),
        ),
        (
            "open the driver window",
            "not the driver, the passenger",
            format!("{open}passenger"),
        ),
        (
            "open the driver window",
            "i meant the rear left one",
            format!("{open}rear_left"),
        ),
        (
            "open the driver window",
            "the passenger one not the driver one",
            format!("{open}passenger"),
        ),
        (
            "open the driver window",
            "sorry i meant the passenger side please",
            format!("{open}passenger"),
        ),
        ("open the window", "no the rear one", format!("{open}rear")),
        (
            "set the passenger temperature to 21",
            "i meant twenty two",
            "climate.set_temperature temperature=22 zone=passenger".into(),
        ),
        (
            "set the temperature to 21",
            "no make it nineteen degrees",
            "climate.set_temperature temperature=19".into(),
        ),
        (
            "call anna",
            "no david brown",
            "phone.call contact=c4".into(),
        ),
        (
            "set the fan to level 3",
            "wait five",
            "climate.set_fan level=5".into(),
        ),
        (
            "set the fan to level 3",
            "no, open the sunroof",
            "sunroof.open".into(),
        ),
        (
            "set the ambient light to blue",
            "actually red",
            "light.ambient_colour colour=red".into(),
        ),
    ] {
        let context = after(&understander, first);
        let intent = best(&understander, then, &context);
        assert_eq!(short(&intent), meant, "{first} / {then}");
        assert_eq!(intent.follows, Some(Follows::Corrects), "{then}");
        let spoken = then.replace(',', "");
        assert!(
            heard(&understander, &spoken, &context),
            "{WORDS_IN_GRAPH} {then}"
        );
    }
}

#[test]
fn a_correction_changes_the_path_too() {
    let understander = understander();
    let context = after(&understander, "open the driver window");
    let intent = best(&understander, "no the passenger one", &context);
    assert_eq!(
        intent.vss.as_deref(),
        Some("Vehicle.Cabin.Door.Row1.PassengerSide.Window.Switch")
    );
}

#[test]
fn references_go_back_to_the_last_command() {
    let understander = understander();
    for (first, then, meant) in [
        ("turn the volume up", "a bit more", "media.volume_up"),
        ("turn the volume up", "again", "media.volume_up"),
        ("turn the volume up", "a bit less", "media.volume_down"),
        ("turn it up", "that's too much", "media.volume_down"),
        (
            "set the temperature to 21",
            "a little more",
            "climate.increase_temperature",
        ),
        (
            "set the temperature to 21",
            "make it twenty three",
            "climate.set_temperature temperature=23",
        ),
        (
            "set the temperature to 21 for the driver",
            "the same for the passenger",
            "climate.set_temperature temperature=21 zone=passenger",
        ),
        (
            "turn on the driver seat heating",
            "and for the passenger too",
            "climate.seat_heating_on zone=passenger",
        ),
        (
            "turn on the air conditioning",
            "turn it off again",
            "climate.ac_off",
        ),
        (
            "turn off the headlights",
            "turn them back on",
            "light.headlights_on",
        ),
        (
            "open the rear left window",
            "close it again",
            "window.close zone=rear_left",
        ),
        (
            "increase the fan",
            "turn it up a bit more",
            "climate.increase_fan",
        ),
        (
            "set the fan to level 3",
            "turn it down",
            "climate.decrease_fan",
        ),
        (
            "open the driver window",
            "what about the rear one",
            "window.open zone=rear",
        ),
        ("skip to the next song", "once more", "media.next"),
    ] {
        let context = after(&understander, first);
        let intent = best(&understander, then, &context);
        assert_eq!(short(&intent), meant, "{first} / {then}");
        assert_eq!(intent.follows, Some(Follows::Refers), "{then}");
        assert!(
            heard(&understander, then, &context),
            "{WORDS_IN_GRAPH} {then}"
        );
    }
}

#[test]
fn what_follows_nothing_is_no_command() {
    let understander = understander();
    let opened = after(&understander, "open the driver window");
    for text in [
        "no the rear one",
        "not the driver the passenger",
        "a bit more",
        "the same for the passenger",
    ] {
        for context in [Context::addressed(), Context::open_microphone()] {
            assert!(understander.understand(text, &context).is_empty(), "{text}");
            assert!(!heard(&understander, text, &context), "{text}");
        }
    }
    // A window has no more and less, and what was not said cannot have been wrong.
    for text in [
        "a bit more",
        "not the passenger the rear one",
        "no the driver one",
        "i meant twenty two",
    ] {
        assert!(understander.understand(text, &opened).is_empty(), "{text}");
    }
    let first = best(
        &understander,
        "open the driver window",
        &Context::open_microphone(),
    );
    let next = Context::open_microphone().after(&first);
    assert_eq!(next.last, None, "nobody has spoken to the assistant");
}

#[test]
fn whole_commands_after_a_command_mean_what_they_say() {
    let understander = understander();
    let context = after(&understander, "open the driver window");
    for (text, meant) in [
        ("open the passenger window", "window.open zone=passenger"),
        ("turn up the radio", "media.volume_up"),
        (
            "set the temperature to 21",
            "climate.set_temperature temperature=21",
        ),
    ] {
        let intent = best(&understander, text, &context);
        assert_eq!((short(&intent).as_str(), intent.follows), (meant, None));
    }
}

#[test]
fn several_commands_in_one_breath_are_several() {
    let understander = understander();
    let context = Context::addressed();
    for (text, meant) in [
        (
            "open the window and turn up the radio",
            &["window.open", "media.volume_up"][..],
        ),
        (
            "open the driver window and the passenger window",
            &["window.open zone=driver", "window.open zone=passenger"],
        ),
        (
            "open the driver and the passenger window",
            &["window.open zone=driver", "window.open zone=passenger"],
        ),
        (
            "open the driver and passenger window",
            &["window.open zone=driver", "window.open zone=passenger"],
        ),
        (
            "set the temperature to 21 for the driver and the passenger",
            &[
                "climate.set_temperature temperature=21 zone=driver",
                "climate.set_temperature temperature=21 zone=passenger",
            ],
        ),
        (
            "turn on the air conditioning then close the sunroof",
            &["climate.ac_on", "sunroof.close"],
        ),
        (
            "lock all the doors and then turn on the radio and call anna",
            &[
                "door.lock",
                "media.set_source source=radio",
                "phone.call contact=c1",
            ],
        ),
    ] {
        let commands = understander.commands(text, &context);
        let found: Vec<String> = commands
            .iter()
            .map(|readings| short(&readings[0]))
            .collect();
        assert_eq!(found, meant, "{text}");
        let spoken = text.replace("21", "twenty one");
        assert!(
            heard(&understander, &spoken, &context),
            "{WORDS_IN_GRAPH} {text}"
        );
    }
    // Typed sentences may leave out more than the recogniser listens for.
    for (text, meant) in [
        (
            "turn the radio and the headlights off",
            &["media.pause", "light.headlights_off"][..],
        ),
        (
            "set the temperature to 21 for the driver and 22 for the passenger",
            &[
                "climate.set_temperature temperature=21 zone=driver",
                "climate.set_temperature temperature=22 zone=passenger",
            ],
        ),
        (
            "set the temperature to 21 for the driver and the same for the passenger",
            &[
                "climate.set_temperature temperature=21 zone=driver",
                "climate.set_temperature temperature=21 zone=passenger",
            ],
        ),
    ] {
        let commands = understander.commands(text, &context);
        let found: Vec<String> = commands
            .iter()
            .map(|readings| short(&readings[0]))
            .collect();
        assert_eq!(found, meant, "{text}");
    }
}

#[test]
fn what_holds_an_and_is_not_always_two_commands() {
    let understander = understander();
    let context = Context::addressed();
    for text in [
        "set the speed to one hundred and ten",
        "set the temperature to twenty one and a half degrees",
    ] {
        assert_eq!(understander.commands(text, &context).len(), 1, "{text}");
    }
    for text in [
        "open the window and dance",
        "we ate and then we slept",
        "and",
        "open the window and",
    ] {
        assert!(understander.commands(text, &context).is_empty(), "{text}");
    }
    assert!(
        understander
            .commands(
                "open the driver window and turn up the radio",
                &Context::open_microphone()
            )
            .is_empty(),
        "nobody has spoken to the assistant"
    );
}

#[test]
fn a_name_of_two_people_is_a_choice() {
    let mut understander = understander();
    let people = [
        EntityValue::new("1", ["Sarah Johnson", "Sarah"]),
        EntityValue::new("2", ["Sarah Miller", "Sarah"]),
        EntityValue::new("3", ["Tom"]),
    ];
    understander.set_entities("contact", &people).unwrap();
    let context = Context::addressed();
    let readings = understander.understand("call sarah", &context);
    let choice = understander.choice(&readings).unwrap();
    assert_eq!(choice.prompt, "Which one: Sarah Johnson or Sarah Miller?");
    assert_eq!(choice.slot.as_deref(), Some("contact"));
    let asked = Context {
        choices: choice.among,
        ..context.clone()
    };
    for (answer, contact) in [
        ("the second one", "2"),
        ("number one please", "1"),
        ("i mean the last one", "2"),
    ] {
        let intent = best(&understander, answer, &asked);
        assert_eq!(
            short(&intent),
            format!("phone.call contact={contact}"),
            "{answer}"
        );
        assert_eq!(intent.confidence, 1.0);
    }
    assert!(heard(&understander, "the second one", &asked));
    assert!(understander.understand("the third one", &asked).is_empty());
    let tom = understander.understand("call tom", &context);
    assert_eq!(understander.choice(&tom), None);
}

#[test]
fn one_of_a_list_that_is_shown_can_be_counted() {
    let mut understander = understander();
    let places = ["Shell", "Total", "Ionity"].map(|name| EntityValue::new(name, [name]));
    understander.set_entities("place", &places).unwrap();
    let context = Context::addressed();
    let waiting = after(&understander, "navigate somewhere");
    let intent = best(&understander, "the second one", &waiting);
    assert_eq!(short(&intent), "navigation.go_to place=Total");
    assert!(heard(&understander, "the second one", &waiting));
    let gone = context.after(&intent);
    let other = best(&understander, "no the last one", &gone);
    assert_eq!(short(&other), "navigation.go_to place=Ionity");
    assert!(heard(&understander, "no the last one", &gone));

    let many: Vec<EntityValue> = (0..20)
        .map(|n| EntityValue::new(n.to_string(), [format!("place {n}")]))
        .collect();
    understander.set_entities("place", &many).unwrap();
    assert!(
        understander
            .understand("the second one", &waiting)
            .is_empty(),
        "nobody sees twenty"
    );
}

#[test]
fn a_second_command_does_not_double_the_graph() {
    let understander = understander();
    let size = |context: &Context| {
        let graph = understander.graph(context);
        (graph.nodes as usize, graph.arcs.len())
    };
    let plain = size(&Context {
        addressed: false,
        asking: true,
        ..Context::default()
    });
    let joined = size(&Context {
        asking: true,
        ..Context::addressed()
    });
    let follow = size(&after(
        &understander,
        "set the temperature to 21 for the driver",
    ));
    println!(
        "nodes and arcs: one command {plain:?}, several {joined:?}, after a command {follow:?}"
    );
    assert!(
        joined.0 * 2 < plain.0 * 3 && joined.1 * 2 < plain.1 * 3,
        "{joined:?} {plain:?}"
    );
    assert!(follow.1 < plain.1 * 2, "{follow:?} {plain:?}");
}

/// The encoder as shipped; `None`, with a line, without it.
fn encoder(skipped: &str) -> Option<Arc<Encoder>> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/nlu-en");
    if !dir.join("manifest.toml").exists() {
        eprintln!("SKIPPED: {skipped}: no bundle in {}", dir.display());
        return None;
    }
    Some(Arc::new(Encoder::load(&dir).unwrap()))
}

#[test]
fn what_the_encoder_reads_is_followed_like_what_templates_say() {
    let Some(encoder) = encoder("conversations with the encoder") else {
        return;
    };
    let mut understander = understander();
    understander.set_encoder(Some(encoder));
    let first = "could you get the driver side window down for me";
    let context = after(&understander, first);
    assert!(context.last.is_some(), "{first}");
    for (then, meant, follows) in [
        (
            "no the rear one",
            "window.open zone=rear",
            Some(Follows::Corrects),
        ),
        (
            "close it again",
            "window.close zone=driver",
            Some(Follows::Refers),
        ),
        (
            "no i meant the radio is way too loud for me",
            "media.volume_down",
            Some(Follows::Corrects),
        ),
        (
            "the radio is way too loud for me",
            "media.volume_down",
            None,
        ),
    ] {
        let intent = best(&understander, then, &context);
        assert_eq!(
            (short(&intent).as_str(), intent.follows),
            (meant, follows),
            "{then}"
        );
    }
    let commands = |text: &str| -> Vec<String> {
        let commands = understander.commands(text, &Context::addressed());
        commands
            .iter()
            .map(|readings| short(&readings[0]))
            .collect()
    };
    assert_eq!(
        commands("open the sunroof and get the passenger window down for me"),
        ["sunroof.open", "window.open zone=passenger"]
    );
    assert_eq!(
        commands("it's hot and stuffy in here"),
        ["climate.decrease_temperature"]
    );
    assert!(commands("we ate and then we slept").is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever is said, after whatever: no panic, no endless search, and commands that are whole.
    #[test]
    fn no_words_break_a_conversation(words in prop::collection::vec(
        "open|close|the|driver|passenger|window|windows|and|then|no|not|i|meant|one|second|rear|set|temperature|to|twenty|again|a|bit|more|for|turn|it|off",
        1..30,
    )) {
        let understander = understander();
        let text = words.join(" ");
        for first in ["open the driver window", "set the temperature", "set the fan to level 3"] {
            let context = after(&understander, first);
            for readings in understander.commands(&text, &context) {
                prop_assert!(!readings.is_empty());
                for intent in readings {
                    prop_assert!(intent.confidence > 0.0 && !intent.text.is_empty());
                    prop_assert!(intent.slots.keys().all(|slot| !slot.contains(':')), "{:?}", intent.slots);
                }
            }
        }
    }
}
