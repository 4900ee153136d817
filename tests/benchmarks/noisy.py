#!/usr/bin/env python3
"""Mixes the closed set with the noises of a car, for `vocar eval`.

    python3 tests/benchmarks/noisy.py SPEECH EVAL OUT [--set closed-set|closed-set-dev] [--seed 2026] [--noise NAME …]

SPEECH is the speech collection, EVAL what `manifests.py` laid out. For each of the noises road, babble and cabin and each
of 20, 10 and 6 dB OUT receives the recordings and a manifest such as `closed-set-road-20db.tsv`.

* road: tyres, wind and engine at motorway speed, from their spectra;
* babble: five other speakers of the same split, each talking all the time;
* cabin: ventilation and, equally loud, a recorded noise (dishes, tap, exercise bike, cat) from the rear seat; these and the
  speaker on the driver's seat as a microphone in the roof hears them, by simulated impulse responses of a car's box.

The signal-to-noise ratio is the power of the speech over that of the noise, both over the speech-active part of the
recording (as heard at the microphone): the 20 ms frames less than 15.9 dB below their own mean. Noise begins half a second
before the recording and ends one second after it: evaluate with `--tail 0`. The three levels differ in the noise's gain
alone. Every recording has its own generator, seeded by its name: the same seed gives the same bytes, in any order.
"""

import argparse
import functools
import tarfile
import tempfile
import zlib
from pathlib import Path

import noises
import numpy as np
import soundfile
from manifests import DEV, TEST

LEVELS = (20, 10, 6)
TALKERS = 5
LEAD, TAIL = noises.RATE // 2, noises.RATE
RECORDED = ("noise-doing_the_dishes", "noise-dude_miaowing", "noise-exercise_bike", "noise-running_tap")


@functools.lru_cache(maxsize=400)
def read(path):
    """Samples of a recording at 16 kHz."""
    samples, rate = soundfile.read(path, dtype="float64")
    assert rate == noises.RATE, f"{path}: {rate} Hz: the collection is at {noises.RATE} Hz"
    return samples


class Speakers:
    """Who speaks in which recording, and what else each of them says in the same split."""

    def __init__(self, speech, folder, splits):
        lines = (speech / "manifest.tsv").read_text(encoding="utf-8").splitlines()[1:]
        rows = [line.split("\t") for line in lines]
        self.recordings, self.speaker = {}, {}
        for name, corpus, split, speaker in (row[:4] for row in rows if tuple(row[1:3]) in splits):
            path = folder / f"{corpus}-{split}" / f"{name}.opus"
            self.speaker[str(path)] = speaker
            self.recordings.setdefault(speaker, []).append(str(path))

    def others(self, path, rng, length):
        """For each of some other speakers recordings that last `length` samples together, or all of theirs."""
        names = sorted(set(self.recordings) - {self.speaker[path]})
        talkers = []
        for name in rng.choice(names, TALKERS, replace=False):
            parts = []
            for recording in rng.permutation(self.recordings[name]):
                parts.append(read(recording))
                if sum(map(len, parts)) >= length:
                    break
            talkers.append(parts)
        return talkers


def rows_and_speakers(speech, folder, name):
    """Rows (path, text) of a set that `manifests.py` laid out in `folder`, and the speakers of its split."""
    folder = folder.resolve()
    lines = (folder / f"{name}.tsv").read_text(encoding="utf-8").splitlines()[1:]
    return [line.split("\t")[:2] for line in lines], Speakers(speech, folder, DEV if name.endswith("dev") else TEST)


def recorded_noises(speech):
    """The recorded noises of the collection that a car may hold."""
    with tempfile.TemporaryDirectory() as scratch, tarfile.open(speech / "noise.tar") as tar:
        tar.extractall(scratch, filter="data")
        return [read(path) for name in RECORDED for path in sorted(Path(scratch).rglob(f"{name}.opus"))]


def cabin_noise(recorded, length, rng):
    """Ventilation and something on the rear seat, equally loud, as the microphone hears them."""
    thing = recorded[rng.integers(len(recorded))]
    thing = np.resize(np.roll(thing, rng.integers(len(thing))), length)
    air = noises.unit(noises.heard_from("vents", noises.fan(length, rng)))
    return noises.unit(air + noises.unit(noises.heard_from("rear", thing)))


def noisy(kind, path, speakers, recorded, seed):
    """The recording at each of `LEVELS` of one kind of noise."""
    rng = np.random.default_rng([seed, zlib.crc32(f"{kind}/{Path(path).stem}".encode())])
    speech = read(path)
    length = LEAD + len(speech) + TAIL
    if kind == "road":
        noise = noises.road(length, rng)
    elif kind == "babble":
        noise = noises.babble(speakers.others(path, rng, length), length, rng)
    else:
        noise = cabin_noise(recorded, length, rng)
        speech = noises.heard_from("driver", speech)
    for snr in LEVELS:
        mixed = noises.mix(speech, noise, snr, LEAD, TAIL)
        # One gain for speech and noise: what would be clipped is turned down as a whole.
        yield snr, mixed * min(1.0, 0.99 / abs(mixed).max())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("speech", type=Path)
    parser.add_argument("eval", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--set", choices=("closed-set", "closed-set-dev"), default="closed-set")
    parser.add_argument("--seed", type=int, default=2026)
    parser.add_argument("--noise", nargs="+", choices=("road", "babble", "cabin"), default=["road", "babble", "cabin"])
    args = parser.parse_args()

    out = args.out.resolve()
    rows, speakers = rows_and_speakers(args.speech, args.eval, args.set)
    recorded = recorded_noises(args.speech)
    for kind in args.noise:
        manifests = {snr: [] for snr in LEVELS}
        for snr in LEVELS:
            (out / f"{args.set}-{kind}-{snr}db").mkdir(parents=True, exist_ok=True)
        for path, text in rows:
            for snr, samples in noisy(kind, path, speakers, recorded, args.seed):
                target = out / f"{args.set}-{kind}-{snr}db" / f"{Path(path).parent.name}--{Path(path).stem}.wav"
                soundfile.write(target, samples, noises.RATE, subtype="PCM_16")
                manifests[snr].append(f"{target}\t{text}")
        for snr, made in manifests.items():
            name = f"{args.set}-{kind}-{snr}db.tsv"
            (out / name).write_text("\n".join(["path\ttext", *made]) + "\n", encoding="utf-8")
            print(f"{name}: {len(made)} recordings")


if __name__ == "__main__":
    main()
