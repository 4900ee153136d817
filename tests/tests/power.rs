//! The hardware profile and the power level of a running service.

use futures_util::StreamExt;
use std::collections::HashMap;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use vocar_daemon::bus::{NAME, PATH, VoiceAssistant1Proxy};
use vocar_tests::{Bus, Service, caller, repository};
use zbus::{Connection, Variant};

const NO_MODEL: &str = "[model]\ndir = \"/nonexistent\"\n";
/// Readings are taken every three seconds.
const LIMIT: Duration = Duration::from_secs(15);

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
    let (connection, assistant) = caller(&bus).await;
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
    let (_connection, assistant) = caller(&bus).await;
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

/// Stands in for logind: hands out locks and tells when the machine goes.
#[derive(Clone, Default)]
struct Logind {
    /// Our ends of the locks, with what was asked for.
    locks: Arc<Mutex<Vec<(UnixStream, String)>>>,
}

#[zbus::interface(name = "org.freedesktop.login1.Manager")]
impl Logind {
    async fn inhibit(&self, what: String, who: String, why: String, mode: String) -> zbus::OwnedFd {
        let (ours, theirs) = UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        assert!(!who.is_empty() && !why.is_empty());
        self.locks
            .lock()
            .unwrap()
            .push((ours, format!("{what} {mode}")));
        std::os::fd::OwnedFd::from(theirs).into()
    }

    #[zbus(signal)]
    async fn prepare_for_sleep(
        emitter: &zbus::object_server::SignalEmitter<'_>,
        start: bool,
    ) -> zbus::Result<()>;

    #[zbus(signal)]
    async fn prepare_for_shutdown(
        emitter: &zbus::object_server::SignalEmitter<'_>,
        start: bool,
    ) -> zbus::Result<()>;
}

impl Logind {
    const PATH: &str = "/org/freedesktop/login1";

    async fn start(bus: &Bus) -> (Self, Connection) {
        let logind = Self::default();
        let address = bus.address();
        let connection = zbus::connection::Builder::address(address.as_str())
            .serve_at(Self::PATH, logind.clone())
            .name("org.freedesktop.login1")
            .build()
            .await
            .unwrap();
        (logind, connection)
    }

    /// Waits for the lock of that number; returns what it is for.
    async fn lock(&self, number: usize) -> String {
        let begin = Instant::now();
        loop {
            if let Some((_, what)) = self.locks.lock().unwrap().get(number) {
                return what.clone();
            }
            assert!(begin.elapsed() < LIMIT, "lock {number} was never taken");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Whether the lock of that number is still held.
    fn is_held(&self, number: usize) -> bool {
        use std::io::Read;
        let locks = self.locks.lock().unwrap();
        let mut byte = [0];
        !matches!((&locks[number].0).read(&mut byte), Ok(0))
    }

    async fn released(&self, number: usize) {
        let begin = Instant::now();
        while self.is_held(number) {
            assert!(begin.elapsed() < LIMIT, "lock {number} is never released");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

#[tokio::test]
async fn nothing_is_listened_to_while_the_machine_sleeps_or_ends() {
    let bus = Bus::start();
    let (logind, connection) = Logind::start(&bus).await;
    let emitter = zbus::object_server::SignalEmitter::new(&connection, Logind::PATH).unwrap();
    for power_level in ["balanced", "auto"] {
        let first = logind.locks.lock().unwrap().len();
        let machine = machine("sa8155p");
        let service = Service::start_with(
            &bus,
            NO_MODEL,
            &[
                ("VOCAR_HARDWARE__POWER_LEVEL", power_level),
                ("VOCAR_HARDWARE__SYSROOT", machine.path().to_str().unwrap()),
            ],
        );
        let (_ours, assistant) = caller(&bus).await;
        assert_eq!(logind.lock(first).await, "sleep:shutdown delay");
        level_becomes(&assistant, "balanced").await;
        for (number, shutdown) in [(first, false), (first + 1, true)] {
            assert!(logind.is_held(number));
            let tell = async |start: bool| {
                if shutdown {
                    Logind::prepare_for_shutdown(&emitter, start).await.unwrap();
                } else {
                    Logind::prepare_for_sleep(&emitter, start).await.unwrap();
                }
            };
            tell(true).await;
            level_becomes(&assistant, "paused").await;
            let refused = refusal(&assistant, "push-to-talk").await;
            assert!(refused.contains("PowerLimited"), "{refused}");
            let why = if shutdown { "shut down" } else { "suspended" };
            assert!(refused.contains(why), "{refused}");
            logind.released(number).await;
            tell(false).await;
            let begin = Instant::now();
            level_becomes(&assistant, "balanced").await;
            assert!(begin.elapsed() < Duration::from_secs(2), "it wakes slowly");
            logind.lock(number + 1).await;
        }
        drop(service);
    }
}

/// A battery that `UPower` alone knows of.
struct UPower {
    on_battery: bool,
}

#[zbus::interface(name = "org.freedesktop.UPower")]
impl UPower {
    #[zbus(property)]
    async fn on_battery(&self) -> bool {
        self.on_battery
    }
}

struct Battery;

#[zbus::interface(name = "org.freedesktop.UPower.Device")]
impl Battery {
    #[zbus(property)]
    async fn percentage(&self) -> f64 {
        7.0
    }
}

#[tokio::test]
async fn a_battery_that_only_upower_knows_is_spared() {
    let (bus, machine) = (Bus::start(), machine("sa8155p"));
    let address = bus.address();
    let connection = zbus::connection::Builder::address(address.as_str())
        .serve_at("/org/freedesktop/UPower", UPower { on_battery: false })
        .serve_at("/org/freedesktop/UPower/devices/DisplayDevice", Battery)
        .name("org.freedesktop.UPower")
        .build()
        .await
        .unwrap();
    let _service = Service::start_with(
        &bus,
        NO_MODEL,
        &[
            ("VOCAR_HARDWARE__POWER_LEVEL", "auto"),
            ("VOCAR_HARDWARE__SYSROOT", machine.path().to_str().unwrap()),
        ],
    );
    let (_ours, assistant) = caller(&bus).await;
    level_becomes(&assistant, "balanced").await;
    let server = connection.object_server();
    let interface = server
        .interface::<_, UPower>("/org/freedesktop/UPower")
        .await
        .unwrap();
    interface.get_mut().await.on_battery = true;
    interface
        .get()
        .await
        .on_battery_changed(interface.signal_emitter())
        .await
        .unwrap();
    level_becomes(&assistant, "critical").await;
    let said = health(&assistant).await;
    assert!(said.contains("battery with 7 % left"), "{said}");
}

/// The bridge of `examples/kuksa` with lines in place of a databroker: its side of the bus is the real one.
#[tokio::test]
async fn a_bridge_tells_of_the_vehicle_for_as_long_as_it_runs() {
    use std::io::Write;
    let python = std::env::var("VOCAR_PYTHON").unwrap_or_else(|_| "python3".into());
    let can = Command::new(&python)
        .args(["-c", "import dbus_fast"])
        .output();
    if !can.is_ok_and(|can| can.status.success()) {
        eprintln!(
            "SKIPPED: the bridge to KUKSA: {python} has no dbus_fast (pip install dbus-fast; VOCAR_PYTHON)"
        );
        return;
    }
    let (bus, machine) = (Bus::start(), machine("sa8155p"));
    let sysroot = machine.path().to_str().unwrap();
    let service = Service::start_with(
        &bus,
        NO_MODEL,
        &[
            ("VOCAR_HARDWARE__SYSROOT", sysroot),
            ("VOCAR_HARDWARE__POWER_LEVEL", "auto"),
        ],
    );
    let (_connection, assistant) = caller(&bus).await;
    level_becomes(&assistant, "balanced").await;
    let mut bridge = Command::new(&python)
        .arg(repository().join("examples/kuksa/vocar_kuksa.py"))
        .args(["--stdin", "--bus", &bus.address()])
        .stdin(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = bridge.stdin.take().unwrap();
    for (line, level) in [
        ("Vehicle.LowVoltageSystemState LOCK", "paused"),
        ("Vehicle.LowVoltageSystemState ON", "balanced"),
        ("Vehicle.Speed 50", "balanced"),
        (
            "Vehicle.Cabin.Infotainment.PowerOptimizeLevel 400",
            "balanced",
        ),
        (
            "Vehicle.Cabin.Infotainment.PowerOptimizeLevel 8",
            "critical",
        ),
    ] {
        writeln!(lines, "{line}").unwrap();
        level_becomes(&assistant, level).await;
    }
    assert!(service.errors().contains("PowerOptimizeLevel 8 of 10"));
    drop(lines);
    bridge.wait().unwrap();
    level_becomes(&assistant, "balanced").await;
}
