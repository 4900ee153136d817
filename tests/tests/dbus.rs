//! The bus interface of a running service: its shape, its answers, its refusals, and who hears what.

use futures_util::StreamExt;
use std::collections::HashMap;
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;
use vocar_daemon::bus::{NAME, PATH};
use vocar_tests::{Bus, Service, caller, eventually, program, refusal, repository};
use zbus::Variant;

/// Settings of a service that needs no speech bundle.
const NO_MODEL: &str = "[model]\ndir = \"/nonexistent\"\n";

fn children<'a>(interface: &'a zbus_xml::Interface<'a>) -> Vec<String> {
    let args = |args: &[zbus_xml::Arg<'_>]| {
        args.iter()
            .map(|arg| format!("{:?} {} {:?}", arg.name(), arg.ty(), arg.direction()))
            .collect::<Vec<_>>()
            .join(", ")
    };
    let annotations = |annotations: &[zbus_xml::Annotation<'_>]| {
        annotations
            .iter()
            .map(|a| format!("{}={}", a.name(), a.value()))
            .collect::<Vec<_>>()
            .join(", ")
    };
    let mut all: Vec<String> = interface
        .methods()
        .map(|m| format!("method {}({})", m.name(), args(m.args())))
        .chain(
            interface
                .signals()
                .map(|s| format!("signal {}({})", s.name(), args(s.args()))),
        )
        .chain(interface.properties().map(|p| {
            let access = (p.access().read(), p.access().write());
            format!(
                "property {} {} {access:?} [{}]",
                p.name(),
                p.ty(),
                annotations(p.annotations())
            )
        }))
        .collect();
    all.sort();
    all
}

fn ours<'a>(node: &'a zbus_xml::Node<'a>) -> Vec<String> {
    node.interfaces()
        .iter()
        .find(|interface| interface.name() == NAME)
        .map(children)
        .expect("the interface")
}

#[tokio::test]
async fn the_shipped_xml_is_what_the_service_says() {
    let bus = Bus::start();
    let _service = Service::start(&bus, NO_MODEL);
    let (connection, _) = caller(&bus).await;
    let introspectable = zbus::fdo::IntrospectableProxy::builder(&connection)
        .destination(NAME)
        .path(PATH)
        .build()
        .await
        .unwrap();
    let said = introspectable.introspect().await.unwrap();
    let running = zbus_xml::Node::from_reader(said.as_bytes()).unwrap();
    let file = std::fs::File::open(repository().join("daemon/dbus/org.vocar.VoiceAssistant1.xml"))
        .unwrap();
    let shipped = zbus_xml::Node::from_reader(file).unwrap();
    assert!(ours(&shipped).len() > 20);
    assert_eq!(ours(&shipped), ours(&running));
}

#[tokio::test]
async fn texts_are_understood_and_announced() {
    let bus = Bus::start();
    let _service = Service::start(&bus, NO_MODEL);
    let (_connection, service) = caller(&bus).await;
    let mut intents = service.receive_intent_recognized().await.unwrap();
    let readings = service
        .interpret_text("set the temperature to 21 degrees", HashMap::new())
        .await
        .unwrap();
    assert_eq!(
        String::try_from(readings[0]["name"].clone()).unwrap(),
        "climate.set_temperature"
    );
    let signal = tokio::time::timeout(Duration::from_secs(5), intents.next())
        .await
        .unwrap()
        .unwrap();
    let args = signal.args().unwrap();
    assert_eq!(
        (*args.session(), *args.domain(), *args.name()),
        (0, "car", "climate.set_temperature")
    );
    assert!(
        args.slots().contains_key("temperature"),
        "{:?}",
        args.slots()
    );
    assert!(
        !args.details().contains_key("text"),
        "a broadcast signal must not carry what was said"
    );

    let quiet = HashMap::from([("announce", Variant::from(false))]);
    assert!(
        !service
            .interpret_text("open the driver window", quiet)
            .await
            .unwrap()
            .is_empty()
    );
    assert!(
        service
            .interpret_text("the weather was fine in june", HashMap::new())
            .await
            .unwrap()
            .is_empty()
    );
    let next = tokio::time::timeout(Duration::from_millis(300), intents.next()).await;
    assert!(
        next.is_err(),
        "a text that was not announced, or is no command, was signalled"
    );
}

#[tokio::test]
async fn every_wrong_call_gets_a_typed_error() {
    let bus = Bus::start();
    let _service = Service::start(&bus, NO_MODEL);
    let (connection, service) = caller(&bus).await;
    let error = |name: &str| format!("org.vocar.Error.{name}");

    let (name, text) = refusal(service.start_listening(HashMap::new()).await);
    assert_eq!(name, error("Unavailable"));
    assert!(text.contains("/nonexistent"), "{text}");
    let (name, text) = refusal(
        service
            .start_listening(HashMap::from([("mood", "good".into())]))
            .await,
    );
    assert_eq!(name, error("InvalidArgument"));
    assert!(text.contains("mood") && text.contains("\"mode\""), "{text}");
    assert_eq!(refusal(service.stop(77).await).0, error("UnknownSession"));
    assert_eq!(refusal(service.cancel(77).await).0, error("UnknownSession"));
    assert_eq!(
        refusal(service.confirm(0, true).await).0,
        error("NothingToConfirm")
    );
    assert_eq!(
        refusal(service.confirm(5, true).await).0,
        error("UnknownSession")
    );
    assert_eq!(
        refusal(service.interpret_text("  ", HashMap::new()).await).0,
        error("InvalidArgument")
    );
    assert_eq!(
        refusal(
            service
                .interpret_text(&"a ".repeat(9000), HashMap::new())
                .await
        )
        .0,
        error("InvalidArgument")
    );
    let (name, text) = refusal(service.set_entities("dragons", &[("1", &["smaug"])]).await);
    assert_eq!(name, error("UnknownList"));
    assert!(
        text.contains("dragons") && text.contains("contact"),
        "{text}"
    );
    assert_eq!(
        refusal(service.set_entities("contact", &[("1", &[" "])]).await).0,
        error("InvalidArgument")
    );
    assert_eq!(
        refusal(service.enable_domain("boat").await).0,
        error("UnknownDomain")
    );
    let (name, text) = refusal(service.load_adapter("x", HashMap::new()).await);
    assert_eq!(name, error("Unavailable"));
    assert!(text.contains("model.understanding"), "{text}");
    assert_eq!(
        refusal(service.unload_adapter("x").await).0,
        error("Unavailable")
    );

    let call = |member: &'static str| {
        let connection = connection.clone();
        async move {
            connection
                .call_method(Some(NAME), PATH, Some(NAME), member, &(1_u32,))
                .await
        }
    };
    assert_eq!(
        refusal(call("InterpretText").await).0,
        "org.freedesktop.DBus.Error.InvalidArgs"
    );
    assert_eq!(
        refusal(call("Stop").await).0,
        "org.freedesktop.DBus.Error.InvalidArgs"
    );
    assert_eq!(
        refusal(call("MakeCoffee").await).0,
        "org.freedesktop.DBus.Error.UnknownMethod"
    );
    let elsewhere = connection
        .call_method(Some(NAME), "/elsewhere", Some(NAME), "Reload", &())
        .await;
    assert_eq!(
        refusal(elsewhere).0,
        "org.freedesktop.DBus.Error.UnknownObject"
    );
    assert_eq!(
        service.state().await.unwrap(),
        "unavailable",
        "the service must survive all of this"
    );
}

#[tokio::test]
async fn properties_tell_and_signal_their_changes() {
    let bus = Bus::start();
    let _service = Service::start(&bus, NO_MODEL);
    let (connection, service) = caller(&bus).await;
    assert_eq!(service.domains().await.unwrap(), ["car"]);
    assert_eq!(service.backend().await.unwrap(), "none");
    assert!(!service.profile().await.unwrap().is_empty());
    assert_eq!(service.version().await.unwrap(), env!("CARGO_PKG_VERSION"));
    let health = service.health().await.unwrap();
    assert_eq!(String::try_from(health["bus"].clone()).unwrap(), "ok");
    assert!(
        String::try_from(health["model"].clone())
            .unwrap()
            .contains("/nonexistent")
    );

    let properties = zbus::fdo::PropertiesProxy::builder(&connection)
        .destination(NAME)
        .path(PATH)
        .build()
        .await
        .unwrap();
    let mut changes = properties.receive_properties_changed().await.unwrap();
    service.set_privacy_mode(true).await.unwrap();
    assert!(service.privacy_mode().await.unwrap());
    let change = tokio::time::timeout(Duration::from_secs(5), changes.next())
        .await
        .unwrap()
        .unwrap();
    assert!(
        change
            .args()
            .unwrap()
            .changed_properties()
            .contains_key("PrivacyMode")
    );
    service.disable_domain("car").await.unwrap();
    let change = tokio::time::timeout(Duration::from_secs(5), changes.next())
        .await
        .unwrap()
        .unwrap();
    assert!(
        change
            .args()
            .unwrap()
            .changed_properties()
            .contains_key("Domains")
    );
    assert!(
        service
            .interpret_text("open the driver window", HashMap::new())
            .await
            .unwrap()
            .is_empty()
    );
    service.enable_domain("car").await.unwrap();
    assert!(
        !service
            .interpret_text("open the driver window", HashMap::new())
            .await
            .unwrap()
            .is_empty()
    );
}

#[tokio::test]
async fn injected_entities_are_understood_at_once() {
    let bus = Bus::start();
    let _service = Service::start(&bus, NO_MODEL);
    let (_connection, service) = caller(&bus).await;
    let call = || service.interpret_text("call zebulon quartermain", HashMap::new());
    assert!(call().await.unwrap().is_empty());
    service
        .set_entities("contact", &[("c7", &["Zebulon Quartermain"])])
        .await
        .unwrap();
    let readings = call().await.unwrap();
    assert_eq!(
        String::try_from(readings[0]["name"].clone()).unwrap(),
        "phone.call"
    );
    service.set_entities("contact", &[]).await.unwrap();
    assert!(call().await.unwrap().is_empty());
}

/// `vocar monitor --json` as a separate process, its lines as JSON.
struct Monitor {
    child: Child,
    lines: BufReader<ChildStdout>,
}

impl Monitor {
    fn start(bus: &Bus, arguments: &[&str]) -> Self {
        let mut child = Command::new(program("vocar"))
            .args(["monitor", "--json"])
            .args(arguments)
            .env("VOCAR_BUS__ADDRESS", bus.address())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap());
        Self { child, lines }
    }

    fn next(&mut self) -> serde_json::Value {
        let mut line = String::new();
        assert_ne!(
            self.lines.read_line(&mut line).unwrap(),
            0,
            "the subscriber ended"
        );
        serde_json::from_str(&line).unwrap()
    }

    fn until(&mut self, signal: &str) -> serde_json::Value {
        loop {
            let line = self.next();
            if line["signal"] == signal {
                return line;
            }
        }
    }
}

impl Drop for Monitor {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

#[tokio::test]
async fn another_process_receives_each_intent_once_and_in_order() {
    let bus = Bus::start();
    let _service = Service::start(&bus, NO_MODEL);
    let (_connection, service) = caller(&bus).await;
    let said = [
        ("open the driver window", "window.open"),
        (
            "set the temperature to 19 degrees",
            "climate.set_temperature",
        ),
        ("turn on the radio", "media.set_source"),
    ];
    let mut monitor = Monitor::start(&bus, &["--intents", "3"]);
    monitor.until("Connected");
    for (text, _) in said {
        service.interpret_text(text, HashMap::new()).await.unwrap();
    }
    for (text, name) in said {
        assert_eq!(monitor.until("IntentRecognized")["name"], name, "{text}");
    }
    let status = eventually("the end of the subscriber", Duration::from_secs(5), || {
        monitor.child.try_wait().unwrap()
    });
    assert!(status.success());
}

#[tokio::test]
async fn a_subscriber_survives_the_service() {
    let bus = Bus::start();
    let service = Service::start(&bus, NO_MODEL);
    let mut monitor = Monitor::start(&bus, &[]);
    monitor.until("Connected");
    drop(service);
    monitor.until("Disconnected");
    let _service = Service::start(&bus, NO_MODEL);
    monitor.until("Connected");
    let (_connection, service) = caller(&bus).await;
    service
        .interpret_text("turn on the radio", HashMap::new())
        .await
        .unwrap();
    assert_eq!(
        monitor.until("IntentRecognized")["name"],
        "media.set_source"
    );
}

/// Runs `vocar` as user and group nobody; `None`, with a line, when this process may not become another.
fn as_nobody(bus: &Bus, arguments: &[&str]) -> Option<std::process::Output> {
    // SAFETY: geteuid has no preconditions and cannot fail.
    if unsafe { libc::geteuid() } != 0 {
        eprintln!(
            "SKIPPED: refusing callers without permission: only root can call as somebody else"
        );
        return None;
    }
    let mut command = Command::new(program("vocar"));
    command
        .args(arguments)
        .env("VOCAR_BUS__ADDRESS", bus.address())
        .current_dir("/")
        .uid(65_534)
        .gid(65_534);
    match command.output() {
        Ok(output) => Some(output),
        Err(error) => {
            eprintln!(
                "SKIPPED: refusing callers without permission: nobody cannot run the program: {error}"
            );
            None
        }
    }
}

#[test]
fn the_shipped_policy_keeps_strangers_out() {
    let policy = repository().join("systemd/org.vocar.VoiceAssistant1.conf");
    let bus = Bus::with_policy(&policy);
    let _service = Service::start(&bus, NO_MODEL);
    let environment = [("VOCAR_BUS__ADDRESS", bus.address())];
    let environment: Vec<(&str, &str)> =
        environment.iter().map(|(k, v)| (*k, v.as_str())).collect();
    assert!(
        vocar_tests::vocar(&["say", "turn on the radio"], &environment)
            .status
            .success(),
        "root may"
    );

    for refused in [&["say", "turn on the radio"][..], &["listen"], &["monitor"]] {
        let Some(output) = as_nobody(&bus, refused) else {
            return;
        };
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(6), "{refused:?}: {errors}");
        assert!(errors.contains("AccessDenied"), "{refused:?}: {errors}");
    }
    let Some(status) = as_nobody(&bus, &["status", "--json"]) else {
        return;
    };
    assert!(
        status.status.success(),
        "anybody may look: {}",
        String::from_utf8_lossy(&status.stderr)
    );
}

#[tokio::test]
async fn the_shipped_policy_keeps_intents_from_strangers() {
    let policy = repository().join("systemd/org.vocar.VoiceAssistant1.conf");
    let bus = Bus::with_policy(&policy);
    let _service = Service::start(&bus, NO_MODEL);
    let Some(mut stranger) = Watcher::as_nobody(&bus) else {
        return;
    };
    let (_connection, service) = caller(&bus).await;
    // It says that it watches before the bus knows of it: only once it has seen something does it see all.
    let watching = tokio::task::spawn_blocking(move || {
        stranger.until("PrivacyMode");
        stranger
    });
    let mut private = false;
    while !watching.is_finished() {
        private = !private;
        service.set_privacy_mode(private).await.unwrap();
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let mut stranger = watching.await.unwrap();
    let mut intents = service.receive_intent_recognized().await.unwrap();
    service
        .interpret_text("open the driver window", HashMap::new())
        .await
        .unwrap();
    tokio::time::timeout(Duration::from_secs(5), intents.next())
        .await
        .expect("root receives the intent");
    // The bus delivers in order: what comes after the intent shows that it was not sent.
    service.disable_domain("car").await.unwrap();
    let seen = stranger.until("Domains");
    assert!(!seen.contains("IntentRecognized"), "{seen}");
}

/// A user without any group who watches all signals of the assistant.
struct Watcher {
    child: Child,
    lines: BufReader<ChildStdout>,
}

impl Watcher {
    /// Starts to watch as user and group nobody; `None`, with a line, when this process may not become another or there
    /// is no `gdbus`.
    fn as_nobody(bus: &Bus) -> Option<Self> {
        // SAFETY: geteuid has no preconditions and cannot fail.
        if unsafe { libc::geteuid() } != 0 {
            eprintln!("SKIPPED: intents and strangers: only root can listen as somebody else");
            return None;
        }
        let child = Command::new("gdbus")
            .args(["monitor", "--address", &bus.address(), "--dest", NAME])
            .current_dir("/")
            .uid(65_534)
            .gid(65_534)
            .stdout(Stdio::piped())
            .spawn();
        let Ok(mut child) = child else {
            eprintln!("SKIPPED: intents and strangers: gdbus is missing (package libglib2.0-bin)");
            return None;
        };
        let lines = BufReader::new(child.stdout.take()?);
        let mut watcher = Self { child, lines };
        watcher.until("is owned by");
        Some(watcher)
    }

    /// Everything up to the line that holds `text`.
    fn until(&mut self, text: &str) -> String {
        let mut seen = String::new();
        while !seen.contains(text) {
            let read = self.lines.read_line(&mut seen).unwrap();
            assert!(read > 0, "gdbus ended before {text:?}: {seen}");
        }
        seen
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

#[test]
fn the_service_itself_refuses_transcripts_to_strangers() {
    let bus = Bus::start();
    let _service = Service::start(&bus, NO_MODEL);
    let Some(output) = as_nobody(&bus, &["monitor"]) else {
        return;
    };
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(6), "{errors}");
    assert!(
        errors.contains("org.vocar.Error.AccessDenied") && errors.contains("vocar-transcripts"),
        "{errors}"
    );
}
