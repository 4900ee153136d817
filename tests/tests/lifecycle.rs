//! The life of the service: ready, alive, killed, restarted; the bus going and coming; a damaged or missing bundle.

use std::collections::HashMap;
use std::time::{Duration, Instant};
use vocar_daemon::bus::{VoiceAssistant1Proxy, connect};
use vocar_tests::{Bus, Service, speech_bundle};

const NO_MODEL: &str = "[model]\ndir = \"/nonexistent\"\n";

async fn understands(bus: &Bus) -> zbus::Result<bool> {
    let connection = connect(&bus.address()).await?;
    let service = VoiceAssistant1Proxy::new(&connection).await?;
    Ok(!service
        .interpret_text("turn on the radio", HashMap::new())
        .await?
        .is_empty())
}

async fn understands_soon(bus: &Bus, limit: Duration) {
    let end = Instant::now() + limit;
    loop {
        match understands(bus).await {
            Ok(understood) => return assert!(understood),
            Err(error) => assert!(Instant::now() < end, "not within {limit:?}: {error}"),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn without_a_bundle_it_stays_up_and_says_why() {
    let bus = Bus::start();
    let mut service = Service::start(&bus, NO_MODEL);
    assert!(
        service.start_up < Duration::from_secs(1),
        "ready after {:?}",
        service.start_up
    );
    assert!(understands(&bus).await.unwrap());
    let connection = connect(&bus.address()).await.unwrap();
    let proxy = VoiceAssistant1Proxy::new(&connection).await.unwrap();
    assert_eq!(proxy.state().await.unwrap(), "unavailable");
    service.signal(libc::SIGTERM);
    assert!(service.wait(Duration::from_secs(5)).success());
}

#[tokio::test]
async fn a_service_manager_that_does_not_read_stops_nothing() {
    let bus = Bus::start();
    let mut service = Service::start(&bus, NO_MODEL);
    service.stop_reading();
    // Reading the configuration again is told before and after: what cannot be told is left untold.
    for _ in 0..3 {
        service.signal(libc::SIGHUP);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    understands_soon(&bus, Duration::from_secs(10)).await;
    service.signal(libc::SIGTERM);
    assert!(service.wait(Duration::from_secs(10)).success());
}

#[tokio::test]
async fn a_bundle_that_is_no_bundle_is_named() {
    for (name, text, part) in [
        ("manifest.toml", "format = 1\nname = [", "manifest.toml"),
        ("manifest.toml", "format = 99\n", "format"),
        ("readme.txt", "nothing", "manifest.toml"),
    ] {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(name), text).unwrap();
        let bus = Bus::start();
        let _service = Service::start(
            &bus,
            &format!("[model]\ndir = \"{}\"\n", dir.path().display()),
        );
        let connection = connect(&bus.address()).await.unwrap();
        let health = VoiceAssistant1Proxy::new(&connection)
            .await
            .unwrap()
            .health()
            .await
            .unwrap();
        let model = String::try_from(health["model"].clone()).unwrap();
        assert!(
            model.contains(part) && model.contains(&dir.path().display().to_string()),
            "{text:?} gave {model:?}"
        );
    }
}

#[tokio::test]
async fn a_changed_file_of_the_bundle_is_found_by_its_hash() {
    let Some(bundle) = speech_bundle("a bundle with a wrong hash") else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    for file in std::fs::read_dir(bundle).unwrap() {
        let file = file.unwrap().path();
        std::fs::copy(&file, dir.path().join(file.file_name().unwrap())).unwrap();
    }
    let phones = dir.path().join("phones.txt");
    let text = std::fs::read_to_string(&phones).unwrap();
    std::fs::write(&phones, text + "XX\n").unwrap();
    let bus = Bus::start();
    let _service = Service::start(
        &bus,
        &format!("[model]\ndir = \"{}\"\n", dir.path().display()),
    );
    let connection = connect(&bus.address()).await.unwrap();
    let health = VoiceAssistant1Proxy::new(&connection)
        .await
        .unwrap()
        .health()
        .await
        .unwrap();
    let model = String::try_from(health["model"].clone()).unwrap();
    assert!(
        model.contains("phones.txt") && model.contains("SHA-256"),
        "{model}"
    );
    assert!(understands(&bus).await.unwrap());
}

#[tokio::test]
async fn with_the_bundle_it_starts_within_its_marks() {
    let Some(bundle) = speech_bundle("start-up time and memory with the model") else {
        return;
    };
    let bus = Bus::start();
    let service = Service::start(&bus, &format!("[model]\ndir = \"{}\"\n", bundle.display()));
    let connection = connect(&bus.address()).await.unwrap();
    let proxy = VoiceAssistant1Proxy::new(&connection).await.unwrap();
    assert_eq!(proxy.state().await.unwrap(), "idle");
    assert!(proxy.backend().await.unwrap().starts_with("fused-"));
    println!(
        "ready after {:?}, {} MB resident",
        service.start_up,
        service.resident() / 1_000_000
    );
    assert!(
        service.resident() <= 120_000_000,
        "{} bytes resident",
        service.resident()
    );
    // Another test may compute beside this one: twice the mark of one second is still no accident.
    assert!(
        service.start_up < Duration::from_secs(2),
        "ready after {:?}",
        service.start_up
    );
}

#[tokio::test]
async fn killed_and_started_again_it_serves_at_once() {
    let bus = Bus::start();
    for _ in 0..3 {
        let mut service = Service::start(&bus, NO_MODEL);
        assert!(understands(&bus).await.unwrap());
        service.signal(libc::SIGKILL);
        assert!(!service.wait(Duration::from_secs(5)).success());
        assert!(
            understands(&bus).await.is_err(),
            "a killed service cannot answer"
        );
    }
    let _service = Service::start(&bus, NO_MODEL);
    assert!(understands(&bus).await.unwrap());
}

#[tokio::test]
async fn it_comes_back_when_the_bus_does_and_forgets_nothing() {
    let mut bus = Bus::start();
    let mut service = Service::start(&bus, NO_MODEL);
    let connection = connect(&bus.address()).await.unwrap();
    let proxy = VoiceAssistant1Proxy::new(&connection).await.unwrap();
    proxy
        .set_entities("contact", &[("c7", &["Zebulon Quartermain"])])
        .await
        .unwrap();
    proxy.set_privacy_mode(true).await.unwrap();
    for _ in 0..2 {
        bus.stop();
        std::thread::sleep(Duration::from_millis(300));
        bus.launch();
        understands_soon(&bus, Duration::from_secs(10)).await;
    }
    let connection = connect(&bus.address()).await.unwrap();
    let proxy = VoiceAssistant1Proxy::new(&connection).await.unwrap();
    assert!(
        !proxy
            .interpret_text("call zebulon quartermain", HashMap::new())
            .await
            .unwrap()
            .is_empty()
    );
    assert!(proxy.privacy_mode().await.unwrap());
    service.signal(libc::SIGTERM);
    assert!(service.wait(Duration::from_secs(5)).success());
}

#[test]
fn a_second_service_on_the_bus_is_refused() {
    let bus = Bus::start();
    let _first = Service::start(&bus, NO_MODEL);
    let mut second = Service::launch(&bus, NO_MODEL, &[]);
    assert_eq!(second.wait(Duration::from_secs(20)).code(), Some(3));
    assert!(
        second.errors().contains("another vocard is running"),
        "{}",
        second.errors()
    );
}

#[test]
fn the_watchdog_is_fed_while_the_worker_turns() {
    let bus = Bus::start();
    // The service manager names the process it watches in WATCHDOG_PID; without it the variable counts for any.
    let mut service = Service::start_with(&bus, NO_MODEL, &[("WATCHDOG_USEC", "2000000")]);
    for _ in 0..3 {
        service.expect("WATCHDOG=1", Duration::from_secs(3));
    }
}

#[test]
fn start_up_is_logged_without_words() {
    let bus = Bus::start();
    let service = Service::start_with(
        &bus,
        NO_MODEL,
        &[
            ("VOCAR_PRIVACY__PRIVATE", "true"),
            ("VOCAR_LOG__LEVEL", "debug"),
        ],
    );
    let address = bus.address();
    let said = vocar_tests::vocar(
        &["say", "call", "the", "police"],
        &[("VOCAR_BUS__ADDRESS", &address)],
    );
    assert!(said.status.code().is_some());
    std::thread::sleep(Duration::from_millis(200));
    let log = service.errors();
    assert!(log.contains("state"), "{log}");
    assert!(
        !log.contains("police"),
        "words in the log of a private service: {log}"
    );
}
