"""Reads a word trigram in the binary trie format of CMU Sphinx (`en-us.lm.bin` of the package `pocketsphinx`).

The trie is stored backwards: a word, then the word before it, then the one before that. Fields are packed bit by bit,
probabilities and back-off weights are numbers of a table.
"""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np

from training.ngram_model import NEVER, Model, Order, join

_HEADER = b"Trie Language Model"
_QUANT_BITS = 16
_LEVELS = 1 << _QUANT_BITS
#: Logarithms are stored to this base.
_LOG_BASE = np.log(1.0001)


def _field(data: np.ndarray, bits: np.ndarray, length: int) -> np.ndarray:
    """Little-endian fields of up to 32 bits that begin at these bits."""
    byte = bits >> 3
    value = np.zeros(len(bits), np.uint64)
    for step in range(5):
        value |= data[byte + step].astype(np.uint64) << np.uint64(8 * step)
    return (value >> (bits & 7).astype(np.uint64) & np.uint64((1 << length) - 1)).astype(np.int64)


def _parents(ends: np.ndarray, count: int) -> np.ndarray:
    """Which parent each child belongs to, from where each parent's children begin."""
    return np.searchsorted(ends, np.arange(count), side="right") - 1


class _File:
    """Takes one part after the other off the file."""

    def __init__(self, path: Path) -> None:
        self.data = path.read_bytes()
        self.at = 0

    def take(self, size: int) -> bytes:
        self.at += size
        return self.data[self.at - size : self.at]

    def table(self, kind: str, count: int) -> np.ndarray:
        return np.frombuffer(self.take(count * np.dtype(kind).itemsize), kind)


def words(path: Path) -> dict[str, float]:
    """The words with their probabilities."""
    names, one, *_ = _read(path)
    return dict(zip(names, np.exp(one["log"]), strict=True))


def read(path: Path, numbers: dict[str, int]) -> Model:
    """The model over another vocabulary; n-grams with words outside it are left out."""
    names, one, two, three = _read(path)
    number = np.array([numbers.get(name, -1) for name in names])
    log, backoff = np.full(len(numbers), NEVER), np.zeros(len(numbers))
    known = number >= 0
    log[number[known]] = one["log"][known].clip(NEVER)
    backoff[number[known]] = one["backoff"][known]
    orders = [Order(np.arange(len(numbers)), log, backoff)]
    for listed, columns in ((two, two["words"]), (three, three["words"])):
        renumbered = [number[column] for column in columns]
        inside = np.all([column >= 0 for column in renumbered], axis=0)
        keys = join(*(column[inside] for column in renumbered))
        order = np.argsort(keys)
        weight = listed["backoff"][inside][order] if "backoff" in listed else np.zeros(0)
        orders.append(Order(keys[order], listed["log"][inside][order], weight))
    return Model(orders)


def _read(path: Path) -> tuple[list[str], dict, dict, dict]:
    file = _File(path)
    if file.take(len(_HEADER)) != _HEADER or file.take(1) != b"\x03":
        raise SystemExit(f"{path}: is no Sphinx trie of three words; take en-us.lm.bin of the package pocketsphinx")
    counts = struct.unpack("<3I", file.take(12))
    file.take(4)
    pair_log, pair_backoff, triple_log = (file.table("<f4", _LEVELS) for _ in range(3))
    one = file.table("<f4,<f4,<u4", counts[0] + 1)
    word_bits, next_bits = counts[0].bit_length(), counts[2].bit_length()
    pair_bits = word_bits + 2 * _QUANT_BITS + next_bits
    triple_bits = word_bits + _QUANT_BITS
    pairs = file.table("u1", ((1 + counts[1]) * pair_bits + 7) // 8 + 8)
    triples = file.table("u1", ((1 + counts[2]) * triple_bits + 7) // 8 + 8)
    size = struct.unpack("<i", file.take(4))[0]
    names = file.take(size).rstrip(b"\0").decode().split("\0")

    at = np.arange(counts[1] + 1) * pair_bits
    before = _field(pairs, at, word_bits)[:-1]
    weight = _field(pairs, at + word_bits, _QUANT_BITS)[:-1]
    chance = _field(pairs, at + word_bits + _QUANT_BITS, _QUANT_BITS)[:-1]
    first = _field(pairs, at + word_bits + 2 * _QUANT_BITS, next_bits)
    word = _parents(one["f2"].astype(np.int64)[:-1], counts[1])
    two = {
        "words": (before, word),
        "log": pair_log[chance] * _LOG_BASE,
        "backoff": pair_backoff[weight] * _LOG_BASE,
    }
    at = np.arange(counts[2]) * triple_bits
    pair = _parents(first[:-1], counts[2])
    three = {
        "words": (_field(triples, at, word_bits), before[pair], word[pair]),
        "log": triple_log[_field(triples, at + word_bits, _QUANT_BITS)] * _LOG_BASE,
    }
    single = {"log": one["f0"][:-1] * _LOG_BASE, "backoff": one["f1"][:-1] * _LOG_BASE}
    return names, single, two, three
