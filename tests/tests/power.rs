//! The hardware profile and the power level of a running service.

use futures_util::StreamExt;
use std::collections::HashMap;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};
use vocar_daemon::bus::{NAME, PATH, VoiceAssistant1Proxy, connect};
use vocar_tests::{Bus, Service, repository};
use zbus::{Connection, Variant};

const NO_MODEL: &str = "[model]\ndir = \"/nonexistent\"\n";
/// Readings are taken every three seconds.
const LIMIT: Duration = Duration::from_secs(15);

async fn proxy(bus: &Bus) -> (Connection, VoiceAssistant1Proxy<'static>) {
    let connection = connect(&bus.address()).await.unwrap();
    let proxy = VoiceAssistant1Proxy::builder(&connection)
        .cache_properties(zbus::proxy::CacheProperties::No)
        .build()
        .await
        .unwrap();
    (connection, proxy)
}

/// A machine that can be heated: a copy of a fixture.
fn machine(name: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let copied = Command::new("cp")
        .arg("-r")
        .arg(repository().join("tests/machines").join(name).join("."))
        .arg(dir.path())
        .status()
        .unwrap();
    assert!(copied.success());
    dir
}

fn heat(machine: &Path, celsius: u32) {
    let zone = machine.join("sys/class/thermal/thermal_zone0/temp");
    assert!(zone.exists());
    std::fs::write(zone, format!("{celsius}000\n")).unwrap();
}

async fn level_becomes(service: &VoiceAssistant1Proxy<'_>, wanted: &str) {
    let begin = Instant::now();
    loop {
        let level = service.power_level().await.unwrap();
        if level == wanted {
            return;
        }
        assert!(begin.elapsed() < LIMIT, "it stays at {level}, not {wanted}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn refusal(service: &VoiceAssistant1Proxy<'_>, mode: &'static str) -> String {
    let options = HashMap::from([("mode", Variant::from(mode))]);
    service
        .start_listening(options)
        .await
        .unwrap_err()
        .to_string()
}

async fn health(service: &VoiceAssistant1Proxy<'_>) -> String {
    String::try_from(service.health().await.unwrap()["power"].clone()).unwrap()
}

#[tokio::test]
async fn a_hot_machine_listens_less() {
    let machine = machine("sa8155p");
    let bus = Bus::start();
    let sysroot = machine.path().to_str().unwrap();
    let service = Service::start_with(
        &bus,
        NO_MODEL,
        &[
            ("VOCAR_HARDWARE__SYSROOT", sysroot),
            ("VOCAR_HARDWARE__POWER_LEVEL", "auto"),
        ],
    );
    let (connection, assistant) = proxy(&bus).await;
    assert_eq!(assistant.profile().await.unwrap(), "sa8155p");
    level_becomes(&assistant, "balanced").await;
    assert_eq!(health(&assistant).await, "ok");
    let refused = refusal(&assistant, "open-mic").await;
    assert!(refused.contains("org.vocar.Error.Unavailable"), "{refused}");

    let properties = zbus::fdo::PropertiesProxy::builder(&connection)
        .destination(NAME)
        .path(PATH)
        .build()
        .await
        .unwrap();
    let mut changes = properties.receive_properties_changed().await.unwrap();
    heat(machine.path(), 97);
    level_becomes(&assistant, "saver").await;
    let mut announced = false;
    while !announced {
        let change = tokio::time::timeout(LIMIT, changes.next())
            .await
            .expect("PropertiesChanged for PowerLevel")
            .unwrap();
        announced = change
            .args()
            .unwrap()
            .changed_properties()
            .contains_key("PowerLevel");
    }
    let refused = refusal(&assistant, "open-mic").await;
    assert!(
        refused.contains("org.vocar.Error.PowerLimited") && refused.contains("97 °C"),
        "{refused}"
    );
    let refused = refusal(&assistant, "wake").await;
    assert!(refused.contains("org.vocar.Error.Unavailable"), "{refused}");

    heat(machine.path(), 108);
    level_becomes(&assistant, "critical").await;
    let refused = refusal(&assistant, "wake").await;
    assert!(
        refused.contains("org.vocar.Error.PowerLimited"),
        "{refused}"
    );
    let refused = refusal(&assistant, "push-to-talk").await;
    assert!(refused.contains("org.vocar.Error.Unavailable"), "{refused}");
    let said = health(&assistant).await;
    assert!(
        said.contains("push-to-talk only") && said.contains("108 °C"),
        "{said}"
    );
    let log = service.errors();
    assert!(
        log.contains("critical") && log.contains("108 °C"),
        "the log does not say why: {log}"
    );
}

#[tokio::test]
async fn profile_and_level_can_be_named_and_changed_while_running() {
    let machine = machine("sa8155p");
    let configuration = |profile: &str, level: &str| {
        format!(
            "{NO_MODEL}[hardware]\nprofile = \"{profile}\"\npower_level = \"{level}\"\nsysroot = \"{}\"\n",
            machine.path().display()
        )
    };
    heat(machine.path(), 108);
    let bus = Bus::start();
    let service = Service::start_with(
        &bus,
        &configuration("raspberry-pi-4", "performance"),
        &[("VOCAR_HARDWARE__POWER_LEVEL", "performance")],
    );
    let (_connection, assistant) = proxy(&bus).await;
    assert_eq!(assistant.profile().await.unwrap(), "raspberry-pi-4");
    level_becomes(&assistant, "performance").await;
    tokio::time::sleep(Duration::from_millis(3500)).await;
    assert_eq!(
        assistant.power_level().await.unwrap(),
        "performance",
        "a level that was named does not follow the readings"
    );
    service.configure(&configuration("auto", "performance"));
    assistant.reload().await.unwrap();
    assert_eq!(assistant.profile().await.unwrap(), "sa8155p");
    service.configure(&configuration("toaster", "performance"));
    let refused = assistant.reload().await.unwrap_err().to_string();
    assert!(
        refused.contains("hardware.profile") && refused.contains("imx8qm"),
        "{refused}"
    );
    assert_eq!(assistant.profile().await.unwrap(), "sa8155p");
}
