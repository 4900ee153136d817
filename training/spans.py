"""Words said alone: spans of a few words, cut out of utterances at every pass and set between pauses of their own room.

Sentences show a network hardly a word that stands alone, and never one whose neighbours it must not guess from. People
who wake an assistant say little else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from training.dataset import STRIDE, Cut, Item
from training.units import SIL

#: Samples on either side of a span that belong to it still.
MARGIN = 160
#: Shortest silence that is worth repeating, samples.
ROOM = 1600
#: Words in a span, and how often each count is drawn.
COUNTS, SHARES = (1, 2, 3), (0.6, 0.25, 0.15)
#: Shortest and longest pause before and after a span, samples.
BEFORE, AFTER = (3200, 17_600), (4800, 14_400)


def part(units: Sequence[int], spoken: Sequence[Sequence[Sequence[int]]]) -> list[tuple[int, int]] | None:
    """Parts a row of units into words, each said in one of its ways: (first, end) of each word, None if it cannot be
    done."""
    ways = {0: []}
    for pronunciations in spoken:
        longer = {}
        for at, parted in ways.items():
            for said in pronunciations:
                end = at + len(said)
                if tuple(units[at:end]) == tuple(said):
                    longer.setdefault(end, [*parted, (at, end)])
        ways = longer
    return ways.get(len(units))


def room(item: Item) -> tuple[int, int] | None:
    """The longest silence of an aligned utterance: (first sample from its start, count), None where it is too short."""
    ends = [*(start for _, start in item.segments[1:]), float(item.length)]
    silences = [(end - start, start) for (unit, start), end in zip(item.segments, ends, strict=True) if unit == SIL]
    length, start = max(silences, default=(0.0, 0.0))
    first, count = int(start) + MARGIN, int(length) - 2 * MARGIN - STRIDE // 2
    return (first, count) if count >= ROOM else None


def span(item: Item, rng: np.random.Generator) -> Item | None:
    """One to three words of an aligned utterance between pauses; None where its words or its silence cannot be told."""
    said = [i for i, (unit, _) in enumerate(item.segments) if unit != SIL]
    parted = part([item.segments[i][0] for i in said], item.pronunciations)
    silence = room(item) if parted else None
    if parted is None or silence is None:
        return None
    count = min(int(rng.choice(COUNTS, p=SHARES)), len(parted))
    word = int(rng.integers(len(parted) - count + 1))
    first, last = said[parted[word][0]], said[parted[word + count - 1][1] - 1]
    # A segment begins at the middle of its first frame.
    begin = int(item.segments[first][1]) - STRIDE // 2 - MARGIN
    after = item.segments[last + 1][1] if last + 1 < len(item.segments) else float(item.length)
    end = min(int(after) - STRIDE // 2 + MARGIN, item.length)
    lead, tail = (int(rng.integers(*pause)) for pause in (BEFORE, AFTER))
    shift = begin - lead
    inside = [(unit, start - shift) for unit, start in item.segments[first : last + 1]]
    return replace(
        item,
        words=item.words[word : word + count],
        pronunciations=item.pronunciations[word : word + count],
        start=item.start + shift,
        length=lead + end - begin + tail,
        segments=[(SIL, 0.0), *inside, (SIL, after - shift)],
        cut=Cut(lead, lead + end - begin, silence[0] - shift, silence[1]),
    )


def drawn(items: Sequence[Item], share: float, rng: np.random.Generator) -> list[Item]:
    """Spans of a share of the utterances, more than one of each if the share is above one."""
    count = int(share * len(items))
    chosen = (items[i] for i in rng.integers(len(items), size=count))
    return [found for found in (span(item, rng) for item in chosen) if found is not None]
