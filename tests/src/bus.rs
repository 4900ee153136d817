//! A private message bus that can be stopped and started again at the same address.

use super::eventually;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;

/// A `dbus-daemon` of the test's own.
#[derive(Debug)]
pub struct Bus {
    dir: TempDir,
    daemon: Option<Child>,
}

impl Bus {
    /// A bus on which everybody may do everything.
    ///
    /// # Panics
    /// If `dbus-daemon` is missing (package `dbus-daemon`).
    #[must_use]
    pub fn start() -> Self {
        Self::with_rules(
            "<policy context=\"default\"><allow user=\"*\"/><allow own=\"*\"/>\
             <allow send_type=\"method_call\"/><allow send_type=\"signal\"/>\
             <allow send_type=\"method_return\"/><allow send_type=\"error\"/>\
             <allow receive_type=\"method_call\"/><allow receive_type=\"signal\"/>\
             <allow receive_type=\"method_return\"/><allow receive_type=\"error\"/></policy>",
        )
    }

    /// A bus with a system bus's rules and a policy file on top.
    ///
    /// # Panics
    /// If `dbus-daemon` is missing.
    #[must_use]
    pub fn with_policy(policy: &Path) -> Self {
        Self::with_rules(&format!(
            "<policy context=\"default\"><allow user=\"*\"/><deny own=\"*\"/><deny send_type=\"method_call\"/>\
             <allow send_type=\"signal\"/><allow send_requested_reply=\"true\" send_type=\"method_return\"/>\
             <allow send_requested_reply=\"true\" send_type=\"error\"/><allow receive_type=\"method_call\"/>\
             <allow receive_type=\"method_return\"/><allow receive_type=\"error\"/><allow receive_type=\"signal\"/>\
             <allow send_destination=\"org.freedesktop.DBus\" send_interface=\"org.freedesktop.DBus\"/></policy>\
             <include>{}</include>",
            policy.display()
        ))
    }

    fn with_rules(rules: &str) -> Self {
        let dir = TempDir::new().unwrap_or_else(|error| panic!("no temporary folder: {error}"));
        open_to_all(dir.path());
        let text = format!(
            "<!DOCTYPE busconfig PUBLIC \"-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN\" \
             \"http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd\">\
             <busconfig><type>system</type><listen>unix:path={}</listen><auth>EXTERNAL</auth>{rules}</busconfig>",
            dir.path().join("bus").display()
        );
        std::fs::write(dir.path().join("bus.conf"), text)
            .unwrap_or_else(|error| panic!("bus.conf: {error}"));
        let mut bus = Self { dir, daemon: None };
        bus.launch();
        bus
    }

    /// The address, for `VOCAR_BUS__ADDRESS`.
    #[must_use]
    pub fn address(&self) -> String {
        format!("unix:path={}", self.socket().display())
    }

    /// Kills the bus, and with it every connection.
    pub fn stop(&mut self) {
        if let Some(mut daemon) = self.daemon.take() {
            stop(&mut daemon);
        }
    }

    /// Starts the bus again at the same address.
    ///
    /// # Panics
    /// If it does not start.
    pub fn launch(&mut self) {
        self.stop();
        drop(std::fs::remove_file(self.socket()));
        let daemon = Command::new("dbus-daemon")
            .arg(format!(
                "--config-file={}",
                self.dir.path().join("bus.conf").display()
            ))
            .args(["--nofork", "--nopidfile", "--nosyslog"])
            .stdout(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| {
                panic!("dbus-daemon: {error}; install the package dbus-daemon")
            });
        self.daemon = Some(daemon);
        let socket = self.socket();
        eventually("the private bus", Duration::from_secs(5), || {
            std::os::unix::net::UnixStream::connect(&socket).ok()
        });
    }

    fn socket(&self) -> PathBuf {
        self.dir.path().join("bus")
    }
}

impl Drop for Bus {
    fn drop(&mut self) {
        self.stop();
    }
}

pub(crate) fn stop(child: &mut Child) {
    drop(child.kill());
    drop(child.wait());
}

/// Other users connect to the bus in the permission tests.
fn open_to_all(dir: &Path) {
    use std::os::unix::fs::PermissionsExt;
    let open = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(dir, open)
        .unwrap_or_else(|error| panic!("{}: {error}", dir.display()));
}
