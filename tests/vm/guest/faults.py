"""What goes wrong in a vehicle, and how the service comes back from it."""

import os
import signal
import time
from pathlib import Path

from companions import companions
from lib import HERE, UNIT, Failed, Subscriber, call, health, hears, pid, read, require, run, settled, unit, until

# WatchdogSec of the unit, and what the service manager may take on top until it has killed a stopped process.
WATCHDOG, SLACK = 10, 30
# For so long the daemon gets no processor: longer than any sound buffer, not long enough for the watchdog.
HELD = 3


def heard() -> None:
    """A command by voice still becomes an intent."""
    subscriber = Subscriber.python("cockpit")
    try:
        hears(subscriber)
    finally:
        subscriber.stop()


def restarted(send: int) -> float:
    """Sends a signal to the daemon and waits until another process serves; seconds that took."""
    settled()
    before = pid()
    begin = time.monotonic()
    os.kill(before, send)
    until("another process", lambda: pid() not in (0, before), WATCHDOG + SLACK)
    settled(before)
    return time.monotonic() - begin


def hung() -> str:
    """The watchdog restarts a daemon that hangs."""
    before = int(unit("NRestarts"))
    seconds = restarted(signal.SIGSTOP)
    require(int(unit("NRestarts")) > before, "no restart was counted")
    require("watchdog" in run("journalctl", "--no-pager", "-u", UNIT).stdout.lower(), "not by the watchdog")
    heard()
    return f"serves again {seconds:.0f} s after SIGSTOP"


def killed() -> str:
    """kill -9."""
    seconds = restarted(signal.SIGKILL)
    heard()
    return f"serves again {seconds:.1f} s after SIGKILL"


def overruns() -> int:
    """Gaps that the sound system reported so far."""
    return int((read("Metrics") or {}).get("overruns", {}).get("data", 0))


def held() -> str:
    """The daemon gets no processor for seconds while it listens: the lost sound is counted, and it hears on."""
    settled()
    before, lost = pid(), overruns()
    call("StartListening", "a{sv}", "1", "mode", "s", "open-mic")
    until("the microphone is open", lambda: health("microphone") == "ok")
    time.sleep(1)
    os.kill(before, signal.SIGSTOP)
    time.sleep(HELD)
    os.kill(before, signal.SIGCONT)
    until("the lost sound is counted", lambda: overruns() > lost)
    stop_listening()
    heard()
    require(pid() == before, "the daemon was restarted")
    return f"{overruns() - lost} gaps counted, then heard again"


def bus_is_back(kind: str) -> str:
    """The name is owned again and intents arrive, without a new daemon if the old one stayed."""
    until("the name on the bus", lambda: read("State") is not None)
    settled()
    heard()
    return kind


def broker() -> str:
    """The bus dies and comes back, as dbus-broker."""
    bus = "dbus-broker.service"
    require(unit("ActiveState", bus) == "active", "dbus-broker does not run")
    before = pid()
    run("systemctl", "restart", bus)
    kept = bus_is_back("dbus-broker") and pid() == before
    return "restarted; the daemon " + ("stayed and took its name again" if kept else "was started anew")


def reference_bus() -> str:
    """The bus dies and comes back, as dbus-daemon."""
    if unit("ActiveState", "dbus-broker.service") == "active":
        run("systemctl", "disable", "--quiet", "dbus-broker.service")
        run("systemctl", "daemon-reload")
        run("systemctl", "stop", "dbus-broker.service", check=False)
        run("systemctl", "start", "dbus.service")
        bus_is_back("dbus-daemon")
    require(run("pgrep", "-x", "dbus-daemon", check=False).returncode == 0, "dbus-daemon does not run")
    before = pid()
    run("systemctl", "restart", "dbus.service")
    kept = bus_is_back("dbus-daemon") and pid() == before
    return "restarted; the daemon " + ("stayed and took its name again" if kept else "was started anew")


def unplugged() -> str:
    """The sound card vanishes while it is listened to, and comes back."""
    settled()
    before = pid()
    call("StartListening", "a{sv}", "1", "mode", "s", "open-mic")
    until("the microphone is open", lambda: health("microphone") == "ok")
    time.sleep(2)
    Path("/sys/bus/platform/drivers/snd_aloop/unbind").write_text("snd_aloop.0")
    said = until("the loss is told", lambda: health("microphone") not in ("", "ok") and health("microphone"))
    until("the module is free", lambda: run("rmmod", "snd_aloop", check=False).returncode == 0)
    time.sleep(3)
    run("modprobe", "snd-aloop")
    until("the microphone is back", lambda: health("microphone") == "ok")
    stop_listening()
    heard()
    require(pid() == before, "the daemon was restarted")
    return f"told ({said[:100]}), then heard again"


def stop_listening() -> None:
    """Ends whatever session there is: the newest has the number of sessions so far."""
    sessions = int((read("Metrics") or {}).get("sessions", {}).get("data", 0))
    call("Cancel", "t", str(sessions), check=False)
    until("the assistant is idle", lambda: read("State") == "idle")


def free() -> int:
    """Bytes free on the disk."""
    state = os.statvfs("/")
    return state.f_bavail * state.f_frsize


def full_disk() -> str:
    """No byte is left on the disk: it hears, and starts anew."""
    filler = Path("/var/tmp/filler")
    try:
        run("fallocate", "-l", str(max(free() - (1 << 20), 1 << 20)), str(filler), check=False)
        run("sh", "-c", f"cat /dev/zero >>{filler}", check=False)
        left = free()
        require(left < 65536, f"{left} bytes are left")
        heard()
        before = pid()
        run("systemctl", "restart", UNIT)
        settled(before)
        heard()
    finally:
        filler.unlink(missing_ok=True)
    return f"with {left} bytes left it hears, and starts anew"


def read_only() -> str:
    """The root is read-only: it hears, and starts anew."""
    run("mount", "-o", "remount,ro", "/")
    try:
        heard()
        before = pid()
        run("systemctl", "restart", UNIT)
        settled(before)
        heard()
    finally:
        run("mount", "-o", "remount,rw", "/")
    return "it hears, and starts anew"


def clock() -> str:
    """The clock jumps by a year ahead and back, as when a vehicle finds its time."""
    settled()
    before, restarts = pid(), unit("NRestarts")
    begin = time.time()
    try:
        for jump in (365 * 86400, -2 * 365 * 86400):
            time.clock_settime(time.CLOCK_REALTIME, time.time() + jump)
            time.sleep(WATCHDOG + 5)
            heard()
    finally:
        time.clock_settime(time.CLOCK_REALTIME, begin + 60)
    require((pid(), unit("NRestarts")) == (before, restarts), "the daemon was restarted")
    return "a year ahead, then two back: the same process hears"


def upgraded() -> str:
    """The next package over this one: what was configured stays, the new service runs."""
    main, own = Path("/etc/vocar/vocar.toml"), Path("/etc/vocar/conf.d/50-vehicle.toml")
    main.write_text(main.read_text().replace('zone = "driver"', 'zone = "rear-left"', 1))
    own.write_text("[listen]\ntimeout_s = 9.0\n")
    kept = (main.read_text(), own.read_text())
    old, before = version(), pid()
    run("apt-get", "-q", "-y", "install", str(HERE / "new.deb"))
    settled(before)
    require(version() != old, f"still {old}")
    require((main.read_text(), own.read_text()) == kept, "the configuration was changed")
    subscriber = Subscriber.python("cockpit")
    try:
        zone = hears(subscriber)["zone"]
    finally:
        subscriber.stop()
    require(zone == "rear-left", f"the configured zone is not in force: {zone}")
    return f"{old} to {version()}; vocar.toml and conf.d kept and in force"


def version() -> str:
    """Of the installed package."""
    return run("dpkg-query", "-W", "-f", "${Version}", "vocar").stdout


def purged() -> str:
    """Purging leaves nothing."""
    run("apt-get", "-q", "-y", "purge", "vocar*")
    left = [
        path
        for path in (
            "/etc/vocar",
            "/var/lib/vocar",
            "/run/vocar",
            "/usr/share/vocar",
            "/usr/bin/vocard",
            "/usr/lib/systemd/system/vocard.service",
            "/etc/systemd/system/multi-user.target.wants/vocard.service",
            "/usr/libexec/vocar",
            "/usr/lib/vocar",
        )
        if os.path.lexists(path)
    ]
    require(not left, f"left behind: {left}")
    if run("getent", "passwd", "vocar", check=False).returncode == 0:
        raise Failed("the user is left behind")
    owner = run("busctl", "status", "org.vocar.VoiceAssistant1", check=False)
    require(owner.returncode != 0, "the name is still owned")
    return "files, user and units are gone"


ALL = [
    ("hung", "the watchdog restarts a daemon that hangs", hung),
    ("killed", "kill -9", killed),
    ("held", "the daemon is held back while it listens", held),
    ("broker", "dbus-broker restarts", broker),
    ("reference_bus", "dbus-daemon restarts", reference_bus),
    ("unplugged", "the sound card is unplugged", unplugged),
    ("full_disk", "the disk is full", full_disk),
    ("read_only", "the root is read-only", read_only),
    ("clock", "the clock jumps", clock),
    ("upgraded", "an upgrade keeps the configuration", upgraded),
    ("companions", "the packages for accelerators and KUKSA change nothing unasked", companions),
    ("purged", "purging leaves nothing", purged),
]
