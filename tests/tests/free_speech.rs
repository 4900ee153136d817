//! What no template says, spoken: heard as any words, read by the encoder, where the assistant knows that it is spoken to.

use vocar_daemon::assembly;
use vocar_daemon::config::{ListenMode, Settings};
use vocar_daemon::event::{Event, EventKind};
use vocar_daemon::pipeline::{Language, Pipeline};
use vocar_inference::Precision;
use vocar_nlu::{Intent, Reader, SlotValue};
use vocar_speech::source::AudioSource;
use vocar_tests::{repository, speech_bundle};

/// The pipeline as shipped, with the encoder.
fn pipeline(free_speech: bool) -> Option<Pipeline> {
    let mut settings = Settings::default();
    settings.model.dir = speech_bundle("free speech")?;
    settings.recognition.free_speech = free_speech;
    let mut mind = assembly::mind(&settings).unwrap();
    mind.set_encoder(assembly::encoder(&settings).unwrap());
    let thresholds = assembly::thresholds(&settings);
    let mut pipeline = Pipeline::new(mind, Language::Domains, thresholds, "driver".into());
    let ears = assembly::ears(&settings, &pipeline.words(), Precision::Mixed).unwrap();
    pipeline.set_ears(Some(ears));
    Some(pipeline)
}

/// Everything that happens when a recording is played, with silence after it.
fn play(pipeline: &mut Pipeline, mode: ListenMode, name: &str) -> Vec<Event> {
    let path = repository().join("tests/recordings").join(name);
    let mut sound = AudioSource::open(&path).unwrap().whole().unwrap();
    sound.extend([0.0; 24_000]);
    let mut events = Vec::new();
    pipeline.begin(1, "driver", mode).unwrap();
    for piece in sound.chunks(320) {
        pipeline
            .push(piece, &mut |event| events.push(event))
            .unwrap();
    }
    pipeline.finish(&mut |event| events.push(event)).unwrap();
    events
}

fn commands(events: &[Event]) -> Vec<&Intent> {
    events
        .iter()
        .filter_map(|event| match &event.kind {
            EventKind::IntentRecognized { intent, .. } => Some(intent),
            _ => None,
        })
        .collect()
}

#[test]
fn other_words_than_any_template_are_understood_after_the_button() {
    let Some(mut pipeline) = pipeline(true) else {
        return;
    };
    pipeline.trace_turns(true);
    let events = play(&mut pipeline, ListenMode::PushToTalk, "everyday.opus");
    assert_eq!(searched(&events).collect::<Vec<_>>(), [true]);
    let [intent] = commands(&events)[..] else {
        panic!("{events:?}")
    };
    assert_eq!(intent.name, "climate.increase_temperature");
    assert_eq!(intent.slots["degrees"], SlotValue::Number(3.5));
    assert_eq!(intent.reader, Reader::Encoder);
    assert_eq!(intent.text, "three point five degrees warmer in the cabin");
}

#[test]
fn at_an_open_microphone_or_switched_off_it_changes_nothing() {
    for (free_speech, mode) in [(true, ListenMode::OpenMic), (false, ListenMode::PushToTalk)] {
        let Some(mut pipeline) = pipeline(free_speech) else {
            return;
        };
        pipeline.trace_turns(true);
        let events = play(&mut pipeline, mode, "everyday.opus");
        let searched: Vec<bool> = searched(&events).collect();
        assert!(!searched.is_empty(), "{mode:?}: {events:?}");
        assert!(!searched.contains(&true), "{mode:?}: {events:?}");
    }
}

/// Of each utterance, whether it was heard as any words.
fn searched(events: &[Event]) -> impl Iterator<Item = bool> {
    events.iter().filter_map(|event| match &event.kind {
        EventKind::Turn(turn) => Some(turn.freely.is_some()),
        _ => None,
    })
}

#[test]
fn a_template_keeps_its_word_and_talk_is_no_command() {
    let Some(mut pipeline) = pipeline(true) else {
        return;
    };
    let events = play(&mut pipeline, ListenMode::PushToTalk, "fan-level.opus");
    let [intent] = commands(&events)[..] else {
        panic!("{events:?}")
    };
    assert_eq!(
        (intent.name.as_str(), intent.reader),
        ("climate.set_fan", Reader::Template)
    );
    for talk in [
        "no-command.wav",
        "talk-weekend.opus",
        "talk-news.opus",
        "talk-dinner.flac",
    ] {
        let events = play(&mut pipeline, ListenMode::PushToTalk, talk);
        assert!(commands(&events).is_empty(), "{talk}: {events:?}");
    }
}
