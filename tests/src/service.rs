//! A `vocard` under test, watched the way the service manager watches it.

use super::bus::stop;
use super::{Bus, program};
use std::fs::File;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// A running `vocard`.
#[derive(Debug)]
pub struct Service {
    child: Child,
    dir: TempDir,
    socket: UnixDatagram,
    /// Time from start to `READY=1`.
    pub start_up: Duration,
}

impl Service {
    /// Starts `vocard` on `bus` with `config` as its file and waits until it is ready.
    ///
    /// # Panics
    /// If it does not get ready within ten seconds.
    #[must_use]
    pub fn start(bus: &Bus, config: &str) -> Self {
        Self::start_with(bus, config, &[])
    }

    /// As [`Self::start`], with more environment variables.
    ///
    /// # Panics
    /// If it does not get ready within ten seconds.
    #[must_use]
    pub fn start_with(bus: &Bus, config: &str, environment: &[(&str, &str)]) -> Self {
        let mut service = Self::launch(bus, config, environment);
        let begin = Instant::now();
        service.expect("READY=1", Duration::from_secs(10));
        service.start_up = begin.elapsed();
        service
    }

    /// Starts `vocard` and waits for nothing. Its power level is the ordinary one, however busy the machine is with
    /// other tests, unless `environment` says otherwise.
    ///
    /// # Panics
    /// If it cannot be started.
    #[must_use]
    pub fn launch(bus: &Bus, config: &str, environment: &[(&str, &str)]) -> Self {
        let dir = TempDir::new().unwrap_or_else(|error| panic!("no temporary folder: {error}"));
        write(&dir.path().join("vocar.toml"), config);
        let socket = UnixDatagram::bind(dir.path().join("notify"))
            .unwrap_or_else(|error| panic!("notify: {error}"));
        let log =
            File::create(dir.path().join("log")).unwrap_or_else(|error| panic!("log: {error}"));
        let mut command = Command::new(program("vocard"));
        command
            .arg("--config")
            .arg(dir.path().join("vocar.toml"))
            .env("NOTIFY_SOCKET", dir.path().join("notify"))
            .env("VOCAR_BUS__ADDRESS", bus.address())
            .env("VOCAR_HARDWARE__POWER_LEVEL", "balanced")
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stderr(log);
        let child = command
            .spawn()
            .unwrap_or_else(|error| panic!("vocard cannot be started: {error}"));
        Self {
            child,
            dir,
            socket,
            start_up: Duration::ZERO,
        }
    }

    /// Waits for a notification that holds `text`; returns it.
    ///
    /// # Panics
    /// If none comes within `limit`.
    pub fn expect(&mut self, text: &str, limit: Duration) -> String {
        let end = Instant::now() + limit;
        let mut buffer = [0; 4096];
        while Instant::now() < end {
            drop(
                self.socket
                    .set_read_timeout(Some(Duration::from_millis(100))),
            );
            if let Ok(length) = self.socket.recv(&mut buffer) {
                let message = String::from_utf8_lossy(&buffer[..length]).into_owned();
                if message.contains(text) {
                    return message;
                }
            }
            if let Ok(Some(status)) = self.child.try_wait() {
                panic!(
                    "vocard ended ({status}) before it said {text:?}: {}",
                    self.errors()
                );
            }
        }
        panic!("vocard did not say {text:?} within {limit:?}");
    }

    /// Has the service manager read nothing more of what the daemon tells it, and leaves no room for more.
    ///
    /// # Panics
    /// If the socket cannot be filled.
    pub fn stop_reading(&self) {
        let filler = UnixDatagram::unbound().expect("a socket");
        filler
            .set_nonblocking(true)
            .expect("a socket that does not wait");
        let place = self.dir.path().join("notify");
        let full = (0..100_000).any(|_| filler.send_to(b"STATUS=unread\n", &place).is_err());
        assert!(full, "the manager's socket takes everything");
    }

    /// Replaces the configuration file.
    pub fn configure(&self, config: &str) {
        write(&self.dir.path().join("vocar.toml"), config);
    }

    /// Process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal.
    pub fn signal(&self, signal: i32) {
        let pid = i32::try_from(self.child.id()).unwrap_or(i32::MAX);
        // SAFETY: kill takes two integers; the child is ours and not yet reaped, so the id is still its own.
        let result = unsafe { libc::kill(pid, signal) };
        assert_eq!(result, 0, "vocard is gone already");
    }

    /// Waits for the end.
    ///
    /// # Panics
    /// If it does not end within `limit`.
    pub fn wait(&mut self, limit: Duration) -> ExitStatus {
        super::eventually("the end of vocard", limit, || {
            self.child.try_wait().ok().flatten()
        })
    }

    /// What the service wrote to its log so far.
    #[must_use]
    pub fn errors(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }

    /// Resident memory in bytes.
    #[must_use]
    pub fn resident(&self) -> u64 {
        let status =
            std::fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap_or_default();
        let kilobytes = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:")?.split_whitespace().next());
        kilobytes
            .and_then(|text| text.parse::<u64>().ok())
            .unwrap_or(0)
            * 1024
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        stop(&mut self.child);
    }
}

fn write(path: &Path, text: &str) {
    std::fs::write(path, text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}
