//! What silence and talk cost: the cascade in which each stage wakes the next.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};
use vocar_daemon::assembly;
use vocar_daemon::bus::{VoiceAssistant1Proxy, connect};
use vocar_daemon::config::{ListenMode, Settings};
use vocar_daemon::event::EventKind;
use vocar_daemon::pipeline::{Language, Pipeline};
use vocar_inference::Precision;
use vocar_speech::recogniser::Work;
use vocar_tests::sound::SoundServer;
use vocar_tests::{Bus, Service, recording, repository, speech_bundle};

/// Most of one core that listening to silence may take, and most wake-ups a second of all threads together.
const SHARE: f64 = 0.01;
const WAKEUPS: f64 = 60.0;
/// How long is measured.
const SPAN: Duration = Duration::from_secs(10);

/// Processor seconds and voluntary switches of a process, all threads together.
fn spent(pid: u32) -> (f64, u64) {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).expect("the process runs");
    let mut sums = (0.0, 0);
    for task in tasks.flatten() {
        let text = |name: &str| std::fs::read_to_string(task.path().join(name)).unwrap_or_default();
        let nanoseconds: f64 = text("schedstat")
            .split_whitespace()
            .next()
            .and_then(|word| word.parse().ok())
            .unwrap_or(0.0);
        let status = text("status");
        let switches: Option<u64> = status
            .lines()
            .find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"))
            .and_then(|word| word.trim().parse().ok());
        sums = (sums.0 + nanoseconds * 1e-9, sums.1 + switches.unwrap_or(0));
    }
    sums
}

type Environment = Vec<(&'static str, String)>;

/// A microphone of ALSA's own in a silent room: `src/still.c`, compiled here.
fn still(folder: &Path, skipped: &str) -> Option<Environment> {
    let library = folder.join("libasound_module_pcm_still.so");
    let compiled = Command::new("cc")
        .args(["-shared", "-fPIC", "-DPIC", "-o"])
        .arg(&library)
        .arg(repository().join("tests/src/still.c"))
        .arg("-lasound")
        .output();
    match compiled {
        Ok(output) if output.status.success() => {}
        other => {
            eprintln!(
                "SKIPPED: {skipped}: cc with ALSA's headers is wanted (gcc, libasound2-dev): {other:?}"
            );
            return None;
        }
    }
    let configuration = folder.join("asound.conf");
    let text = format!(
        "</usr/share/alsa/alsa.conf>\npcm_type.still {{ lib \"{}\" }}\npcm.!default {{\n type still\n \
         hint {{ show on description \"Silent room\" }}\n}}\n",
        library.display()
    );
    std::fs::write(&configuration, text).unwrap();
    Some(vec![(
        "ALSA_CONFIG_PATH",
        configuration.display().to_string(),
    )])
}

/// Processor share of one core and wake-ups a second of the service while it listens to silence.
async fn rest(mode: &str, audio: &str, environment: &Environment, bundle: &Path) -> (f64, f64) {
    let bus = Bus::start();
    let variables: Vec<(&str, &str)> = environment
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    let config = format!(
        "[listen]\nstart = \"{mode}\"\n[audio]\n{audio}\n[model]\ndir = \"{}\"\n",
        bundle.display()
    );
    let service = Service::start_with(&bus, &config, &variables);
    let connection = connect(&bus.address()).await.unwrap();
    let assistant = VoiceAssistant1Proxy::new(&connection).await.unwrap();
    let heard = async || {
        let metrics = assistant.metrics().await.unwrap();
        u64::try_from(metrics["samples"].clone()).unwrap()
    };
    let begin = Instant::now();
    while heard().await == 0 {
        assert!(
            begin.elapsed() < SPAN,
            "it hears nothing: {}",
            service.errors()
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    let (samples, before, begin) = (heard().await, spent(service.pid()), Instant::now());
    tokio::time::sleep(SPAN).await;
    let (after, all) = (spent(service.pid()), begin.elapsed().as_secs_f64());
    let listened = (heard().await - samples) as f64 / 16_000.0;
    assert!(
        (listened - all).abs() < 0.1 * all,
        "it listened to {listened} s of {all}"
    );
    let (share, wakeups) = (
        (after.0 - before.0) / all,
        (after.1 - before.1) as f64 / all,
    );
    println!(
        "{mode}, {audio:?}: {:.2} % of one core, {wakeups:.1} wake-ups a second",
        100.0 * share
    );
    (share, wakeups)
}

#[tokio::test]
async fn in_silence_the_service_sleeps() {
    let skipped = "processor time and wake-ups in silence";
    let folder = tempfile::tempdir().unwrap();
    let (Some(bundle), Some(still)) = (speech_bundle(skipped), still(folder.path(), skipped))
    else {
        return;
    };
    for mode in ["open-mic", "wake"] {
        let (share, wakeups) = rest(mode, "", &still, &bundle).await;
        assert!(share <= SHARE, "{mode}: {share} of a core");
        assert!(wakeups <= WAKEUPS, "{mode}: {wakeups} wake-ups a second");
    }
}

/// A sound server's library wakes the process several times a period, in threads of its own; longer periods help.
#[tokio::test]
async fn behind_a_sound_server_long_periods_let_it_sleep() {
    let skipped = "processor time and wake-ups behind a sound server";
    let (Some(bundle), Some(sound)) = (speech_bundle(skipped), SoundServer::start(16_000, skipped))
    else {
        return;
    };
    let environment: Environment = sound
        .environment()
        .into_iter()
        .map(|(name, value)| (name, value.into_string().unwrap()))
        .collect();
    let (share, usual) = rest("wake", "", &environment, &bundle).await;
    assert!(share <= SHARE, "{share} of a core");
    let (share, wakeups) = rest("wake", "period_ms = 150", &environment, &bundle).await;
    assert!(share <= SHARE, "{share} of a core");
    assert!(
        wakeups <= usual / 2.0,
        "{wakeups} wake-ups a second, {usual} with the usual period"
    );
}

/// What a session in wake mode computes, and whether a command came of it.
fn listen(pipeline: &mut Pipeline, sound: &[f32]) -> (Work, bool) {
    let before = pipeline.ears().unwrap().work();
    pipeline.begin(1, "driver", ListenMode::Wake).unwrap();
    let mut understood = false;
    for piece in sound.chunks(320) {
        let hear = &mut |event: vocar_daemon::event::Event| {
            understood |= matches!(event.kind, EventKind::IntentRecognized { .. });
        };
        pipeline.push(piece, hear).unwrap();
    }
    let after = pipeline.ears().unwrap().work();
    let work = Work {
        steps: after.steps - before.steps,
        scouted: after.scouted - before.scouted,
        spotted: after.spotted - before.spotted,
        searched: after.searched - before.searched,
    };
    (work, understood)
}

#[test]
fn each_stage_wakes_the_next_one_only() {
    let Some(bundle) = speech_bundle("what each stage of the cascade computes") else {
        return;
    };
    let mut settings = Settings::default();
    settings.model.dir = bundle;
    let mind = assembly::mind(&settings).unwrap();
    let thresholds = assembly::thresholds(&settings);
    let mut pipeline = Pipeline::new(mind, Language::Domains, thresholds, "driver".into());
    let ears = assembly::ears(&settings, &pipeline.words(), Precision::Mixed).unwrap();
    pipeline.set_ears(Some(ears));

    let silence = vec![0.0; 10 * 16_000];
    assert_eq!(listen(&mut pipeline, &silence), (Work::default(), false));

    let talk = [recording("talk-dinner.flac"), recording("talk-news.opus")].concat();
    let command = [recording("set-temperature.wav"), silence[..16_000].to_vec()].concat();
    for sound in [talk, command] {
        let (work, understood) = listen(&mut pipeline, &sound);
        let seconds = sound.len() as f64 / 16_000.0;
        println!("{seconds:.1} s of speech without the phrase: {work:?}");
        assert!(work.scouted > 0 && !understood, "{work:?}");
        assert_eq!(
            (work.steps, work.spotted, work.searched),
            (0, 0, 0),
            "only the small network listened"
        );
    }
    let woken = [
        recording("sessions/wake-radio.opus"),
        silence[..16_000].to_vec(),
    ]
    .concat();
    let (work, understood) = listen(&mut pipeline, &woken);
    assert!(
        work.steps > 0 && work.spotted > 0 && work.searched > 0 && understood,
        "{work:?}"
    );
}
