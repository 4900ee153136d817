//! Domains as people and hosts handle them: on the command line, and over the bus while the service runs.

use serde_json::Value;
use std::collections::HashMap;
use std::path::Path;
use vocar_daemon::bus::{VoiceAssistant1Proxy, connect};
use vocar_tests::{Bus, Service, repository, vocar};

/// A domain whose only template stands on line 4.
fn write_domain(folder: &Path, name: &str, template: &str) {
    std::fs::create_dir_all(folder).unwrap();
    let text = format!(
        "name = \"{name}\"\n[[intents]]\nname = \"{name}.go\"\ntemplates = [\"{template}\"]\ntarget = \"{name}/go\"\n"
    );
    std::fs::write(folder.join("domain.toml"), text).unwrap();
}

async fn proxy(bus: &Bus) -> VoiceAssistant1Proxy<'static> {
    let connection = connect(&bus.address()).await.unwrap();
    VoiceAssistant1Proxy::builder(&connection)
        .cache_properties(zbus::proxy::CacheProperties::No)
        .build()
        .await
        .unwrap()
}

/// Name and text of the error that a call ends with.
fn refusal(result: zbus::Result<()>) -> (String, String) {
    match result {
        Err(zbus::Error::MethodError(name, text, _)) => {
            (name.to_string(), text.unwrap_or_default())
        }
        other => panic!("not refused: {other:?}"),
    }
}

/// Target of what a text means, if it means anything.
async fn target(service: &VoiceAssistant1Proxy<'_>, text: &str) -> Option<String> {
    let readings = service.interpret_text(text, HashMap::new()).await.unwrap();
    let best = readings.into_iter().next()?;
    best.get("target")
        .map(|target| String::try_from(target.clone()).unwrap())
        .or(Some(String::new()))
}

#[tokio::test]
async fn a_domain_is_added_mended_changed_and_taken_away_while_the_service_runs() {
    let folder = tempfile::tempdir().unwrap();
    let lamp = folder.path().join("lamp");
    let bus = Bus::start();
    let config = format!(
        "[model]\ndir = \"/nonexistent\"\n[domains]\ndirs = [{:?}]\n",
        folder.path()
    );
    let _service = Service::start(&bus, &config);
    let service = proxy(&bus).await;
    assert_eq!(service.domains().await.unwrap(), ["car"]);
    let (name, _) = refusal(service.enable_domain("lamp").await);
    assert_eq!(name, "org.vocar.Error.UnknownDomain");

    write_domain(&lamp, "lamp", "light (the lamp");
    let (name, text) = refusal(service.enable_domain("lamp").await);
    assert_eq!(name, "org.vocar.Error.InvalidDomain");
    assert!(
        text.contains("lamp/domain.toml:4: intents.lamp.go.templates[0]"),
        "{text}"
    );
    assert!(text.contains("add the closing ')'"), "{text}");
    assert_eq!(service.domains().await.unwrap(), ["car"]);
    assert!(target(&service, "open the driver window").await.is_some());

    write_domain(&lamp, "lamp", "light (the|my) lamp");
    service.enable_domain("lamp").await.unwrap();
    assert_eq!(service.domains().await.unwrap(), ["car", "lamp"]);
    assert_eq!(
        target(&service, "light my lamp").await.as_deref(),
        Some("lamp/go")
    );
    assert!(target(&service, "open the driver window").await.is_some());

    service.disable_domain("lamp").await.unwrap();
    assert_eq!(service.domains().await.unwrap(), ["car"]);
    assert_eq!(target(&service, "light my lamp").await, None);
    write_domain(&lamp, "lamp", "light {nothing}");
    let (name, text) = refusal(service.enable_domain("lamp").await);
    assert_eq!(name, "org.vocar.Error.InvalidDomain");
    assert!(text.contains("'nothing' does not exist"), "{text}");
    assert_eq!(service.domains().await.unwrap(), ["car"]);

    write_domain(&lamp, "lamp", "kindle the lamp");
    service.enable_domain("lamp").await.unwrap();
    assert_eq!(target(&service, "light my lamp").await, None);
    assert_eq!(
        target(&service, "kindle the lamp").await.as_deref(),
        Some("lamp/go")
    );
}

#[tokio::test]
async fn built_in_domains_come_and_go_too_whatever_else_is_broken() {
    let folder = tempfile::tempdir().unwrap();
    let bus = Bus::start();
    let config = format!(
        "[model]\ndir = \"/nonexistent\"\n[domains]\ndirs = [{:?}]\nbuilt_in = [\"charging\"]\nlocale = \"en-US\"\n",
        folder.path()
    );
    let _service = Service::start(&bus, &config);
    let service = proxy(&bus).await;
    assert_eq!(service.domains().await.unwrap(), ["car", "charging"]);
    write_domain(&folder.path().join("broken"), "broken", "(");
    service.enable_domain("home").await.unwrap();
    assert_eq!(
        target(&service, "close the garage door").await.as_deref(),
        Some("home/garage/close")
    );
    for name in ["car", "charging", "home"] {
        service.disable_domain(name).await.unwrap();
    }
    assert!(service.domains().await.unwrap().is_empty());
    service.enable_domain("car").await.unwrap();
    assert!(target(&service, "open the driver window").await.is_some());
}

fn json(arguments: &[&str]) -> Value {
    let output = vocar(&[arguments, &["--json"]].concat(), &[]);
    serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)))
}

#[test]
fn a_domain_is_begun_checked_tested_and_listed() {
    let folder = tempfile::tempdir().unwrap();
    let (dir, boat) = (folder.path().to_str().unwrap(), folder.path().join("boat"));
    let boat = boat.to_str().unwrap();
    let code = |arguments: &[&str]| vocar(arguments, &[]).status.code();
    assert_eq!(code(&["domain", "new", "my-boat", "--dir", dir]), Some(2));
    assert_eq!(code(&["domain", "new", "boat", "--dir", dir]), Some(0));
    assert_eq!(code(&["domain", "new", "boat", "--dir", dir]), Some(4));
    assert_eq!(code(&["domain", "check", boat]), Some(0));
    let outcome = json(&["domain", "test", boat]);
    assert!(outcome["passed"].as_u64().unwrap() > 3 && outcome["failures"] == Value::Array(vec![]));

    let tests = format!("{boat}/tests.toml");
    let wrong = "\n[[tests]]\nsay = \"turn off all the lights\"\nnothing = true\n";
    let text = std::fs::read_to_string(&tests).unwrap();
    let line = text.lines().count() + 2;
    std::fs::write(&tests, text + wrong).unwrap();
    let output = vocar(&["domain", "test", boat], &[]);
    assert_eq!(output.status.code(), Some(1));
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    let expected = format!(
        "tests.toml:{line}: \"turn off all the lights\": meant nothing, understood boat.all_off"
    );
    assert!(told.contains(&expected), "{told}");

    let config = folder.path().join("vocar.toml");
    std::fs::write(&config, format!("[domains]\ndirs = [{dir:?}]\n")).unwrap();
    let listed = json(&["--config", config.to_str().unwrap(), "domain", "list"]);
    let names: Vec<_> = listed
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["car", "home", "charging", "boat"]);
    assert_eq!(
        (&listed[1]["enabled"], &listed[3]["enabled"]),
        (&Value::Bool(false), &Value::Bool(true))
    );
}

#[test]
fn shipped_domains_pass_their_tests_by_name_and_from_their_folders() {
    for name in ["car", "home", "charging"] {
        let folder = repository().join("nlu/domains").join(name);
        for domain in [name, folder.to_str().unwrap()] {
            assert!(
                vocar(&["domain", "check", domain], &[]).status.success(),
                "{domain}"
            );
            assert!(
                vocar(&["domain", "test", domain], &[]).status.success(),
                "{domain}"
            );
        }
    }
}

#[test]
fn what_was_written_for_other_assistants_is_converted_and_passes_the_check() {
    let folder = tempfile::tempdir().unwrap();
    let from = repository().join("nlu/testdata/convert");
    for (source, out) in [
        ("rhino.yaml", "rhino"),
        ("home-assistant", "house"),
        ("snips.json", "snips"),
    ] {
        let out = folder.path().join(out);
        let (source, out) = (from.join(source), out.to_str().unwrap());
        let arguments = ["domain", "convert", source.to_str().unwrap(), "--out", out];
        let output = vocar(&arguments, &[]);
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        let told = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(told.lines().count() > 1, "nothing was left out? {told}");
        assert!(
            vocar(&["domain", "check", out], &[]).status.success(),
            "{out}"
        );
        assert_eq!(
            vocar(&arguments, &[]).status.code(),
            Some(4),
            "written over"
        );
    }
    let out = folder.path().join("alexa");
    let wrong = [
        "domain",
        "convert",
        from.to_str().unwrap(),
        "--from",
        "alexa",
        "--out",
        out.to_str().unwrap(),
    ];
    assert_eq!(vocar(&wrong, &[]).status.code(), Some(2));
}
