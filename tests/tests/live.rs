//! The whole way: sound into a microphone, an intent out of the bus.

use futures_util::StreamExt;
use std::collections::HashMap;
use std::path::PathBuf;
use std::time::Duration;
use vocar_daemon::bus::VoiceAssistant1Proxy;
use vocar_tests::sound::SoundServer;
use vocar_tests::{Bus, Service, caller, repository, speech_bundle, vocar};
use zbus::Connection;

/// Rate of the virtual microphone, in Hz.
const RATE: u32 = 16_000;
/// What recognition may take here, where other tests compute beside it.
const LIMIT: Duration = Duration::from_secs(20);

fn recording(name: &str) -> PathBuf {
    repository().join("tests/recordings").join(name)
}

/// A recording as samples at the microphone's rate, with silence around it.
fn samples(name: &str) -> Vec<f32> {
    let silence = vec![0.0; RATE as usize];
    [silence.clone(), spoken(name), silence].concat()
}

/// A recording as samples at the microphone's rate.
fn spoken(name: &str) -> Vec<f32> {
    let mut reader = hound::WavReader::open(recording(name)).unwrap();
    assert_eq!(reader.spec().sample_rate, RATE);
    reader
        .samples::<i16>()
        .map(|sample| f32::from(sample.unwrap()) / 32768.0)
        .collect()
}

struct Car {
    sound: SoundServer,
    _bus: Bus,
    service: Service,
    _connection: Connection,
    assistant: VoiceAssistant1Proxy<'static>,
}

async fn car(config: &str, skipped: &str) -> Option<Car> {
    let bundle = speech_bundle(skipped)?;
    let sound = SoundServer::start(RATE, skipped)?;
    let bus = Bus::start();
    let variables: Vec<(&str, String)> = sound
        .environment()
        .into_iter()
        .map(|(name, value)| (name, value.into_string().unwrap()))
        .collect();
    let variables: Vec<(&str, &str)> = variables
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    let config = format!("{config}\n[model]\ndir = \"{}\"\n", bundle.display());
    let service = Service::start_with(&bus, &config, &variables);
    let (connection, assistant) = caller(&bus).await;
    Some(Car {
        sound,
        _bus: bus,
        service,
        _connection: connection,
        assistant,
    })
}

impl Car {
    async fn state_becomes(&self, wanted: &str) {
        let begin = std::time::Instant::now();
        while self.assistant.state().await.unwrap() != wanted {
            assert!(begin.elapsed() < LIMIT, "the state never became {wanted}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn microphone_becomes_well(&self, well: bool) {
        let begin = std::time::Instant::now();
        loop {
            let health = self.assistant.health().await.unwrap();
            let said = health.get("microphone");
            if said.is_some_and(|said| (String::try_from(said.clone()).unwrap() == "ok") == well) {
                return;
            }
            assert!(
                begin.elapsed() < LIMIT,
                "Health never says that the microphone is well: {well}"
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

async fn soon<T>(what: &str, future: impl Future<Output = Option<T>>) -> T {
    tokio::time::timeout(LIMIT, future)
        .await
        .unwrap_or_else(|_| panic!("{what}: not in time"))
        .unwrap()
}

#[tokio::test]
async fn a_spoken_command_becomes_an_intent() {
    let Some(car) = car("", "a spoken command through microphone and bus").await else {
        return;
    };
    let mut intents = car.assistant.receive_intent_recognized().await.unwrap();
    let mut transcripts = car.assistant.receive_final_transcript().await.unwrap();
    car.assistant.subscribe().await.unwrap();
    let session = car.assistant.start_listening(HashMap::new()).await.unwrap();
    assert_eq!(car.assistant.state().await.unwrap(), "listening");
    let busy = car
        .assistant
        .start_listening(HashMap::new())
        .await
        .unwrap_err();
    assert!(busy.to_string().contains("org.vocar.Error.Busy"), "{busy}");

    car.sound.play(&samples("set-temperature.wav"));
    let intent = soon("the intent", intents.next()).await;
    let args = intent.args().unwrap();
    assert_eq!(
        (*args.session(), *args.name()),
        (session, "climate.set_temperature")
    );
    assert_eq!(
        String::try_from(args.details()["source"].clone()).unwrap(),
        "speech"
    );
    let transcript = soon("the transcript", transcripts.next()).await;
    assert_eq!(
        *transcript.args().unwrap().text(),
        "set the temperature to twenty one degrees"
    );
    car.state_becomes("idle").await;
    let over = car.assistant.stop(session).await.unwrap_err();
    assert!(
        over.to_string().contains("UnknownSession"),
        "a push-to-talk session ends with its command: {over}"
    );
}

#[tokio::test]
async fn the_private_mode_keeps_words_inside_and_commands_coming() {
    let Some(car) = car("[privacy]\nprivate = true\n", "the private mode").await else {
        return;
    };
    let mut intents = car.assistant.receive_intent_recognized().await.unwrap();
    let mut transcripts = car.assistant.receive_final_transcript().await.unwrap();
    car.assistant.subscribe().await.unwrap();
    car.assistant.start_listening(HashMap::new()).await.unwrap();
    car.sound.play(&samples("set-temperature.wav"));
    soon("the intent", intents.next()).await;
    let leaked = tokio::time::timeout(Duration::from_millis(300), transcripts.next()).await;
    assert!(leaked.is_err(), "a transcript left the private service");
}

#[tokio::test]
async fn an_open_microphone_outlasts_its_device() {
    let config = "[listen]\nstart = \"open-mic\"\n[audio]\nretry_s = 0.2\n";
    let Some(mut car) = car(config, "a microphone that vanishes and comes back").await else {
        return;
    };
    let mut intents = car.assistant.receive_intent_recognized().await.unwrap();
    car.state_becomes("listening").await;
    car.sound.play(&samples("open-window.wav"));
    assert_eq!(
        *soon("the first intent", intents.next())
            .await
            .args()
            .unwrap()
            .name(),
        "window.open"
    );

    car.sound.kill();
    car.microphone_becomes_well(false).await;
    assert!(
        !car.assistant
            .interpret_text("turn on the radio", HashMap::new())
            .await
            .unwrap()
            .is_empty()
    );
    soon("the typed intent", intents.next()).await;

    car.sound.restart();
    car.microphone_becomes_well(true).await;
    car.sound.play(&samples("open-window.wav"));
    assert_eq!(
        *soon("the second intent", intents.next())
            .await
            .args()
            .unwrap()
            .name(),
        "window.open"
    );
}

#[tokio::test]
async fn half_a_sentence_is_lost_with_its_device() {
    let config = "[listen]\nstart = \"open-mic\"\n[audio]\nretry_s = 0.2\n";
    let Some(mut car) = car(config, "a microphone that vanishes within a sentence").await else {
        return;
    };
    let mut intents = car.assistant.receive_intent_recognized().await.unwrap();
    car.state_becomes("listening").await;
    let silence = vec![0.0; RATE as usize];
    let sentence = spoken("set-temperature.wav");
    let (begin, end) = sentence.split_at(sentence.len() / 2);
    car.sound.play(&[&silence, begin].concat());
    car.sound.kill();
    car.microphone_becomes_well(false).await;
    car.sound.restart();
    car.microphone_becomes_well(true).await;
    car.sound.play(&[end, &silence].concat());
    let joined = tokio::time::timeout(Duration::from_millis(500), intents.next()).await;
    assert!(joined.is_err(), "two halves became a command");
    car.sound.play(&samples("set-temperature.wav"));
    assert_eq!(
        *soon("the whole sentence", intents.next())
            .await
            .args()
            .unwrap()
            .name(),
        "climate.set_temperature"
    );
}

#[tokio::test]
async fn sound_that_cannot_be_processed_in_time_is_counted_and_said() {
    let config = "[listen]\nstart = \"open-mic\"\n";
    let Some(car) = car(config, "an inference thread that is held up").await else {
        return;
    };
    let mut intents = car.assistant.receive_intent_recognized().await.unwrap();
    car.state_becomes("listening").await;
    car.microphone_becomes_well(true).await;
    // The ring holds four seconds.
    if let Err(error) = held(&car.service, "vocar-inference", Duration::from_secs(7)) {
        eprintln!(
            "SKIPPED: holding up the inference thread: ptrace is not permitted here: {error}"
        );
        return;
    }
    let begin = std::time::Instant::now();
    loop {
        let metrics = car.assistant.metrics().await.unwrap();
        if u64::try_from(metrics["dropped_frames"].clone()).unwrap() > 0 {
            break;
        }
        assert!(
            begin.elapsed() < LIMIT,
            "no lost frame is counted: {}",
            car.service.errors()
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let log = car.service.errors();
    assert!(log.contains("audio lost"), "{log}");
    car.microphone_becomes_well(true).await;
    car.sound.play(&samples("open-window.wav"));
    let next = tokio::time::timeout(LIMIT, intents.next()).await;
    assert!(
        next.is_ok(),
        "no command after the loss: {}",
        car.service.errors()
    );
}

/// Stops one thread of the service for a while; the others go on.
fn held(service: &Service, thread: &str, time: Duration) -> std::io::Result<()> {
    let tasks = format!("/proc/{}/task", service.pid());
    let task = std::fs::read_dir(tasks)?
        .filter_map(|entry| entry.ok()?.path().into())
        .find(|task| {
            std::fs::read_to_string(task.join("comm")).is_ok_and(|name| name.trim() == thread)
        })
        .unwrap_or_else(|| panic!("no thread is called {thread}"));
    let id: i32 = task.file_name().unwrap().to_str().unwrap().parse().unwrap();
    let request = |what| {
        let nothing = std::ptr::null_mut::<libc::c_void>();
        // SAFETY: none of the requests used here reads or writes memory through the two last arguments.
        match unsafe { libc::ptrace(what, id, nothing, nothing) } {
            -1 => Err(std::io::Error::last_os_error()),
            _ => Ok(()),
        }
    };
    request(libc::PTRACE_SEIZE)?;
    request(libc::PTRACE_INTERRUPT)?;
    // SAFETY: the status is not asked for; the thread is this thread's tracee.
    unsafe { libc::waitpid(id, std::ptr::null_mut(), libc::__WALL) };
    std::thread::sleep(time);
    request(libc::PTRACE_DETACH)
}

#[tokio::test]
async fn a_cancelled_session_is_over_at_once() {
    let Some(car) = car("", "cancelling a session").await else {
        return;
    };
    let session = car.assistant.start_listening(HashMap::new()).await.unwrap();
    car.assistant.cancel(session).await.unwrap();
    car.state_becomes("idle").await;
    let next = car.assistant.start_listening(HashMap::new()).await.unwrap();
    assert!(next > session);
    car.assistant.stop(next).await.unwrap();
}

#[test]
fn recordings_give_the_same_on_the_command_line() {
    if speech_bundle("recordings through the command line").is_none() {
        return;
    }
    let run = |name: &str| {
        let output = vocar(&["run", "--json", recording(name).to_str().unwrap()], &[]);
        let text = String::from_utf8(output.stdout).unwrap();
        let events: Vec<serde_json::Value> = text
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        let intents: Vec<String> = events
            .iter()
            .filter(|event| event["event"] == "intent_recognized")
            .map(|event| event["intent"]["name"].as_str().unwrap().to_owned())
            .collect();
        (output.status.code().unwrap(), intents)
    };
    assert_eq!(
        run("set-temperature.wav"),
        (0, vec!["climate.set_temperature".into()])
    );
    assert_eq!(run("open-window.wav"), (0, vec!["window.open".into()]));
    assert_eq!(run("no-command.wav"), (1, Vec::new()));
}

#[test]
fn bad_audio_is_an_error_each_of_its_own() {
    if speech_bundle("bad audio on the command line").is_none() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let whole = std::fs::read(recording("open-window.wav")).unwrap();
    let cases = [
        ("empty.wav", Vec::new()),
        ("text.wav", b"this is no audio at all\n".repeat(50)),
        ("head.wav", whole[..30].to_vec()),
    ];
    for (name, bytes) in cases {
        let path = dir.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        let output = vocar(&["run", path.to_str().unwrap()], &[]);
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(4), "{name}: {errors}");
        assert!(errors.contains(name), "{name}: {errors}");
    }
    let output = vocar(&["run", "/nonexistent.wav"], &[]);
    assert_eq!(output.status.code(), Some(4));
}

#[test]
fn odd_rates_and_numbers_are_taken_in_stride() {
    if speech_bundle("odd rates on the command line").is_none() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let spoken = samples("set-temperature.wav");
    for (rate, poison) in [(RATE, false), (RATE, true), (96_000, false)] {
        let path = dir.path().join(format!("{rate}-{poison}.wav"));
        let spec = hound::WavSpec {
            channels: 1,
            sample_rate: rate,
            bits_per_sample: 32,
            sample_format: hound::SampleFormat::Float,
        };
        let mut writer = hound::WavWriter::create(&path, spec).unwrap();
        let times = rate / RATE;
        for (index, sample) in spoken.iter().enumerate() {
            let sample = if poison && index % 5000 == 0 {
                f32::NAN
            } else {
                *sample
            };
            for _ in 0..times {
                writer.write_sample(sample).unwrap();
            }
        }
        writer.finalize().unwrap();
        let output = vocar(&["run", "--json", path.to_str().unwrap()], &[]);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(
            text.contains("climate.set_temperature"),
            "{rate} Hz, NaN {poison}: {text}"
        );
    }
}
