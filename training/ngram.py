"""The word n-gram for open-vocabulary recognition: counts, mixes, prunes, and writes the file that the decoder reads.

    python -m training.ngram_text PACKAGES                 # text, see there for sources and licences
    python -m training.ngram --sphinx en-us.lm.bin         # data/ngram/large.ngram and data/ngram/small.ngram

One trigram a source by interpolated modified Kneser-Ney; their mixture's weights maximise the likelihood of held-out
books and of the development sentences of Common Voice. No transcript of a test split is read.

`--sphinx` names the general English trigram that the package `pocketsphinx` brings (`model/en-us/en-us.lm.bin`;
Carnegie Mellon University and Alpha Cephei, two-clause BSD licence), one more member of the mixture; without it the
n-gram is made of the texts alone.
"""

from __future__ import annotations

import argparse
import struct
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np

from training import cmudict_text, ngram_model, ngram_sphinx
from training.ngram_model import BEGIN, SPECIAL, Model, Order, encode

MAGIC = b"VOCARNG1"
#: Entries of a table of quantised logarithms.
LEVELS = 256


def read_sentences(file: Path) -> list[list[str]]:
    """Sentences of a text file, one a line."""
    return [line.split() for line in file.read_text(encoding="utf-8").splitlines()]


def vocabulary(texts: dict[str, list[list[str]]], sphinx: Path | None, limit: int) -> dict[str, int]:
    """Numbers of words: those of the transcripts, and the most frequent others that the dictionary lists."""
    listed = cmudict_text.entries()
    score: dict[str, float] = defaultdict(float)
    for sentences in texts.values():
        counts = Counter(word for sentence in sentences for word in sentence)
        total = sum(counts.values())
        for word, count in counts.items():
            score[word] += count / total if count > 1 else 0.1 / total
    if sphinx:
        for word, chance in ngram_sphinx.words(sphinx).items():
            score[word] += chance
    said = {word for sentence in texts.get("transcripts", []) for word in sentence}
    usable = [word for word in score if word in listed or word in said]
    kept = sorted(usable, key=lambda word: (word not in said, -score[word], word))[:limit]
    return {word: number for number, word in enumerate([*SPECIAL, *sorted(kept)])}


def quantise(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Values to numbers of levels, and the levels: means of equally full bins."""
    if len(values) == 0:
        return np.zeros(LEVELS, "<f4"), np.zeros(0, np.uint8)
    distinct = np.unique(values)
    if len(distinct) <= LEVELS:
        levels = np.pad(distinct, (0, LEVELS - len(distinct)), mode="edge")
    else:
        levels = np.array([part.mean() for part in np.array_split(np.sort(values), LEVELS)])
    levels = np.sort(levels)
    return levels.astype("<f4"), np.searchsorted((levels[1:] + levels[:-1]) / 2, values).astype(np.uint8)


def following(before: Order, listed: Order, start: int) -> np.ndarray:
    """How many n-grams go on from each history; histories number `start` onward."""
    at, _ = ngram_model.find(before.keys, ngram_model.history(listed.keys))
    counts = np.bincount(at, minlength=len(before.keys))[start:]
    assert counts.max(initial=0) < 1 << 16, "a history has too many followers for the file; prune more"
    return counts.astype("<u2")


def write(file: Path, model: Model, words: list[str]) -> None:
    """Writes the binary that the decoder reads; all numbers little-endian.

    Magic; numbers of words, pairs and triples (u32), bytes of text (u32); the words, one a line, number 0 `<s>` and 1
    `</s>`; five tables of 256 natural logarithms (f32): probability and back-off weight of words and of pairs,
    probability of triples; of each word the levels of probability and back-off weight (u8) and the pairs it begins
    (u16); of each pair its last word (u16), both levels and the triples it begins; of each triple word and level.
    Each of these columns is stored as a whole, one after the other.
    """
    assert len(words) < 1 << 16, "word numbers take 16 bits"
    text = "\n".join(words).encode()
    one, two, three = model.orders
    tables, levels = zip(
        *(quantise(values) for values in (one.log, one.backoff, two.log, two.backoff, three.log)), strict=True
    )
    columns = [
        levels[0],
        levels[1],
        following(one, two, 0),
        ngram_model.last(two.keys).astype("<u2"),
        levels[2],
        levels[3],
        following(two, three, 0),
        ngram_model.last(three.keys).astype("<u2"),
        levels[4],
    ]
    with file.open("wb") as out:
        out.write(MAGIC + struct.pack("<4I", len(words), len(two.keys), len(three.keys), len(text)) + text)
        for part in (*tables, *columns):
            out.write(part.tobytes())
    print(f"{file}: {len(words)} words, {len(two.keys)} pairs, {len(three.keys)} triples, {file.stat().st_size} bytes")


def without_unknown_word(model: Model) -> tuple[Model, np.ndarray]:
    """The model with words renumbered as if `<unk>` were none; its mass stays unused. Also the words that stay."""
    size = len(model.orders[0].keys)
    stay = np.flatnonzero(np.arange(size) != ngram_model.UNKNOWN)
    number = np.cumsum(np.arange(size) != ngram_model.UNKNOWN) - 1
    orders = [Order(np.arange(len(stay)), model.orders[0].log[stay], model.orders[0].backoff[stay])]
    for length, order in enumerate(model.orders[1:], 2):
        words, keys = [], order.keys
        for _ in range(length):
            words.insert(0, number[ngram_model.last(keys)])
            keys = ngram_model.history(keys)
        orders.append(Order(ngram_model.join(*words), order.log, order.backoff))
    return Model(orders), stay


def only_words(model: Model, words: list[str], limit: int) -> tuple[Model, list[str]]:
    """The model cut down to its likeliest words."""
    order = np.argsort(-model.orders[0].log[2:], kind="stable")[: limit - 2] + 2
    kept = np.concatenate([[0, 1], np.sort(order)])
    number = np.full(len(words), -1)
    number[kept] = np.arange(len(kept))
    log = model.orders[0].log[kept]
    orders = [Order(np.arange(len(kept)), log - np.log(np.exp(log).sum()))]
    for length, listed in enumerate(model.orders[1:], 2):
        columns, keys = [], listed.keys
        for _ in range(length):
            columns.insert(0, number[ngram_model.last(keys)])
            keys = ngram_model.history(keys)
        inside = np.all([column >= 0 for column in columns], axis=0)
        orders.append(Order(ngram_model.join(*(column[inside] for column in columns)), listed.log[inside]))
    cut = Model(orders)
    cut.normalise()
    return cut, [words[at] for at in kept]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("data/ngram"), help="what training.ngram_text wrote")
    parser.add_argument("--sphinx", type=Path, help="en-us.lm.bin, mixed in")
    parser.add_argument("--words", type=int, default=60_000, help="vocabulary of the large n-gram")
    parser.add_argument("--small-words", type=int, default=20_000, help="vocabulary of the small one")
    parser.add_argument("--prune", type=float, nargs=2, default=[2e-9, 2e-9], help="thresholds, triples and pairs")
    parser.add_argument("--small-prune", type=float, nargs=2, default=[1.2e-6, 3e-7])
    args = parser.parse_args()

    texts = {file.stem: read_sentences(file) for file in sorted((args.data / "text").glob("*.txt"))}
    if not texts:
        raise SystemExit(f"{args.data}/text holds no text: run training.ngram_text first")
    numbers = vocabulary(texts, args.sphinx, args.words)
    size = len(numbers)
    dev = {file.stem: encode(read_sentences(file), numbers) for file in sorted((args.data / "dev").glob("*.txt"))}
    models = {name: ngram_model.kneser_ney(encode(lines, numbers), size) for name, lines in texts.items()}
    if args.sphinx:
        models["sphinx"] = ngram_sphinx.read(args.sphinx, numbers)
    for name, tokens in dev.items():
        inside = tokens[tokens > 1]
        print(f"{name}: {np.mean(inside == ngram_model.UNKNOWN):.2%} of the words are not in the vocabulary")
    share = ngram_model.weights(list(models.values()), list(dev.values()))
    for (name, model), weight in zip(models.items(), share, strict=True):
        each = "  ".join(f"{key} {ngram_model.perplexity(model, tokens):.0f}" for key, tokens in dev.items())
        print(f"{name}: weight {weight:.3f}, perplexity {each}")
    mixed = ngram_model.mix(list(models.values()), share)
    large = ngram_model.prune(mixed, *args.prune)
    small = ngram_model.prune(mixed, *args.small_prune)
    for name, model in (("mixture", mixed), ("large", large), ("small", small)):
        print(name, *(f"{key} {ngram_model.perplexity(model, tokens):.0f}" for key, tokens in dev.items()))
    words = list(numbers)
    large, stay = without_unknown_word(large)
    words = [words[at] for at in stay]
    assert words[BEGIN] == SPECIAL[0]
    write(args.data / "large.ngram", large, words)
    small, _ = without_unknown_word(small)
    write(args.data / "small.ngram", *only_words(small, words, args.small_words))


if __name__ == "__main__":
    main()
