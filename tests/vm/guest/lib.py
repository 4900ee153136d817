"""What the checks share: commands, the assistant on the bus, the loopback as its microphone, subscribers."""

import contextlib
import csv
import json
import subprocess
import time
from pathlib import Path

HERE = Path("/opt/vm")
LOGS = Path("/run/vm")
# In memory: a disk whose host is busy answers late by the machine's clock, and a player that waits for it leaves gaps.
RECORDINGS = LOGS / "recordings"
NAME = "org.vocar.VoiceAssistant1"
OBJECT = "/org/vocar/VoiceAssistant1"
UNIT = "vocard.service"
# An emulated processor is slow: what takes milliseconds in a vehicle may take seconds here.
PATIENCE = 60
# A command by voice, and what it means.
COMMAND = RECORDINGS / "set-temperature.wav"
SAID, MEANT = "set the temperature to twenty one degrees", "climate.set_temperature"


class Failed(Exception):
    """A check found something wrong."""


def require(condition: object, problem: str) -> None:
    """Ends the check with `problem` unless `condition` holds."""
    if not condition:
        raise Failed(problem)


def until(what: str, probe, seconds: float = PATIENCE):
    """What `probe` answers as soon as it is true; the check fails after `seconds`."""
    end = time.monotonic() + seconds
    while True:
        answer = probe()
        if answer:
            return answer
        if time.monotonic() > end:
            raise Failed(f"{what}: not within {seconds} s")
        time.sleep(0.2)


def run(*command: str, user: str | None = None, check: bool = True) -> subprocess.CompletedProcess:
    """Runs a command, as `user` if one is named."""
    if user:
        command = ("runuser", "-u", user, "--", *command)
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    if check and done.returncode != 0:
        raise Failed(f"{' '.join(command)}: {done.returncode}: {done.stderr.strip()[-400:]}")
    return done


def call(method: str, signature: str = "", *arguments: str, user: str | None = "cockpit", check: bool = True):
    """Calls a method of the assistant."""
    head = ("busctl", "--timeout=60", "call", NAME, OBJECT, NAME, method)
    return run(*head, *((signature, *arguments) if signature else ()), user=user, check=check)


def read(name: str, user: str | None = None):
    """A property of the assistant; None while it is away."""
    head = ("busctl", "--timeout=60", "--json=short", "get-property", NAME, OBJECT, NAME)
    done = run(*head, name, user=user, check=False)
    return json.loads(done.stdout)["data"] if done.returncode == 0 else None


def health(component: str) -> str:
    """What the assistant says about one of its parts."""
    return (read("Health") or {}).get(component, {}).get("data", "")


def unit(name: str, of: str = UNIT) -> str:
    """A property of a unit as systemctl shows it."""
    return run("systemctl", "show", "--value", "--property", name, of).stdout.strip()


def pid() -> int:
    """The daemon's process; 0 without one."""
    return int(unit("MainPID"))


def ready() -> bool:
    """Whether the service is up and hears."""
    return unit("ActiveState") == "active" and read("State") in ("idle", "waiting", "listening")


def settled(before: int | None = None) -> int:
    """Waits until the service is up, in another process than `before`; its process."""
    until("another process", lambda: pid() not in (0, before))
    until("the service is up", ready)
    return pid()


class Subscriber:
    """A program that prints a line of JSON for each intent, run as some user."""

    def __init__(self, user: str, name: str, *command: str):
        LOGS.mkdir(exist_ok=True)
        self.name = name
        self.file = LOGS / f"{name}-{user}.jsonl"
        self.errors = LOGS / f"{name}-{user}.log"
        with self.file.open("a") as out, self.errors.open("a") as errors:
            self.process = subprocess.Popen(("runuser", "-u", user, "--", *command), stdout=out, stderr=errors)

    @classmethod
    def python(cls, user: str) -> "Subscriber":
        """The example in Python."""
        return cls(user, "python", "python3", "-B", str(HERE / "subscriber.py")).listening()

    @classmethod
    def c(cls, user: str) -> "Subscriber":
        """The example in C."""
        return cls(user, "c", str(HERE / "subscriber")).listening()

    def listening(self) -> "Subscriber":
        """Waits until it listens."""
        until(f"the {self.name} subscriber listens", lambda: "listening" in self.errors.read_text())
        return self

    def received(self) -> list[dict]:
        """All whole lines so far."""
        lines = self.file.read_text().split("\n")[:-1]
        return [json.loads(line) for line in lines]

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait()


def manifest() -> list[dict]:
    """The recordings with what is said and meant in them."""
    with (RECORDINGS / "manifest.tsv").open() as file:
        rows = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    for row in rows:
        row["path"] = str(RECORDINGS / row["path"].replace(".flac", ".wav").replace(".opus", ".wav"))
        row["slots"] = json.loads(row["slots"]) if row["slots"] else {}
    return rows


def teach() -> None:
    """What an infotainment system tells the assistant: whom one can call, which stations there are."""
    call("SetEntities", "sa(sas)", "contact", "2", "c1", "1", "Anna Miller", "c5", "1", "Sarah Johnson")
    call("SetEntities", "sa(sas)", "station", "2", "s2", "1", "Classic FM", "s8", "1", "Planet Rock")


def play(path: str) -> None:
    """Plays a recording into the microphone, as long as it takes."""
    run("aplay", "-q", "-D", "plughw:Loopback,0,0", path)


def speak(path: str) -> None:
    """A press of the talk button, then a recording, until the assistant has decided."""
    until("the assistant is idle", lambda: read("State") == "idle")
    call("StartListening", "a{sv}", "1", "mode", "s", "push-to-talk")
    until("the assistant listens", lambda: read("State") == "listening")
    time.sleep(1)
    play(path)
    until("the assistant is idle again", lambda: read("State") == "idle")
    time.sleep(0.5)


def hears(subscriber: Subscriber) -> dict:
    """One command by voice arrives as an intent: the proof that all of it works. The intent."""
    before = len(subscriber.received())
    with witness() as signals:
        speak(str(COMMAND))
    came = subscriber.received()[before:]
    names = [intent["name"] for intent in came]
    require(names == [MEANT], f'"{SAID}" gave {names}; metrics: {read("Metrics")}; signals: {signals()}')
    return came[0]


@contextlib.contextmanager
def witness():
    """While it lasts, what the assistant signals is written down; gives a function that reads it."""
    path = LOGS / "signals.jsonl"
    match = f"type='signal',path='{OBJECT}'"
    with path.open("w") as out:
        monitor = subprocess.Popen(("busctl", "--json=short", "--match", match, "monitor"), stdout=out)
    try:
        yield lambda: [line[-600:] for line in path.read_text().splitlines()]
        time.sleep(0.5)
    finally:
        monitor.terminate()
        monitor.wait()
