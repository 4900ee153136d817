#!/usr/bin/env python3
"""Words said alone: cut out of the development recordings, each between pauses of its own recording's room.

    python3 tests/benchmarks/cut_words.py SPEECH WORK

Writes WORK/cut-words/*.flac and WORK/cut-words.tsv (path, word). People who wake an assistant mostly say the phrase alone, and say
other words alone, too: without such recordings a pause on either side would tell a phrase from everything else.
"""

import sys
import zlib
from pathlib import Path

import noises
import noisy
import numpy as np
import soundfile
from aligned import Aligner
from manifests import DEV, words

HERE = Path(__file__).resolve().parent
BUNDLE = HERE.parents[1] / "models/speech-en-f32"
#: Samples on either side of a word that belong to it still, and over which it fades.
MARGIN, FADE = 160, 240
#: Shortest room that is worth repeating, samples.
ROOM = 1600


def filled(room, count, rng):
    """So many samples of the room's silence, forwards and backwards."""
    pieces, have = [], 0
    while have < count:
        pieces.append(room if rng.random() < 0.5 else room[::-1])
        have += len(room)
    return np.concatenate(pieces)[:count]


def alone(samples, begin, end, room, rng):
    """A word of the recording with a second or so of room before and three quarters after it."""
    cut = samples[max(0, begin - MARGIN) : end + MARGIN].copy()
    fade = min(FADE, len(cut) // 2)
    cut[:fade] *= np.linspace(0, 1, fade)
    cut[len(cut) - fade :] *= np.linspace(1, 0, fade)
    lead, tail = int((0.6 + 0.5 * rng.random()) * noises.RATE), noises.RATE * 3 // 4
    return np.concatenate([filled(room, lead, rng), cut, filled(room, tail, rng)])


def lay_out(speech, work):
    """The table, made if it is missing: rows (path, word)."""
    table, folder = work / "cut-words.tsv", work / "cut-words"
    if not table.exists():
        folder.mkdir(parents=True, exist_ok=True)
        aligner = Aligner(BUNDLE)
        rows = [f"{path}\t{word}" for path, word in cut_all(speech, work, folder, aligner)]
        table.write_text("\n".join(["path\tword", *rows]) + "\n", encoding="utf-8")
    return [line.split("\t") for line in table.read_text(encoding="utf-8").splitlines()[1:]]


def cut_all(speech, work, folder, aligner):
    """Cuts every word of the development recordings that can be aligned."""
    for line in (speech / "manifest.tsv").read_text(encoding="utf-8").splitlines()[1:]:
        row = line.split("\t")
        if (row[1], row[2]) not in DEV:
            continue
        samples = noisy.read(work / "eval" / f"{row[1]}-{row[2]}" / f"{row[0]}.opus").astype(np.float32)
        found = aligner.words(samples, row[6])
        if found is None:
            continue
        said, (begin, end) = found
        room = samples[begin + MARGIN : end - MARGIN]
        if len(room) < ROOM or len(said) != len(words(row[6])):
            continue
        rng = np.random.default_rng([2026, zlib.crc32(row[0].encode())])
        for number, (word, first, last) in enumerate(said):
            path = folder / f"{row[0]}-{number:02d}.flac"
            soundfile.write(
                path, alone(samples, first, last, room, rng).clip(-1, 0.9999), noises.RATE, subtype="PCM_16"
            )
            yield path, word


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    print(f"{len(lay_out(Path(sys.argv[1]), Path(sys.argv[2]).resolve()))} words")
