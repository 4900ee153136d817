"""The word n-gram: sums, mixtures, pruning, the file, the bits of the Sphinx format, the split of text."""

import struct

import numpy as np
import pytest

from training import bundle, ngram, ngram_model, ngram_sphinx, ngram_text
from training.ngram_model import BEGIN, END, UNKNOWN, Model, encode, join

WORDS = ["<s>", "</s>", "<unk>", "a", "b", "c", "d"]
NUMBERS = {word: number for number, word in enumerate(WORDS)}


def text(seed: int, sentences: int) -> np.ndarray:
    generator = np.random.default_rng(seed)
    lines = [
        list(generator.choice(list("abcdx"), generator.integers(1, 7), p=[0.4, 0.3, 0.1, 0.1, 0.1]))
        for _ in range(sentences)
    ]
    return encode(lines, NUMBERS)


def sums(model: Model) -> list[float]:
    """Probability of all that may follow, for some histories seen and unseen."""
    found = []
    for first, second in [(BEGIN, 3), (3, 4), (4, 3), (5, 6), (6, 6)]:
        last = np.array([END, 3, 4, 5, 6])
        keys = join(np.full(5, first), np.full(5, second), last)
        unknown = np.exp(model.log(3, join(np.array([first]), np.array([second]), np.array([UNKNOWN]))))
        found.append(float(np.exp(model.log(3, keys)).sum() + unknown[0]))
    return found


@pytest.fixture
def mixed() -> Model:
    models = [ngram_model.kneser_ney(text(seed, 300), len(WORDS)) for seed in (1, 2)]
    share = ngram_model.weights(models, [text(3, 60), text(4, 60)])
    assert share.sum() == pytest.approx(1)
    return ngram_model.mix(models, share)


def test_a_mixture_adds_up_to_one(mixed: Model) -> None:
    assert sums(mixed) == pytest.approx([1.0] * 5, abs=0.02)


def test_pruning_keeps_the_sum_and_costs_as_little_as_it_says(mixed: Model) -> None:
    pruned = ngram_model.prune(mixed, 3e-4, 3e-4)
    assert len(pruned.orders[2].keys) < 0.8 * len(mixed.orders[2].keys)
    assert sums(pruned) == pytest.approx([1.0] * 5, abs=0.02)
    fresh = text(5, 200)
    before, after = (ngram_model.perplexity(model, fresh) for model in (mixed, pruned))
    assert after < 1.1 * before


def test_every_text_prefers_the_model_of_its_kind() -> None:
    said = encode([["a", "b", "a", "b"]] * 20 + [["c", "d"]] * 2, NUMBERS)
    other = encode([["d", "c", "d", "c"]] * 20 + [["a", "b"]] * 2, NUMBERS)
    models = [ngram_model.kneser_ney(tokens, len(WORDS)) for tokens in (said, other)]
    assert ngram_model.weights(models, [said])[0] > 0.9


def test_the_file_holds_what_the_model_says(tmp_path, mixed: Model) -> None:
    model, stay = ngram.without_unknown_word(mixed)
    words = [WORDS[at] for at in stay]
    ngram.write(tmp_path / "x.ngram", model, words)
    data = (tmp_path / "x.ngram").read_bytes()
    assert data[:8] == ngram.MAGIC
    size, pairs, triples, length = struct.unpack("<4I", data[8:24])
    assert (size, pairs, triples) == tuple(len(order.keys) for order in model.orders)
    assert data[24 : 24 + length].decode().split("\n") == words
    assert bundle.read_words(tmp_path / "x.ngram") == words[2:]
    assert len(data) == 24 + length + 5 * 1024 + size * 4 + pairs * 6 + triples * 3


def test_bit_fields_are_read_where_they_lie() -> None:
    widths, values = [17, 16, 21, 16], [70_000, 12_345, 1_234_567, 65_535]
    packed, at, bits = 0, 3, []
    for width, value in zip(widths, values, strict=True):
        packed |= value << at
        bits.append(at)
        at += width
    data = np.frombuffer(packed.to_bytes(24, "little"), np.uint8)
    for bit, width, value in zip(bits, widths, values, strict=True):
        assert ngram_sphinx._field(data, np.array([bit]), width).tolist() == [value]


def test_running_text_becomes_sentences() -> None:
    said = (
        'Mr. Bennet replied that he had not. "But it _is_," returned she; "for Mrs. Long\nhas been here in 1811." Yes!'
    )
    found = [" ".join(words) for words in ngram_text.sentences(said)]
    assert found == ["mister bennet replied that he had not", "but it is returned she"]


def test_evaluation_transcripts_are_kept_out(tmp_path, capsys) -> None:
    secret = "one two three four five six seven eight nine".split()
    never = set(ngram_text.runs(secret))
    ngram_text.write(tmp_path / "t.txt", [["zero", *secret], secret[:7], secret[:7]], never)
    assert (tmp_path / "t.txt").read_text().splitlines() == [" ".join(secret[:7])] * 2
    assert "1 sentences dropped" in capsys.readouterr().out
