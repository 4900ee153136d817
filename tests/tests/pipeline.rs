//! Sessions on recordings: wake phrase, buttons, questions, doubt, and sound that breaks off.

use vocar_daemon::assembly;
use vocar_daemon::config::{ListenMode, Settings};
use vocar_daemon::event::{Event, EventKind, Reason, Stage, Turn};
use vocar_daemon::pipeline::{Language, Pipeline, Thresholds};
use vocar_inference::Precision;
use vocar_nlu::EntityValue;
use vocar_tests::{recording, speech_bundle};

/// Samples (16 kHz) given at a time.
const PIECE: usize = 320;
/// Samples a second.
const SECOND: usize = 16_000;

/// The pipeline as shipped, for the car domain.
fn pipeline(skipped: &str) -> Option<Pipeline> {
    pipeline_with(assembly::thresholds(&Settings::default()), skipped)
}

fn pipeline_with(thresholds: Thresholds, skipped: &str) -> Option<Pipeline> {
    let bundle = speech_bundle(skipped)?;
    let mut settings = Settings::default();
    settings.model.dir = bundle;
    Some(pipeline_of(&settings, thresholds))
}

fn pipeline_of(settings: &Settings, thresholds: Thresholds) -> Pipeline {
    let mind = assembly::mind(settings).unwrap();
    let mut pipeline = Pipeline::new(mind, Language::Domains, thresholds, "driver".into());
    let ears = assembly::ears(settings, &pipeline.words(), Precision::Mixed).unwrap();
    pipeline.set_ears(Some(ears));
    pipeline
}

fn silence(seconds: f64) -> Vec<f32> {
    vec![0.0; (seconds * SECOND as f64) as usize]
}

/// Plays sound without ending it.
fn play(pipeline: &mut Pipeline, sound: &[f32]) -> Vec<Event> {
    let mut events = Vec::new();
    for piece in sound.chunks(PIECE) {
        pipeline
            .push(piece, &mut |event| events.push(event))
            .unwrap();
    }
    events
}

/// A whole session.
fn session(pipeline: &mut Pipeline, id: u64, mode: ListenMode, sound: &[f32]) -> Vec<Event> {
    pipeline.begin(id, "driver", mode).unwrap();
    let mut events = play(pipeline, sound);
    pipeline.finish(&mut |event| events.push(event)).unwrap();
    events
}

fn intents(events: &[Event]) -> Vec<&str> {
    events
        .iter()
        .filter_map(|event| match &event.kind {
            EventKind::IntentRecognized { intent, .. } => Some(intent.name.as_str()),
            _ => None,
        })
        .collect()
}

fn wakes(events: &[Event]) -> usize {
    let wake = |event: &&Event| matches!(event.kind, EventKind::WakeDetected { .. });
    events.iter().filter(wake).count()
}

fn rejections(events: &[Event]) -> Vec<(Stage, Reason)> {
    events
        .iter()
        .filter_map(|event| match event.kind {
            EventKind::Rejected { stage, reason, .. } => Some((stage, reason)),
            _ => None,
        })
        .collect()
}

/// A radio: talk without a pause, for so many seconds.
fn radio(seconds: usize) -> Vec<f32> {
    let talk = [recording("talk-news.opus"), recording("talk-weekend.opus")].concat();
    let power = |frame: &[f32]| frame.iter().map(|sample| sample * sample).sum::<f32>();
    let mean = power(&talk) / (talk.len() / PIECE) as f32;
    let loud = talk
        .chunks_exact(PIECE)
        .filter(|frame| power(frame) > mean / 40.0);
    loud.flatten()
        .copied()
        .cycle()
        .take(seconds * SECOND)
        .collect()
}

/// Seconds of the longest utterance: from its first voice, or the decision before, to its decision.
fn longest(events: &[Event]) -> f64 {
    let mut begin = None;
    let mut longest = 0.0_f64;
    for event in events {
        match event.kind {
            EventKind::SpeechStarted => begin = begin.or(Some(event.at)),
            EventKind::FinalTranscript { .. } | EventKind::Rejected { .. } => {
                longest = longest.max((event.at - begin.unwrap_or(event.at)) as f64);
                begin = Some(event.at);
            }
            _ => {}
        }
    }
    longest / SECOND as f64
}

/// Noise like that of a road: white noise through a low-pass filter, the same each time.
fn road(samples: usize, level: f32) -> Vec<f32> {
    let (mut state, mut low) = (0x2545_f491_4f6c_dd1d_u64, 0.0_f32);
    (0..samples)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            let white = (state >> 40) as f32 / (1 << 23) as f32 - 1.0;
            low += 0.1 * (white - low);
            level * low
        })
        .collect()
}

/// The voice is noticed late in noise; its first words are heard because sound from before is kept.
#[test]
fn what_was_said_before_a_voice_was_noticed_is_heard() {
    let Some(mut pipeline) = pipeline("the sound from before a voice is noticed") else {
        return;
    };
    let noisy = [
        ("open-window.wav", 1.2, "window.open"),
        ("ac-on.flac", 1.2, "climate.ac_on"),
        ("volume.opus", 0.8, "media.set_volume"),
        ("range.opus", 1.2, "status.range"),
        ("lock-doors.opus", 0.5, "door.lock"),
    ];
    let understood = noisy.iter().enumerate().filter(|(number, case)| {
        let (name, level, meant) = **case;
        let voice = [silence(1.5), recording(name), silence(0.5)].concat();
        let noise = road(voice.len(), level);
        let sound: Vec<f32> = voice
            .iter()
            .zip(noise)
            .map(|(a, b)| 0.4 * (a + b))
            .collect();
        let id = *number as u64 + 1;
        let events = session(&mut pipeline, id, ListenMode::PushToTalk, &sound);
        intents(&events) == [meant]
    });
    let understood = understood.count();
    // With 300 ms of it none of them is.
    assert!(understood >= 4, "{understood} of {}", noisy.len());
}

/// The network takes steps of 240 ms: it must not matter where in them a command begins.
#[test]
fn a_command_is_understood_whenever_it_begins() {
    let Some(mut pipeline) = pipeline("commands at other moments of a step") else {
        return;
    };
    let commands = [
        ("open-window.wav", "window.open"),
        ("set-temperature.wav", "climate.set_temperature"),
        ("lock-doors.opus", "door.lock"),
    ];
    let mut id = 0;
    for (name, meant) in commands {
        for step in 0..12 {
            let sound = [silence(0.021 * f64::from(step)), recording(name)].concat();
            id += 1;
            let events = session(&mut pipeline, id, ListenMode::PushToTalk, &sound);
            assert_eq!(
                intents(&events),
                [meant],
                "{name}, {step} steps of 21 ms late"
            );
        }
    }
}

#[test]
fn a_radio_that_talks_on_cannot_hold_up_an_utterance() {
    let Some(bundle) = speech_bundle("the greatest length of an utterance") else {
        return;
    };
    let sound = [recording("set-temperature.wav"), radio(20)].concat();
    let lengths = [3.0, 15.0].map(|cap| {
        let mut settings = Settings::default();
        settings.model.dir.clone_from(&bundle);
        settings.listen.longest_s = cap;
        let mut pipeline = pipeline_of(&settings, assembly::thresholds(&settings));
        [ListenMode::PushToTalk, ListenMode::OpenMic].map(|mode| {
            let events = session(&mut pipeline, 1, mode, &sound);
            let length = longest(&events);
            // The voice activity detector notices a voice some frames after its beginning.
            assert!(length <= cap + 0.1, "{mode:?}, {cap} s: {length} s");
            length
        })
    });
    assert!(
        lengths[1].iter().any(|length| *length > 3.1),
        "the cap made no difference: {lengths:?}"
    );
}

#[test]
fn a_command_in_one_breath_with_the_wake_phrase_counts() {
    let Some(mut pipeline) = pipeline("the wake phrase") else {
        return;
    };
    let sound = [recording("sessions/wake-radio.opus"), silence(1.0)].concat();
    let events = session(&mut pipeline, 1, ListenMode::Wake, &sound);
    assert_eq!(wakes(&events), 1, "{events:?}");
    assert_eq!(intents(&events), ["media.set_source"], "{events:?}");
    let before = |kind: fn(&EventKind) -> bool| events.iter().position(|event| kind(&event.kind));
    assert!(
        before(|kind| matches!(kind, EventKind::WakeDetected { .. }))
            < before(|kind| matches!(kind, EventKind::FinalTranscript { .. }))
    );
}

#[test]
fn the_wake_phrase_is_good_for_one_command() {
    let Some(mut pipeline) = pipeline("a pause after the wake phrase") else {
        return;
    };
    let (wake, command) = (
        recording("sessions/wake.opus"),
        recording("set-temperature.wav"),
    );
    let sound = [
        wake,
        silence(1.0),
        command.clone(),
        silence(1.5),
        command,
        silence(1.5),
    ]
    .concat();
    let events = session(&mut pipeline, 1, ListenMode::Wake, &sound);
    assert_eq!(wakes(&events), 1, "{events:?}");
    assert_eq!(intents(&events), ["climate.set_temperature"], "{events:?}");
}

/// Behind talk that only the small network hears, in one stretch of voice with it.
#[test]
fn a_wake_phrase_after_long_talk_is_heard() {
    let Some(mut pipeline) = pipeline("a wake phrase after talk") else {
        return;
    };
    let command = [recording("sessions/wake-radio.opus"), silence(1.0)].concat();
    let sound = [radio(12), silence(0.2), command].concat();
    let events = session(&mut pipeline, 1, ListenMode::Wake, &sound);
    assert_eq!(wakes(&events), 1, "{events:?}");
    assert_eq!(intents(&events).len(), 1, "{events:?}");
    let work = pipeline.ears().unwrap().work();
    // 12 s of talk are 400 rows: the large network heard the last of them at most.
    assert!(work.scouted > 400 && work.spotted < 220, "{work:?}");
}

#[test]
fn without_the_wake_phrase_nothing_is_taken_for_a_command() {
    let Some(mut pipeline) = pipeline("commands without the wake phrase") else {
        return;
    };
    for name in ["set-temperature.wav", "open-window.wav", "no-command.wav"] {
        let sound = [recording(name), silence(1.0)].concat();
        let events = session(&mut pipeline, 1, ListenMode::Wake, &sound);
        let words = |event: &Event| {
            !matches!(
                event.kind,
                EventKind::SpeechStarted | EventKind::SpeechEnded
            )
        };
        assert!(!events.iter().any(words), "{name}: {events:?}");
    }
}

#[test]
fn one_button_is_one_command_and_the_next_button_another() {
    let Some(mut pipeline) = pipeline("sessions in a row") else {
        return;
    };
    for (id, name, intent) in [
        (1, "set-temperature.wav", "climate.set_temperature"),
        (2, "open-window.wav", "window.open"),
    ] {
        let spoken = recording(name);
        let sound = [spoken.clone(), silence(1.0), spoken, silence(1.0)].concat();
        let events = session(&mut pipeline, id, ListenMode::PushToTalk, &sound);
        assert_eq!(intents(&events), [intent], "{events:?}");
        assert_eq!(rejections(&events), [], "{events:?}");
        for event in &events {
            assert_eq!(event.session, id);
            assert!(
                event.at <= sound.len() as u64,
                "times count from the session's first sample: {event:?}"
            );
        }
    }
}

#[test]
fn a_spoken_question_is_answered_by_voice() {
    let Some(mut pipeline) = pipeline("a question and its answer") else {
        return;
    };
    for mode in [ListenMode::PushToTalk, ListenMode::OpenMic] {
        let sound = [
            recording("sessions/ask-temperature.opus"),
            silence(1.5),
            recording("sessions/answer-temperature.opus"),
            silence(1.0),
        ]
        .concat();
        let events = session(&mut pipeline, 1, mode, &sound);
        let asked = events.iter().find_map(|event| match &event.kind {
            EventKind::DialogueTurn { turn, prompt, .. } => Some((*turn, prompt.clone())),
            _ => None,
        });
        let (turn, prompt) = asked.expect("a question");
        assert_eq!(turn, Turn::Slot);
        assert!(prompt.contains("temperature"), "{prompt}");
        assert_eq!(intents(&events), ["climate.set_temperature"], "{events:?}");
        let slots = events.iter().find_map(|event| match &event.kind {
            EventKind::IntentRecognized { intent, .. } => {
                Some(serde_json::to_value(&intent.slots).unwrap())
            }
            _ => None,
        });
        assert_eq!(
            slots.unwrap()["temperature"]["temperature"]["degrees"],
            21.0
        );
        assert_eq!(rejections(&events), [], "{mode:?}: {events:?}");
    }
}

#[test]
fn silence_after_a_question_ends_it() {
    let Some(mut pipeline) = pipeline("a question that nobody answers") else {
        return;
    };
    let sound = [recording("sessions/ask-temperature.opus"), silence(10.0)].concat();
    let events = session(&mut pipeline, 1, ListenMode::PushToTalk, &sound);
    assert_eq!(intents(&events), [""; 0]);
    assert_eq!(
        rejections(&events),
        [(Stage::Dialogue, Reason::Unanswered)],
        "{events:?}"
    );
    assert!(!pipeline.mind().is_asking());
}

#[test]
fn an_open_microphone_asks_for_more_confidence() {
    let thresholds = Thresholds {
        addressed: 0.2,
        open_microphone: 1.0,
        free: 0.2,
    };
    let Some(mut pipeline) = pipeline_with(thresholds, "confidence by the way of listening") else {
        return;
    };
    let sound = [recording("open-window.wav"), silence(1.0)].concat();
    let events = session(&mut pipeline, 1, ListenMode::PushToTalk, &sound);
    assert_eq!(intents(&events), ["window.open"], "{events:?}");

    let events = session(&mut pipeline, 2, ListenMode::OpenMic, &sound);
    assert_eq!(intents(&events), [""; 0], "{events:?}");
    let refused = events.iter().find_map(|event| match &event.kind {
        EventKind::Rejected {
            reason,
            text,
            heard,
            ..
        } => Some((*reason, text.clone(), heard.clone())),
        _ => None,
    });
    let (reason, text, heard) = refused.expect("a rejection");
    assert_eq!(reason, Reason::LowConfidence);
    assert_eq!(text.as_deref(), Some("open the driver window"));
    let heard = heard.unwrap();
    let words: Vec<&str> = heard.words.iter().map(|word| word.text.as_str()).collect();
    assert_eq!(words, ["open", "the", "driver", "window"]);
    assert_eq!(heard.candidates[0].text, "open the driver window");
    assert!(heard.candidates[0].evidence.frames > 0 && heard.stages.steps > 0);
}

/// What the service does when the microphone is lost: the same session begins anew.
#[test]
fn sound_that_breaks_off_is_no_half_of_the_next_sentence() {
    let Some(mut pipeline) = pipeline("a sentence cut by a lost microphone") else {
        return;
    };
    let sentence = recording("set-temperature.wav");
    let (begin, end) = sentence.split_at(sentence.len() / 2);
    pipeline.begin(1, "driver", ListenMode::OpenMic).unwrap();
    let mut events = play(&mut pipeline, begin);
    pipeline.begin(1, "driver", ListenMode::OpenMic).unwrap();
    events.extend(play(&mut pipeline, &[end, &silence(1.0)].concat()));
    assert_eq!(intents(&events), [""; 0], "{events:?}");
    pipeline.begin(1, "driver", ListenMode::OpenMic).unwrap();
    let events = play(&mut pipeline, &[sentence, silence(1.0)].concat());
    assert_eq!(intents(&events), ["climate.set_temperature"], "{events:?}");
}

#[test]
fn a_piece_of_other_talk_is_no_command() {
    let Some(mut pipeline) = pipeline("commands within other talk") else {
        return;
    };
    let (talk, command) = (
        recording("no-command.wav"),
        recording("set-temperature.wav"),
    );
    for (pause, meant) in [(0.1, false), (2.0, true)] {
        let sound = [talk.clone(), silence(pause), command.clone(), silence(1.5)].concat();
        let events = session(&mut pipeline, 1, ListenMode::OpenMic, &sound);
        assert_eq!(intents(&events).len(), usize::from(meant), "{events:?}");
        assert!(!rejections(&events).is_empty(), "{events:?}");
    }
}

#[test]
fn names_that_arrive_while_listening_are_heard_from_the_next_sentence_on() {
    let Some(mut pipeline) = pipeline("names that arrive while listening") else {
        return;
    };
    let sound = [recording("call.opus"), silence(1.5)].concat();
    pipeline.begin(1, "driver", ListenMode::PushToTalk).unwrap();
    play(&mut pipeline, &silence(0.5));
    let name = EntityValue::new("c5", ["Sarah Johnson"]);
    pipeline
        .change_mind(|mind| mind.set_entities("contact", &[name]))
        .unwrap();
    let events = play(&mut pipeline, &sound);
    assert_eq!(intents(&events), ["phone.call"], "{events:?}");
}
