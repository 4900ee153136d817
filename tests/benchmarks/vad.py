#!/usr/bin/env python3
"""Measures the voice activity detector frame by frame on speech in noise, and keeps its ROC curve.

    python3 tests/benchmarks/vad.py SPEECH WORK [--split test|dev] [--recordings 80] [--out tests/benchmarks/vad-roc.json]

Needs the Python packages of `training/requirements.txt`. SPEECH: the speech collection. WORK: a scratch folder; `manifests.py`
lays out the recordings in WORK/eval when they are missing. Speech: the first so many recordings (by a seeded draw) of each
corpus of the split. Each gets one second of noise before and after it and noise all through, at 20, 10, 5 and 0 dB (power over
the speech-active part); the noises take turns: road (tyres, wind, engine), cabin (ventilation and a recorded noise, as a
microphone in the roof hears them) and a recorded noise by itself. Labels: the clean recording is aligned with its transcript
by the acoustic network of the bundle; every phone but silence is speech. Scores: one every 16 ms from the Rust example
`voice`, the detector as it ships; the label of a frame is that of its middle. Nothing is shifted, smoothed or left out.
"""

import argparse
import json
import subprocess
import sys
import zlib
from pathlib import Path

import noises
import noisy
import numpy as np
import soundfile
from aligned import ALIGNED, Aligner
from manifests import DEV, TEST

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(ROOT))
from training.bundle import BUNDLE  # noqa: E402

LEVELS = (20, 10, 5, 0)
KINDS = ("road", "cabin", "recorded")
FRAME = 256
PAUSE = noises.RATE


def noise_like(kind, length, recorded, rng):
    """Noise of one kind at unit power."""
    if kind == "road":
        return noises.road(length, rng)
    if kind == "cabin":
        return noisy.cabin_noise(recorded, length, rng)
    thing = recorded[rng.integers(len(recorded))]
    return noises.unit(np.resize(np.roll(thing, rng.integers(len(thing))), length))


def chosen(speech, folder, split, count, seed):
    """Rows (path, text) of the split, `count` of each corpus."""
    wanted = {pair for pair in (TEST if split == "test" else DEV) if pair[0] != "voxforge"}
    rows = [line.split("\t") for line in (speech / "manifest.tsv").read_text(encoding="utf-8").splitlines()[1:]]
    for corpus, part in sorted(wanted):
        own = [row for row in rows if (row[1], row[2]) == (corpus, part)]
        for index in np.random.default_rng(seed).permutation(len(own))[:count]:
            yield folder / f"{corpus}-{part}" / f"{own[index][0]}.opus", own[index][6]


def streams(rows, recorded, aligner, seed):
    """For each level the mixed stream, and labels for every sample of all of them."""
    mixed = {level: [] for level in LEVELS}
    labels = []
    for number, (path, text) in enumerate(rows):
        samples = noisy.read(path)
        speech = aligner.speech(samples, text)
        if speech is None:
            continue
        rng = np.random.default_rng([seed, zlib.crc32(path.stem.encode())])
        noise = noise_like(KINDS[number % len(KINDS)], len(samples) + 2 * PAUSE, recorded, rng)
        for level in LEVELS:
            both = noises.mix(samples, noise, level, PAUSE, PAUSE)
            mixed[level].append(both * min(1.0, 0.99 / abs(both).max()))
        labels.append(np.pad(np.repeat(speech, ALIGNED)[: len(samples)], PAUSE))
    return {level: np.concatenate(parts) for level, parts in mixed.items()}, np.concatenate(labels)


def scores(samples, scratch):
    """The detector's score of each frame and the share of one core that it took."""
    soundfile.write(scratch, samples, noises.RATE, subtype="PCM_16")
    command = [ROOT / "target/release/examples/voice", scratch]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    audio, computing = (float(part.split()[0]) for part in done.stderr.split(","))
    return np.array(done.stdout.split(), float), computing / audio


def roc(values, speech):
    """False and true positive rates at every threshold, falling, and the area under the curve."""
    order = np.argsort(-values, kind="stable")
    last = np.append(np.diff(values[order]) != 0, True)
    true = np.append(0, np.cumsum(speech[order])[last] / speech.sum())
    false = np.append(0, np.cumsum(~speech[order])[last] / (~speech).sum())
    return false, true, float(np.trapezoid(true, false)), np.append(np.inf, values[order][last])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("speech", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument(
        "--split", choices=("test", "dev"), default="test", help="dev: for choosing, never for a figure"
    )
    parser.add_argument("--recordings", type=int, default=80, help="of each corpus")
    parser.add_argument("--seed", type=int, default=2026)
    parser.add_argument("--bundle", type=Path, default=BUNDLE)
    parser.add_argument("--out", type=Path, default=HERE / "vad-roc.json")
    args = parser.parse_args()

    if not (args.work / "eval/not-commands-dev.tsv").exists():
        subprocess.run([sys.executable, HERE / "manifests.py", args.speech, args.work / "eval"], check=True)
    build = ["cargo", "build", "-q", "--release", "-p", "vocar-speech", "--example", "voice"]
    subprocess.run(build, check=True, cwd=ROOT)
    rows = list(chosen(args.speech, args.work / "eval", args.split, args.recordings, args.seed))
    mixed, labels = streams(rows, noisy.recorded_noises(args.speech), Aligner(args.bundle), args.seed)
    middles = np.arange(len(labels) // FRAME) * FRAME + FRAME // 2
    speech = labels[middles]
    found = {level: scores(samples, args.work / "vad.wav") for level, samples in mixed.items()}
    by_snr = {str(level): round(roc(values, speech)[2], 4) for level, (values, _) in found.items()}
    false, true, area, at = roc(np.concatenate([v for v, _ in found.values()]), np.tile(speech, len(found)))
    kept = np.unique(np.searchsorted(false + true, np.linspace(0, 2, 201)).clip(0, len(false) - 1))
    result = {
        "command": f"python3 tests/benchmarks/vad.py SPEECH WORK --split {args.split} --recordings {args.recordings}",
        "recordings": len(rows),
        "hours": round(len(labels) / noises.RATE / 3600 * len(found), 2),
        "speech_share": round(float(speech.mean()), 3),
        "auc": round(area, 4),
        "by_snr": by_snr,
        "core_share": round(float(np.mean([share for _, share in found.values()])), 5),
        "points": [
            {
                "threshold": None if np.isinf(at[i]) else round(float(at[i]), 5),
                "false": round(float(false[i]), 4),
                "true": round(float(true[i]), 4),
            }
            for i in kept
        ],
    }
    args.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(json.dumps({key: value for key, value in result.items() if key != "points"}))


if __name__ == "__main__":
    main()
