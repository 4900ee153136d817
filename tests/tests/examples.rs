//! The example subscribers, built and run as an integrator would: on a bus with a service that recognises commands.

use serde_json::{Value, json};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;
use vocar_tests::{Bus, Service, eventually, repository, vocar};

/// Settings of a service that needs no speech bundle: commands come as text.
const NO_MODEL: &str = "[model]\ndir = \"/nonexistent\"\n";

/// A subscriber that writes a line of JSON for each intent.
struct Subscriber {
    child: Child,
    dir: TempDir,
}

impl Subscriber {
    /// Starts `command` on `bus` and waits until it listens.
    fn start(mut command: Command, bus: &Bus) -> Self {
        let dir = TempDir::new().unwrap();
        let file = |name: &str| File::create(dir.path().join(name)).unwrap();
        let child = command
            .env("DBUS_SYSTEM_BUS_ADDRESS", bus.address())
            .stdin(Stdio::null())
            .stdout(file("out"))
            .stderr(file("errors"))
            .spawn()
            .unwrap();
        let subscriber = Self { child, dir };
        subscriber.listens(1);
        subscriber
    }

    fn text(&self, name: &str) -> String {
        std::fs::read_to_string(self.dir.path().join(name)).unwrap()
    }

    /// Waits until it has begun to listen so many times.
    fn listens(&self, times: usize) {
        eventually("the subscriber listens", Duration::from_secs(10), || {
            (self.text("errors").matches("listening").count() >= times).then_some(())
        });
    }

    /// The intent number `index`, as soon as it is there.
    fn intent(&self, index: usize) -> Value {
        eventually("an intent", Duration::from_secs(10), || {
            let text = self.text("out");
            let line = text.lines().nth(index)?;
            // A line that is not whole yet is read again.
            serde_json::from_str(line).ok()
        })
    }
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// The C example, built by its own Makefile; `None`, with a line, where compiler or library are missing.
fn built_in_c(dir: &Path) -> Option<PathBuf> {
    let source = repository().join("examples/sd-bus");
    for name in ["Makefile", "subscriber.c"] {
        std::fs::copy(source.join(name), dir.join(name)).unwrap();
    }
    let headers = Command::new("pkg-config")
        .args(["--exists", "libsystemd"])
        .status();
    if !headers.is_ok_and(|status| status.success()) {
        eprintln!(
            "SKIPPED: the subscriber in C: install the packages pkg-config and libsystemd-dev"
        );
        return None;
    }
    let make = Command::new("make").arg("-C").arg(dir).output();
    let Ok(make) = make else {
        eprintln!("SKIPPED: the subscriber in C: install the package make");
        return None;
    };
    assert!(
        make.status.success(),
        "{}",
        String::from_utf8_lossy(&make.stderr)
    );
    Some(dir.join("subscriber"))
}

/// A Python that has dbus-next; `None`, with a line, where there is none.
fn python() -> Option<&'static str> {
    let found = ["python3", "/usr/bin/python3"].into_iter().find(|python| {
        Command::new(python)
            .args(["-c", "import dbus_next"])
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success())
    });
    if found.is_none() {
        eprintln!("SKIPPED: the subscriber in Python: install the package python3-dbus-next");
    }
    found
}

fn say(bus: &Bus, text: &str) {
    let address = bus.address();
    let output = vocar(&["say", text], &[("VOCAR_BUS__ADDRESS", &address)]);
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// An intent with slots of every shape arrives whole, also after the bus was away.
fn hears(command: Command) -> Vec<Value> {
    let mut bus = Bus::start();
    let service = Service::start(&bus, NO_MODEL);
    let subscriber = Subscriber::start(command, &bus);
    say(&bus, "set the temperature to 21 degrees");
    let first = subscriber.intent(0);
    drop(service);
    bus.stop();
    bus.launch();
    let _service = Service::start(&bus, NO_MODEL);
    subscriber.listens(2);
    say(&bus, "open the driver window");
    vec![first, subscriber.intent(1)]
}

fn expect(intents: &[Value]) {
    let [temperature, window] = intents else {
        panic!("two intents, not {intents:?}");
    };
    assert_eq!(temperature["name"], "climate.set_temperature");
    assert_eq!(
        temperature["slots"],
        json!({"temperature": {"temperature": {"degrees": 21.0, "unit": "celsius"}}})
    );
    assert_eq!(window["name"], "window.open");
    assert_eq!(window["slots"], json!({"zone": {"zone": "driver"}}));
    assert_eq!(window["domain"], "car");
}

#[test]
fn the_subscriber_in_c_hears_intents() {
    let dir = TempDir::new().unwrap();
    let Some(program) = built_in_c(dir.path()) else {
        return;
    };
    expect(&hears(Command::new(program)));
}

#[test]
fn the_subscriber_in_python_hears_intents_and_names_the_signal() {
    let Some(python) = python() else {
        return;
    };
    let mut command = Command::new(python);
    command
        .arg("-B")
        .arg(repository().join("examples/agl/subscriber.py"));
    let intents = hears(command);
    expect(&intents);
    let set = intents[0]["set"].as_object().expect("a signal");
    assert!(
        set.iter()
            .all(|(path, value)| path.starts_with("Vehicle.") && value == 21.0),
        "{set:?}"
    );
}
