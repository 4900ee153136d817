//! Word to the service manager: ready, status, watchdog, reloading, stopping. Without one it is silence.
//!
//! A manager that does not read what it is told must not hold up the daemon: nothing here waits longer than half a second.

use sd_notify::NotifyState;
use std::ffi::OsStr;
use std::fmt::Write as _;
use std::io::{self, ErrorKind};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

/// How long what the manager waits for may wait for the manager. What it can do without does not wait at all.
const PATIENCE: Duration = Duration::from_millis(500);

/// Start-up is over: the bus name is owned and commands are answered.
pub fn ready(status: &str) {
    send(
        &[NotifyState::Ready, NotifyState::Status(status)],
        Some(PATIENCE),
    );
}

/// One line for `systemctl status`; whether it was taken.
pub fn status(status: &str) -> bool {
    send(&[NotifyState::Status(status)], None)
}

/// The configuration is being read again; [`ready`] ends it.
pub fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => {
            send(&[NotifyState::Reloading, now], Some(PATIENCE));
        }
        Err(error) => {
            tracing::warn!(%error, "the clock cannot be read; the service manager is not told of the reload")
        }
    }
}

/// The service ends by intention.
pub fn stopping() {
    send(&[NotifyState::Stopping], Some(PATIENCE));
}

/// Still alive.
pub fn alive() {
    send(&[NotifyState::Watchdog], None);
}

/// How often [`alive`] must be called: half of what the manager allows; `None` without a watchdog.
#[must_use]
pub fn watchdog_interval() -> Option<Duration> {
    sd_notify::watchdog_enabled().map(|limit| limit / 2)
}

fn send(states: &[NotifyState<'_>], patience: Option<Duration>) -> bool {
    let Some(place) = std::env::var_os("NOTIFY_SOCKET") else {
        return true;
    };
    let mut message = String::new();
    for state in states {
        let _ = writeln!(message, "{state}");
    }
    match address(&place).and_then(|manager| post(&manager, &message, patience)) {
        Ok(()) => true,
        Err(error) if error.kind() == ErrorKind::WouldBlock => {
            tracing::debug!("the service manager does not read what it is told");
            false
        }
        Err(error) => {
            tracing::warn!(%error, "the service manager cannot be reached");
            true
        }
    }
}

/// A socket's address as `NOTIFY_SOCKET` says it: a path, or a name after an `@`.
fn address(place: &OsStr) -> io::Result<SocketAddr> {
    match place.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name),
        _ => SocketAddr::from_pathname(place),
    }
}

/// Sends a message; where it cannot be taken within `patience` (`None`: at once), the error is `WouldBlock`.
fn post(manager: &SocketAddr, message: &str, patience: Option<Duration>) -> io::Result<()> {
    let socket = UnixDatagram::unbound()?;
    match patience {
        Some(time) => socket.set_write_timeout(Some(time))?,
        None => socket.set_nonblocking(true)?,
    }
    socket.connect_addr(manager)?;
    socket.send(message.as_bytes()).map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    fn heard(socket: &UnixDatagram) -> String {
        let mut buffer = [0; 256];
        let length = socket.recv(&mut buffer).unwrap();
        String::from_utf8_lossy(&buffer[..length]).into_owned()
    }

    #[test]
    fn words_reach_a_path_and_an_abstract_name() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notify");
        let manager = UnixDatagram::bind(&path).unwrap();
        post(&address(path.as_os_str()).unwrap(), "READY=1\n", None).unwrap();
        assert_eq!(heard(&manager), "READY=1\n");

        let name = format!("@{}", path.display());
        let name = OsStr::new(&name);
        let manager = UnixDatagram::bind_addr(&address(name).unwrap()).unwrap();
        post(&address(name).unwrap(), "STOPPING=1\n", Some(PATIENCE)).unwrap();
        assert_eq!(heard(&manager), "STOPPING=1\n");
    }

    #[test]
    fn a_manager_that_does_not_read_holds_nobody_up() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notify");
        let manager = UnixDatagram::bind(&path).unwrap();
        let place = address(path.as_os_str()).unwrap();
        let begin = Instant::now();
        // Linux keeps a few hundred unread messages at most.
        let full = (0..100_000)
            .find_map(|_| post(&place, "WATCHDOG=1\n", None).err())
            .unwrap();
        assert_eq!(full.kind(), ErrorKind::WouldBlock);
        let patience = Duration::from_millis(50);
        let late = post(&place, "READY=1\n", Some(patience)).unwrap_err();
        assert_eq!(late.kind(), ErrorKind::WouldBlock);
        assert!(begin.elapsed() < Duration::from_secs(10));
        heard(&manager);
        post(&place, "STATUS=heard again\n", None).unwrap();
    }
}
