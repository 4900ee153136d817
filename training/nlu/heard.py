"""What the recogniser makes of sentences of the car domain: for training the encoder on real mistakes.

    python -m training.nlu.car_domain --out data/nlu
    python -m training.nlu.heard data/nlu/car-train --out data/nlu/heard.tsv --count 4000 --seed 3

Draws sentences from a domain's folder, speaks them with the voices of training, half of them over road noise, plays
them to `vocar run --trace` as after a button, and writes what free speech was heard as. A row is a reading with the
intent, slots and spans of what was said, in the columns of `vocar domain sample --spans`, and besides `said`, the
reading's `rank` and its `confidence`. Spans are carried over word by word; a reading that lost a word of a slot is left
out, since its slot can no longer be read. What a template surely fits is not searched as free speech and has no row.
"""

from __future__ import annotations

import argparse
import difflib
import json
import random
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import soundfile

from training.corpus import SAMPLE_RATE
from training.nlu.car_domain import ROOT, sample
from training.synthesise import TRAIN_VOICES, level, speak

HEADING = "text\tintent\tslots\tspans\tsaid\trank\tconfidence"
#: Recordings that one process plays.
BATCH = 200
#: Signal to noise of the noisy half, decibels.
SNR = (5.0, 20.0)


def carried(said: list[str], heard: list[str], spans: dict[str, list[int]]) -> dict[str, list[int]] | None:
    """Spans of what was said, in words of what was heard; None when a word of a slot was lost."""
    place: dict[int, int] = {}
    for block in difflib.SequenceMatcher(None, said, heard, autojunk=False).get_matching_blocks():
        place.update((block.a + at, block.b + at) for at in range(block.size))
    moved = {}
    for slot, (begin, end) in spans.items():
        found = [place.get(at) for at in range(begin, end)]
        if None in found or found != list(range(found[0], found[0] + len(found))):
            return None
        moved[slot] = [found[0], found[-1] + 1]
    return moved


def rumble(length: int, rng: np.random.Generator) -> np.ndarray:
    """Noise that falls 9 dB an octave from 60 Hz, of power 1."""
    frequency = np.maximum(np.fft.rfftfreq(length, 1 / SAMPLE_RATE), 60) / 60
    noise = np.fft.irfft(np.fft.rfft(rng.standard_normal(length)) * frequency**-1.5, length)
    return noise / noise.std()


def record(text: str, rng: random.Random, folder: Path, file: Path) -> None:
    """Speaks a sentence into a file."""
    engine, voice = rng.choice(TRAIN_VOICES)
    samples = level(speak(engine, voice, text, rng, folder), rng)
    if rng.random() < 0.5:
        gain = np.sqrt((samples**2).mean()) * 10 ** (-rng.uniform(*SNR) / 20)
        samples = samples + gain * rumble(len(samples), np.random.default_rng(rng.getrandbits(32)))
    soundfile.write(file, np.clip(samples, -1, 1), SAMPLE_RATE, subtype="PCM_16")


def free_readings(vocar: list[str], files: list[Path], entities: str) -> Iterator[tuple[str, list[dict]]]:
    """Each recording's name with what free speech in it was heard as, best first."""
    command = [*vocar, "run", "--trace", "--json", "--mode", "push-to-talk", "--entities", entities, *map(str, files)]
    played = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    name = ""
    for event in map(json.loads, played.stdout.splitlines()):
        if event["event"] == "recording":
            name = Path(event["path"]).name
        elif event["event"] == "turn" and "freely" in event:
            yield name, event["freely"]["candidates"]


def rows(line: str, candidates: list[dict]) -> Iterator[str]:
    """Rows of one sentence."""
    said, intent, slots, spans = line.split("\t")
    for rank, candidate in enumerate(candidates):
        moved = carried(said.split(), candidate["text"].split(), json.loads(spans))
        if moved is not None:
            cells = (candidate["text"], intent, slots, json.dumps(moved), said, rank, f"{candidate['confidence']:.3f}")
            yield "\t".join(map(str, cells))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("domain", type=Path)
    parser.add_argument("--out", type=Path, default=Path("data/nlu/heard.tsv"))
    parser.add_argument("--entities", default="demo")
    parser.add_argument("--count", type=int, default=4000)
    parser.add_argument("--seed", type=int, default=3)
    parser.add_argument("--vocar", default=str(ROOT / "target/release/vocar"))
    args = parser.parse_args()

    vocar = args.vocar.split(" ")
    lines = sample(vocar, str(args.domain), Path(args.entities), args.count, args.seed)
    random.Random(args.seed).shuffle(lines)
    written = 0
    with args.out.open("w", encoding="utf-8") as out:
        out.write(HEADING + "\n")
        for first in range(0, len(lines), BATCH):
            with tempfile.TemporaryDirectory() as scratch:
                folder = Path(scratch)
                batch = {f"{number:06d}.wav": line for number, line in enumerate(lines[first : first + BATCH], first)}
                for number, (name, line) in enumerate(batch.items(), first):
                    rng = random.Random(args.seed * 1_000_003 + number)
                    record(line.split("\t")[0], rng, folder, folder / name)
                for name, candidates in free_readings(vocar, [folder / name for name in batch], args.entities):
                    for row in rows(batch[name], candidates):
                        out.write(row + "\n")
                        written += 1
    print(f"{args.out}: {written} readings of {len(lines)} sentences")


if __name__ == "__main__":
    main()
