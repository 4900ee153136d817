//! The units and policies that are shipped: well formed, and closed as tightly as they promise.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use tempfile::TempDir;
use vocar_tests::repository;

/// The most that `systemd-analyze security` may find (0 closed … 10 open).
const MOST_EXPOSED: f64 = 1.5;

/// `systemd-analyze`, or a line that says what is skipped where systemd is not installed.
fn analyze(skipped: &str, arguments: &[&str]) -> Option<Output> {
    // A user unit is only looked at where a user's run-time folder is.
    let runtime = TempDir::new().unwrap();
    match Command::new("systemd-analyze")
        .args(arguments)
        .env("XDG_RUNTIME_DIR", runtime.path())
        .output()
    {
        Ok(output) => Some(output),
        Err(error) => {
            eprintln!("SKIPPED: {skipped}: systemd-analyze: {error}; install the package systemd");
            None
        }
    }
}

fn unit(name: &str) -> PathBuf {
    repository().join("systemd").join(name)
}

/// The units in a folder, their program replaced by one that exists here; all else as shipped.
fn installed(name: &str) -> (TempDir, PathBuf) {
    let dir = TempDir::new().unwrap();
    let text = std::fs::read_to_string(unit(name)).unwrap();
    let program = if name == "vocar-kuksa.service" {
        "/usr/lib/vocar/vocar_kuksa.py"
    } else {
        "/usr/bin/vocard"
    };
    assert!(
        text.contains(&format!("ExecStart={program}")),
        "{name} starts something else"
    );
    let path = dir.path().join(name);
    let mut text = text.replace(program, "/bin/true");
    if program != "/usr/bin/vocard" {
        let service = std::fs::read_to_string(unit("vocard.service")).unwrap();
        let service = service.replace("/usr/bin/vocard", "/bin/true");
        std::fs::write(dir.path().join("vocard.service"), service).unwrap();
        text = text.replace("--databroker 127.0.0.1:55555", "");
    }
    std::fs::write(&path, text).unwrap();
    (dir, path)
}

fn text(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

#[test]
fn units_verify_in_silence() {
    for (name, scope) in [
        ("vocard.service", "--system"),
        ("vocar-kuksa.service", "--system"),
        ("vocard-user.service", "--user"),
    ] {
        let (_dir, path) = installed(name);
        let arguments = [scope, "verify", path.to_str().unwrap()];
        let Some(output) = analyze("verifying the units", &arguments) else {
            return;
        };
        let said = text(&output);
        assert!(output.status.success() && said.is_empty(), "{name}: {said}");
    }
}

#[test]
fn verify_would_notice_a_mistake() {
    let (_dir, path) = installed("vocard.service");
    let spoilt = std::fs::read_to_string(&path)
        .unwrap()
        .replace("WatchdogSec=10", "WatchDogSecs=10");
    std::fs::write(&path, spoilt).unwrap();
    let Some(output) = analyze(
        "verifying a spoilt unit",
        &["--system", "verify", path.to_str().unwrap()],
    ) else {
        return;
    };
    assert!(text(&output).contains("WatchDogSecs"), "{}", text(&output));
}

#[test]
fn the_service_is_hardly_exposed() {
    let path = unit("vocard.service");
    let arguments = [
        "security",
        "--offline=true",
        "--no-pager",
        path.to_str().unwrap(),
    ];
    let Some(output) = analyze("the exposure of the service", &arguments) else {
        return;
    };
    let said = text(&output);
    let level: f64 = said
        .lines()
        .find_map(|line| line.split_once("Overall exposure level for vocard.service:"))
        .and_then(|(_, rest)| rest.split_whitespace().next())
        .and_then(|number| number.parse().ok())
        .unwrap_or_else(|| panic!("no exposure level in: {said}"));
    println!("exposure {level}");
    assert!(level <= MOST_EXPOSED, "exposure {level}: {said}");
}

#[test]
fn the_bus_policy_is_accepted_by_a_bus() {
    let bus = vocar_tests::Bus::with_policy(
        &unit("org.vocar.VoiceAssistant1.conf")
            .canonicalize()
            .unwrap(),
    );
    assert!(bus.address().starts_with("unix:path="));
}

#[test]
fn every_file_names_the_same_service_user_and_name() {
    let read = |name: &str| std::fs::read_to_string(unit(name)).unwrap();
    assert!(read("vocard.service").contains("\nUser=vocar\n"));
    assert!(read("vocard.service").contains("Alias=dbus-org.vocar.VoiceAssistant1.service"));
    assert!(
        read("org.vocar.VoiceAssistant1.service")
            .contains("SystemdService=dbus-org.vocar.VoiceAssistant1.service")
    );
    assert!(read("org.vocar.VoiceAssistant1.service").contains("Name=org.vocar.VoiceAssistant1\n"));
    assert!(read("org.vocar.VoiceAssistant1.conf").contains("<policy user=\"vocar\">"));
    assert!(
        read("vocar.sysusers")
            .lines()
            .any(|line| line.starts_with("u vocar "))
    );
    let group = vocar_daemon::config::Settings::default()
        .bus
        .transcripts_group;
    assert!(
        read("vocar.sysusers")
            .lines()
            .any(|line| line.starts_with(&format!("g {group} "))),
        "no group {group}"
    );
}

#[test]
fn sysusers_and_tmpfiles_are_understood() {
    let root = TempDir::new().unwrap();
    std::fs::create_dir_all(root.path().join("etc")).unwrap();
    let apply = |program: &str, file: &Path, mode: &[&str]| -> Option<Output> {
        let root = format!("--root={}", root.path().display());
        match Command::new(program)
            .args(mode)
            .arg(root)
            .arg(file)
            .output()
        {
            Ok(output) => Some(output),
            Err(error) => {
                eprintln!("SKIPPED: {program}: {error}");
                None
            }
        }
    };
    let Some(users) = apply(
        "systemd-sysusers",
        &unit("vocar.sysusers").canonicalize().unwrap(),
        &[],
    ) else {
        return;
    };
    assert!(users.status.success(), "{}", text(&users));
    let passwd = std::fs::read_to_string(root.path().join("etc/passwd")).unwrap();
    assert!(
        passwd.lines().any(|line| line.starts_with("vocar:")),
        "{passwd}"
    );
    let tmpfiles = unit("vocar.tmpfiles").canonicalize().unwrap();
    let Some(folders) = apply("systemd-tmpfiles", &tmpfiles, &["--create"]) else {
        return;
    };
    assert!(folders.status.success(), "{}", text(&folders));
    for folder in ["etc/vocar/conf.d", "run/vocar", "var/lib/vocar"] {
        assert!(
            root.path().join(folder).is_dir(),
            "{folder} was not made: {}",
            text(&folders)
        );
    }
}
