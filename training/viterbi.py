"""Forced alignment of transcripts and phone-loop decoding under the begin-continue topology, in numpy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from training.units import SIL

_LOW = -1e30


@dataclass(frozen=True)
class Graph:
    """States of a transcript. `before[s]` lists the states that may precede s; -1 pads, START is a virtual state."""

    units: np.ndarray
    before: np.ndarray
    final: np.ndarray


def transcript_graph(words: Sequence[Sequence[tuple[int, ...]]]) -> Graph:
    """Words with alternative pronunciations and optional silence before, between and after them."""
    units: list[int] = []
    before: list[list[int]] = []

    def add(unit: int, previous: list[int]) -> int:
        units.append(unit)
        before.append(previous)
        return len(units) - 1

    start = -2
    open_ends = [start]
    open_ends = [*open_ends, add(SIL, [start])]
    for alternatives in words:
        ends = []
        for pronunciation in alternatives:
            previous = open_ends
            for unit in pronunciation:
                previous = [add(unit, previous)]
            ends += previous
        open_ends = [*ends, add(SIL, ends)]
    count = len(units)
    width = max(len(p) for p in before)
    table = np.full((count, width), count, dtype=np.int64)
    for state, previous in enumerate(before):
        table[state, : len(previous)] = [count + 1 if p == start else p for p in previous]
    final = np.array([s for s in open_ends if s >= 0])
    return Graph(np.array(units), table, final)


def align(log_likelihoods: np.ndarray, graph: Graph) -> list[tuple[int, int, int]] | None:
    """Best path as (unit, start, frames); None when the recording is too short for the transcript.

    `log_likelihoods`: [frames, columns].
    """
    frames = len(log_likelihoods)
    count = len(graph.units)
    begin = log_likelihoods[:, 2 * graph.units]
    stay = log_likelihoods[:, 2 * graph.units + 1]
    score = np.full(count + 2, _LOW)
    score[count + 1] = 0.0
    entered = np.empty((frames, count), dtype=np.int32)
    for t in range(frames):
        candidates = score[graph.before]
        best = candidates.argmax(axis=1)
        enter = candidates[np.arange(count), best] + begin[t]
        keep = score[:count] + stay[t]
        takes = enter > keep
        entered[t] = np.where(takes, graph.before[np.arange(count), best], -1)
        score[:count] = np.where(takes, enter, keep)
        score[count + 1] = _LOW
    state = int(graph.final[score[graph.final].argmax()])
    if score[state] < _LOW / 2:
        return None
    return _trace(entered, graph.units, state)


def _trace(entered: np.ndarray, units: np.ndarray, state: int) -> list[tuple[int, int, int]]:
    path = []
    end = len(entered)
    for t in range(len(entered) - 1, -1, -1):
        previous = entered[t, state]
        if previous >= 0:
            path.append((int(units[state]), t, end - t))
            end = t
            state = int(previous)
    return path[::-1]


def phone_loop(log_likelihoods: np.ndarray, transitions: np.ndarray) -> list[int]:
    """Best unit sequence through a bigram phone loop. `transitions[v, u]`: natural log P(u | v)."""
    frames = len(log_likelihoods)
    begin, stay = log_likelihoods[:, 0::2], log_likelihoods[:, 1::2]
    score = begin[0] + transitions[SIL]
    back = np.full((frames, begin.shape[1]), -1, dtype=np.int32)
    for t in range(1, frames):
        arrivals = score[:, None] + transitions
        best = arrivals.argmax(axis=0)
        enter = arrivals[best, np.arange(len(best))] + begin[t]
        keep = score + stay[t]
        takes = enter > keep
        back[t] = np.where(takes, best, -1)
        score = np.where(takes, enter, keep)
    unit = int(score.argmax())
    path = [unit]
    for t in range(frames - 1, 0, -1):
        if back[t, unit] >= 0:
            unit = int(back[t, unit])
            path.append(unit)
    return path[::-1]


def edit_distance(reference: Sequence, hypothesis: Sequence) -> int:
    """Levenshtein distance."""
    row = np.arange(len(hypothesis) + 1)
    for i, item in enumerate(reference, 1):
        previous = row.copy()
        row[0] = i
        for j, other in enumerate(hypothesis, 1):
            row[j] = min(previous[j] + 1, row[j - 1] + 1, previous[j - 1] + (item != other))
    return int(row[-1])
