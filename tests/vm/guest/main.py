"""Runs the checks on the booted machine and tells the host, a line of JSON for each.

Words of the kernel's command line choose: vm.only=NAME,NAME runs only those; vm.soak=SECONDS ends with a soak.
"""

import json
import shutil
import sys
import time
import traceback
from pathlib import Path

import checks
import faults
import soak
from lib import HERE, RECORDINGS, Failed, until

PORT = Path("/dev/virtio-ports/results")


def wish(name: str) -> str:
    """A word of the kernel's command line."""
    words = Path("/proc/cmdline").read_text().split()
    return next((word.split("=", 1)[1] for word in words if word.startswith(f"vm.{name}=")), "")


def tell(line: dict) -> None:
    text = json.dumps(line)
    print(text, flush=True)
    # The kernel is given its devices while the machine is already at work.
    until("the port to the host", PORT.exists)
    with PORT.open("w") as port:
        port.write(text + "\n")


def attempt(name: str, check) -> bool:
    """Runs a check and tells what came of it."""
    begin = time.monotonic()
    tell({"begin": name})
    try:
        found, holds = check(), True
    except Failed as failure:
        found, holds = str(failure), False
    except Exception:  # a check that breaks is a check that did not hold
        found, holds = traceback.format_exc().strip(), False
    tell({"check": name, "holds": holds, "found": found, "seconds": round(time.monotonic() - begin, 1)})
    return holds


def main() -> int:
    only = [name for name in wish("only").split(",") if name]
    jobs = [(title, check) for name, title, check in checks.ALL + faults.ALL if not only or name in only]
    if wish("soak"):
        # Before the last check, which takes the package away.
        at = max(len(jobs) - 1, 0)
        jobs.insert(at, ("hours of mixed sound", lambda: soak.soak(float(wish("soak")), tell)))
    shutil.copytree(HERE / "recordings", RECORDINGS, dirs_exist_ok=True)
    held = [attempt(name, check) for name, check in jobs]
    tell({"end": True, "checks": len(held), "held": sum(held)})
    return 0 if all(held) else 1


if __name__ == "__main__":
    sys.exit(main())
