"""The files of a speech bundle and their hashes in its manifest."""

from __future__ import annotations

import hashlib
import re
import struct
from collections.abc import Iterable
from pathlib import Path

import numpy as np

MODELS = Path(__file__).resolve().parent.parent / "models"
#: The bundle that this recipe writes: the network in floats.
BUNDLE = MODELS / "speech-en-f32"
#: The one that `vocar-compress quantise --alone` makes of it, for vehicles.
VEHICLE = MODELS / "speech-en"
#: Every file that the manifest vouches for; the last three are there once `training.ngram` and `vocar-compress`
#: have written them.
FILES = (
    *("am-f32.onnx", "phones.txt", "lexicon.txt", "g2p.bin", "phone-lm.tsv"),
    *("words.ngram", "scout-int8.onnx", "am-mixed.onnx"),
)


def hashes(bundle: Path, files: Iterable[str] = FILES) -> str:
    """The lines of `[files]`, taken from the files as they lie there."""
    there = [name for name in files if (bundle / name).exists()]
    return "\n".join(f'"{name}" = "{hashlib.sha256((bundle / name).read_bytes()).hexdigest()}"' for name in there)


def rehash(bundle: Path) -> None:
    """Writes the hashes into an existing manifest."""
    path = bundle / "manifest.toml"
    text = path.read_text(encoding="utf-8")
    path.write_text(re.sub(r"(?<=\[files\]\n).*", lambda _: hashes(bundle) + "\n", text, flags=re.S), encoding="utf-8")


def write_phone_lm(path: Path, transitions: np.ndarray, phones: list[str]) -> None:
    """One line a pair: from, to, natural-log probability. `transitions[v, u]`: natural log P(u | v)."""
    lines = [f"{v}\t{u}\t{transitions[i, j]:.4f}" for i, v in enumerate(phones) for j, u in enumerate(phones)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def read_words(path: Path) -> list[str]:
    """The words of an n-gram file that `training.ngram` wrote, without the marks of a sentence's ends."""
    data = path.read_bytes()
    length = struct.unpack_from("<4I", data, 8)[3]
    return data[24 : 24 + length].decode().split("\n")[2:]


def read_phone_lm(path: Path, phones: list[str]) -> np.ndarray:
    """What `write_phone_lm` wrote."""
    index = {phone: unit for unit, phone in enumerate(phones)}
    transitions = np.full((len(phones), len(phones)), -np.inf, dtype=np.float32)
    for line in path.read_text(encoding="utf-8").splitlines():
        before, after, log = line.split("\t")
        transitions[index[before], index[after]] = float(log)
    return transitions
