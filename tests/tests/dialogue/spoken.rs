//! Spoken conversations, on recordings through the pipeline.

use std::time::Duration;
use vocar_daemon::assembly;
use vocar_daemon::config::{ListenMode, Settings};
use vocar_daemon::event::{Event, EventKind, Reason, Stage};
use vocar_daemon::pipeline::{Language, Pipeline};
use vocar_inference::Precision;
use vocar_nlu::SlotValue;
use vocar_tests::{recording, speech_bundle};

/// Samples (16 kHz) given at a time.
const PIECE: usize = 320;
/// Samples a second.
const SECOND: usize = 16_000;

/// The pipeline as shipped, for the car domain.
fn pipeline(skipped: &str) -> Option<Pipeline> {
    pipeline_of(skipped, &mut Settings::default())
}

fn pipeline_of(skipped: &str, settings: &mut Settings) -> Option<Pipeline> {
    settings.model.dir = speech_bundle(skipped)?;
    let mind = assembly::mind(settings).unwrap();
    let thresholds = assembly::thresholds(settings);
    let mut pipeline = Pipeline::new(mind, Language::Domains, thresholds, "driver".into());
    let ears = assembly::ears(settings, &pipeline.words(), Precision::Mixed).unwrap();
    pipeline.set_ears(Some(ears));
    Some(pipeline)
}

/// A recording at 16 kHz, and silence after it.
fn spoken(name: &str) -> Vec<f32> {
    let mut sound = recording(name);
    sound.extend(silence(1.2));
    sound
}

fn silence(seconds: f64) -> Vec<f32> {
    vec![0.0; (seconds * SECOND as f64) as usize]
}

fn play(pipeline: &mut Pipeline, sound: &[f32]) -> Vec<Event> {
    let mut events = Vec::new();
    for piece in sound.chunks(PIECE) {
        pipeline
            .push(piece, &mut |event| events.push(event))
            .unwrap();
    }
    events
}

/// A session at the driver's seat in which these recordings are played one after the other.
fn session(pipeline: &mut Pipeline, id: u64, mode: ListenMode, names: &[&str]) -> Vec<Event> {
    pipeline.begin(id, "driver", mode).unwrap();
    let mut events = Vec::new();
    for name in names {
        events.extend(play(pipeline, &spoken(name)));
    }
    pipeline.leave(&mut |event| events.push(event));
    events
}

/// What happened, in short: commands with their values, questions with a `?`, reasons of a dialogue's end.
fn story(events: &[Event]) -> Vec<String> {
    let value = |value: &SlotValue| match value {
        SlotValue::Zone(zone) => format!(" {zone}"),
        SlotValue::Temperature { degrees, .. } => format!(" {degrees}"),
        other => format!(" {other:?}"),
    };
    let one = |event: &Event| match &event.kind {
        EventKind::IntentRecognized {
            intent, corrects, ..
        } => {
            let slots: String = intent.slots.values().map(value).collect();
            let mended = corrects.map_or(String::new(), |mended| format!(" for {}", mended.turn));
            Some(format!("{}{slots}{mended}", intent.name))
        }
        EventKind::DialogueTurn { intent, .. } => Some(format!("{}?", intent.name)),
        EventKind::Rejected { stage, reason, .. } => Some(format!("{stage:?} {reason:?}")),
        _ => None,
    };
    events.iter().filter_map(one).collect()
}

const WINDOW: &str = "open-window.wav";
const REAR: &str = "sessions/no-rear.flac";

#[test]
fn a_second_button_corrects_the_first_command() {
    let Some(mut pipeline) = pipeline("a spoken correction") else {
        return;
    };
    let first = session(&mut pipeline, 1, ListenMode::PushToTalk, &[WINDOW]);
    assert_eq!(story(&first), ["window.open driver"]);
    pipeline.rest(Duration::from_secs(5), &mut |event| panic!("{event:?}"));
    let second = session(&mut pipeline, 2, ListenMode::PushToTalk, &[REAR]);
    assert_eq!(story(&second), ["window.open rear for 1"], "{second:?}");
}

#[test]
fn a_correction_comes_too_late_after_the_configured_time() {
    let mut settings = Settings::default();
    settings.dialogue.keep_minutes = 0.1;
    let Some(mut pipeline) = pipeline_of("a spoken correction that is too late", &mut settings)
    else {
        return;
    };
    session(&mut pipeline, 1, ListenMode::PushToTalk, &[WINDOW]);
    pipeline.rest(Duration::from_secs(6), &mut |event| panic!("{event:?}"));
    let late = session(&mut pipeline, 2, ListenMode::PushToTalk, &[REAR]);
    let corrected = story(&late).iter().any(|told| told.contains("rear for 1"));
    assert!(!corrected, "{late:?}");
}

#[test]
fn other_seats_do_not_go_on_with_the_conversation() {
    let Some(mut pipeline) = pipeline("a correction by somebody else") else {
        return;
    };
    session(&mut pipeline, 1, ListenMode::PushToTalk, &[WINDOW]);
    pipeline
        .begin(2, "rear_left", ListenMode::PushToTalk)
        .unwrap();
    let events = play(&mut pipeline, &spoken(REAR));
    let corrected = story(&events).iter().any(|told| told.contains("for 1"));
    assert!(!corrected, "{events:?}");
}

#[test]
fn a_reference_repeats_the_command_for_another_seat() {
    let Some(mut pipeline) = pipeline("a spoken reference") else {
        return;
    };
    session(
        &mut pipeline,
        1,
        ListenMode::PushToTalk,
        &["set-temperature.wav"],
    );
    let names = ["sessions/same-passenger.flac"];
    let events = session(&mut pipeline, 2, ListenMode::PushToTalk, &names);
    assert_eq!(
        story(&events),
        ["climate.set_temperature 21 passenger"],
        "{events:?}"
    );
    session(
        &mut pipeline,
        3,
        ListenMode::PushToTalk,
        &["sessions/louder.flac"],
    );
    let events = session(
        &mut pipeline,
        4,
        ListenMode::PushToTalk,
        &["sessions/more.flac"],
    );
    assert_eq!(story(&events), ["media.volume_up"], "{events:?}");
}

#[test]
fn two_commands_in_one_breath_are_two_intents() {
    let Some(mut pipeline) = pipeline("two commands in one breath") else {
        return;
    };
    for (name, meant) in [
        (
            "sessions/two-commands.flac",
            ["sunroof.open", "media.volume_up"],
        ),
        (
            "sessions/two-windows.flac",
            ["window.open driver", "window.open passenger"],
        ),
    ] {
        let events = session(&mut pipeline, 1, ListenMode::PushToTalk, &[name]);
        assert_eq!(story(&events), meant, "{events:?}");
        let events = session(&mut pipeline, 2, ListenMode::OpenMic, &[name]);
        let joined = story(&events).len() > 1;
        assert!(!joined, "nobody has spoken to the assistant: {events:?}");
    }
}

#[test]
fn a_dangerous_command_waits_for_a_spoken_yes() {
    let Some(mut pipeline) = pipeline("a dangerous command") else {
        return;
    };
    for (answer, outcome) in [
        ("sessions/yes.flac", "trunk.open"),
        ("sessions/stop.flac", "Dialogue Withdrawn"),
    ] {
        let names = ["sessions/open-trunk.flac", answer];
        let events = session(&mut pipeline, 1, ListenMode::PushToTalk, &names);
        assert_eq!(story(&events), ["trunk.open?", outcome], "{events:?}");
    }
}

#[test]
fn another_command_takes_the_place_of_a_question() {
    let Some(mut pipeline) = pipeline("another command instead of an answer") else {
        return;
    };
    let names = ["sessions/ask-temperature.opus", WINDOW];
    let events = session(&mut pipeline, 1, ListenMode::PushToTalk, &names);
    assert_eq!(
        story(&events),
        [
            "climate.set_temperature?",
            "Dialogue Replaced",
            "window.open driver"
        ],
        "{events:?}"
    );
}

#[test]
fn talk_is_no_answer_and_does_not_end_a_question() {
    let mut settings = Settings::default();
    settings.dialogue.answer_s = 20.0;
    let Some(mut pipeline) = pipeline_of("talk while a question is open", &mut settings) else {
        return;
    };
    pipeline.begin(1, "driver", ListenMode::PushToTalk).unwrap();
    let sound = [
        spoken("sessions/ask-temperature.opus"),
        spoken("no-command.wav"),
        silence(2.0),
        spoken("sessions/answer-temperature.opus"),
    ];
    let story = story(&play(&mut pipeline, &sound.concat()));
    assert_eq!(story.len(), 3, "{story:?}");
    assert_eq!(story[0], "climate.set_temperature?");
    assert!(story[1].starts_with("Recogniser"), "{story:?}");
    assert_eq!(story[2], "climate.set_temperature 21");
}

#[test]
fn a_question_is_withdrawn_when_its_time_is_over() {
    let Some(bundle) = speech_bundle("a question that nobody answers") else {
        return;
    };
    for (answer_s, timeout_s) in [(3.0, 8.0), (12.0, 8.0), (8.0, 8.0)] {
        let mut settings = Settings::default();
        settings.model.dir.clone_from(&bundle);
        settings.dialogue.answer_s = answer_s;
        settings.listen.timeout_s = timeout_s;
        let mut pipeline = pipeline_of("a question", &mut settings).unwrap();
        pipeline.begin(1, "driver", ListenMode::PushToTalk).unwrap();
        let sound = [spoken("sessions/ask-temperature.opus"), silence(14.0)].concat();
        let events = play(&mut pipeline, &sound);
        let at = |wanted: fn(&EventKind) -> bool| {
            let event = events.iter().find(|event| wanted(&event.kind));
            event.map(Event::seconds)
        };
        let asked = at(|kind| matches!(kind, EventKind::DialogueTurn { .. })).unwrap();
        let withdrawn = at(|kind| {
            let EventKind::Rejected { stage, reason, .. } = kind else {
                return false;
            };
            (*stage, *reason) == (Stage::Dialogue, Reason::Unanswered)
        });
        let waited = withdrawn.unwrap() - asked;
        assert!((waited - answer_s).abs() < 0.3, "{answer_s}: {waited}");
        assert_eq!(story(&events).len(), 2, "{events:?}");
        assert!(!pipeline.mind().is_asking());
    }
}

#[test]
fn listening_for_what_may_follow_is_prepared_in_no_time() {
    let Some(mut pipeline) = pipeline("the time to prepare for a correction") else {
        return;
    };
    session(
        &mut pipeline,
        1,
        ListenMode::PushToTalk,
        &["set-temperature.wav"],
    );
    let begin = std::time::Instant::now();
    pipeline.begin(2, "driver", ListenMode::PushToTalk).unwrap();
    let spent = begin.elapsed();
    println!("prepared in {:.1} ms", spent.as_secs_f64() * 1e3);
    assert!(spent < Duration::from_millis(500), "{spent:?}");
}
