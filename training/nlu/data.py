"""Sentences with intents and slots: the text packs and the car, split so that nothing is both learnt and measured.

Domains: `sonos`, `nlueval` and `clinc` are the packs of the same names; `car` is drawn from the car domain's templates
and from `paraphrases.toml`, which says the same in other words, and takes the sentences of the packs that mean
something the car knows (`from_packs`). Texts of any test or development split are kept out of training.
"""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from training.nlu.text import MOST_WORDS, words

PACKS = {"sonos": "sonos-nlu-benchmark", "nlueval": "nlu-evaluation-data", "clinc": "clinc-oos-eval"}
DOMAINS = (*PACKS, "car")
#: The intent of what is none of a domain's.
NONE = "none"
#: The same, as a domain file names it.
STRANGE = "strange.none"
#: One training sentence in this many is for development where a pack has no such split.
HELD_OUT = {"sonos": 20, "nlueval": 12}


@dataclass
class Example:
    """A sentence of a domain. `tags` has a BIO tag for each word; `None` when nobody says where slots are."""

    domain: str
    words: list[str]
    intent: str
    tags: list[str] | None
    split: str
    #: How often it is drawn against others.
    weight: float = 1.0
    #: Where it stands among the sentences that teachers have answered.
    row: int = -1

    @property
    def key(self) -> str:
        """What makes two sentences the same."""
        return " ".join(self.words)


@dataclass
class Corpus:
    """Examples by split, and the labels of each domain."""

    examples: dict[str, list[Example]] = field(default_factory=lambda: {"train": [], "dev": [], "test": []})
    intents: dict[str, list[str]] = field(default_factory=dict)
    tags: dict[str, list[str]] = field(default_factory=dict)
    #: Sentences that nothing may be learnt from, as keys.
    withheld: set[str] = field(default_factory=set)

    def of(self, split: str, domain: str) -> list[Example]:
        """The examples of one domain."""
        return [example for example in self.examples[split] if example.domain == domain]


def bio(length: int, spans: Iterable[tuple[str, int, int]]) -> list[str]:
    """Tags of `length` words from (slot, first word, one after the last)."""
    tags = ["O"] * length
    for slot, start, end in spans:
        tags[start:end] = [f"B-{slot}"] + [f"I-{slot}"] * (end - start - 1)
    return tags[:length]


def spans(tags: list[str]) -> list[tuple[str, int, int]]:
    """The slots of a tag sequence. An `I-` that continues nothing begins a slot."""
    found: list[tuple[str, int, int]] = []
    for at, tag in enumerate(tags):
        if tag == "O":
            continue
        kind, slot = tag[0], tag[2:]
        if kind == "I" and found and found[-1][0] == slot and found[-1][2] == at:
            found[-1] = (slot, found[-1][1], at + 1)
        else:
            found.append((slot, at, at + 1))
    return found


def read_pack(path: Path, domain: str, split: str) -> list[Example]:
    """The rows of a text pack."""
    found = []
    for line in path.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        pieces = words(row["text"])[:MOST_WORDS]
        if not pieces:
            continue
        where = []
        for slot in row["slots"]:
            inside = [at for at, piece in enumerate(pieces) if piece.start < slot["end"] and slot["start"] < piece.end]
            if inside:
                where.append((slot["name"], inside[0], inside[-1] + 1))
        intent = NONE if row["intent"] == "oos" else row["intent"]
        tags = bio(len(pieces), where)
        found.append(Example(domain, [piece.text for piece in pieces], intent, tags, split))
    return found


def read_samples(path: Path, split: str, weight: float = 1.0) -> Iterator[Example]:
    """Sentences as `vocar domain sample --spans` prints them."""
    lines = path.read_text(encoding="utf-8").splitlines()[1:]
    for line in lines:
        text, intent, _, where = line.split("\t")
        said = text.split(" ")[:MOST_WORDS]
        tags = bio(len(said), [(slot, *span) for slot, span in json.loads(where).items()])
        if intent == STRANGE:
            yield Example("car", said, NONE, None, split, weight)
        else:
            yield Example("car", said, intent, tags, split, weight)


#: Only so sure readings are learnt from: what is less sure is mostly something else.
SURE = 0.3
#: How often a reading is drawn against a sentence as it was meant.
OF_HEARD = 0.3


def read_heard(paths: Iterable[Path]) -> list[Example]:
    """Readings in files of `training.nlu.heard` that are not what was said; none that stands for two intents."""
    found: dict[str, Example] = {}
    doubtful: set[str] = set()
    for line in (line for path in paths for line in path.read_text(encoding="utf-8").splitlines()[1:]):
        text, intent, _, where, said, _, confidence = line.split("\t")
        if text == said or float(confidence) < SURE:
            continue
        heard = text.split(" ")[:MOST_WORDS]
        tags = bio(len(heard), [(slot, *span) for slot, span in json.loads(where).items()])
        strange = intent == STRANGE
        example = Example("car", heard, NONE if strange else intent, None if strange else tags, "train", OF_HEARD)
        if found.setdefault(text, example).intent != example.intent:
            doubtful.add(text)
    return [example for text, example in found.items() if text not in doubtful]


def samples(folder: Path) -> dict[str, list[Path]]:
    """The files of `training.nlu.car_domain`, by split."""
    return {split: [folder / f"{split}.tsv", folder / f"strangers-{split}.tsv"] for split in ("train", "dev")}


def read_everyday(path: Path) -> list[Example]:
    """`tests/benchmarks/car-everyday.tsv`: the columns text, intent, slots, spans (the words of each slot)."""
    found = []
    for line in path.read_text(encoding="utf-8").splitlines()[1:]:
        text, intent, _, said = line.split("\t")
        sentence, where = text.split(" "), []
        for slot, phrase in json.loads(said).items():
            part = phrase.split(" ")
            starts = [at for at in range(len(sentence)) if sentence[at : at + len(part)] == part]
            where.append((slot, starts[0], starts[0] + len(part)))
        found.append(Example("car", sentence, intent, bio(len(sentence), where), "test"))
    return found


#: Intents of the packs that are the car's (without slots there): pack, intent, the car's, what must not be said.
FROM_PACKS = (
    ("clinc", "time", "clock.time", r"\bin\b|zone|for\b|'s\b.*\btime"),
    ("clinc", "date", "clock.date", r"\bin\b|days|from|tomorrow|will|after|next|week"),
    ("clinc", "gas", "status.fuel", r"station|price|cost"),
    ("clinc", "mpg", "status.consumption", r"highway|city|get in"),
    ("clinc", "tire_pressure", "status.tire_pressure", r"\bhow (do|to|can)|front|rear|back|left|right|driver"),
    ("clinc", "next_song", "media.next", None),
    ("clinc", "what_song", "media.now_playing", None),
    ("clinc", "oil_change_when", "status.next_service", r"\bhow (do|to)"),
    ("clinc", "current_location", "navigation.show_map", None),
    ("clinc", "yes", "dialogue.yes", None),
    ("clinc", "no", "dialogue.no", None),
    ("clinc", "cancel", "dialogue.cancel", None),
    ("clinc", "repeat", "dialogue.repeat", None),
    ("clinc", "what_can_i_ask_you", "dialogue.help", None),
    ("nlueval", "audio_volume_up", "media.volume_up", r"\d|percent|hundred|ten|twenty|thirty|forty|fifty|to "),
    ("nlueval", "audio_volume_down", "media.volume_down", r"\d|percent|hundred|ten|twenty|thirty|forty|fifty|to "),
    ("nlueval", "audio_volume_mute", "media.mute", r"un|for|until|\bon\b|minute|hour"),
    ("nlueval", "general_repeat", "dialogue.repeat", None),
    ("nlueval", "general_affirm", "dialogue.yes", None),
    ("nlueval", "general_negate", "dialogue.no", None),
)
#: Intents of the packs that the car has something like; their sentences say nothing about what is none of the car's.
NEAR = re.compile(
    r"play|music|song|radio|audio|volume|alarm|timer|time|date|traffic|direction|distance|location|gas|mpg|tire|oil|maint"
    r"|call|text|weather|temperature|playlist|smart_home|iot|reminder|yes|no$|maybe|cancel|repeat|general|what_can"
    r"|navig|jump|schedule|uber|taxi|restaurant|locations|greet|thank|goodbye|find_phone|change|reset|sync|whisper"
    r"|recommendation|transport|datetime|calendar|meeting|PlayMusic|AddTo|BookRest|GetWeather|what_is|who_|are_you"
)


#: Intents that are near by name only: what they say means nothing to the car, unless it says this.
STRANGERS = re.compile(
    r"insurance_change|change_(language|user_name|accent|ai_name|speed)|shopping_list|todo_list|restaurant|reminder|calendar"
    r"|uber|schedule|cook_time|exchange_rate|pin_change|credit_limit|expiration_date|cancel_reservation|tire_change|jump_start"
    r"|gas_type|oil_change_how|timezone|greeting|goodbye|thank_you|hobbies|where_are_you_from|who_(made|do)|how_old|are_you_a_bot"
    r"|what_is_your_name|share_location|find_phone|sync_device|weather|datetime_convert|general_(joke|praise)|iot_c|music_likeness"
    r"|play_game|recommendation_(events|movies)|transport_t|AddToPlaylist|BookRestaurant|GetWeather"
)
UNLESS = re.compile(r"temperature|degrees|\b(hot|cold|warm|cool)\b|car|home|traffic|phone|near")


def from_packs(examples: list[Example]) -> list[Example]:
    """Sentences of the packs for the car: some mean what the car knows, many mean nothing to it."""
    rules = {(pack, intent): (ours, unless and re.compile(unless)) for pack, intent, ours, unless in FROM_PACKS}
    found = []
    for example in examples:
        ours, unless = rules.get((example.domain, example.intent), (None, None))
        empty = ["O"] * len(example.words)
        if ours and not (unless and unless.search(example.key)):
            found.append(Example("car", example.words, ours, empty, example.split, 1.5))
        elif example.intent == NONE and example.domain == "clinc":
            found.append(Example("car", example.words, NONE, empty, example.split, 1.0))
        elif example.intent == NONE:
            continue
        elif (STRANGERS.search(example.intent) and not UNLESS.search(example.key)) or not NEAR.search(example.intent):
            found.append(Example("car", example.words, NONE, empty, example.split, 0.35))
    return found


def held_out(domain: str, key: str) -> bool:
    """Whether a training sentence is for development; decided by the sentence alone, so for good."""
    every = HELD_OUT.get(domain)
    return every is not None and zlib.crc32(key.encode()) % every == 0


def packs(folder: Path) -> list[Example]:
    """All rows of the three packs; what is measured later is taken out of training."""
    found: list[Example] = []
    for domain, pack in PACKS.items():
        for split in ("train", "dev", "test"):
            path = folder / f"{pack}-{split}.jsonl"
            if path.exists():
                found += read_pack(path, domain, split)
    for example in found:
        if example.split == "train" and held_out(example.domain, example.key):
            example.split = "dev"
    measured = {(e.domain, e.key) for e in found if e.split == "test"}
    found = [e for e in found if e.split == "test" or (e.domain, e.key) not in measured]
    chosen_on = {(e.domain, e.key) for e in found if e.split == "dev"}
    return [e for e in found if e.split != "train" or (e.domain, e.key) not in chosen_on]


def corpus(
    folder: Path,
    car: dict[str, list[Path]],
    everyday: Path,
    withheld: frozenset[str] = frozenset(),
    heard: Iterable[Path] = (),
) -> Corpus:
    """Everything. `car` has files of samples for `train` and `dev`; no sentence of `everyday` is learnt from, and none
    of the `withheld` intents of CLINC, which are there to be learnt later by others."""
    out = Corpus()
    from_text = packs(folder)
    out.withheld = {e.key for e in from_text if e.domain == "clinc" and e.intent in withheld}
    from_text = [e for e in from_text if e.key not in out.withheld]
    tests = read_everyday(everyday)
    forbidden = {example.key for example in tests}
    drawn = [e for split in ("train", "dev") for path in car[split] for e in read_samples(path, split)]
    said = {e.key for e in drawn}
    drawn += [e for e in read_heard(heard) if e.key not in said]
    everything = from_text + drawn + [e for e in from_packs(from_text) if e.split != "test"]
    for example in everything:
        if example.domain != "car" or example.key not in forbidden:
            out.examples[example.split].append(example)
    seen = {e.key for e in out.of("train", "car")}
    out.examples["dev"] = [e for e in out.examples["dev"] if e.domain != "car" or e.key not in seen]
    out.examples["test"] += tests
    for domain in DOMAINS:
        learnt = out.of("train", domain)
        intents = {e.intent for e in learnt} - {NONE}
        out.intents[domain] = [NONE, *sorted(intents)]
        slots = {tag[2:] for e in learnt if e.tags for tag in e.tags if tag != "O"}
        out.tags[domain] = ["O", *(f"{kind}-{slot}" for slot in sorted(slots) for kind in "BI")]
    return out
