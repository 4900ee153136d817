"""Back-off n-gram models up to three words as sorted arrays: counted, mixed, pruned.

An n-gram is one integer, its words' numbers written side by side, so that look-up is a binary search over millions at
once. All logarithms are natural. A listed n-gram has its probability; any other one has the back-off weight of its
history times the probability without the first word.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

#: Numbers of the beginning and the end of a sentence, and of any word outside the vocabulary.
BEGIN, END, UNKNOWN = 0, 1, 2
SPECIAL = ("<s>", "</s>", "<unk>")
#: Bits for one word's number.
WORD_BITS = 17
#: Probability logarithm of what cannot be.
NEVER = -30.0
_MASK = (1 << WORD_BITS) - 1


def join(*words: np.ndarray) -> np.ndarray:
    """Numbers of words, first word first, to keys."""
    key = np.zeros_like(words[0], dtype=np.int64)
    for word in words:
        key = (key << WORD_BITS) | word.astype(np.int64)
    return key


def history(key: np.ndarray) -> np.ndarray:
    """The n-gram without its last word."""
    return key >> WORD_BITS


def last(key: np.ndarray) -> np.ndarray:
    """The last word."""
    return key & _MASK


def shorter(key: np.ndarray, order: int) -> np.ndarray:
    """The n-gram of `order` words without its first word."""
    return key & ((1 << (WORD_BITS * (order - 1))) - 1)


def find(keys: np.ndarray, wanted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where the wanted keys stand among sorted ones, and whether they do."""
    at = np.searchsorted(keys, wanted).clip(max=max(len(keys) - 1, 0))
    return at, (keys[at] == wanted) if len(keys) else np.zeros(len(wanted), bool)


@dataclass
class Order:
    """The n-grams of one length: sorted keys, log probabilities, log back-off weights as histories."""

    keys: np.ndarray
    log: np.ndarray
    backoff: np.ndarray = field(default_factory=lambda: np.zeros(0))

    def __post_init__(self) -> None:
        if len(self.backoff) != len(self.keys):
            self.backoff = np.zeros(len(self.keys))


@dataclass
class Model:
    """A back-off model; order 1 lists every word of the vocabulary, so that its keys are their own indices."""

    orders: list[Order]

    def log(self, order: int, keys: np.ndarray) -> np.ndarray:
        """Log probability of the last word of n-grams after the words before it."""
        if order == 1:
            return self.orders[0].log[keys]
        listed = self.orders[order - 1]
        at, there = find(listed.keys, keys)
        result = np.where(there, listed.log[at] if len(listed.keys) else 0.0, 0.0)
        missing = keys[~there]
        result[~there] = self.backoff(order - 1, history(missing)) + self.log(order - 1, shorter(missing, order))
        return result

    def backoff(self, order: int, keys: np.ndarray) -> np.ndarray:
        """Log back-off weights of histories; 0 for those that are not listed."""
        listed = self.orders[order - 1]
        at, there = find(listed.keys, keys)
        return np.where(there, listed.backoff[at] if len(listed.keys) else 0.0, 0.0)

    def normalise(self) -> None:
        """Back-off weights that make every history's probabilities add up to one."""
        for order in range(2, len(self.orders) + 1):
            listed, before = self.orders[order - 1], self.orders[order - 2]
            at, there = find(before.keys, history(listed.keys))
            assert there.all(), "an n-gram's history must be listed"
            below = self.log(order - 1, shorter(listed.keys, order))
            taken = np.bincount(at, np.exp(listed.log), len(before.keys))
            free = np.bincount(at, np.exp(below), len(before.keys))
            before.backoff = np.log((1 - taken).clip(1e-5) / (1 - free).clip(1e-5))


def encode(sentences: Iterable[list[str]], numbers: dict[str, int]) -> np.ndarray:
    """Sentences as one array of numbers, each behind a BEGIN and before an END."""
    tokens: list[int] = []
    for sentence in sentences:
        tokens.append(BEGIN)
        tokens.extend(numbers.get(word, UNKNOWN) for word in sentence)
        tokens.append(END)
    return np.array(tokens, dtype=np.int64)


def ngrams(tokens: np.ndarray, order: int) -> np.ndarray:
    """Keys of every n-gram that lies within a sentence and predicts something, in the order of the text."""
    windows = [tokens[at : len(tokens) - order + 1 + at] for at in range(order)]
    inside = np.ones(len(windows[0]), bool)
    for window in windows[1:]:
        inside &= window != BEGIN
    for window in windows[:-1]:
        inside &= window != END
    return join(*windows)[inside]


def discounts(counts: np.ndarray) -> np.ndarray:
    """Modified Kneser-Ney discounts for counts of 1, 2 and more (Chen and Goodman, 1998); index 0 is unused."""
    n = [max(1, int((counts == number).sum())) for number in range(1, 5)]
    y = n[0] / (n[0] + 2 * n[1])
    raw = [number - (number + 1) * y * n[number] / n[number - 1] for number in range(1, 4)]
    return np.array([0.0, *(min(max(value, 0.1), number - 0.05) for number, value in enumerate(raw, 1))])


def kneser_ney(tokens: np.ndarray, size: int) -> Model:
    """A trigram model of a text, interpolated modified Kneser-Ney; n-grams with unknown words are not listed."""
    counted = [np.unique(ngrams(tokens, order), return_counts=True) for order in (2, 3)]
    (pairs, pair_counts), (triples, triple_counts) = counted
    # What an n-gram counts for as a lower order is the number of words it stands after, unless a sentence begins it.
    left = np.bincount(np.searchsorted(pairs, shorter(triples, 3)), minlength=len(pairs))
    pair_counts = np.where(history(pairs) == BEGIN, pair_counts, np.maximum(left, 1))
    singles = np.bincount(last(pairs), minlength=size).astype(float)
    singles[BEGIN] = 0
    lower = (singles - 0.75).clip(0) / singles.sum()
    lower += (1 - lower.sum()) / (size - 1)
    lower[BEGIN] = np.exp(NEVER)
    model = Model([Order(np.arange(size), np.log(lower))])
    for order, keys, counts in ((2, pairs, pair_counts), (3, triples, triple_counts)):
        before = model.orders[-1]
        at, _ = find(before.keys, history(keys))
        total = np.bincount(at, counts, len(before.keys))
        discount = discounts(counts)[np.minimum(counts, 3)]
        rest = np.bincount(at, discount, len(before.keys)) / np.maximum(total, 1)
        rest[total == 0] = 1
        below = np.exp(model.log(order - 1, shorter(keys, order)))
        log = np.log((counts - discount) / total[at] + rest[at] * below)
        before.backoff = np.log(rest.clip(1e-9))
        model.orders.append(Order(keys, log))
    return without_unknown(model)


def without_unknown(model: Model) -> Model:
    """Drops listed n-grams that hold an unknown word; the mass they had is left to them."""
    kept = [model.orders[0]]
    for order in model.orders[1:]:
        known, keys = np.ones(len(order.keys), bool), order.keys
        while keys.any():
            known &= last(keys) != UNKNOWN
            keys = keys >> WORD_BITS
        kept.append(Order(order.keys[known], order.log[known], order.backoff[known]))
    return Model(kept)


def weights(models: list[Model], texts: list[np.ndarray], rounds: int = 40) -> np.ndarray:
    """Mixture weights by expectation maximisation; every text counts the same, whatever its length."""
    streams = []
    for tokens in texts:
        logs = np.stack([trigram_logs(model, tokens) for model in models])
        streams.append(np.exp(logs))
    share = np.full(len(models), 1 / len(models))
    for _ in range(rounds):
        posts = [(share[:, None] * p / (share[:, None] * p).sum(0)).mean(1) for p in streams]
        share = np.mean(posts, axis=0)
    return share


def trigram_logs(model: Model, tokens: np.ndarray) -> np.ndarray:
    """Log probability of each word and each sentence end of a text; unknown words are left out."""
    first = np.flatnonzero(tokens[:-1] == BEGIN)
    pairs = join(tokens[first], tokens[first + 1])
    pairs = pairs[last(pairs) != UNKNOWN]
    triples = ngrams(tokens, 3)
    triples = triples[last(triples) != UNKNOWN]
    return np.concatenate([model.log(2, pairs), model.log(3, triples)])


def perplexity(model: Model, tokens: np.ndarray) -> float:
    """Perplexity over known words and sentence ends."""
    return float(np.exp(-trigram_logs(model, tokens).mean()))


def mix(models: list[Model], share: np.ndarray) -> Model:
    """The linear mixture of models over all their n-grams, with back-off weights of its own."""
    orders = []
    for order in (1, 2, 3):
        keys = np.unique(np.concatenate([model.orders[order - 1].keys for model in models]))
        if order == 3:
            keys = keys[find(orders[1].keys, history(keys))[1]]
        chance = np.zeros(len(keys))
        for weight, model in zip(share, models, strict=True):
            chance += weight * np.exp(model.log(order, keys))
        orders.append(Order(keys, np.log(chance.clip(np.exp(NEVER)))))
    mixed = Model(orders)
    mixed.normalise()
    return mixed


def prune(model: Model, triples: float, pairs: float) -> Model:
    """Drops n-grams whose loss raises the perplexity by less than these shares (Stolcke, 1998)."""
    unigram = model.orders[0].log.copy()
    # A sentence begins as often as one ends.
    unigram[BEGIN] = unigram[END]
    orders = list(model.orders)
    for order, threshold in ((3, triples), (2, pairs)):
        listed, before = orders[order - 1], orders[order - 2]
        hist = history(listed.keys)
        at, _ = find(before.keys, hist)
        below = model.log(order - 1, shorter(listed.keys, order))
        reach = unigram[history(hist)] + model.log(2, hist) if order == 3 else unigram[hist]
        taken = np.bincount(at, np.exp(listed.log), len(before.keys))[at]
        free = np.bincount(at, np.exp(below), len(before.keys))[at]
        chance = np.exp(listed.log)
        weight = before.backoff[at]
        without = np.log((1 - taken + chance).clip(1e-5) / (1 - free + np.exp(below)).clip(1e-5))
        loss = -np.exp(reach) * (chance * (below + without - listed.log) + (without - weight) * (1 - taken).clip(1e-5))
        keep = np.expm1(loss) >= threshold
        if order == 2:
            keep |= find(np.unique(history(orders[2].keys)), listed.keys)[1]
        orders[order - 1] = Order(listed.keys[keep], listed.log[keep], listed.backoff[keep])
        model = Model(orders)
        model.normalise()
    return model
