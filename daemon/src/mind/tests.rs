use super::*;
use crate::event::{Mended, SAMPLE_RATE, Turn};
use vocar_nlu::SlotValue;

const DOMAIN: &str = r#"
    name = "test"
    [slots.level]
    type = "number"
    min = 1
    max = 7
    [entities.person]
    about = "people"
    [[devices]]
    on = "light.on"
    off = "light.off"
    [[intents]]
    name = "fan.set"
    templates = ["set [the] fan [to {level}]"]
    required = ["level"]
    ask = { level = "Which level?" }
    [[intents]]
    name = "heat.set"
    templates = ["set [the] heat [to {level}]"]
    required = ["level"]
    ask = { level = "How hot?" }
    [[intents]]
    name = "light.on"
    about = "Light"
    templates = ["light on"]
    [[intents]]
    name = "light.off"
    templates = ["light off"]
    [[intents]]
    name = "window.open"
    templates = ["open [the] {zone} window"]
    [[intents]]
    name = "trunk.open"
    templates = ["open the [{zone}] trunk"]
    confirm = "Open the trunk now?"
    [[intents]]
    name = "phone.call"
    templates = ["call {person}"]
    required = ["person"]
    [[intents]]
    name = "route.cancel"
    templates = ["cancel the route"]
    [[intents]]
    name = "dialogue.yes"
    templates = ["yes"]
    context = "dialogue"
    [[intents]]
    name = "dialogue.no"
    templates = ["no"]
    context = "dialogue"
    [[intents]]
    name = "dialogue.stop"
    templates = ["stop"]
    context = "dialogue"
    [[intents]]
    name = "dialogue.undo"
    templates = ["undo that"]
"#;

fn mind(confirm_below: f32) -> Mind {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("domain.toml"), DOMAIN).unwrap();
    let domain = Arc::new(Domain::load(dir.path()).unwrap());
    let mut mind = Mind::new(vec![domain], confirm_below);
    mind.set_manners(Manners {
        confirm_below,
        confirm_dear: true,
        ..Manners::default()
    });
    assert_eq!(mind.begin(1, "driver", true), None);
    mind
}

fn said(text: &str, confidence: f32) -> Vec<Reading> {
    vec![Reading {
        confidence,
        ..Reading::typed(text)
    }]
}

/// What a text leads to, in short: commands by name, `turn? prompt`, or another outcome.
fn say(mind: &mut Mind, text: &str) -> Vec<String> {
    short(&mind.hear(&said(text, 0.9)))
}

fn short(outcomes: &[Outcome]) -> Vec<String> {
    let one = |outcome: &Outcome| match outcome {
        Outcome::Command { intent, .. } => {
            let slots = intent.slots.values();
            let slots = slots.map(|value| match value {
                SlotValue::Number(number) => format!(" {number}"),
                SlotValue::Zone(zone) => format!(" {zone}"),
                SlotValue::Entity { id, .. } => format!(" {id}"),
                other => panic!("{other:?}"),
            });
            intent.name.clone() + &slots.collect::<String>()
        }
        Outcome::Question { turn, prompt, .. } => format!("{turn:?}? {prompt}"),
        other => format!("{other:?}"),
    };
    outcomes.iter().map(one).collect()
}

/// The numbers of a command and of the one it corrects.
fn places(outcomes: &[Outcome]) -> (u64, Option<Mended>) {
    match outcomes {
        [Outcome::Command { turn, corrects, .. }] => (*turn, *corrects),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_missing_slot_is_asked_for_and_filled() {
    let mut mind = mind(0.0);
    assert_eq!(say(&mut mind, "set the fan"), ["Slot? Which level?"]);
    assert!(mind.is_asking());
    assert_eq!(say(&mut mind, "three"), ["fan.set 3"]);
    assert!(!mind.is_asking());
}

#[test]
fn doubtful_commands_wait_for_a_yes() {
    let mut mind = mind(0.8);
    for (answer, outcome) in [
        ("yes", "light.on"),
        ("no", "Withdrawn"),
        ("stop", "Withdrawn"),
    ] {
        let asked = short(&mind.hear(&said("light on", 0.6)));
        assert_eq!(asked, ["Confirm? Did you mean: light?"]);
        assert_eq!(say(&mut mind, answer), [outcome]);
        assert!(!mind.is_asking());
    }
    assert_eq!(say(&mut mind, "light on"), ["light.on"]);
    assert_eq!(mind.confirm(1, true), None);
}

#[test]
fn dangerous_commands_wait_for_a_yes_however_clear_they_are() {
    let mut mind = mind(0.0);
    for (answer, outcome) in [("yes", "trunk.open"), ("no", "Withdrawn")] {
        let asked = say(&mut mind, "open the trunk");
        assert_eq!(asked, ["Confirm? Open the trunk now?"]);
        assert_eq!(say(&mut mind, answer), [outcome]);
    }
    say(&mut mind, "open the trunk");
    assert_eq!(mind.confirm(2, true), None, "asked in another session");
    let (seat, outcomes) = mind.confirm(1, true).unwrap();
    assert_eq!(
        (seat.as_str(), short(&outcomes)),
        ("driver", vec!["trunk.open".into()])
    );
    mind.set_manners(Manners::default());
    assert_eq!(say(&mut mind, "open the trunk"), ["trunk.open"]);
}

#[test]
fn what_waits_for_a_yes_can_be_put_right() {
    let mut mind = mind(0.0);
    say(&mut mind, "open the rear trunk");
    assert_eq!(
        say(&mut mind, "no the front one"),
        ["Confirm? Open the trunk now?"]
    );
    let outcomes = mind.hear(&said("yes", 0.9));
    assert_eq!(short(&outcomes), ["trunk.open front"]);
    assert_eq!(
        places(&outcomes),
        (1, None),
        "nothing was done that could be undone"
    );
}

#[test]
fn another_command_replaces_a_question() {
    let mut mind = mind(0.8);
    mind.hear(&said("light on", 0.6));
    assert_eq!(
        say(&mut mind, "set the fan to three"),
        ["Replaced", "fan.set 3"]
    );
    say(&mut mind, "set the fan");
    // A route is cancelled, not the question alone.
    assert_eq!(
        say(&mut mind, "cancel the route"),
        ["Replaced", "route.cancel"]
    );
    say(&mut mind, "set the fan");
    assert_eq!(
        say(&mut mind, "set the heat"),
        ["Replaced", "Slot? How hot?"]
    );
    assert_eq!(say(&mut mind, "yes"), ["Nothing"], "which is no level");
    assert_eq!(say(&mut mind, "stop"), ["Withdrawn"]);
}

#[test]
fn a_correction_names_what_it_puts_right() {
    let mut mind = mind(0.0);
    let first = mind.hear(&said("open the driver window", 0.9));
    assert_eq!(places(&first), (1, None));
    let second = mind.hear(&said("no the rear one", 0.9));
    assert_eq!(short(&second), ["window.open rear"]);
    let mended = |turn| Some(Mended { session: 1, turn });
    assert_eq!(places(&second), (2, mended(1)));
    let third = mind.hear(&said("the same for the passenger", 0.9));
    assert_eq!(places(&third), (3, None), "nothing was wrong");
    let undo = mind.hear(&said("undo that", 0.9));
    assert_eq!(places(&undo), (4, mended(3)));
    assert_eq!(say(&mut mind, "no the rear one"), ["Nothing"]);
    say(&mut mind, "light on");
    assert_eq!(say(&mut mind, "turn it off again"), ["light.off"]);
}

#[test]
fn several_commands_come_in_order_and_their_questions_one_after_the_other() {
    let mut mind = mind(0.0);
    assert_eq!(
        say(&mut mind, "light on and set the fan to two"),
        ["light.on", "fan.set 2"]
    );
    assert_eq!(
        say(&mut mind, "set the fan and open the trunk and light on"),
        ["Slot? Which level?", "light.on"]
    );
    assert_eq!(
        say(&mut mind, "three"),
        ["fan.set 3", "Confirm? Open the trunk now?"]
    );
    assert_eq!(say(&mut mind, "yes"), ["trunk.open"]);
    say(&mut mind, "set the fan and open the trunk");
    assert_eq!(
        say(&mut mind, "stop"),
        ["Withdrawn", "Confirm? Open the trunk now?"]
    );
    assert_eq!(say(&mut mind, "light off"), ["Replaced", "light.off"]);
    assert!(!mind.is_asking());
    let doubtful = mind.hear(&said("light on and light off", 0.85));
    assert_eq!(
        short(&doubtful),
        ["Nothing"],
        "such a sentence has to be clear"
    );
}

#[test]
fn of_two_people_with_one_name_the_speaker_chooses() {
    let mut mind = mind(0.0);
    let people = [
        EntityValue::new("1", ["Sarah Johnson", "Sarah"]),
        EntityValue::new("2", ["Sarah Miller", "Sarah"]),
    ];
    mind.set_entities("person", &people).unwrap();
    for answer in ["the second one", "sarah miller"] {
        let asked = mind.hear(&said("call sarah", 0.9));
        let [
            Outcome::Question {
                turn,
                prompt,
                among,
                ..
            },
        ] = &asked[..]
        else {
            panic!("{asked:?}")
        };
        assert_eq!((*turn, among.len()), (Turn::Choose, 2));
        assert_eq!(prompt, "Which one: Sarah Johnson or Sarah Miller?");
        assert_eq!(
            mind.confirm(1, true),
            None,
            "neither yes nor no is an answer"
        );
        assert_eq!(say(&mut mind, answer), ["phone.call 2"], "{answer}");
    }
}

#[test]
fn what_one_seat_is_asked_no_other_answers() {
    let mut mind = mind(0.0);
    assert_eq!(say(&mut mind, "set the fan"), ["Slot? Which level?"]);
    let asked = mind.at("passenger", |mind| say(mind, "set the heat"));
    assert_eq!(asked, ["Slot? How hot?"]);
    assert_eq!(mind.at("rear", |mind| say(mind, "four")), ["Nothing"]);
    assert_eq!(
        mind.at("passenger", |mind| say(mind, "four")),
        ["heat.set 4"]
    );
    assert_eq!(say(&mut mind, "five"), ["fan.set 5"]);
    let more = mind.at("passenger", |mind| say(mind, "i meant six"));
    assert_eq!(more, ["heat.set 6"]);
    assert_eq!(
        mind.at("rear", |mind| say(mind, "i meant six")),
        ["Nothing"]
    );
    mind.turn_to("rear");
    assert_eq!(mind.follows(), None);
    mind.turn_to_anybody();
    assert_eq!(mind.follows(), Some(3), "the passenger spoke last");
}

#[test]
fn a_question_that_nobody_answers_is_withdrawn() {
    let mut mind = mind(0.0);
    say(&mut mind, "set the fan");
    assert_eq!(mind.pass(7 * SAMPLE_RATE, false), []);
    assert_eq!(mind.pass(3 * SAMPLE_RATE, true), [], "somebody speaks");
    let unanswered = mind.pass(1, false);
    let (seat, session) = ("driver".to_owned(), 1);
    assert_eq!(unanswered, [Unanswered { seat, session }]);
    assert!(!mind.is_asking());
    assert_eq!(say(&mut mind, "three"), ["Nothing"]);
}

#[test]
fn what_was_said_long_ago_is_not_referred_to() {
    let mut mind = mind(0.0);
    say(&mut mind, "open the driver window");
    mind.pass(20 * SAMPLE_RATE, false);
    assert_eq!(mind.follows(), Some(1));
    mind.pass(1, false);
    assert_eq!(mind.follows(), None);
    assert_eq!(say(&mut mind, "no the rear one"), ["Nothing"]);
}

#[test]
fn a_session_leaves_behind_what_is_configured_and_no_more() {
    for (keep, silence, understood) in [(0, 0, false), (10, 9, true), (10, 10, false)] {
        let mut mind = mind(0.0);
        mind.set_manners(Manners {
            keep: keep * SAMPLE_RATE,
            ..Manners::default()
        });
        say(&mut mind, "open the driver window");
        assert_eq!(mind.leave(), []);
        mind.pass(silence * SAMPLE_RATE, false);
        mind.begin(2, "driver", true);
        let outcomes = say(&mut mind, "no the rear one");
        assert_eq!(
            outcomes == ["window.open rear"],
            understood,
            "{keep}: {outcomes:?}"
        );
    }
    let mut mind = mind(0.0);
    say(&mut mind, "set the fan");
    let withdrawn = mind.leave();
    assert_eq!(withdrawn.len(), 1, "an open question ends with its session");
    say(&mut mind, "light on");
    mind.forget();
    assert_eq!(say(&mut mind, "turn it off"), ["Nothing"]);
}

#[test]
fn at_an_open_microphone_nothing_refers_to_anything() {
    let mut mind = mind(0.0);
    mind.begin(2, "driver", false);
    assert_eq!(
        say(&mut mind, "open the driver window"),
        ["window.open driver"]
    );
    for text in [
        "no the rear one",
        "again",
        "the same for the passenger",
        "light on and light off",
    ] {
        assert_eq!(say(&mut mind, text), ["Nothing"], "{text}");
    }
    assert_eq!(mind.follows(), None);
}

#[test]
fn nothing_that_was_said_is_in_what_is_logged() {
    let mut mind = mind(0.0);
    let people = [EntityValue::new("1", ["Zebulon"])];
    mind.set_entities("person", &people).unwrap();
    say(&mut mind, "open the passenger window");
    say(&mut mind, "set the fan");
    let logged = format!("{:?}", mind.seats);
    assert!(logged.contains("asking: true"), "{logged}");
    for word in ["passenger", "window", "fan"] {
        assert!(!logged.contains(word), "{logged}");
    }
}

#[test]
fn a_reading_that_fits_much_worse_is_not_what_was_said() {
    let mut mind = mind(0.0);
    let mut readings = [said("right on", 0.9), said("light on", 0.8)].concat();
    readings[1].behind = 2.0 * CLOSE;
    assert_eq!(mind.hear(&readings), [Outcome::Nothing]);
}

#[test]
fn the_first_close_reading_that_is_a_command_counts() {
    let mut mind = mind(0.0);
    let mut readings = [said("right on", 0.9), said("light on", 0.8)].concat();
    readings[1].behind = 0.5 * CLOSE;
    let outcomes = mind.hear(&readings);
    let [Outcome::Command { intent, .. }] = &outcomes[..] else {
        panic!("{outcomes:?}")
    };
    assert!((intent.confidence - 0.8).abs() < 1e-6);
    assert_eq!(say(&mut mind, "what a lovely day"), ["Nothing"]);
}
