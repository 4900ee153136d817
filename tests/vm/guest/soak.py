"""Hours of mixed sound into the microphone, and whether memory and files grow."""

import random
import statistics
import time
import wave
from array import array
from pathlib import Path

from checks import memory
from lib import LOGS, UNIT, call, manifest, pid, play, read, require, settled, unit, until

RATE = 48000
# A sample of memory and files each so many seconds.
EVERY = 30
# What the second half may hold above the first, kB: caches that fill late, not a leak.
GROWTH = 2048


def write(path: Path, samples: list[int]) -> str:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(array("h", samples).tobytes())
    return str(path)


def disturbances(dice: random.Random) -> list[str]:
    """Road-like noise and a hum, five seconds each."""
    level, road = 0.0, []
    for _ in range(5 * RATE):
        level = 0.98 * level + dice.gauss(0, 60)
        road.append(int(max(-32768, min(32767, level * 4))))
    hum = [800 if (i // 120) % 2 else -800 for i in range(5 * RATE)]
    return [write(LOGS / "road.wav", road), write(LOGS / "hum.wav", hum)]


def files() -> int:
    """Open files of the daemon."""
    return len(list(Path(f"/proc/{pid()}/fd").iterdir()))


def threads() -> int:
    return len(list(Path(f"/proc/{pid()}/task").iterdir()))


def counter(name: str) -> int:
    return int(read("Metrics").get(name, {}).get("data", 0))


def listen(mode: str) -> None:
    """Begins to listen if nobody does."""
    if read("State") == "idle":
        call("StartListening", "a{sv}", "1", "mode", "s", mode, check=False)


def halves(values: list[int]) -> tuple[float, float]:
    """Medians of the first and the second half."""
    middle = len(values) // 2
    return statistics.median(values[:middle]), statistics.median(values[middle:])


def soak(seconds: float, tell) -> dict:
    """Commands, talk, noise and silence for so many seconds, at an open microphone and after a button in turn."""
    settled()
    dice = random.Random(7)
    spoken = [row["path"] for row in manifest()]
    noises = disturbances(dice)
    process, restarts, begin = pid(), unit("NRestarts"), time.monotonic()
    samples: list[dict] = []
    played = 0
    while time.monotonic() - begin < seconds:
        listen("open-mic" if (played // 8) % 2 else "push-to-talk")
        if dice.random() < 0.75:
            play(dice.choice(spoken))
        else:
            play(dice.choice(noises))
        played += 1
        time.sleep(dice.uniform(0.5, 6))
        if played % 8 == 0 and read("State") == "listening":
            call("Cancel", "t", str(counter("sessions")), check=False)
            until("the assistant is idle", lambda: read("State") == "idle")
        if time.monotonic() - begin >= EVERY * (len(samples) + 1):
            at = round(time.monotonic() - begin)
            samples.append({"at": at, "memory_kb": memory(), "files": files(), "threads": threads()})
            tell({"soak": samples[-1]})
    require(pid() == process and unit("NRestarts") == restarts, f"{UNIT} was restarted")
    require(len(samples) >= 4, "too short to tell")
    settled_samples = samples[len(samples) // 5 :]
    memories = halves([sample["memory_kb"] for sample in settled_samples])
    opened = halves([sample["files"] for sample in settled_samples])
    require(memories[1] - memories[0] <= GROWTH, f"memory grows: {memories} kB")
    require(opened[1] <= opened[0], f"open files grow: {opened}")
    return {
        "seconds": round(time.monotonic() - begin),
        "played": played,
        "intents": counter("intents"),
        "rejected": counter("rejected"),
        "dropped_frames": counter("dropped_frames"),
        "memory_kb": memories,
        "files": opened,
        "threads": samples[-1]["threads"],
    }
