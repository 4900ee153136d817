"""The speech collection: one manifest, one tar of Ogg Opus files for each corpus and split."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from training.text import words

SAMPLE_RATE = 16_000
#: Corpora whose licence keeps them out of any training (GPL, or evaluation by agreement).
EVALUATION_ONLY = frozenset({"voxforge", "wakewords", "noise"})


@dataclass(frozen=True)
class Utterance:
    """One recording and its transcript."""

    id: str
    corpus: str
    split: str
    speaker: str
    seconds: float
    words: tuple[str, ...]


def read_manifest(root: Path) -> list[Utterance]:
    """Reads `manifest.tsv`; columns id, corpus, split, speaker, seconds, licence, text."""
    lines = (root / "manifest.tsv").read_text(encoding="utf-8").splitlines()
    rows = (line.split("\t") for line in lines[1:])
    return [
        Utterance(row[0], row[1], row[2], row[3], float(row[4]), tuple(words(row[6] if len(row) > 6 else "")))
        for row in rows
    ]


def decode(data: bytes) -> np.ndarray:
    """Decodes an audio file to 16 kHz mono float32 samples in [-1, 1]."""
    samples, rate = soundfile.read(io.BytesIO(data), dtype="float32", always_2d=True)
    mono = samples.mean(axis=1)
    if rate != SAMPLE_RATE:
        from scipy.signal import resample_poly  # the collection itself is at the right rate: most steps need no scipy

        divisor = np.gcd(rate, SAMPLE_RATE)
        mono = resample_poly(mono, SAMPLE_RATE // divisor, rate // divisor).astype(np.float32)
    return mono


def read_tar(path: Path) -> Iterator[tuple[str, bytes]]:
    """Yields (id, undecoded file) for each recording of a tar."""
    with tarfile.open(path) as tar:
        for member in tar:
            if member.isfile():
                yield Path(member.name).stem, tar.extractfile(member).read()
