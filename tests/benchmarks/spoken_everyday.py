#!/usr/bin/env python3
"""Measures what becomes of everyday sentences that no template holds when they are spoken: by the grammar alone, and with
free speech read by the encoder.

    python3 tests/benchmarks/spoken_everyday.py CAR WORK [--out FILE] [--not-commands MANIFEST]
    python3 tests/benchmarks/spoken_everyday.py CAR WORK --dev SAMPLES

CAR: the folder that `car_commands.py` filled, whose template sentences are heard, too. WORK receives the recordings: the
sentences of `car-everyday.tsv`, by the voices kept from training, clean and over road noise at 10 dB. MANIFEST: recordings
without a command (`not-commands.tsv` of `manifests.py`), listened to as after a button; how many of them become one is
counted. Writes `spoken-everyday.json`; `vocar` is taken from target/release.

`--dev`: for choosing. SAMPLES is the folder that `training.nlu.car_domain` filled; its held-out paraphrases are spoken by the
voices of training, and nothing is written but WORK.
"""

import argparse
import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import run
from car_commands import TEST_VOICES, TRAIN_VOICES, record

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
VOCAR = ROOT / "target/release/vocar"
SNR = 10.0
FREE = "VOCAR_RECOGNITION__FREE_SPEECH"


def table(text):
    """Rows (text, intent, slots) of a table that begins with these columns."""
    header, *rows = [line.split("\t") for line in text.splitlines()]
    assert header[:3] == ["text", "intent", "slots"], header
    return [row[:3] for row in rows]


def paraphrases(samples, count, seed):
    """Held-out paraphrases with the names of the demonstration, as many different ones as asked for."""
    command = [VOCAR, "domain", "sample", samples / "car-dev", "--entities", "demo", "--count", str(count)]
    return table(subprocess.run([*command, "--seed", str(seed)], check=True, capture_output=True, text=True).stdout)


def evaluate(manifest, free, each):
    """What `vocar eval` finds of a manifest, listened to as after a button, with or without free speech."""
    command = [VOCAR, "eval", manifest, "--mode", "push-to-talk", "--entities", "demo", "--each", "--json"]
    environment = {**os.environ, FREE: str(free).lower()}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=ROOT)
    if done.returncode:
        sys.exit(f"{shlex.join(map(str, command))} failed: {done.stderr[-2000:]}")
    each.parent.mkdir(parents=True, exist_ok=True)
    each.write_text("".join(line + "\n" for line in done.stderr.splitlines() if line.startswith("{")), encoding="utf-8")
    return json.loads(done.stdout)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("car", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--out", type=Path, default=HERE / "spoken-everyday.json")
    parser.add_argument("--not-commands", type=Path)
    parser.add_argument("--dev", type=Path, metavar="SAMPLES")
    parser.add_argument("--count", type=int, default=400, help="paraphrases to speak with --dev")
    parser.add_argument("--seed", type=int, default=2026)
    args = parser.parse_args()

    work = args.work.resolve()
    name = "paraphrases" if args.dev else "everyday"
    folder = work / name
    if not (folder / f"{name}-{SNR:g}db.tsv").exists():
        everyday = HERE / "car-everyday.tsv"
        rows = paraphrases(args.dev, args.count, 7) if args.dev else table(everyday.read_text(encoding="utf-8"))
        record(rows, folder, name, TRAIN_VOICES if args.dev else TEST_VOICES, args.seed, SNR)
    manifests = [folder / f"{name}-clean.tsv", folder / f"{name}-{SNR:g}db.tsv"]
    manifests += sorted(args.car.resolve().glob("car-clean.tsv")) + sorted(
        args.car.resolve().glob(f"car-{SNR:g}db.tsv")
    )
    manifests += [args.not_commands.resolve()] if args.not_commands else []
    found = {}
    for manifest in manifests:
        ways = {"grammar": False, "free_speech": True}
        found[manifest.stem] = {
            way: evaluate(manifest, free, work / "each" / f"{manifest.stem}-{way}.jsonl") for way, free in ways.items()
        }
        shown = {way: {key: result.get(key) for key in ("accepted_right", "accepted_wrong", "rejected", "false_intents")}
                 for way, result in found[manifest.stem].items()}  # fmt: skip
        print(manifest.stem, json.dumps(shown))
    if not args.dev:
        run.keep(
            args.out.resolve(), shlex.join(["python3", "tests/benchmarks/spoken_everyday.py", *sys.argv[1:]]), found
        )


if __name__ == "__main__":
    main()
