"""The machine as it should be: the service in its sandbox, intents for those who may have them, silence for others."""

import subprocess
from pathlib import Path

from lib import (
    COMMAND,
    HERE,
    LOGS,
    SAID,
    UNIT,
    Subscriber,
    call,
    health,
    hears,
    manifest,
    pid,
    read,
    require,
    run,
    settled,
    speak,
    teach,
    unit,
    until,
)

# The most that `systemd-analyze security` may find (0 closed ... 10 open).
MOST_EXPOSED = 1.5


def active() -> str:
    """The service is up after boot, enabled, and its microphone is open once somebody listens."""
    settled()
    require(unit("UnitFileState") == "enabled", "the service is not enabled")
    version = run("dpkg-query", "-W", "-f", "${Version}", "vocar").stdout
    require(run("dpkg", "--verify", "vocar").stdout == "", "files differ from the package")
    return f"package {version}, profile {read('Profile')}, backend {read('Backend')}, memory {memory()} kB"


def memory() -> int:
    """Resident memory of the daemon, kB."""
    status = Path(f"/proc/{pid()}/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS:"))


def sandbox() -> str:
    """What the unit promises is what the kernel does."""
    said = run("systemd-analyze", "security", "--no-pager", UNIT).stdout
    line = next(line for line in said.splitlines() if "Overall exposure level" in line)
    exposure = float(line.split(":")[1].split()[0])
    require(exposure <= MOST_EXPOSED, f"exposure {exposure}")
    status = Path(f"/proc/{pid()}/status").read_text().splitlines()
    fields = dict(line.split(":\t", 1) for line in status if ":\t" in line)
    require(fields["Seccomp"] == "2", "no filter of system calls")
    require(fields["NoNewPrivs"] == "1", "new privileges are possible")
    require(int(fields["CapEff"], 16) == int(fields["CapBnd"], 16) == 0, f"capabilities {fields['CapEff']}")
    require(fields["Uid"].split()[0] == run("id", "-u", "vocar").stdout.strip(), "another user than vocar")
    for namespace in ("net", "mnt", "ipc", "user"):
        ours, its = (Path(f"/proc/{process}/ns/{namespace}").readlink() for process in ("self", pid()))
        require(ours != its, f"it shares our {namespace} namespace")
    return f"exposure {exposure}; seccomp, no capabilities, own network, mount, ipc and user namespaces"


def intents() -> dict:
    """Every recording after a press of the button: its intent reaches both subscribers of the group, no stranger."""
    settled()
    teach()
    inside = [Subscriber.python("cockpit")]
    if (HERE / "subscriber").exists():
        inside.append(Subscriber.c("cockpit"))
    outside = Subscriber.python("stranger")
    eavesdropper = subprocess.Popen(
        ("runuser", "-u", "stranger", "--", "busctl", "monitor", "org.vocar.VoiceAssistant1"),
        stdout=(LOGS / "eavesdropped").open("w"),
        stderr=subprocess.STDOUT,
    )
    wrong = []
    rows = manifest()
    for row in rows:
        before = [len(subscriber.received()) for subscriber in inside]
        speak(row["path"])
        expected = [(row["intent"], row["slots"])] if row["intent"] else []
        for subscriber, count in zip(inside, before, strict=True):
            came = [(intent["name"], intent["slots"]) for intent in subscriber.received()[count:]]
            if came != expected:
                wrong.append(f"{subscriber.name}: {row['text']!r} gave {came}")
    leaked = outside.received()
    eavesdropper.terminate()
    eavesdropper.wait()
    overheard = (LOGS / "eavesdropped").read_text()
    for subscriber in (*inside, outside):
        subscriber.stop()
    require(not leaked, f"a stranger received {leaked[:2]}")
    require("IntentRecognized" not in overheard, "a stranger could monitor the bus")
    require(not wrong, "; ".join(wrong[:6]))
    return {"recordings": len(rows), "subscribers": [subscriber.name for subscriber in inside], "stranger": 0}


def refusals() -> str:
    """Who may not, is refused: commands and settings by the bus, transcripts by bus or daemon."""
    settled()
    refused = [
        call("StartListening", "a{sv}", "0", user="stranger", check=False),
        call("InterpretText", "sa{sv}", "open the window", "0", user="stranger", check=False),
        call("Reload", user="stranger", check=False),
        call("Subscribe", user="stranger", check=False),
        call("Subscribe", user="cockpit", check=False),
        run(
            "busctl",
            "set-property",
            "org.vocar.VoiceAssistant1",
            "/org/vocar/VoiceAssistant1",
            "org.vocar.VoiceAssistant1",
            "PrivacyMode",
            "b",
            "false",
            user="stranger",
            check=False,
        ),
    ]
    for done in refused:
        require(done.returncode != 0, f"not refused: {done.args[6:]}")
        text = done.stderr.lower()
        require(
            "access denied" in text or "not allowed" in text or "transcripts go only" in text or "rejected" in text,
            f"refused for another reason: {done.stderr.strip()}",
        )
    require(read("State", user="stranger") is not None, "a stranger may not even read the state")
    return f"{len(refused)} calls of a stranger and of an app without the right to transcripts"


def transcripts() -> str:
    """What was said reaches one who may read it, and nobody else who listens."""
    watch = ("vocar", "monitor", "--json")
    scribe = Subscriber("scribe", "monitor", *watch)
    cockpit = Subscriber("cockpit", "monitor", *watch, "--no-transcripts")
    for subscriber in (scribe, cockpit):
        until("the monitor is connected", subscriber.received)
    speak(str(COMMAND))
    finals = [line["text"] for line in scribe.received() if line["signal"] == "FinalTranscript"]
    others = [line for line in cockpit.received() if "Transcript" in line["signal"]]
    for subscriber in (scribe, cockpit):
        subscriber.stop()
    require(finals == [SAID], f"the scribe read {finals}")
    require(not others, f"the cockpit read {others}")
    return "one to the scribe, none to the cockpit"


def activation() -> str:
    """A call to the bus name starts the service when it is not running."""
    run("systemctl", "stop", UNIT)
    require(pid() == 0, "it does not stop")
    call("InterpretText", "sa{sv}", "open the window", "0")
    settled()
    return "started by a call"


def forgetful() -> str:
    """Nothing of what was said or heard lies on the disk or in the journal."""
    journal = run("journalctl", "--no-pager", "-o", "cat", "-u", UNIT).stdout.lower()
    found = [row["text"] for row in manifest() if row["text"].lower() in journal]
    require(not found, f"in the journal: {found}")
    folders = [Path("/var/lib/vocar"), Path("/run/vocar"), *Path("/tmp").glob("systemd-private-*-vocard.service-*")]
    written = [str(path) for folder in folders for path in folder.rglob("*") if path.is_file()]
    require(not written, f"files: {written}")
    return f"{len(journal.splitlines())} lines of journal without a sentence; no file written"


def steady() -> str:
    """A last word by voice, through the example in Python."""
    settled()
    subscriber = Subscriber.python("cockpit")
    try:
        intent = hears(subscriber)
    finally:
        subscriber.stop()
    require(health("microphone") == "ok", health("microphone"))
    return f"{intent['name']}"


ALL = [
    ("active", "the service is active after boot", active),
    ("sandbox", "its sandbox is on", sandbox),
    ("steady", "a command by voice becomes an intent", steady),
    ("intents", "recordings become intents at the group's subscribers and nowhere else", intents),
    ("refusals", "others are refused", refusals),
    ("transcripts", "transcripts reach only who may read them", transcripts),
    ("forgetful", "nothing that was said is on disk or in the journal", forgetful),
    ("activation", "a call starts the service", activation),
]
