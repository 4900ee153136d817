#!/usr/bin/env python3
"""Measures the shipped system and keeps each result beside the command that made it.

    python3 tests/benchmarks/run.py SPEECH WORK [NAME …] [--jobs 2] [--core 0] [--dev] [--table] [--every N] [--out FOLDER]

SPEECH: the speech collection (manifest.tsv and tars). WORK: a scratch folder; `manifests.py`, `car_commands.py`, `noisy.py`
and `radio.py` lay out the sets there when they are missing. NAME: one of the evaluations below, `noise` for the nine sets in
noise, `groups`, `plots`; without names all of them. Every evaluation runs on one core; `--jobs 2` runs two sets in noise at
a time, whose times then mean nothing and are left out. Writes `tests/benchmarks/NAME.json`, each recording's outcome to
WORK/each/NAME.jsonl (for `errors.py`, `groups.py`, `plots.py`), and prints the table of the README.

`--every N`: only every Nth recording of the sets in noise, for a quicker and coarser figure; the result says so.
`--dev`: the development splits instead, for choosing; nothing but WORK/dev is written. `--table`: measures nothing.
"""

import argparse
import concurrent.futures
import json
import os
import platform
import queue
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
NOISES, LEVELS = ("road", "babble", "cabin"), (20, 10, 6)
CAP = "8"
"""Seconds that an utterance may last while the radio talks on."""

SENTENCES = "--mode push-to-talk --sentences {work}/eval/sentences.txt --each --json"
RUNS = {
    "closed-set": "vocar eval {work}/eval/closed-set.tsv " + SENTENCES,
    "car-clean": "vocar eval {work}/car/car-clean.tsv --mode push-to-talk --entities demo --each --json",
    "car-10db": "vocar eval {work}/car/car-10db.tsv --mode push-to-talk --entities demo --each --json",
    "car-realtime": "vocar eval {work}/car/car-realtime.tsv --mode push-to-talk --entities demo --realtime --json",
    "car-open-mic": "vocar eval {work}/car/car-clean.tsv --mode open-mic --entities demo --each --json",
    "not-commands": "vocar eval {work}/eval/not-commands.tsv --mode open-mic --entities demo --each --json",
    "closed-set-radio": f"env VOCAR_LISTEN__LONGEST_S={CAP} vocar eval {{work}}/noisy/closed-set-radio.tsv --tail 0 "
    + SENTENCES,
}
NOISY = {
    f"closed-set-{noise}-{level}db": f"vocar eval {{work}}/noisy/closed-set-{noise}-{level}db.tsv --tail 0 " + SENTENCES
    for noise in NOISES
    for level in LEVELS
}
DEV = ("closed-set", "not-commands", "closed-set-radio", *NOISY)

# Title, file, key in its result, format, mark.
# fmt: off
ROWS = [
    ("sentences out of 4,266, people's voices: accepted and right", "closed-set", "accepted_right", "{:.1%}", "≥ 96 %"),
    ("the same in noise, mean of road, babble and cabin at 20, 10 and 6 dB", "closed-set-noise", "mean", "{:.1%}", "≥ 90 %"),
    ("… road", "closed-set-noise", "road.mean", "{:.1%}", "–"),
    ("… babble", "closed-set-noise", "babble.mean", "{:.1%}", "–"),
    ("… cabin", "closed-set-noise", "cabin.mean", "{:.1%}", "–"),
    ("worst known group of speakers (native or not, child or adult, female or male), clean", "groups", "worst.accepted_right", "{:.1%}", "≥ 88 %"),
    ("car commands, unheard synthetic voices: intent and all slots", "car-clean", "accepted_right", "{:.1%}", "≥ 97 %"),
    ("the same at 10 dB road noise", "car-10db", "accepted_right", "{:.1%}", "≥ 93 %"),
    ("clean, but at an open microphone, which asks for more confidence", "car-open-mic", "accepted_right", "{:.1%}", "–"),
    ("read speech at an open microphone: false intents an hour", "not-commands", "false_intents_per_hour", "{:.2f}", "≤ 0.5"),
    ("last word to answer, sentences of people, median", "closed-set", "latency_ms.p50", "{:.0f} ms", "≤ 400 ms"),
    ("last word to answer, sentences of people, 95th percentile", "closed-set", "latency_ms.p95", "{:.0f} ms", "≤ 700 ms"),
    ("last word to decision, refused ones too, 95th percentile", "closed-set", "endpoint_ms.p95", "{:.0f} ms", "–"),
    ("last word to intent, car commands, median", "car-clean", "latency_ms.p50", "{:.0f} ms", "≤ 400 ms"),
    ("last word to intent, car commands, 95th percentile", "car-clean", "latency_ms.p95", "{:.0f} ms", "≤ 700 ms"),
    ("last word to intent, fed in real time, 95th percentile", "car-realtime", "latency_ms.p95", "{:.0f} ms", "≤ 200 ms"),
    (f"longest utterance while a radio talks on, cap of {CAP} s", "closed-set-radio", "longest_utterance_s", "{:.2f} s", f"≤ {CAP} s"),
    ("voice activity, frame by frame, speech in noise: area under the ROC curve", "vad-roc", "auc", "{:.3f}", "≥ 0.95"),
    ("wake phrase from text alone (athena, amelia, computer): missed at 0.1 false alarm an hour", "wake-det", "missed_at_0.1_per_hour", "{:.1%}", "≤ 8 %"),
    ("any words, LibriSpeech test: word error", "words", "librispeech-test", "{:.1%}", "≤ 22 %"),
    ("any words, Common Voice test: word error", "words", "commonvoice-test", "{:.1%}", "≤ 38 %"),
    ("commands over music as loud as the voice, with a reference: points lost against quiet", "echo", "points_lost", "{:.1f}", "≤ 5"),
    ("commands from four seats on the road, a microphone each: right seat named", "zones", "road.zone_right", "{:.1%}", "–"),
    ("real-time factor, one core", "closed-set", "rtf", "{:.3f}", "≤ 0.10"),
    ("resident memory, highest", "car-clean", "rss_mb", "{:.0f} MB", "≤ 120 MB"),
]
# fmt: on


def script(name, *arguments):
    """Runs another file of this folder."""
    subprocess.run([sys.executable, HERE / name, *map(str, arguments)], check=True)


def lay_out(speech, work, names, suffix):
    """Makes the evaluation sets that are needed and not there yet."""
    if not (work / "eval/closed-set.tsv").exists():
        script("manifests.py", speech, work / "eval")
    if any(name.startswith("car") for name in names):
        if not (work / "car/car-10db.tsv").exists():
            script("car_commands.py", work / "car")
        lines = (work / "car/car-clean.tsv").read_text(encoding="utf-8").splitlines()
        (work / "car/car-realtime.tsv").write_text("\n".join(lines[:61]) + "\n", encoding="utf-8")
    closed = f"closed-set{suffix}"
    missing = [noise for noise in NOISES if not (work / f"noisy/{closed}-{noise}-6db.tsv").exists()]
    missing = [noise for noise in missing if any(f"-{noise}-" in name for name in names)]
    if missing:
        script("noisy.py", speech, work / "eval", work / "noisy", "--set", closed, "--noise", *missing)
    if "closed-set-radio" in names and not (work / f"noisy/{closed}-radio.tsv").exists():
        script("radio.py", speech, work / "eval", work / "noisy", "--set", closed)


def processor():
    """The processor's name, for reading the figures later."""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()


def keep(path, command, result, **more):
    """Writes a result beside the command that made it."""
    kept = {"command": command, "machine": processor(), "cores": os.cpu_count(), **more, "result": result}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(kept, indent=2) + "\n", encoding="utf-8")


def thinned(manifest, every):
    """A manifest with every Nth recording of another one."""
    header, *rows = manifest.read_text(encoding="utf-8").splitlines()
    made = manifest.with_name(f"{manifest.stem}-every-{every}.tsv")
    made.write_text("\n".join([header, *rows[::every]]) + "\n", encoding="utf-8")


def measure(name, work, out, suffix, core=0, every=1):
    """Runs one evaluation on one core; keeps its result in `out` and each outcome in WORK/each."""
    shown = ({**RUNS, **NOISY})[name]
    if every > 1:
        thinned(work / f"noisy/{name.replace('closed-set', f'closed-set{suffix}')}.tsv", every)
        shown = shown.replace(".tsv", f"-every-{every}.tsv", 1)
    if suffix:
        shown = shown.replace("/closed-set", f"/closed-set{suffix}").replace("/not-commands", f"/not-commands{suffix}")
    command = shown.format(work=work).split()
    command[command.index("vocar")] = str(ROOT / "target/release/vocar")
    done = subprocess.run(["taskset", "-c", str(core), *command], capture_output=True, text=True, cwd=ROOT)
    if done.returncode:
        sys.exit(f"{name}: {' '.join(command)} failed: {done.stderr[-2000:]}")
    each = work / f"each{suffix}" / f"{name}.jsonl"
    each.parent.mkdir(parents=True, exist_ok=True)
    each.write_text(done.stderr, encoding="utf-8")
    result = json.loads(done.stdout.splitlines()[-1])
    keep(out / f"{name}.json", f"taskset -c 0 {shown.format(work='WORK')}", result)
    print(f"{name} done", file=sys.stderr)


def measure_noise(names, work, out, suffix, jobs, every, first):
    """Runs sets in noise, `jobs` at a time; sums up all nine once they are there."""
    cores = queue.Queue()
    for core in range(jobs):
        cores.put(first + core)

    def one(name):
        core = cores.get()
        try:
            measure(name, work, work / f"noise{suffix}", suffix, core, every)
        finally:
            cores.put(core)

    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        list(pool.map(one, names))
    paths = {name: work / f"noise{suffix}" / f"{name}.json" for name in NOISY}
    if all(path.exists() for path in paths.values()):
        results = {name: json.loads(path.read_text(encoding="utf-8"))["result"] for name, path in paths.items()}
        what = ("accepted_right", "accepted_wrong", "wer", "refused_for", "endpoint_ms")
        table = {
            noise: {
                str(level): {key: results[f"closed-set-{noise}-{level}db"][key] for key in what} for level in LEVELS
            }
            for noise in NOISES
        }
        for noise in NOISES:
            table[noise]["mean"] = round(sum(table[noise][str(level)]["accepted_right"] for level in LEVELS) / 3, 4)
        by_level = {
            str(level): round(sum(table[noise][str(level)]["accepted_right"] for noise in NOISES) / 3, 4)
            for level in LEVELS
        }
        mean = round(sum(table[noise]["mean"] for noise in NOISES) / 3, 4)
        asked = {result["asked"] for result in results.values()}
        if len(asked) > 1:
            sys.exit("the sets in noise were measured with different --every: measure all nine again")
        command = "python3 tests/benchmarks/run.py SPEECH WORK noise" + (f" --every {every}" if every > 1 else "")
        kept = {"mean": mean, "asked_each": asked.pop(), "by_level": by_level, **table}
        keep(out / "closed-set-noise.json", command, kept)


def group(speech, work, out, suffix):
    """Tells the clean closed set apart by groups of speakers."""
    made = work / f"groups{suffix}.json"
    script("groups.py", speech, work / f"each{suffix}/closed-set.jsonl", "--json", made)
    command = "python3 tests/benchmarks/groups.py SPEECH WORK/each/closed-set.jsonl --json FILE"
    keep(out / "groups.json", command, json.loads(made.read_text(encoding="utf-8")))


def value(path, key):
    """A figure of a result file, or None where there is none."""
    if not path.exists():
        return None
    found = json.loads(path.read_text(encoding="utf-8"))
    found = found.get("result", found)
    # A key of its own may hold a point, too.
    for part in [key] if key in found else key.split("."):
        found = found.get(part) if isinstance(found, dict) else None
    return found


def table(folder):
    """The rows whose results are there, as Markdown."""
    yield "| what | measured | mark | command |"
    yield "|---|---|---|---|"
    for title, name, key, shape, mark in ROWS:
        figure = value(folder / f"{name}.json", key)
        if figure is not None:
            if "--every" in json.loads((folder / f"{name}.json").read_text(encoding="utf-8")).get("command", ""):
                title += " (a part of the recordings)"
            yield f"| {title} | **{shape.format(figure)}** | {mark} | [`{name}`](tests/benchmarks/{name}.json) |"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("speech", type=Path)
    parser.add_argument("work", type=Path)
    known = [*RUNS, *NOISY, "noise", "groups", "plots"]
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(known))
    parser.add_argument("--jobs", type=int, default=1, help="sets in noise at a time")
    parser.add_argument("--core", type=int, default=0, help="the first core to run on")
    parser.add_argument("--dev", action="store_true", help="the development splits")
    parser.add_argument("--every", type=int, default=1, help="measure every Nth recording in noise")
    parser.add_argument("--out", type=Path, default=HERE, help="where results go, instead of beside this file")
    parser.add_argument("--table", action="store_true", help="print what was measured before")
    args = parser.parse_intermixed_args()
    unknown = set(args.names) - set(known)
    if unknown:
        parser.error(f"there is no {', '.join(sorted(unknown))}: name some of {', '.join(known)}")

    work, suffix = args.work.resolve(), "-dev" if args.dev else ""
    out = work / "dev" if args.dev else args.out.resolve()
    names = [] if args.table else args.names or [*RUNS, "noise", "groups", "plots"]
    if "noise" in names:
        names = [*(name for name in names if name != "noise" and name not in NOISY), *NOISY]
    if args.dev:
        names = [name for name in names if name in (*DEV, "groups")]
    lay_out(args.speech, work, names, suffix)
    for name in (name for name in RUNS if name in names):
        measure(name, work, out, suffix, args.core)
    noisy = [name for name in NOISY if name in names]
    if noisy:
        measure_noise(noisy, work, out, suffix, args.jobs, args.every, args.core)
    if "groups" in names:
        group(args.speech, work, out, suffix)
    if "plots" in names:
        script("plots.py", work, "--results", out, "--out", out / "plots")
    print("\n".join(table(out)))


if __name__ == "__main__":
    main()
