"""Grapheme-to-phoneme model: how a word outside the lexicon is said.

    python -m training.g2p train       # align, count, smooth, prune, write the bundle's g2p.bin and lexicon.txt
    python -m training.g2p lexicon     # puts new words of extra-lexicon.txt and words.ngram into lexicon.txt
    python -m training.g2p evaluate    # phone and word error on the held-out words
    python -m training.g2p say WORD    # what the model makes of a word, and what the dictionary has

A joint-sequence model: every letter is aligned to nought, one or two phones by
expectation maximisation; the resulting letter-phones tokens form a back-off
n-gram with Kneser-Ney smoothing, pruned to the size that is shipped. All
costs are integers (a quantum is QUANTUM nats), so that every reader of the
file gets exactly the same answer.

Words whose only pronunciation the model finds by itself are left out of
lexicon.txt, unless they are common: the two files together are the dictionary.
Words of extra-lexicon.txt are always in it; the model never learns from them. The words of the bundle's n-gram are in
it, too: all of them are spelled when the recogniser starts, and looking up is far faster than the model.

File format, little-endian: magic `VG2P`, u8 version, u8 order, u8 tokens,
u8 phones (of the phone table it was made for); per token u8 letter, u8 number
of phones (0-2), u8 phone, u8 phone; u32 contexts, u32 predictions; per context
u8 token, u8 back-off cost + 128, u8 predictions, u8 longer contexts; per
prediction u8 token, u8 cost. Contexts are in breadth-first order: context 0 is
the empty one, the longer contexts of a context add one older token and stand
together, sorted by token; predictions stand in the order of their contexts,
sorted by token. Token 0 is the word's edge.
"""

from __future__ import annotations

import argparse
import math
import struct
import sys
import time
import zlib
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path

from training import bundle, cmudict_text
from training.bundle import BUNDLE
from training.cmudict_text import Lexicon, Phones

ROOT = Path(__file__).resolve().parent.parent
EXTRA = Path(__file__).with_name("extra-lexicon.txt")
PARITY = ROOT / "speech" / "testdata" / "g2p-parity.tsv"

ORDER = 7
QUANTUM = 0.05
MAX_BYTES = 900_000
BEAM = 24
EDGE = 0
HELD_OUT = 20  # one word in this many

#: A letter and its phones.
Token = tuple[str, Phones]
#: Numbers of tokens, oldest first.
Context = tuple[int, ...]
Counts = dict[Context, Counter[int]]
Probabilities = dict[Context, dict[int, float]]


def held_out(word: str) -> bool:
    """Whether a word is kept from training; decided by the word alone, so for good."""
    return zlib.crc32(word.encode()) % HELD_OUT == 0


# --- alignment -------------------------------------------------------------------------------------------------------


def best_alignment(word: str, phones: Phones, score: Callable[[str, Phones], float]) -> list[Token] | None:
    """Returns the cheapest split of the phones over the letters (0-2 each), or None when there is none."""
    rows, columns = len(word), len(phones)
    infinity = float("inf")
    cost = [[infinity] * (columns + 1) for _ in range(rows + 1)]
    back = [[0] * (columns + 1) for _ in range(rows + 1)]
    cost[0][0] = 0.0
    for row in range(rows):
        letter, here, after, from_ = word[row], cost[row], cost[row + 1], back[row + 1]
        for column in range(columns + 1):
            base = here[column]
            if base == infinity:
                continue
            for taken in range(min(2, columns - column) + 1):
                total = base + score(letter, phones[column : column + taken])
                if total < after[column + taken]:
                    after[column + taken] = total
                    from_[column + taken] = taken
    if cost[rows][columns] == infinity:
        return None
    column, tokens = columns, []
    for row in range(rows, 0, -1):
        taken = back[row][column]
        tokens.append((word[row - 1], phones[column - taken : column]))
        column -= taken
    return tokens[::-1]


def align(pairs: list[tuple[str, Phones]], rounds: int = 6) -> list[list[Token]]:
    """Aligns (word, phones) pairs by Viterbi EM; the first rounds look at a fifth of them."""
    costs = {}

    def first_guess(letter: str, phones: Phones) -> float:
        return (1.0, 0.0, 2.0)[len(phones)] + (0.5 if len(phones) == 2 and letter not in "xuq" else 0.0)

    def learnt(letter: str, phones: Phones) -> float:
        return costs.get((letter, phones), 14.0 + 3.0 * len(phones))

    for turn in range(rounds):
        score = first_guess if turn == 0 else learnt
        part = pairs[::5] if turn < rounds - 2 else pairs
        counts, letters, aligned = Counter(), Counter(), []
        for word, phones in part:
            tokens = best_alignment(word, phones, score)
            if tokens is None:
                continue
            aligned.append(tokens)
            counts.update(tokens)
            letters.update(word)
        costs = {token: -math.log(count / letters[token[0]]) for token, count in counts.items()}
        print(f"  alignment round {turn + 1}: {len(counts)} tokens", file=sys.stderr)
    return aligned


def token_table(aligned: list[list[Token]], limit: int = 250) -> dict[Token, int]:
    """Numbers the commonest tokens from 1, grouped by letter; the rest are too rare to keep."""
    counts = Counter(token for tokens in aligned for token in tokens)
    kept = sorted(token for token, count in counts.most_common(limit) if count >= 4)
    return {token: number for number, token in enumerate(kept, start=1)}


# --- the n-gram ------------------------------------------------------------------------------------------------------


def count_ngrams(sequences: list[tuple[int, ...]]) -> tuple[list[Counts], list[Counts]]:
    """Kneser-Ney counts: whole for the longest n-grams and those at a word's start, else distinct predecessors."""
    raw = [defaultdict(Counter) for _ in range(ORDER)]
    for sequence in sequences:
        padded = (EDGE, *sequence, EDGE)
        for end in range(1, len(padded)):
            for length in range(min(ORDER - 1, end) + 1):
                raw[length][padded[end - length : end]][padded[end]] += 1
    counts = [defaultdict(Counter) for _ in range(ORDER)]
    counts[ORDER - 1] = raw[ORDER - 1]
    for length in range(ORDER - 1):
        target = counts[length]
        for context, followers in raw[length + 1].items():
            for token in followers:
                target[context[1:]][token] += 1
        for context, followers in raw[length].items():
            if context and context[0] == EDGE:
                target[context] = followers
    return counts, raw


def discounts(table: Counts) -> list[float]:
    """The three modified Kneser-Ney discounts of one order."""
    n = Counter(count for followers in table.values() for count in followers.values())
    y = n[1] / (n[1] + 2 * n[2]) if n[1] else 0.5

    def ratio(low: float, k: int) -> float:
        return k - (k + 1) * y * n[k + 1] / n[k] if n[k] else low

    return [0.0, max(0.05, ratio(0.5, 1)), max(0.1, ratio(1.0, 2)), max(0.2, ratio(1.5, 3))]


def smooth(counts: list[Counts], tokens: int) -> list[Probabilities]:
    """Interpolated probabilities: for each context length, context -> {token: probability}."""
    uniform = 1.0 / (tokens + 1)
    probabilities = []
    for length, table in enumerate(counts):
        cut = discounts(table)
        level = {}
        for context, followers in table.items():
            total = sum(followers.values())
            left = sum(cut[min(count, 3)] for count in followers.values()) / total
            lower = probabilities[length - 1][context[1:]] if length else None
            level[context] = {
                token: max(0.0, count - cut[min(count, 3)]) / total
                + left * (lower.get(token, 1e-9) if length else uniform)
                for token, count in followers.items()
            }
        if length == 0:
            root = level[()]
            for token in range(tokens + 1):
                root.setdefault(token, left * uniform)
        probabilities.append(level)
    return probabilities


def prune(probabilities: list[Probabilities], raw: list[Counts], keep_size: int) -> list[Probabilities]:
    """Keeps the n-grams whose loss would cost the training words most, down to about keep_size bytes."""
    gains = []
    for length in range(1, ORDER):
        for context, followers in probabilities[length].items():
            seen = raw[length][context]
            lower = probabilities[length - 1][context[1:]]
            for token, probability in followers.items():
                gain = seen[token] * (math.log(probability) - math.log(lower.get(token, 1e-9)))
                gains.append((abs(gain), length, context, token))
    gains.sort(key=lambda item: (-item[0], item[1:]))
    kept = [{} for _ in range(ORDER)]
    kept[0] = {(): dict(probabilities[0][()])}
    size = 2 * len(kept[0][()])
    for _, length, context, token in gains:
        if size >= keep_size:
            break
        size += 2
        for shorter in range(length, 0, -1):
            suffix = context[length - shorter :]
            if suffix in kept[shorter]:
                break
            kept[shorter][suffix] = {}
            size += 4
        kept[length][context][token] = probabilities[length][context][token]
    return kept


def to_model(kept: list[Probabilities], tokens: list[Token]) -> Model:
    """Back-off weights for what pruning left, everything in integer quanta; breadth-first arrays."""

    def lookup(context: Context, token: int) -> float:
        factor = 1.0
        while True:
            level = kept[len(context)].get(context)
            if level is not None:
                if token in level:
                    return factor * level[token]
                factor *= weight(context)
            context = context[1:]

    weights = {}

    def weight(context: Context) -> float:
        if context not in weights:
            level = kept[len(context)][context]
            above = 1.0 - sum(level.values())
            below = 1.0 - sum(lookup(context[1:], token) for token in level)
            weights[context] = max(above, 1e-4) / max(below, 1e-4)
        return weights[context]

    def quanta(probability: float) -> int:
        return round(-math.log(max(probability, 1e-9)) / QUANTUM)

    children = defaultdict(list)
    for length in range(1, ORDER):
        for context in kept[length]:
            children[context[1:]].append(context)
    contexts, predictions, queue = [], [], [()]
    while queue:
        following = []
        for context in queue:
            level = kept[len(context)][context]
            longer = sorted(children[context])
            back_off = quanta(weight(context)) if context else 0
            contexts.append((context[0] if context else 0, max(-128, min(127, back_off)), len(level), len(longer)))
            predictions += [(token, min(255, quanta(level[token]))) for token in sorted(level)]
            following += longer
        queue = following
    return Model(tokens, contexts, predictions)


# --- the model in use ------------------------------------------------------------------------------------------------


class Model:
    """The n-gram as it is stored: integers only."""

    def __init__(
        self, tokens: list[Token], contexts: list[tuple[int, int, int, int]], predictions: list[tuple[int, int]]
    ) -> None:
        self.tokens = tokens  # [(letter, phones)], numbered from 1
        self.contexts = contexts
        self.predictions = predictions
        self.by_letter = defaultdict(list)
        for number, (letter, _) in enumerate(tokens, start=1):
            self.by_letter[letter].append(number)
        self._index()

    def _index(self) -> None:
        self.first_child, self.level = [], []
        child, start = 1, 0
        for _, _, count, longer in self.contexts:
            self.first_child.append(child)
            self.level.append(dict(self.predictions[start : start + count]))
            child += longer
            start += count

    def _chain(self, history: Context) -> list[int]:
        """The stored contexts that end the history, shortest first."""
        node, chain = 0, [0]
        for token in reversed(history):
            first, count = self.first_child[node], self.contexts[node][3]
            node = next((n for n in range(first, first + count) if self.contexts[n][0] == token), None)
            if node is None:
                break
            chain.append(node)
        return chain

    def _cost(self, chain: list[int], token: int) -> int:
        total = 0
        for node in reversed(chain):
            if token in self.level[node]:
                return total + self.level[node][token]
            total += self.contexts[node][1]
        raise AssertionError("the empty context predicts every token")

    def pronounce(self, word: str) -> Phones:
        """The likeliest phones of a word of known letters: a beam search over tokens, ties to the lower numbers."""
        beam = [(0, (), (EDGE,))]
        memory = {}
        for letter in [*word, None]:
            choices = [EDGE] if letter is None else self.by_letter[letter]
            best = {}
            for cost, path, history in beam:
                if history not in memory:
                    memory[history] = self._chain(history)
                for token in choices:
                    total = cost + self._cost(memory[history], token)
                    after = (*history, token)[-(ORDER - 1) :]
                    grown = (total, (*path, token), after)
                    if after not in best or grown < best[after]:
                        best[after] = grown
            beam = sorted(best.values())[:BEAM]
        if not beam:
            return ()
        return tuple(phone for token in beam[0][1][:-1] for phone in self.tokens[token - 1][1])

    def save(self, path: Path) -> None:
        phones = [cmudict_text.SILENCE, *cmudict_text.PHONES]
        number = {phone: index for index, phone in enumerate(phones)}
        parts = [b"VG2P", bytes([1, ORDER, len(self.tokens), len(phones)])]
        for letter, said in self.tokens:
            indices = [number[phone] for phone in said] + [0, 0]
            parts.append(bytes([ord(letter), len(said), *indices[:2]]))
        parts.append(struct.pack("<II", len(self.contexts), len(self.predictions)))
        parts += [bytes([token, cost + 128, count, longer]) for token, cost, count, longer in self.contexts]
        parts += [bytes(prediction) for prediction in self.predictions]
        path.write_bytes(b"".join(parts))

    @staticmethod
    def load(path: Path) -> Model:
        data = path.read_bytes()
        assert data[:5] == b"VG2P\x01", f"{path} is no grapheme-to-phoneme model of version 1"
        phones = [cmudict_text.SILENCE, *cmudict_text.PHONES]
        at, tokens = 8, []
        for _ in range(data[6]):
            letter, count, *said = data[at : at + 4]
            tokens.append((chr(letter), tuple(phones[phone] for phone in said[:count])))
            at += 4
        contexts, predictions = struct.unpack_from("<II", data, at)
        at += 8
        rows = [(data[i], data[i + 1] - 128, data[i + 2], data[i + 3]) for i in range(at, at + 4 * contexts, 4)]
        at += 4 * contexts
        pairs = [(data[i], data[i + 1]) for i in range(at, at + 2 * predictions, 2)]
        return Model(tokens, rows, pairs)


# --- commands --------------------------------------------------------------------------------------------------------


def edit_distance(left: Phones, right: Phones) -> int:
    """Insertions, deletions and substitutions between two phone strings."""
    row = list(range(len(right) + 1))
    for i, a in enumerate(left, start=1):
        previous, row[0] = row[0], i
        for j, b in enumerate(right, start=1):
            previous, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, previous + (a != b))
    return row[-1]


def measure(model: Model, lexicon: Lexicon) -> dict[str, float]:
    """Phone and word error on the held-out words; with several pronunciations the nearest counts."""
    phones = errors = words = wrong = 0
    for word, pronunciations in lexicon.items():
        if not held_out(word):
            continue
        said = model.pronounce(word)
        distance, length = min((edit_distance(said, right), len(right)) for right in pronunciations)
        phones, errors, words, wrong = phones + length, errors + distance, words + 1, wrong + (distance > 0)
    return {"words": words, "phone_error": errors / phones, "word_error": wrong / words}


def common_words(folder: Path) -> set[str]:
    """Words of the transcribed speech beside the checkout, when it is there: kept in the lexicon whatever happens."""
    manifest = folder / "speech" / "manifest.tsv"
    if not manifest.exists():
        print(f"  {manifest} is absent: no word is kept for being common", file=sys.stderr)
        return set()
    cleaned = "".join(c if c.isalpha() or c == "'" else " " for c in manifest.read_text().lower())
    return set(cleaned.split())


def train(shared: Path) -> None:
    """Learns, prunes and writes the model, then the lexicon of what it does not know."""
    lexicon = cmudict_text.entries()
    started = time.time()
    pairs = [(word, phones) for word, all_ in sorted(lexicon.items()) if not held_out(word) for phones in all_]
    aligned = align(pairs)
    table = token_table(aligned)
    sequences = [tuple(table[t] for t in tokens) for tokens in aligned if all(t in table for t in tokens)]
    print(f"  {len(sequences)} of {len(pairs)} pronunciations, {len(table)} tokens", file=sys.stderr)
    counts, raw = count_ngrams(sequences)
    kept = prune(smooth(counts, len(table)), raw, MAX_BYTES)
    model = to_model(kept, sorted(table, key=table.get))
    model.save(BUNDLE / "g2p.bin")
    print(f"  trained in {time.time() - started:.0f} s, {(BUNDLE / 'g2p.bin').stat().st_size} bytes", file=sys.stderr)
    write_lexicon(model, lexicon, common_words(shared))
    write_parity(model, lexicon)
    report(model, lexicon)


def write_lexicon(model: Model, lexicon: Lexicon, common: set[str]) -> None:
    """Writes phone table, lexicon and licence into the bundle."""
    needed = {
        word: pronunciations
        for word, pronunciations in lexicon.items()
        if word in common or len(word) < 4 or [model.pronounce(word)] != pronunciations
    }
    cmudict_text.write_phones(BUNDLE / "phones.txt")
    cmudict_text.write_lexicon(BUNDLE / "lexicon.txt", needed)
    (BUNDLE / "CMUDICT-LICENSE.txt").write_text(cmudict_text.licence())
    print(f"  lexicon: {len(needed)} of {len(lexicon)} words need an entry", file=sys.stderr)
    add_extra_words(model)


def add_extra_words(model: Model) -> None:
    """Puts the words of extra-lexicon.txt and of the n-gram into the bundle's lexicon, its hash into the manifest."""
    path, ngram = BUNDLE / "lexicon.txt", BUNDLE / "words.ngram"
    known = cmudict_text.read_lexicon(path) | cmudict_text.read_lexicon(EXTRA)
    missing = [word for word in (bundle.read_words(ngram) if ngram.exists() else []) if word not in known]
    cmudict_text.write_lexicon(path, known | {word: [model.pronounce(word)] for word in missing})
    if (BUNDLE / "manifest.toml").exists():
        bundle.rehash(BUNDLE)


def write_parity(model: Model, lexicon: Lexicon) -> None:
    """Fifty held-out words and made-up names with the model's answers, for the tests of other readers."""
    words = sorted(word for word in lexicon if held_out(word))
    made_up = ["vocar", "zbigniew", "o'quimby", "xylq", "schmidtgasse", "wroclaw", "a", "'"]
    chosen = [*words[:: len(words) // 42], *made_up]
    lines = [f"{word}\t{' '.join(model.pronounce(word))}\n" for word in chosen]
    PARITY.parent.mkdir(parents=True, exist_ok=True)
    PARITY.write_text("".join(lines))


def report(model: Model, lexicon: Lexicon) -> None:
    """Prints the errors on the held-out words."""
    figures = measure(model, lexicon)
    print(f"words {figures['words']}  phone error {figures['phone_error']:.2%}  word error {figures['word_error']:.2%}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("command", choices=["train", "lexicon", "evaluate", "say"])
    parser.add_argument("words", nargs="*", help="for `say`")
    parser.add_argument("--shared", type=Path, default=ROOT.parent / "shared", help="folder with speech/manifest.tsv")
    arguments = parser.parse_args()
    if arguments.command == "train":
        train(arguments.shared)
        return
    if arguments.command == "lexicon":
        add_extra_words(Model.load(BUNDLE / "g2p.bin"))
        return
    model, lexicon = Model.load(BUNDLE / "g2p.bin"), cmudict_text.entries()
    if arguments.command == "say":
        for word in arguments.words:
            known = " or ".join(" ".join(phones) for phones in lexicon.get(word, ())) or "nothing"
            print(f"{word}\tmodel: {' '.join(model.pronounce(word))}\tdictionary: {known}")
    else:
        report(model, lexicon)


if __name__ == "__main__":
    main()
