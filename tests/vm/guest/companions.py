"""The packages that go beside the service: nothing of them is in force unasked, and what they lack stops nothing."""

import shutil
from pathlib import Path

from lib import HERE, UNIT, Subscriber, health, hears, pid, require, run, settled, unit, until

EXAMPLE = Path("/usr/share/doc/vocar-accel/examples/vocard-accelerator.conf")
DROP_IN = Path(f"/etc/systemd/system/{UNIT}.d/accelerator.conf")
BRIDGE = "vocar-kuksa.service"
# An accelerator that this machine has all of but ONNX Runtime.
ACCELERATOR = """\
[[hardware.accelerators]]
name = "wanted"
network = "mixed"
provider = { name = "CPUExecutionProvider" }
"""


def companions() -> str:
    """Installed beside the running service they change nothing; asked for an accelerator, it says what is missing."""
    before = settled()
    run("apt-get", "-q", "-y", "install", *map(str, sorted(HERE.glob("vocar-*.deb"))))
    require(pid() == before, "the daemon was restarted")
    require(unit("UnitFileState", BRIDGE) == "disabled", f"{BRIDGE} is {unit('UnitFileState', BRIDGE)}")
    require(unit("ActiveState", BRIDGE) == "inactive", f"{BRIDGE} runs")
    for package in ("vocar-accel", "vocar-kuksa"):
        require(run("dpkg", "--verify", package).stdout == "", f"files differ from {package}")

    DROP_IN.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(EXAMPLE, DROP_IN)
    own = Path("/etc/vocar/conf.d/60-accelerator.toml")
    own.write_text(ACCELERATOR)
    run("systemctl", "daemon-reload")
    run("systemctl", "restart", UNIT)
    settled(before)
    said = until("the accelerator is judged", lambda: health("accelerator"))
    require("wanted is not used" in said and "libonnxruntime.so" in said, f"Health says {said!r}")
    subscriber = Subscriber.python("cockpit")
    try:
        hears(subscriber)
    finally:
        subscriber.stop()
    own.unlink()
    shutil.rmtree(DROP_IN.parent)
    run("systemctl", "daemon-reload")
    return f"{BRIDGE} is disabled; in the opened sandbox: {said[:160]}"
