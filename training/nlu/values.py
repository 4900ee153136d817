"""Other values in the slots of a sentence: what surrounds a name says more about its slot than the name does.

The values of a slot are those that the training sentences of its domain have. Towns, countries, states and people are
many more than any sentences name: `training.nlu.names` lists them.
"""

from __future__ import annotations

import random
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

from training.nlu import data
from training.nlu.data import Example

#: Slots of the packs and what kind of listed name fits them. A kind that ends in `'s` is a person's whose thing it is.
KINDS = {
    "sonos": {"city": "city", "country": "country", "state": "state", "artist": "person", "playlist_owner": "person's"},
    "nlueval": {"place_name": "city", "person": "person"},
}
#: A value of more words is left out: it would push the rest out of the sentence.
MOST_WORDS = 8


def read_names(path: Path | None) -> dict[str, list[list[str]]]:
    """Names by kind, from the lines `kind<TAB>name` of a file."""
    found: dict[str, list[list[str]]] = defaultdict(list)
    for line in path.read_text(encoding="utf-8").splitlines() if path else ():
        kind, _, name = line.partition("\t")
        found[kind].append(name.split(" "))
    found["person's"] = [[*name[:-1], f"{name[-1]}'s"] for name in found.get("person", ()) if len(name) == 1]
    return dict(found)


@dataclass
class Values:
    """Puts other values into sentences, as chances."""

    #: By domain and slot.
    said: dict[tuple[str, str], list[list[str]]]
    names: dict[str, list[list[str]]] = field(default_factory=dict)
    untouched: float = 0.6
    swapped: float = 0.6
    listed: float = 0.4

    @staticmethod
    def of(examples: list[Example], names: Path | None = None, **chances: float) -> Values:
        """The values of some training sentences."""
        said: dict[tuple[str, str], dict[str, list[str]]] = defaultdict(dict)
        for example in examples:
            for slot, start, end in data.spans(example.tags or []):
                value = example.words[start:end]
                if len(value) <= MOST_WORDS:
                    said[example.domain, slot][" ".join(value)] = value
        return Values({key: list(values.values()) for key, values in said.items()}, read_names(names), **chances)

    def __call__(self, example: Example, rng: random.Random) -> Example:
        """The sentence, with luck one with other values."""
        if not example.tags or example.domain not in KINDS or rng.random() < self.untouched:
            return example
        words: list[str] = []
        tags: list[str] = []
        at = 0
        for slot, start, end in data.spans(example.tags):
            words, tags = words + example.words[at:start], tags + example.tags[at:start]
            value = self._value(example.domain, slot, rng) if rng.random() < self.swapped else example.words[start:end]
            words, tags = words + value, tags + data.bio(len(value), [(slot, 0, len(value))])
            at = end
        words, tags = words + example.words[at:], tags + example.tags[at:]
        return Example(example.domain, words, example.intent, tags, example.split, example.weight)

    def _value(self, domain: str, slot: str, rng: random.Random) -> list[str]:
        names = self.names.get(KINDS[domain].get(slot, ""))
        return rng.choice(names if names and rng.random() < self.listed else self.said[domain, slot])
