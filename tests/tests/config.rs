//! Configuration of the running service: wrong at the start, wrong at a reload, mended again.

use std::process::Command;
use std::time::Duration;
use vocar_tests::{Bus, Service, eventually, program, vocar};

const GOOD: &str = "[model]\ndir = \"/nonexistent\"\n[audio]\nzone = \"driver\"\n";

fn health(bus: &Bus) -> serde_json::Value {
    let output = vocar(
        &["status", "--json"],
        &[("VOCAR_BUS__ADDRESS", &bus.address())],
    );
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let status: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    status["health"]["configuration"].clone()
}

async fn reload(bus: &Bus) -> zbus::Result<()> {
    let connection = vocar_daemon::bus::connect(&bus.address()).await?;
    vocar_daemon::bus::VoiceAssistant1Proxy::new(&connection)
        .await?
        .reload()
        .await
}

#[test]
fn a_wrong_file_stops_the_start_with_exit_code_2() {
    let cases = [
        ("[listen]\nmode = \"shout\"\n", "mode"),
        ("[listen]\ntimeout_s = 900\n", "listen.timeout_s"),
        ("[hardware]\nprofile = \"toaster\"\n", "raspberry-pi-5"),
        (
            "[hardware]\nsysroot = \"/nonexistent\"\n",
            "hardware.sysroot",
        ),
        ("[lisen]\n", "lisen"),
        ("[listen\n", "vocar.toml"),
    ];
    let bus = Bus::start();
    for (config, part) in cases {
        let mut service = Service::launch(&bus, config, &[]);
        assert_eq!(
            service.wait(Duration::from_secs(5)).code(),
            Some(2),
            "{config}"
        );
        let errors = service.errors();
        assert!(
            errors.contains("vocar.toml") && errors.contains(part),
            "{config:?} gave {errors:?}"
        );
    }
    let mut service = Service::launch(&bus, GOOD, &[("VOCAR_AUDIO__RETRY_S", "soon")]);
    assert_eq!(service.wait(Duration::from_secs(5)).code(), Some(2));
    assert!(
        service.errors().contains("VOCAR_AUDIO__RETRY_S"),
        "{}",
        service.errors()
    );
}

#[test]
fn check_reads_and_ends() {
    let dir = std::env::temp_dir().join(format!("vocar-check-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let file = dir.join("vocar.toml");
    for (text, code) in [(GOOD, 0), ("[bus]\naddress = \"nowhere\"\n", 2)] {
        std::fs::write(&file, text).unwrap();
        let status = Command::new(program("vocard"))
            .args(["--check", "--config"])
            .arg(&file)
            .status()
            .unwrap();
        assert_eq!(status.code(), Some(code), "{text}");
    }
    std::fs::remove_dir_all(&dir).unwrap();
}

#[tokio::test]
async fn a_wrong_reload_keeps_the_old_and_says_so() {
    let bus = Bus::start();
    let mut service = Service::start(&bus, GOOD);
    assert_eq!(health(&bus), "ok");

    service.configure("[audio]\nzone = 3.5.1\n");
    let error = reload(&bus).await.unwrap_err().to_string();
    assert!(
        error.contains("InvalidConfiguration") && error.contains("vocar.toml"),
        "{error}"
    );
    let said = health(&bus);
    assert!(
        said.as_str()
            .unwrap()
            .contains("the old one stays in force"),
        "{said}"
    );

    service.configure("[domains]\ndirs = [\"/nonexistent/domain\"]\n");
    let error = reload(&bus).await.unwrap_err().to_string();
    assert!(error.contains("/nonexistent/domain"), "{error}");

    let understood = vocar(
        &["say", "turn on the radio"],
        &[("VOCAR_BUS__ADDRESS", &bus.address())],
    );
    assert!(
        understood.status.success(),
        "the old domains must still be there"
    );

    service.configure(GOOD);
    reload(&bus).await.unwrap();
    assert_eq!(health(&bus), "ok");
    service.expect("RELOADING=1", Duration::from_secs(5));
    service.expect("READY=1", Duration::from_secs(5));
}

#[test]
fn sighup_reloads_like_the_method() {
    let bus = Bus::start();
    let mut service = Service::start(&bus, GOOD);
    service.configure("[listen]\nmin_confidence = 2\n");
    service.signal(libc::SIGHUP);
    let said = eventually("the refusal in Health", Duration::from_secs(5), || {
        Some(health(&bus)).filter(|health| health != "ok")
    });
    assert!(
        said.as_str().unwrap().contains("listen.min_confidence"),
        "{said}"
    );
    service.configure("[model]\ndir = \"/nonexistent\"\n[bus]\ntranscripts_group = \"root\"\n");
    service.signal(libc::SIGHUP);
    eventually("the mended configuration", Duration::from_secs(5), || {
        Some(()).filter(|()| health(&bus) == "ok")
    });
    service.signal(libc::SIGTERM);
    assert!(service.wait(Duration::from_secs(5)).success());
}
