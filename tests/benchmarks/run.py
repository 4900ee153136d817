#!/usr/bin/env python3
"""Measures the shipped system and keeps each result beside the command that made it.

    python3 tests/benchmarks/run.py SPEECH WORK [NAME …]

SPEECH: the speech collection (manifest.tsv and tars). WORK: a scratch folder; `manifests.py` and `car_commands.py` lay
out the sets there when they are missing. Every evaluation runs on one core. Writes `tests/benchmarks/NAME.json` and
prints the table of the README.
"""

import json
import os
import platform
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]

RUNS = {
    "closed-set": "vocar eval {work}/eval/closed-set.tsv --mode push-to-talk --sentences {work}/eval/sentences.txt --json",
    "car-clean": "vocar eval {work}/car/car-clean.tsv --mode push-to-talk --entities demo --json",
    "car-10db": "vocar eval {work}/car/car-10db.tsv --mode push-to-talk --entities demo --json",
    "car-realtime": "vocar eval {work}/car/car-realtime.tsv --mode push-to-talk --entities demo --realtime --json",
    "car-open-mic": "vocar eval {work}/car/car-clean.tsv --mode open-mic --entities demo --json",
    "not-commands": "vocar eval {work}/eval/not-commands.tsv --mode open-mic --entities demo --json",
}

ROWS = [
    ("sentences out of 4,266, people's voices: accepted and right", "closed-set", "accepted_right", "{:.1%}", "≥ 92 %"),
    ("car commands, unheard synthetic voices: intent and all slots", "car-clean", "accepted_right", "{:.1%}", "≥ 92 %"),
    ("the same at 10 dB road noise", "car-10db", "accepted_right", "{:.1%}", "≥ 85 %"),
    ("clean, but at an open microphone, which asks for more confidence", "car-open-mic", "accepted_right", "{:.1%}", "–"),
    ("read speech at an open microphone: false intents an hour", "not-commands", "false_intents_per_hour", "{:.2f}", "≤ 2"),
    ("last word to intent, fed in real time, 95th percentile", "car-realtime", "latency_ms.p95", "{:.0f} ms", "≤ 200 ms"),
    ("real-time factor, one core", "closed-set", "rtf", "{:.3f}", "≤ 0.10"),
    ("resident memory, highest", "car-clean", "rss_mb", "{:.0f} MB", "≤ 120 MB"),
]


def lay_out(speech, work):
    """Makes the evaluation sets that are not there yet."""
    if not (work / "eval/closed-set.tsv").exists():
        subprocess.run([sys.executable, HERE / "manifests.py", speech, work / "eval"], check=True)
    if not (work / "car/car-10db.tsv").exists():
        subprocess.run([sys.executable, HERE / "car_commands.py", work / "car"], check=True)
    lines = (work / "car/car-clean.tsv").read_text(encoding="utf-8").splitlines()
    (work / "car/car-realtime.tsv").write_text("\n".join(lines[:61]) + "\n", encoding="utf-8")


def processor():
    """The processor's name, for reading the figures later."""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()


def measure(name, work):
    """Runs one evaluation on the first core and keeps its result."""
    shown = RUNS[name].format(work="WORK")
    command = RUNS[name].format(work=work).split()
    command[0] = str(ROOT / "target/release/vocar")
    out = subprocess.run(["taskset", "-c", "0", *command], check=True, capture_output=True, text=True, cwd=ROOT)
    result = json.loads(out.stdout.splitlines()[-1])
    kept = {"command": f"taskset -c 0 {shown}", "machine": processor(), "cores": os.cpu_count(), "result": result}
    (HERE / f"{name}.json").write_text(json.dumps(kept, indent=2) + "\n", encoding="utf-8")


def table():
    """The rows whose results are there, as Markdown."""
    yield "| what | measured | mark | command |"
    yield "|---|---|---|---|"
    for title, name, key, shape, mark in ROWS:
        path = HERE / f"{name}.json"
        if path.exists():
            value = json.loads(path.read_text(encoding="utf-8"))["result"]
            for part in key.split("."):
                value = value[part]
            yield f"| {title} | **{shape.format(value)}** | {mark} | [`{name}`](tests/benchmarks/{name}.json) |"


def main():
    speech, work, names = Path(sys.argv[1]), Path(sys.argv[2]).resolve(), sys.argv[3:] or list(RUNS)
    lay_out(speech, work)
    for name in names:
        measure(name, work)
        print(f"{name} done", file=sys.stderr)
    print("\n".join(table()))


if __name__ == "__main__":
    main()
