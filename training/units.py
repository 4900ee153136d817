"""Phone units, their output columns, and pronunciations of whole transcripts.

Topology "begin-continue": column 2u scores the first frame of unit u, column 2u + 1 each further frame of it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

SIL = 0


def read_phones(path: Path) -> list[str]:
    """Unit names in the order of their indices; the first is SIL."""
    names = path.read_text(encoding="utf-8").split()
    if not names or names[0] != "SIL":
        raise ValueError(f"{path}: the first unit must be SIL")
    return names


class Lexicon:
    """Pronunciations as tuples of unit indices; words outside it are spelt out by `fallback`."""

    def __init__(self, path: Path, phones: Sequence[str], fallback: Callable[[str], list[list[str]]]) -> None:
        self._index = {name: unit for unit, name in enumerate(phones)}
        self._fallback = fallback
        self._words: dict[str, list[tuple[int, ...]]] = {}
        for line in path.read_text(encoding="utf-8").splitlines():
            word, pronunciation = line.split("\t")
            self._words.setdefault(word, []).append(self._units(pronunciation.split()))

    def _units(self, names: Sequence[str]) -> tuple[int, ...]:
        return tuple(self._index[name] for name in names)

    def pronunciations(self, word: str) -> list[tuple[int, ...]]:
        """All pronunciations of a word, never empty."""
        if word not in self._words:
            self._words[word] = [self._units(names) for names in self._fallback(word)]
        return self._words[word]
