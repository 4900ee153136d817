"""Phone error: what the free phone loop hears against the phones of the transcript."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from training import viterbi
from training.units import SIL


@dataclass(frozen=True)
class Heard:
    """One utterance: reference units (silences are ignored), log likelihoods [frames, columns] and phone bigram."""

    corpus: str
    reference: list[int]
    columns: np.ndarray
    transitions: np.ndarray


@dataclass(frozen=True)
class Errors:
    """Substitutions, insertions and deletions of an utterance, and how many phones were said."""

    corpus: str
    errors: int
    phones: int


def phone_errors(heard: Heard) -> Errors:
    """Decodes with the phone loop and counts."""
    loop = viterbi.phone_loop(heard.columns, heard.transitions)
    found = [unit for unit in loop if unit != SIL]
    wanted = [unit for unit in heard.reference if unit != SIL]
    return Errors(heard.corpus, viterbi.edit_distance(wanted, found), len(wanted))


def by_corpus(rows: Iterable[Errors]) -> dict[str, float]:
    """Phone error of each corpus, 0 to 1 (insertions can bring it above)."""
    errors: dict[str, int] = defaultdict(int)
    phones: dict[str, int] = defaultdict(int)
    for row in rows:
        errors[row.corpus] += row.errors
        phones[row.corpus] += row.phones
    return {corpus: round(errors[corpus] / max(1, phones[corpus]), 4) for corpus in sorted(errors)}
