#!/usr/bin/env python3
"""Car commands while the car plays music at equal loudness: makes the set, or measures it.

    python3 tests/benchmarks/echo.py make OUT [--count 200] [--seed 2026] [--voices test] [--over music|radio] [--lead 2.5]
    python3 tests/benchmarks/echo.py measure OUT [--lead 2.5]

`make` needs what `car_commands.py` needs. Each recording has three channels: the microphone, and the left and right
channel that were played. The loudspeakers distort a little (soft clipping), stand in the doors and the dashboard of
`cabin.py`'s box, and play 10 to 60 ms after the reference; music begins `--lead` seconds before the command and the
driver's roof microphone hears both. `quiet.tsv` has the same commands on the same path without music. Equal loudness:
the K-weighted level (ITU-R BS.1770) of the music at the microphone during the command is that of the voice.

`measure` runs `vocar eval` over the commands in quiet, over music without and with the reference, and prints a table.
Listening begins with the command; the canceller hears the lead, too, as in a car whose microphone is open already.
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
from car_commands import ROOT, sentences  # noqa: E402
from music import song  # noqa: E402
from run import keep  # noqa: E402

from training.synthesise import TEST_VOICES, TRAIN_VOICES, level, speak  # noqa: E402

RATE = 16_000
NEWS = (
    "The city council voted last night to extend the opening hours of the central library during the winter months.",
    "Heavy rain is expected along the coast this evening, with strong winds from the south west later in the week.",
    "Researchers found that most of the visitors came back within a year, and that many of them brought their friends.",
    "The museum reopens in the spring after two years of work, and the first exhibition shows paintings of the harbour.",
    "In other news, the local team won its third match in a row and moves up to second place before the holidays.",
)
# Which channel (left, right) each loudspeaker plays, and how loud.
FEEDS = {
    "front_left": (1.0, 0.0),
    "front_right": (0.0, 1.0),
    "rear_left": (0.6, 0.0),
    "rear_right": (0.0, 0.6),
    "centre": (0.3, 0.3),
}


def _biquad(frequency, b, a):
    z = np.exp(-2j * np.pi * frequency / RATE)
    return np.abs(np.polyval(b[::-1], z) / np.polyval(a[::-1], z)) ** 2


def k_weighting(frequency):
    """Power gain of BS.1770's two filters (a shelf for the head, a high pass), designed for this sample rate."""
    k = np.tan(np.pi * 1681.974 / RATE)
    high, middle, q = 10 ** (3.99984 / 20), 10 ** (3.99984 * 0.4996668 / 20), 0.7071752
    norm = 1 + k / q + k * k
    shelf_b = np.array([high + middle * k / q + k * k, 2 * (k * k - high), high - middle * k / q + k * k]) / norm
    shelf_a = np.array([1, 2 * (k * k - 1) / norm, (1 - k / q + k * k) / norm])
    k, q = np.tan(np.pi * 38.13547 / RATE), 0.5003270
    norm = 1 + k / q + k * k
    pass_a = np.array([1, 2 * (k * k - 1) / norm, (1 - k / q + k * k) / norm])
    return _biquad(frequency, shelf_b, shelf_a) * _biquad(frequency, np.array([1.0, -2.0, 1.0]), pass_a)


def loudness(samples, gated=False):
    """K-weighted mean power; `gated`: of the louder half of 20 ms frames, the voice and not the pauses around it."""
    weighted = np.fft.irfft(
        np.fft.rfft(samples) * np.sqrt(k_weighting(np.fft.rfftfreq(len(samples), 1 / RATE))), len(samples)
    )
    frames = (weighted[: len(weighted) // 320 * 320].reshape(-1, 320) ** 2).mean(1)
    return np.sort(frames)[len(frames) // 2 :].mean() if gated else frames.mean()


def clipped(samples, drive):
    """A loudspeaker's odd and even distortion: at full scale `drive` of 0.1 is a few per cent of harmonics."""
    return np.tanh(samples * (1 + drive)) / (1 + drive) + 0.3 * drive * samples**2


def played(over, seconds, rng, scratch):
    """What the car plays, stereo, (2, samples), peaks within full scale."""
    if over == "music":
        sound = song(seconds, rng)
    else:
        talk = random.Random(int(rng.integers(1 << 31)))
        pieces = []
        while sum(map(len, pieces)) < seconds * RATE:
            pieces.append(
                speak("espeak", talk.choice(("en-us+m3", "en-gb+f2", "en-us+f4")), talk.choice(NEWS), talk, scratch)
            )
        voice = np.concatenate(pieces)[: int(seconds * RATE)]
        sound = np.stack([voice, voice])
    return 0.5 * sound / np.abs(sound).max()


def at_microphone(sound, rng):
    """The played sound through loudspeakers and cabin, as long as it was."""
    length = sound.shape[1]
    heard = np.zeros(length)
    microphone = cabin.jittered(cabin.MICROPHONES["driver"], rng, 0.02)
    delay = int(rng.uniform(0.010, 0.060) * RATE)
    for name, (left, right) in FEEDS.items():
        response = cabin.impulse_response(cabin.jittered(cabin.LOUDSPEAKERS[name], rng, 0.03), microphone)
        driven = clipped(left * sound[0] + right * sound[1], rng.uniform(0.05, 0.3))
        heard += np.pad(cabin.convolve(driven, response), (delay, 0))[:length]
    return heard


def scene(clean, over, lead, rng, scratch):
    """(microphone in quiet, music at the microphone, what was played): the command begins after `lead` seconds."""
    path = cabin.impulse_response(cabin.jittered(cabin.SEATS["driver"], rng), cabin.MICROPHONES["driver"])
    voice = cabin.convolve(clean, path / np.sqrt((path**2).sum()))[: len(clean)]
    sound = played(over, lead + len(clean) / RATE + 0.5, rng, scratch)
    heard = at_microphone(sound, rng)
    start = int(lead * RATE)
    quiet = np.zeros(sound.shape[1])
    quiet[start : start + len(voice)] = voice
    quiet += rng.standard_normal(len(quiet)) * 1e-4
    during = heard[start : start + len(voice)]
    return quiet, heard * np.sqrt(loudness(voice, gated=True) / loudness(during)), sound


def make(args):
    voices = TEST_VOICES if args.voices == "test" else TRAIN_VOICES
    out = args.out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    rows = {"quiet": [], args.over: []}
    with tempfile.TemporaryDirectory() as scratch:
        for number, row in enumerate(sentences(args.vocar, args.count, args.seed)):
            rng = random.Random(args.seed * 1_000_003 + number)
            engine, voice = rng.choice(voices)
            clean = level(speak(engine, voice, row[0], rng, Path(scratch)), rng)
            quiet, music, sound = scene(
                clean, args.over, args.lead, np.random.default_rng(rng.getrandbits(32)), Path(scratch)
            )
            loud = max(1.0, 1.05 * np.abs(quiet + music).max())
            start = int(args.lead * RATE)
            for name, channels in (
                ("quiet", [quiet[start:] / loud]),
                (args.over, [(quiet + music) / loud, sound[0], sound[1]]),
            ):
                path = out / f"{number:04d}-{name}.wav"
                soundfile.write(path, np.clip(np.stack(channels, 1), -1, 1), RATE, subtype="PCM_16")
                rows[name].append("\t".join([path.name, *row[:3]]))
    for name, lines in rows.items():
        (out / f"{name}.tsv").write_text("\n".join(["path\ttext\tintent\tslots", *lines]) + "\n", encoding="utf-8")
        print(f"{name}.tsv: {len(lines)} recordings")


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


def measure(args):
    args.out = args.out.resolve()
    over = next(name for name in ("music", "radio") if (args.out / f"{name}.tsv").exists())
    loud, lead = args.out / f"{over}.tsv", ("--listen-from", str(args.lead))
    rows = {
        "in quiet": evaluate(args, args.out / "quiet.tsv"),
        f"over {over}, no reference": evaluate(args, loud, "--microphone", "driver=0", *lead),
        f"over {over}, with the reference": evaluate(
            args, loud, "--reference-channel", "1", "--reference-channel", "2", *lead
        ),
    }
    print("| commands | accepted and right | accepted and wrong | rejected | real-time factor |\n|---|---|---|---|---|")
    for name, sums in rows.items():
        wrong, rejected = sums["accepted_wrong"], sums["rejected"] / sums["asked"]
        print(f"| {name} | {sums['accepted_right']:.1%} | {wrong:.1%} | {rejected:.1%} | {sums['rtf']:.3f} |")
    quiet, alone, cancelled = (sums["accepted_right"] for sums in rows.values())
    points_lost = round(100 * (quiet - cancelled), 2)
    kept = {"quiet": quiet, "without_reference": alone, "with_reference": cancelled, "points_lost": points_lost}
    if args.keep:
        keep(args.keep, "python3 tests/benchmarks/echo.py make OUT; python3 tests/benchmarks/echo.py measure OUT", kept)


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
    making.add_argument("--over", choices=("music", "radio"), default="music")
    making.add_argument("--lead", type=float, default=2.5, help="seconds of music before the command")
    making.add_argument("--vocar", default=str(ROOT / "target/release/vocar"))
    making.set_defaults(run=make)
    measuring = commands.add_parser("measure")
    measuring.add_argument("out", type=Path)
    measuring.add_argument("--lead", type=float, default=2.5, help="as given to make")
    measuring.add_argument("--vocar", default=str(ROOT / "target/release/vocar"))
    measuring.add_argument(
        "--keep", type=Path, help="where the result goes as JSON, such as tests/benchmarks/echo.json"
    )
    measuring.set_defaults(run=measure)
    args = parser.parse_args()
    args.run(args)


if __name__ == "__main__":
    main()
