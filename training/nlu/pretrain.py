"""Learns words from text without labels: some words of a sentence are hidden and have to be guessed.

J. Devlin et al., "BERT: Pre-training of Deep Bidirectional Transformers for Language Understanding", NAACL 2019. A
hidden word is a word without letters, which has neither a row nor n-grams; the guess is made with the rows of the
vocabulary, so that what it teaches stays in them.
"""

from __future__ import annotations

import math
import random
import time
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from training.nlu.model import Encoder, Lookup
from training.nlu.text import MOST_WORDS, words

#: The hidden word.
HIDDEN = ""
#: Share of the words that are to be guessed; of these most are hidden, some are another word, some are left.
GUESSED, HIDE, REPLACE = 0.15, 0.8, 0.1


def read_texts(paths: list[Path], forbidden: set[str]) -> list[list[str]]:
    """Sentences, one a line in the files, without those that are `forbidden` and those of a single word."""
    found = []
    for path in paths:
        for line in path.read_text(encoding="utf-8").splitlines():
            sentence = [word.text for word in words(line)][:MOST_WORDS]
            if len(sentence) > 1 and " ".join(sentence) not in forbidden:
                found.append(sentence)
    return found


def hide(sentence: list[str], lookup: Lookup, rng: random.Random) -> tuple[list[str], list[int]]:
    """A sentence with some words hidden, and for each word its number if it is to be guessed, else -100."""
    out, wanted = list(sentence), [-100] * len(sentence)
    known = [at for at, word in enumerate(sentence) if word in lookup.numbers]
    chosen = [at for at in known if rng.random() < GUESSED] or ([rng.choice(known)] if known else [])
    for at in chosen:
        wanted[at] = lookup.numbers[sentence[at]]
        luck = rng.random()
        if luck < HIDE:
            out[at] = HIDDEN
        elif luck < HIDE + REPLACE:
            out[at] = rng.choice(lookup.vocabulary)
    return out, wanted


class Guess(nn.Module):
    """States of words to logits over the vocabulary."""

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        c = encoder.config
        self.turn, self.bias = nn.Linear(c.dim, c.row), nn.Parameter(torch.zeros(c.vocabulary + 2))

    def forward(self, states: Tensor, encoder: Encoder) -> Tensor:
        return self.turn(states) @ encoder.words.weight.T + self.bias


def batches(sentences: list[list[str]], size: int, rng: random.Random) -> list[list[list[str]]]:
    """Some batches of sentences of like length."""
    pool = sorted((rng.choice(sentences) for _ in range(16 * size)), key=len)
    found = [pool[at : at + size] for at in range(0, len(pool), size)]
    rng.shuffle(found)
    return found


def pretrain(
    encoder: Encoder,
    lookup: Lookup,
    sentences: list[list[str]],
    minutes: float,
    rate: float = 1.5e-3,
    size: int = 192,
    seed: int = 1,
    steps: float = math.inf,
) -> float:
    """Trains the encoder for so long, or so many steps if that is sooner; returns the mean loss of the last steps."""
    device, rng = encoder.places.device, random.Random(seed)
    guess = Guess(encoder).to(device)
    optimiser = torch.optim.AdamW([*encoder.parameters(), *guess.parameters()], lr=rate, weight_decay=0.02)
    began, shown, step, mean = time.monotonic(), time.monotonic(), 0, math.log(len(lookup.vocabulary))
    queue: list[list[list[str]]] = []
    encoder.train()
    while (part := max((time.monotonic() - began) / (60 * minutes), step / steps)) < 1:
        queue = queue or batches(sentences, size, rng)
        hidden = [hide(sentence, lookup, rng) for sentence in queue.pop()]
        for group in optimiser.param_groups:
            group["lr"] = rate * min(1, (step + 1) / 300) * (0.5 + 0.5 * math.cos(math.pi * part))
        with torch.autocast(device.type, torch.bfloat16):
            _, states = encoder(*lookup.batch([said for said, _ in hidden], device))
            wanted = torch.full(states.shape[:2], -100)
            for row, (_, numbers) in enumerate(hidden):
                wanted[row, : len(numbers)] = torch.tensor(numbers)
            wanted = wanted.to(device)
            scores = guess(states[wanted >= 0], encoder)
        loss = functional.cross_entropy(scores.float(), wanted[wanted >= 0])
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(encoder.parameters(), 1.0)
        optimiser.step()
        step, mean = step + 1, 0.98 * mean + 0.02 * float(loss.detach())
        if time.monotonic() - shown > 30:
            shown = time.monotonic()
            print(f"{(shown - began) / 60:5.1f} min, {step} steps, {mean:.3f} nats a hidden word", flush=True)
    return mean
