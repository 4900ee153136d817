"""The word n-gram of free speech: what people say to a car in their own words.

    python -m training.nlu.car_domain --out data/nlu       # sentences of the car domain
    python -m training.ngram_text PACKAGES                 # requests
    python -m training.ngram_commands                      # data/ngram/commands.ngram

A trigram a source, mixed by the held-out paraphrases and by every so-many-th request, then pruned:

| source | what | licence |
|---|---|---|
| `domain` | sentences of the car domain and of its paraphrases for training | ours |
| `named` | requests of the text packs' *train* files whose slots are names of the car | CC0 1.0, CC BY 4.0 |
| `requests` | all requests of these files | CC0 1.0, CC BY 4.0, CC BY 3.0 |

A name (of a contact, a station, a place, an artist, a title) is one word of this n-gram, such as `{contact}`: the
decoder puts the names that a car has in its place.
"""

from __future__ import annotations

import argparse
import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from training import ngram, ngram_model
from training.ngram_model import SPECIAL, encode
from training.nlu.car_domain import NAMES
from training.nlu.text import words

#: Every so-many-th request chooses mixture weights and is kept out of the counts.
HELD_OUT = 12
#: Slots of the packs and the lists of names that they belong to.
LISTS = {slot: name for name, slots in NAMES.items() for slot in slots}
CLASSES = tuple(f"{{{name}}}" for name in NAMES)


def drawn(table: Path) -> Iterator[list[str]]:
    """Sentences of a table of `vocar domain sample --spans`, a list's name in place of each of its values."""
    for line in table.read_text(encoding="utf-8").splitlines()[1:]:
        text, _, slots, spans = line.split("\t")
        said: list[str | None] = list(text.split())
        values = json.loads(slots)
        for slot, (begin, end) in json.loads(spans).items():
            entity = values.get(slot, {}).get("entity")
            if entity:
                said[begin:end] = [f"{{{entity['id'].rstrip('0123456789')}}}"] + [None] * (end - begin - 1)
        yield [word for word in said if word]


def named(pack: Path) -> Iterator[list[str]]:
    """Requests of a pack with at least one name, each replaced by its list's."""
    for line in pack.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        slots = [slot for slot in row["slots"] if slot["name"] in LISTS and "start" in slot]
        text, at, said = row["text"], 0, []
        for slot in slots:
            said += [word.text for word in words(text[at : slot["start"]])] + [f"{{{LISTS[slot['name']]}}}"]
            at = slot["end"]
        said += [word.text for word in words(text[at:])]
        if slots and all(re.fullmatch(r"[a-z']+|\{[a-z]+\}", word) for word in said):
            yield said


def vocabulary(texts: dict[str, list[list[str]]], limit: int) -> dict[str, int]:
    """Numbers of words: all of the domain's own sentences, and the most frequent others."""
    own = {word for sentence in texts["domain"] for word in sentence}
    others = Counter(word for name in ("named", "requests") for sentence in texts[name] for word in sentence)
    common = [word for word, count in others.most_common() if count > 1 and word not in own]
    kept = {*own, *common[: max(0, limit - len(own))], *CLASSES}
    return {word: number for number, word in enumerate([*SPECIAL, *sorted(kept)])}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=Path, default=Path("data/nlu"), help="what training.nlu.car_domain wrote")
    parser.add_argument("--data", type=Path, default=Path("data/ngram"), help="what training.ngram_text wrote")
    parser.add_argument("--packs", type=Path, default=Path("../shared/nlu"))
    parser.add_argument("--out", type=Path, default=Path("data/ngram/commands.ngram"))
    parser.add_argument("--words", type=int, default=7000)
    parser.add_argument("--prune", type=float, nargs=2, default=[4e-7, 2e-7], help="thresholds, triples and pairs")
    args = parser.parse_args()

    requests = ngram.read_sentences(args.data / "text/requests.txt")
    packs = [args.packs / f"{pack}-train.jsonl" for pack in ("sonos-nlu-benchmark", "nlu-evaluation-data")]
    texts = {
        "domain": list(drawn(args.samples / "train.tsv")),
        "named": [said for pack in packs for said in named(pack)],
        "requests": [said for number, said in enumerate(requests) if number % HELD_OUT],
    }
    numbers = vocabulary(texts, args.words)
    dev = {
        "paraphrases": encode(drawn(args.samples / "dev.tsv"), numbers),
        "requests": encode(requests[::HELD_OUT], numbers),
    }
    for name, tokens in dev.items():
        print(
            f"{name}: {np.mean(tokens[tokens > 1] == ngram_model.UNKNOWN):.2%} of the words are not in the vocabulary"
        )
    models = {name: ngram_model.kneser_ney(encode(lines, numbers), len(numbers)) for name, lines in texts.items()}
    share = ngram_model.weights(list(models.values()), list(dev.values()))
    for (name, model), weight in zip(models.items(), share, strict=True):
        each = "  ".join(f"{key} {ngram_model.perplexity(model, tokens):.0f}" for key, tokens in dev.items())
        print(f"{name}: {len(texts[name])} sentences, weight {weight:.3f}, perplexity {each}")
    mixed = ngram_model.mix(list(models.values()), share)
    pruned = ngram_model.prune(mixed, *args.prune)
    for name, model in (("mixture", mixed), ("pruned", pruned)):
        print(name, *(f"{key} {ngram_model.perplexity(model, tokens):.0f}" for key, tokens in dev.items()))
    pruned, stay = ngram.without_unknown_word(pruned)
    listed = list(numbers)
    ngram.write(args.out, pruned, [listed[at] for at in stay])


if __name__ == "__main__":
    main()
