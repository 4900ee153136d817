"""What a recogniser and a hasty speaker make of a sentence: words that sound alike in each other's place, words lost,
numbers said in words, politeness around a command. Slots go with their words."""

from __future__ import annotations

import random
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

_UNITS = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen"
).split()
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()
_BEFORE = (
    "please,can you,could you,could you please,can you please,would you,will you,hey,okay,hello,so,now,well,and,oh,"
    "i want you to,i'd like you to,actually,um,maybe,alright,listen,computer,car,hey car"
).split(",")
_AFTER = "please,thanks,thank you,now,right now,for me,for me please,will you,would you,if you can,okay,again".split(
    ","
)

#: A sentence: words, and tags or nothing.
Sentence = tuple[list[str], list[str] | None]


def cardinal(number: int) -> list[str]:
    """A whole number below a million, in words."""
    if number < 20:
        return [_UNITS[number]]
    if number < 100:
        return [_TENS[number // 10 - 2], *([_UNITS[number % 10]] if number % 10 else [])]
    for size, name in ((1000, "thousand"), (100, "hundred")):
        if number >= size:
            return [*cardinal(number // size), name, *(cardinal(number % size) if number % size else [])]
    return []


def spoken(word: str, rng: random.Random) -> list[str]:
    """A word with digits as somebody may say it; other words, and numbers nobody says, stay."""
    hour, colon, minute = word.partition(":")
    if colon and hour.isdigit() and minute.isdigit() and len(hour) < 3:
        return cardinal(int(hour)) + ([] if int(minute) == 0 else cardinal(int(minute)))
    whole, point, rest = word.partition(".")
    if not whole.isdigit() or len(whole) > 6 or (point and not rest.isdigit()):
        return [word]
    if point:
        return [*cardinal(int(whole)), "point", *(_UNITS[int(digit)] for digit in rest)]
    if len(whole) == 4 and rng.random() < 0.7 and int(whole) >= 1000:
        return cardinal(int(whole[:2])) + (cardinal(int(whole[2:])) if int(whole[2:]) else ["hundred"])
    return cardinal(int(whole))


def sound_alikes(lexicon: Path, most: int = 8) -> dict[str, list[str]]:
    """For each word of a lexicon those that differ from it by at most one phone (put in, left out or changed)."""
    said: dict[str, tuple[str, ...]] = {}
    for line in lexicon.read_text(encoding="utf-8").splitlines():
        word, _, phones = line.partition("\t")
        said.setdefault(word, tuple(phones.split(" ")))
    shelves: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for word, phones in said.items():
        if len(phones) > 1:
            for key in _one_less(phones):
                shelves[key].append(word)
    found = {}
    for word, phones in said.items():
        near = {other for key in _one_less(phones) for other in shelves.get(key, ()) if other != word}
        near = {other for other in near if abs(len(said[other]) - len(phones)) <= 1}
        if near:
            order = random.Random(word)
            found[word] = order.sample(sorted(near), min(most, len(near)))
    return found


def _one_less(phones: tuple[str, ...]) -> set[tuple[str, ...]]:
    return {phones} | {phones[:at] + phones[at + 1 :] for at in range(len(phones))}


@dataclass
class Noise:
    """How much is disturbed, as chances."""

    alikes: dict[str, list[str]] = field(default_factory=dict)
    untouched: float = 0.45
    confused: float = 0.07
    lost: float = 0.04
    polite: float = 0.2
    in_words: float = 0.6

    def __call__(self, words: list[str], tags: list[str] | None, rng: random.Random, polite: bool) -> Sentence:
        """A sentence as it may arrive."""
        words, tags = self._numbers(words, tags, rng)
        if polite and rng.random() < self.polite:
            words, tags = self._politeness(words, tags, rng)
        if rng.random() < self.untouched:
            return words, tags
        out: list[str] = []
        out_tags: list[str] = []
        began = ""
        for at, word in enumerate(words):
            tag = tags[at] if tags else "O"
            if rng.random() < self.lost and len(words) > 2:
                began = tag[2:] if tag.startswith("B-") else began
                continue
            if tag.startswith("I-") and began == tag[2:]:
                tag = f"B-{began}"
            began = ""
            if rng.random() < self.confused and word in self.alikes:
                word = rng.choice(self.alikes[word])
            out.append(word)
            out_tags.append(tag)
        if not out:
            return words, tags
        return out, out_tags if tags else None

    def _numbers(self, words: list[str], tags: list[str] | None, rng: random.Random) -> Sentence:
        if not any(word[0].isdigit() for word in words) or rng.random() > self.in_words:
            return words, tags
        out: list[str] = []
        out_tags: list[str] = []
        for at, word in enumerate(words):
            said = spoken(word, rng)
            tag = tags[at] if tags else "O"
            out += said
            out_tags += [tag] + [f"I-{tag[2:]}" if tag != "O" else "O"] * (len(said) - 1)
        return out, out_tags if tags else None

    def _politeness(self, words: list[str], tags: list[str] | None, rng: random.Random) -> Sentence:
        before = rng.choice(_BEFORE).split(" ") if rng.random() < 0.6 else []
        after = rng.choice(_AFTER).split(" ") if rng.random() < 0.5 else []
        if tags:
            tags = ["O"] * len(before) + tags + ["O"] * len(after)
        return before + words + after, tags
