"""Hours of mixed recordings through one process at many times real time: do memory and open files stay?

    stream.py VOCAR RECORDINGS SECONDS

RECORDINGS is a folder of WAV files; they follow one another by lot, with stretches of noise between: half of the time
at an open microphone, half as after a press of the button, where free speech is searched for too. Prints a line of JSON
for each in the form of the machine's checks (report.py). What the service adds to this (bus, microphone) is soaked in
the machine itself.
"""

import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
import wave
from array import array
from pathlib import Path

MODEL = Path(__file__).resolve().parents[2] / "models/speech-en"
RATE = 16000
# Seconds between two looks at the process.
EVERY = 0.5
# What the second half may hold above the first, kB: caches that fill late, not a leak.
GROWTH = 2048


def duration(path: Path) -> float:
    """Seconds of sound in a WAV file."""
    with wave.open(str(path)) as file:
        return file.getnframes() / file.getframerate()


def noise(path: Path, dice: random.Random) -> Path:
    """Five seconds of road-like noise."""
    level, samples = 0.0, []
    for _ in range(5 * RATE):
        level = 0.95 * level + dice.gauss(0, 200)
        samples.append(int(max(-32768, min(32767, level))))
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(array("h", samples).tobytes())
    return path


def look(pid: int) -> tuple[int, int] | None:
    """Resident memory (kB) and open files; None once the process is gone."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
        files = len(list(Path(f"/proc/{pid}/fd").iterdir()))
    except OSError:
        return None
    resident = [int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS:")]
    return (resident[0], files) if resident else None


def halves(values: list[int]) -> tuple[float, float]:
    """Medians of the first and the second half."""
    middle = len(values) // 2
    return statistics.median(values[:middle]), statistics.median(values[middle:])


def soak(program: str, folder: Path, seconds: float, mode: str) -> dict:
    """Runs the process to its end, listening in one mode, and judges what was seen of it."""
    dice = random.Random(11)
    with tempfile.TemporaryDirectory() as room:
        sounds = {path: duration(path) for path in sorted(folder.glob("*.wav"))}
        sounds[noise(Path(room, "road.wav"), dice)] = 5.0
        chosen: list[Path] = []
        total = 0.0
        while total < seconds:
            chosen.append(dice.choice(list(sounds)))
            total += sounds[chosen[-1]]
        begin = time.monotonic()
        with Path(room, "out").open("w") as output:
            command = [program, "run", "--json", "--mode", mode, *map(str, chosen)]
            process = subprocess.Popen(command, stdout=output, env=os.environ | {"VOCAR_MODEL__DIR": str(MODEL)})
        seen = []
        while process.poll() is None:
            now = look(process.pid)
            if now:
                seen.append(now)
            time.sleep(EVERY)
        took = time.monotonic() - begin
        intents = Path(room, "out").read_text().count('"intent"')
    if len(seen) < 20:
        sys.exit(f"{program} ended with {process.returncode} after {took:.0f} s: too soon to tell")
    # The first fifth is loading and warming up.
    seen = seen[len(seen) // 5 :]
    memory, files = (halves([sample[i] for sample in seen]) for i in (0, 1))
    found = {
        "audio_seconds": round(total),
        "times_real_time": round(total / took, 1),
        "recordings": len(chosen),
        "intents": intents,
        "memory_kb": memory,
        "files": files,
    }
    holds = process.returncode == 0 and memory[1] - memory[0] <= GROWTH and files[1] <= files[0]
    name = f"hours of recordings through one process on the host, {mode}"
    return {"check": name, "holds": holds, "found": found, "seconds": round(took, 1), "host": True}


if __name__ == "__main__":
    for mode in ("open-mic", "push-to-talk"):
        print(json.dumps(soak(sys.argv[1], Path(sys.argv[2]), float(sys.argv[3]) / 2, mode)), flush=True)
