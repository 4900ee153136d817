#!/usr/bin/env python3
"""Speaks sampled car commands with voices kept from training, clean and over road noise, for `vocar eval`.

    python3 tests/benchmarks/car_commands.py OUT [--count 500] [--seed 2026] [--voices test]

Needs the Python packages of `training/requirements.txt` and Debian's flite, festival and festvox-kdlpc16k. OUT receives
the recordings and the manifests `car-clean.tsv` and `car-10db.tsv` (path, text, intent, slots).
"""

import argparse
import random
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import soundfile

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))
from training.synthesise import TEST_VOICES, TRAIN_VOICES, level, speak  # noqa: E402

RATE = 16_000


def sentences(vocar, count, seed):
    """Rows (text, intent, slots) that `vocar domain sample` draws from the car domain."""
    command = [vocar, "domain", "sample", "car", "--entities", "demo", "--count", str(count), "--seed", str(seed)]
    lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    header, rows = lines[0].split("\t"), [line.split("\t") for line in lines[1:]]
    assert header[:3] == ["text", "intent", "slots"], header
    return rows


def road_noise(length, rng):
    """Tyre rumble (falling 9 dB an octave from 60 Hz), wind hiss below it and an engine's harmonics."""
    size = 1 << (length - 1).bit_length()
    frequency = np.fft.rfftfreq(size, 1 / RATE)
    slope = (np.maximum(frequency, 60) / 60) ** -1.5 + 0.02 * (np.maximum(frequency, 60) / 60) ** -0.5
    rumble = np.fft.irfft(np.fft.rfft(rng.standard_normal(size)) * slope)[:length]
    time = np.arange(length) / RATE
    firing = rng.uniform(55, 110)
    engine = sum(np.sin(2 * np.pi * firing * k * time + rng.uniform(0, 6.3)) / k for k in range(1, 7))
    return rumble / rumble.std() + 0.3 * engine / engine.std()


def speech_power(samples):
    """Mean power of the louder half of 20 ms frames: the voice, not the pauses around it."""
    frames = samples[: len(samples) // 320 * 320].reshape(-1, 320)
    return np.sort((frames**2).mean(1))[len(frames) // 2 :].mean()


def record(rows, out, name, voices, seed, snr):
    """Speaks the texts that begin the rows, clean and over road noise; writes a manifest of each beside the recordings."""
    out.mkdir(parents=True, exist_ok=True)
    manifests = {f"{name}-clean": [], f"{name}-{snr:g}db": []}
    with tempfile.TemporaryDirectory() as scratch:
        for number, row in enumerate(rows):
            rng = random.Random(seed * 1_000_003 + number)
            engine, voice = rng.choice(voices)
            clean = level(speak(engine, voice, row[0], rng, Path(scratch)), rng)
            noise = road_noise(len(clean), np.random.default_rng(rng.getrandbits(32)))
            gain = np.sqrt(speech_power(clean) / (noise**2).mean() * 10 ** (-snr / 10))
            for manifest, samples in zip(manifests, (clean, clean + gain * noise), strict=True):
                path = out / f"{number:04d}-{manifest}.wav"
                soundfile.write(path, np.clip(samples, -1, 1), RATE, subtype="PCM_16")
                manifests[manifest].append("\t".join([str(path), *row[:3]]))
    for manifest, lines in manifests.items():
        file = out / f"{manifest}.tsv"
        file.write_text("\n".join(["path\ttext\tintent\tslots", *lines]) + "\n", encoding="utf-8")
        print(f"{file.name}: {len(lines)} recordings")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("--seed", type=int, default=2026)
    parser.add_argument(
        "--voices", choices=("test", "train"), default="test", help="train: for tuning, never for a figure"
    )
    parser.add_argument("--snr", type=float, default=10.0, help="decibels")
    parser.add_argument("--vocar", default=str(ROOT / "target/release/vocar"))
    args = parser.parse_args()

    voices = TEST_VOICES if args.voices == "test" else TRAIN_VOICES
    rows = sentences(args.vocar, args.count, args.seed)
    record(rows, args.out.resolve(), "car", voices, args.seed, args.snr)


if __name__ == "__main__":
    main()
