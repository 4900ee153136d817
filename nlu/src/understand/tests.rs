use super::*;
use crate::domain::car_demo_entities;
use crate::value::TemperatureUnit;

fn understander() -> Understander {
    let mut understander = Understander::new(vec![Domain::car().unwrap()]);
    for (list, values) in &car_demo_entities() {
        understander.set_entities(list, values).unwrap();
    }
    understander
}

fn best(understander: &Understander, text: &str, context: &Context) -> Intent {
    let all = understander.understand(text, context);
    all.into_iter()
        .next()
        .unwrap_or_else(|| panic!("refused: {text}"))
}

fn words(text: &str) -> Vec<String> {
    text.split(' ').map(String::from).collect()
}

#[test]
fn a_missing_slot_is_asked_for_and_its_answer_completes_the_command() {
    let understander = understander();
    let start = Context::open_microphone();
    let first = best(
        &understander,
        "set the temperature for the passenger",
        &start,
    );
    assert_eq!(first.missing, ["temperature"]);
    assert_eq!(
        first.prompt.as_deref(),
        Some("What temperature would you like?")
    );
    let waiting = start.after(&first);
    for answer in [
        "to twenty one",
        "twenty one degrees please",
        "21",
        "make it twenty one",
        "i'd like twenty one",
    ] {
        let done = best(&understander, answer, &waiting);
        assert_eq!(done.name, "climate.set_temperature", "{answer}");
        assert_eq!(done.slots["zone"], SlotValue::Zone("passenger".into()));
        let degrees = SlotValue::Temperature {
            degrees: 21.0,
            unit: TemperatureUnit::Celsius,
        };
        assert_eq!(done.slots["temperature"], degrees, "{answer}");
        assert!(done.missing.is_empty() && done.prompt.is_none());
        assert_eq!(
            done.vss.as_deref(),
            Some("Vehicle.Cabin.HVAC.Station.Row1.Passenger.Temperature")
        );
        assert_eq!(waiting.after(&done).pending, None);
    }
    assert!(
        understander.understand("to twenty one", &start).is_empty(),
        "no question is open"
    );
}

#[test]
fn several_missing_slots_are_asked_for_one_after_the_other() {
    let understander = understander();
    let mut context = Context::addressed();
    let first = best(&understander, "adjust the mirror", &context);
    assert_eq!(first.missing, ["mirror", "direction"]);
    context = context.after(&first);
    let second = best(&understander, "the left one", &context);
    assert_eq!(
        (second.missing.as_slice(), second.prompt.as_deref()),
        (&["direction".to_string()][..], Some("Which way?"))
    );
    context = context.after(&second);
    let third = best(&understander, "down", &context);
    assert_eq!(
        third.vss.as_deref(),
        Some("Vehicle.Body.Mirrors.DriverSide.Tilt")
    );
    assert!(third.missing.is_empty());
}

#[test]
fn another_command_takes_the_place_of_an_open_question() {
    let understander = understander();
    let first = best(&understander, "make a call", &Context::default());
    let waiting = Context::default().after(&first);
    assert_eq!(
        best(&understander, "turn on the headlights", &waiting).name,
        "light.headlights_on"
    );
    assert_eq!(
        best(&understander, "never mind", &waiting).name,
        "dialogue.cancel"
    );
    assert_eq!(best(&understander, "sarah", &waiting).name, "phone.call");
}

#[test]
fn dialogue_words_count_only_while_a_question_is_open() {
    let understander = understander();
    let asking = Context {
        asking: true,
        ..Context::default()
    };
    let cases = [
        ("yes", "dialogue.yes"),
        ("yes please", "dialogue.yes"),
        ("no", "dialogue.no"),
        ("no thanks", "dialogue.no"),
    ];
    for (text, intent) in cases {
        assert_eq!(best(&understander, text, &asking).name, intent);
        assert!(understander.graph(&asking).accepts(&words(text)), "{text}");
        for closed in [Context::default(), Context::addressed()] {
            assert!(understander.understand(text, &closed).is_empty(), "{text}");
            assert!(!understander.graph(&closed).accepts(&words(text)), "{text}");
        }
    }
}

#[test]
fn short_commands_count_only_when_addressed() {
    let understander = understander();
    for (text, intent) in [
        ("mute", "media.mute"),
        ("next", "media.next"),
        ("go home", "navigation.go_home"),
    ] {
        assert_eq!(
            best(&understander, text, &Context::addressed()).name,
            intent
        );
        assert!(
            understander
                .graph(&Context::addressed())
                .accepts(&words(text))
        );
        assert!(
            understander
                .understand(text, &Context::open_microphone())
                .is_empty()
        );
        assert!(
            !understander
                .graph(&Context::open_microphone())
                .accepts(&words(text))
        );
    }
}

#[test]
fn the_graph_hears_answers_to_the_open_question_only() {
    let understander = understander();
    let first = best(&understander, "set the temperature", &Context::default());
    let waiting = understander.graph(&Context::default().after(&first));
    assert!(waiting.accepts(&words("to twenty one and a half degrees")));
    assert!(waiting.accepts(&words("turn on the wipers")));
    assert!(
        !understander
            .graph(&Context::default())
            .accepts(&words("to twenty one and a half degrees"))
    );
}

#[test]
fn entities_come_and_go_at_run_time() {
    let mut understander = Understander::new(vec![Domain::car().unwrap()]);
    let context = Context::default();
    assert!(
        understander
            .understand("call zebulon fox", &context)
            .is_empty()
    );
    assert!(
        !understander
            .graph(&context)
            .accepts(&words("call zebulon fox"))
    );
    let fox = EntityValue::new("42", ["Zebulon Fox", "DJ Fox"]);
    understander.set_entities("contact", &[fox]).unwrap();
    let called = best(&understander, "Call Zebulon Fox!", &context);
    assert_eq!(
        called.slots["contact"],
        SlotValue::Entity {
            id: "42".into(),
            name: "Zebulon Fox".into()
        }
    );
    assert!(understander.graph(&context).accepts(&words("call d j fox")));
    for said in ["call d j fox", "call DJ Fox", "call dj fox"] {
        assert_eq!(best(&understander, said, &context).name, "phone.call");
    }
    understander.set_entities("contact", &[]).unwrap();
    assert!(
        understander
            .understand("call zebulon fox", &context)
            .is_empty()
    );
    let error = understander.set_entities("pets", &[]).unwrap_err();
    assert!(error.to_string().contains("contact"), "{error}");
}

#[test]
fn a_disabled_domain_is_neither_heard_nor_understood() {
    let mut understander = understander();
    understander.set_enabled("car", false).unwrap();
    assert!(
        understander
            .understand("open the window", &Context::default())
            .is_empty()
    );
    assert!(understander.graph(&Context::default()).arcs.is_empty());
    understander.set_enabled("car", true).unwrap();
    assert_eq!(
        best(&understander, "open the window", &Context::default()).name,
        "window.open"
    );
    assert!(
        understander
            .set_enabled("boat", true)
            .unwrap_err()
            .to_string()
            .contains("car")
    );
}

#[test]
fn left_and_right_follow_the_driver() {
    let mut understander = understander();
    let text = "open the rear left window";
    let path =
        |understander: &Understander| best(understander, text, &Context::default()).vss.unwrap();
    assert_eq!(
        path(&understander),
        "Vehicle.Cabin.Door.Row2.DriverSide.Window.Switch"
    );
    understander.set_driver_side(DriverSide::Right);
    assert_eq!(
        path(&understander),
        "Vehicle.Cabin.Door.Row2.PassengerSide.Window.Switch"
    );
    let all = best(&understander, "open the window", &Context::default());
    assert_eq!(
        all.vss.as_deref(),
        Some("Vehicle.Cabin.Door.*.Window.Switch")
    );
}

#[test]
fn intents_travel_as_json() {
    let understander = understander();
    let intent = best(
        &understander,
        "set the driver temperature to 21.5 degrees",
        &Context::default(),
    );
    let json = serde_json::to_value(&intent).unwrap();
    assert_eq!(
        json["slots"]["temperature"],
        serde_json::json!({"temperature": {"degrees": 21.5, "unit": "celsius"}})
    );
    assert_eq!(json["slots"]["zone"], serde_json::json!({"zone": "driver"}));
    assert_eq!(serde_json::from_value::<Intent>(json).unwrap(), intent);
}

#[test]
fn equal_readings_share_their_confidence() {
    let mut understander = understander();
    let same = [EntityValue::new("x", ["Same Name"])];
    understander.set_entities("station", &same).unwrap();
    understander.set_entities("artist", &same).unwrap();
    let all = understander.understand("play same name", &Context::default());
    assert_eq!(all.len(), 2, "{all:?}");
    assert!(all.iter().all(|intent| intent.confidence == 0.5));
    assert_eq!(
        best(&understander, "open the window", &Context::default()).confidence,
        1.0
    );
}
