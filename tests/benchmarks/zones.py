#!/usr/bin/env python3
"""Car commands from every seat, with a microphone in the roof before each: makes the set, or measures it.

    python3 tests/benchmarks/zones.py make OUT [--count 200] [--seed 2026] [--voices test] [--seats 4] [--snr 10]
    python3 tests/benchmarks/zones.py measure OUT

`make` needs what `car_commands.py` needs. A recording has one channel a seat; a person on one of the seats speaks in
`cabin.py`'s box, and each microphone has road noise of its own. `--snr` (decibels) holds at the microphone of the
speaker's seat. Manifests: `quiet.tsv` and `road.tsv`, with the column `zone`.

`measure` runs `vocar eval` with all microphones, with the driver's alone and, as the best there is, with each speaker's
own, and prints a table: the share of commands understood and the share with the right zone.
"""

import argparse
import json
import random
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import soundfile

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
sys.path.insert(0, str(HERE.parents[1]))
import cabin  # noqa: E402
import noises  # noqa: E402
from car_commands import ROOT, sentences  # noqa: E402
from run import keep  # noqa: E402

from training.synthesise import TEST_VOICES, TRAIN_VOICES, level, speak  # noqa: E402

RATE = 16_000
SEATS = ("driver", "passenger", "rear_left", "rear_right")


def scene(clean, seat, seats, snr, rng):
    """What each seat's microphone hears, in quiet and on the road: two arrays (seats, samples)."""
    mouth = cabin.jittered(cabin.SEATS[seat], rng)
    paths = [cabin.impulse_response(mouth, cabin.jittered(cabin.MICROPHONES[name], rng, 0.02)) for name in seats]
    own = np.sqrt((paths[seats.index(seat)] ** 2).sum())
    voices = np.stack([cabin.convolve(clean, path / own)[: len(clean)] for path in paths])
    quiet = voices + 1e-4 * rng.standard_normal(voices.shape)
    noise = np.stack([noises.road(len(clean), rng) for _ in seats])
    gain = np.sqrt(noises.speech_power(voices[seats.index(seat)]) / 10 ** (snr / 10) / (noise**2).mean())
    return quiet, quiet + gain * noise


def make(args):
    voices = TEST_VOICES if args.voices == "test" else TRAIN_VOICES
    seats = SEATS[: args.seats]
    out = args.out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    rows = {"quiet": [], "road": []}
    with tempfile.TemporaryDirectory() as scratch:
        for number, row in enumerate(sentences(args.vocar, args.count, args.seed)):
            rng = random.Random(args.seed * 1_000_003 + number)
            engine, voice = rng.choice(voices)
            seat = rng.choice(seats)
            clean = level(speak(engine, voice, row[0], rng, Path(scratch)), rng)
            quiet, road = scene(clean, seat, seats, args.snr, np.random.default_rng(rng.getrandbits(32)))
            for name, channels in (("quiet", quiet), ("road", road)):
                path = out / f"{number:04d}-{name}.wav"
                soundfile.write(path, (channels / max(1.0, 1.05 * np.abs(channels).max())).T, RATE, subtype="PCM_16")
                rows[name].append("\t".join([path.name, *row[:3], seat]))
    for name, lines in rows.items():
        text = "\n".join(["path\ttext\tintent\tslots\tzone", *lines]) + "\n"
        (out / f"{name}.tsv").write_text(text, encoding="utf-8")
        print(f"{name}.tsv: {len(lines)} recordings, {len(seats)} microphones")


def evaluate(args, manifest, *options):
    """The sums of `vocar eval` at a button, on one core."""
    command = [
        "taskset",
        "-c",
        "0",
        args.vocar,
        "eval",
        str(manifest),
        "--mode",
        "push-to-talk",
        "--entities",
        "demo",
        "--json",
    ]
    out = subprocess.run([*command, *options], check=True, capture_output=True, text=True, cwd=ROOT)
    return json.loads(out.stdout.splitlines()[-1])


def own_microphone(args, name):
    """The sums with each speaker's own microphone: one evaluation a seat, weighted by its commands."""
    header, *lines = (args.out / f"{name}.tsv").read_text(encoding="utf-8").splitlines()
    right = 0.0
    for number, seat in enumerate(SEATS):
        chosen = [line for line in lines if line.endswith(f"\t{seat}")]
        if chosen:
            manifest = args.out / f"{name}-{seat}.tsv"
            manifest.write_text("\n".join([header, *chosen]) + "\n", encoding="utf-8")
            right += len(chosen) * evaluate(args, manifest, "--microphone", f"{seat}={number}")["accepted_right"]
    return right / len(lines)


def measure(args):
    args.out = args.out.resolve()
    first = (args.out / "quiet.tsv").read_text(encoding="utf-8").splitlines()[1].split("\t")[0]
    seats = SEATS[: soundfile.info(args.out / first).channels]
    everyone = [word for number, seat in enumerate(seats) for word in ("--microphone", f"{seat}={number}")]
    print(
        "| commands | right zone | understood | driver's microphone alone | speaker's own | real-time factor |\n|---|---|---|---|---|---|"
    )
    kept = {}
    for name in ("quiet", "road"):
        manifest = args.out / f"{name}.tsv"
        sums, driver = evaluate(args, manifest, *everyone), evaluate(args, manifest, "--microphone", "driver=0")
        shares = (sums["zone_right"], sums["accepted_right"], driver["accepted_right"], own_microphone(args, name))
        print(f"| {name} | {' | '.join(f'{share:.1%}' for share in shares)} | {sums['rtf']:.3f} |")
        kept[name] = dict(zip(("zone_right", "understood", "drivers_alone", "speakers_own"), shares, strict=True))
    if args.keep:
        keep(
            args.keep, "python3 tests/benchmarks/zones.py make OUT; python3 tests/benchmarks/zones.py measure OUT", kept
        )


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    making = commands.add_parser("make")
    making.add_argument("out", type=Path)
    making.add_argument("--count", type=int, default=200)
    making.add_argument("--seed", type=int, default=2026)
    making.add_argument(
        "--voices", choices=("test", "train"), default="test", help="train: for tuning, never for a figure"
    )
    making.add_argument("--seats", type=int, choices=(2, 3, 4), default=4)
    making.add_argument("--snr", type=float, default=10.0, help="decibels")
    making.add_argument("--vocar", default=str(ROOT / "target/release/vocar"))
    making.set_defaults(run=make)
    measuring = commands.add_parser("measure")
    measuring.add_argument("out", type=Path)
    measuring.add_argument("--vocar", default=str(ROOT / "target/release/vocar"))
    measuring.add_argument(
        "--keep", type=Path, help="where the result goes as JSON, such as tests/benchmarks/zones.json"
    )
    measuring.set_defaults(run=measure)
    args = parser.parse_args()
    args.run(args)


if __name__ == "__main__":
    main()
