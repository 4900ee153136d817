"""Trained networks that tell another one what they think of sentences.

G. Hinton, O. Vinyals, J. Dean, "Distilling the Knowledge in a Neural Network", 2015. Several teachers answer with the
mean of their probabilities. They are asked once, about many disturbed sentences at a time.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from training.nlu import chain
from training.nlu.data import Corpus, Example
from training.nlu.model import Lookup, load
from training.nlu.scoring import allowed
from training.nlu.text import MOST_WORDS

#: Sentences that are answered at once.
TOGETHER = 1024


@dataclass
class Lesson:
    """Sentences of a domain, as they were put to the teachers, with probabilities of intents [sentences, intents] and
    of tags [sentences, MOST_WORDS, tags]."""

    sentences: list[Example]
    intents: Tensor
    tags: Tensor


@torch.no_grad()
def ask(path: Path, corpus: Corpus, domain: str, sentences: list[Example], device: torch.device) -> Lesson:
    """What one teacher makes of sentences of a domain."""
    model, state = load(path)
    if state["intents"] != corpus.intents or state["tags"] != corpus.tags:
        raise SystemExit(f"{path} was trained for other intents or slots: train the teacher on the same data")
    model, lookup, head = model.to(device), Lookup(state["vocabulary"]), model.heads[domain]
    steps = head.steps + torch.tensor(allowed(corpus.tags[domain]), device=device).clamp(min=chain.NEVER)
    intents = torch.zeros(len(sentences), len(corpus.intents[domain]), device=device)
    tags = torch.zeros(len(sentences), MOST_WORDS, len(corpus.tags[domain]), dtype=torch.half, device=device)
    for at in range(0, len(sentences), TOGETHER):
        said = [example.words[:MOST_WORDS] for example in sentences[at : at + TOGETHER]]
        lengths = torch.tensor([len(words) for words in said], device=device)
        sentence, words = model.encoder(*lookup.batch(said, device))
        intents[at : at + len(said)] = head.intents(sentence).softmax(1)
        found = chain.marginals(head.tags(words), steps, lengths)
        tags[at : at + len(said), : found.shape[1]] = found.half()
    return Lesson(sentences, intents, tags)


def lesson(
    paths: list[Path], corpus: Corpus, domain: str, draw: Callable[[], Example], count: int, device: torch.device
) -> Lesson:
    """The mean of what the teachers make of so many sentences."""
    sentences = sorted((draw() for _ in range(count)), key=lambda example: len(example.words))
    for row, example in enumerate(sentences):
        example.row = row
    out = ask(paths[0], corpus, domain, sentences, device)
    for path in paths[1:]:
        other = ask(path, corpus, domain, sentences, device)
        out.intents += other.intents
        out.tags += other.tags
    out.intents /= len(paths)
    out.tags /= len(paths)
    return out


def loss(intents: Tensor, tags: Tensor, lesson: Lesson, rows: list[int], lengths: Tensor, slots: float) -> Tensor:
    """Cross-entropy of logits of the sentences `rows` of a lesson against its probabilities; `slots` is what a tag
    weighs against an intent."""
    real = torch.arange(tags.shape[1], device=tags.device) < lengths[:, None]
    of_intents = -(lesson.intents[rows] * intents.log_softmax(1)).sum(1).mean()
    wanted = lesson.tags[rows, : tags.shape[1]].float()
    of_tags = -((wanted * tags.log_softmax(2)).sum(2) * real).sum() / lengths.sum()
    return of_intents + slots * of_tags
