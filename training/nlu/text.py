"""Text as the encoder reads it: words, and what each word is made of. `nlu/src/encoder/text.rs` is its twin, and
`nlu/testdata/encoder-text.tsv` holds both to the same answers.

A word has a row of its own when it is in the vocabulary, and always the rows of its character n-grams, so that a word
that was never seen still says something.
"""

from __future__ import annotations

from dataclasses import dataclass

#: Rows of the n-gram table.
BUCKETS = 8192
#: Shortest and longest n-gram, in characters, of a word between `<` and `>`.
GRAMS = (3, 5)
#: Most n-grams of a word that count; the rest of a very long word is left out.
MOST_GRAMS = 24
#: Most words of a sentence; what comes after is not read.
MOST_WORDS = 32

_FOLDED = {
    "’": "'",
    "‘": "'",
    "`": "'",
    "°": " degrees ",
    "º": " degrees ",
    "%": " percent ",
    "&": " and ",
    "ä": "ae",
    "æ": "ae",
    "ö": "oe",
    "ü": "ue",
    "ß": "ss",
    "ç": "c",
    "ñ": "n",
}
for _plain, _letters in (("a", "àáâãå"), ("e", "èéêë"), ("i", "ìíîï"), ("o", "òóôõø"), ("u", "ùúû")):
    _FOLDED |= dict.fromkeys(_letters, _plain)


@dataclass(frozen=True)
class Word:
    """A word and where it stands in the text, in characters, end exclusive."""

    text: str
    start: int
    end: int


def words(text: str) -> list[Word]:
    """Splits a text: lower case, accents taken off, runs of `[a-z0-9']`, and a `.`, `,` or `:` between two digits."""
    folded = [(c, at) for at, raw in enumerate(text) for c in _fold(raw)]
    found, run = [], []
    for at, (c, place) in enumerate(folded):
        inside = c in ".,:" and run and run[-1][0].isdigit() and at + 1 < len(folded) and folded[at + 1][0] in _DIGITS
        if c in _LETTERS or c in _DIGITS or inside:
            run.append((c, place))
        else:
            _take(run, found)
            run = []
    _take(run, found)
    return found


_LETTERS = frozenset("abcdefghijklmnopqrstuvwxyz'")
_DIGITS = frozenset("0123456789")


def _fold(raw: str) -> str:
    lower = raw.lower()
    return _FOLDED.get(lower, lower)


def _take(run: list[tuple[str, int]], found: list[Word]) -> None:
    while run and run[0][0] == "'":
        run = run[1:]
    while run and run[-1][0] == "'":
        run = run[:-1]
    if run:
        found.append(Word("".join(c for c, _ in run), run[0][1], run[-1][1] + 1))


def grams(word: str) -> list[int]:
    """Buckets of the n-grams of a word, shortest n-grams first, each from left to right."""
    marked = f"<{word}>".encode()
    spans = [marked[at : at + n] for n in range(GRAMS[0], GRAMS[1] + 1) for at in range(len(marked) - n + 1)]
    return [fnv(gram) % BUCKETS for gram in spans[:MOST_GRAMS]]


def fnv(data: bytes) -> int:
    """FNV-1a, 32 bits."""
    value = 0x811C9DC5
    for byte in data:
        value = ((value ^ byte) * 0x01000193) & 0xFFFFFFFF
    return value
