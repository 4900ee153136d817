//! Changes of the power level while somebody speaks: nothing is lost.

use futures_util::StreamExt;
use std::collections::HashMap;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};
use vocar_daemon::assembly;
use vocar_daemon::bus::VoiceAssistant1Proxy;
use vocar_daemon::config::{ListenMode, Settings};
use vocar_daemon::event::EventKind;
use vocar_daemon::pipeline::{Language, Pipeline};
use vocar_hw::Level;
use vocar_inference::Precision;
use vocar_tests::sound::SoundServer;
use vocar_tests::{
    Bus, Service, bundle_with, caller, float_bundle, recording, repository, speech_bundle,
};
use zbus::Variant;

const LIMIT: Duration = Duration::from_secs(20);
/// How long a level may take to relax on a machine that has other work to do.
const CALM: Duration = Duration::from_secs(300);
const OPTIMISE: &str = "Vehicle.Cabin.Infotainment.PowerOptimizeLevel";

/// What the vehicle says to bring a level.
fn word(level: Level) -> u8 {
    match level {
        Level::Performance => 0,
        Level::Balanced => 2,
        Level::Saver => 5,
        Level::Critical => 8,
        Level::Paused => 10,
    }
}

/// Orders a level; whether it came within the time.
async fn order(assistant: &VoiceAssistant1Proxy<'_>, level: Level, limit: Duration) -> bool {
    let state = HashMap::from([(OPTIMISE, Variant::from(word(level)))]);
    assistant.set_vehicle_state(state).await.unwrap();
    let begin = Instant::now();
    while assistant.power_level().await.unwrap() != level.to_string() {
        if begin.elapsed() > limit {
            return false;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    true
}

/// A cool machine of its own, so that only orders change the level.
fn machine() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let board = repository().join("tests/machines/sa8155p/.");
    let copied = Command::new("cp")
        .arg("-r")
        .arg(board)
        .arg(dir.path())
        .status()
        .unwrap();
    assert!(copied.success());
    dir
}

async fn car(sound: &SoundServer, bus: &Bus, bundle: &Path, machine: &Path) -> Service {
    let mut variables: Vec<(&str, String)> = sound
        .environment()
        .into_iter()
        .map(|(name, value)| (name, value.into_string().unwrap()))
        .collect();
    variables.push(("VOCAR_HARDWARE__SYSROOT", machine.display().to_string()));
    variables.push(("VOCAR_HARDWARE__POWER_LEVEL", "auto".into()));
    let variables: Vec<(&str, &str)> = variables
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    let config = format!("[model]\ndir = \"{}\"\n", bundle.display());
    Service::start_with(bus, &config, &variables)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_survives_every_change_of_level() {
    let skipped = "commands during a change of the power level";
    let (Some(bundle), Some(sound)) = (speech_bundle(skipped), SoundServer::start(16_000, skipped))
    else {
        return;
    };
    let (bus, machine) = (Bus::start(), machine());
    let service = car(&sound, &bus, &bundle, machine.path()).await;
    let (connection, assistant) = caller(&bus).await;
    let mut intents = assistant.receive_intent_recognized().await.unwrap();
    let mut partials = assistant.receive_partial_transcript().await.unwrap();
    assistant.subscribe().await.unwrap();
    // Half a minute in which nothing calls for restraint.
    let begin = Instant::now();
    while assistant.power_level().await.unwrap() != "performance" {
        assert!(
            begin.elapsed() < Duration::from_secs(60),
            "{}",
            service.errors()
        );
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let quiet = vec![0.0; 8000];
    let spoken = [quiet.clone(), recording("set-temperature.wav"), quiet].concat();
    for from in [
        Level::Performance,
        Level::Balanced,
        Level::Saver,
        Level::Critical,
    ] {
        for to in Level::ALL.into_iter().filter(|to| *to != from) {
            let mut tries = 0;
            loop {
                // Where the machine is too busy to keep up, a stricter level is right, and has to be waited out.
                assert!(
                    order(&assistant, from, CALM).await,
                    "{from} does not come back"
                );
                let session = assistant.start_listening(HashMap::new()).await.unwrap();
                let hears = async {
                    let heard = tokio::time::timeout(LIMIT, partials.next()).await;
                    assert!(heard.is_ok(), "{from} to {to}: nothing is heard");
                    let there = order(&assistant, to, Duration::from_millis(500)).await;
                    let early = tokio::time::timeout(Duration::ZERO, intents.next()).await;
                    let amid = there && early.is_err();
                    let intent = match early {
                        Ok(intent) => Ok(intent),
                        Err(_) => tokio::time::timeout(LIMIT, intents.next()).await,
                    };
                    let intent = intent
                        .unwrap_or_else(|_| panic!("{from} to {to}: the command is lost"))
                        .unwrap();
                    let args = intent.args().unwrap();
                    assert_eq!(
                        (*args.session(), *args.name()),
                        (session, "climate.set_temperature"),
                        "{from} to {to}"
                    );
                    amid
                };
                let amid = tokio::task::block_in_place(|| {
                    std::thread::scope(|scope| {
                        scope.spawn(|| sound.play(&spoken));
                        tokio::runtime::Handle::current().block_on(hears)
                    })
                });
                let rest = Duration::from_millis(5);
                while tokio::time::timeout(rest, partials.next()).await.is_ok() {}
                if amid {
                    break;
                }
                tries += 1;
                assert!(
                    tries < 5,
                    "{from} to {to}: the change never came amid the sentence"
                );
            }
        }
    }
    assert!(order(&assistant, Level::Paused, LIMIT).await);
    let refused = assistant.start_listening(HashMap::new()).await.unwrap_err();
    assert!(refused.to_string().contains("PowerLimited"), "{refused}");
    let plan = assistant.power_plan().await.unwrap();
    assert_eq!(
        String::try_from(plan["listening"].clone()).unwrap(),
        "nothing"
    );
    assert!(service.errors().contains("PowerOptimizeLevel 10 of 10"));
    // The caller leaves the bus: what it said holds no more.
    drop((intents, partials, assistant));
    connection.close().await.unwrap();
    let (_connection, assistant) = caller(&bus).await;
    let begin = Instant::now();
    while assistant.power_level().await.unwrap() != "performance" {
        assert!(
            begin.elapsed() < LIMIT,
            "the vehicle's word outlasts its bridge"
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Another variant of the model, as a profile may name one for a level, is taken between two sentences.
#[test]
fn a_sentence_is_heard_out_with_the_variant_it_began_with() {
    let skipped = "another variant of the model amid a sentence";
    let (Some(floats), Some(mixed)) = (float_bundle(skipped), speech_bundle(skipped)) else {
        return;
    };
    let room = tempfile::tempdir().unwrap();
    let mixed = std::fs::read(mixed.join("am-mixed.onnx")).unwrap();
    let mut settings = Settings::default();
    settings.model.dir = bundle_with(&floats, room.path(), Precision::Mixed, &mixed);
    let mind = assembly::mind(&settings).unwrap();
    let thresholds = assembly::thresholds(&settings);
    let mut pipeline = Pipeline::new(mind, Language::Domains, thresholds, "driver".into());
    let ears = assembly::ears(&settings, &pipeline.words(), Precision::Mixed).unwrap();
    pipeline.set_ears(Some(ears));
    let sentence = recording("set-temperature.wav");
    let silence = vec![0.0; 24_000];
    pipeline.begin(1, "driver", ListenMode::OpenMic).unwrap();
    let play = |pipeline: &mut Pipeline, sound: &[f32]| {
        let mut found = Vec::new();
        for piece in sound.chunks(320) {
            let hear = &mut |event: vocar_daemon::event::Event| {
                if let EventKind::IntentRecognized { intent, .. } = event.kind {
                    found.push((intent.name, intent.confidence));
                }
            };
            pipeline.push(piece, hear).unwrap();
        }
        found
    };
    let whole = play(&mut pipeline, &[&sentence[..], &silence].concat());
    assert_eq!(whole.len(), 1);
    let (begin, end) = sentence.split_at(sentence.len() / 2);
    for precision in [Precision::F32, Precision::Mixed] {
        let mut found = play(&mut pipeline, begin);
        assert!(pipeline.is_hearing());
        pipeline.take_variant(precision).unwrap();
        found.extend(play(&mut pipeline, &[end, &silence].concat()));
        assert_eq!(found.len(), 1, "{precision}: {found:?}");
        assert_eq!(found[0].0, "climate.set_temperature");
        assert!(
            pipeline
                .backend()
                .unwrap()
                .ends_with(&precision.to_string())
        );
        if precision == Precision::F32 {
            assert!(
                (found[0].1 - whole[0].1).abs() < 1e-3,
                "it began with the other variant: {found:?}, {whole:?}"
            );
        }
    }
}
