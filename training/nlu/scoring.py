"""Figures: intent accuracy, slot F1 over whole spans, both at once, out-of-scope recall against in-scope accuracy."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from training.nlu import data
from training.nlu.data import NONE, Example
from training.nlu.model import Lookup, Understanding


def allowed(tags: list[str]) -> np.ndarray:
    """Which tag may follow which [before, after], as 0 or -inf; the last row is for the first word."""
    out = np.zeros((len(tags) + 1, len(tags)), np.float32)
    for after, tag in enumerate(tags):
        if tag.startswith("I-"):
            slot = tag[2:]
            for before in range(len(tags) + 1):
                if before == len(tags) or tags[before] not in (f"B-{slot}", f"I-{slot}"):
                    out[before, after] = -np.inf
    return out


def best_path(scores: np.ndarray, steps: np.ndarray) -> list[int]:
    """The best allowed tags for scores [words, tags]."""
    best, back = scores[0] + steps[-1], []
    for row in scores[1:]:
        reach = best[:, None] + steps[:-1]
        back.append(reach.argmax(0))
        best = reach.max(0) + row
    path = [int(best.argmax())]
    for pointers in reversed(back):
        path.append(int(pointers[path[-1]]))
    return path[::-1]


def steps(model: Understanding, domain: str, tags: list[str]) -> np.ndarray:
    """Scores of steps from tag to tag [before, after] of a domain, -inf where a step is not allowed."""
    return model.heads[domain].steps.detach().cpu().numpy() + allowed(tags)


@torch.no_grad()
def logits(
    model: Understanding, lookup: Lookup, examples: list[Example], device: torch.device
) -> list[tuple[Tensor, Tensor]]:
    """Intent logits [intents] and tag logits [words, tags] of sentences of one domain."""
    model.eval()
    order = sorted(range(len(examples)), key=lambda at: len(examples[at].words))
    found: list[tuple[Tensor, Tensor]] = [(torch.empty(0), torch.empty(0))] * len(examples)
    for start in range(0, len(order), 128):
        part = order[start : start + 128]
        sentence, words = model.encoder(*lookup.batch([examples[at].words for at in part], device))
        head = model.heads[examples[part[0]].domain]
        intents, tags = head.intents(sentence).float().cpu(), head.tags(words).float().cpu()
        for row, at in enumerate(part):
            found[at] = intents[row], tags[row, : len(examples[at].words)]
    return found


def outlyingness(intents: Tensor) -> Tensor:
    """How much sentences look like none of a domain's, from intent logits [sentences, intents]: log-odds of all else
    against the likeliest intent that is in scope. The first intent is `none`."""
    share = intents.softmax(1)[:, 1:].max(1).values.clamp(1e-7, 1 - 1e-7)
    return ((1 - share) / share).log()


def scoped(
    scores: Tensor, chance: np.ndarray, threshold: float, examples: list[Example], intents: list[str]
) -> dict[str, float]:
    """Accuracy in scope and recall out of scope when what has less chance than `threshold` is refused."""
    inside = np.array([example.intent != NONE for example in examples])
    chosen = (scores[:, 1:].argmax(1) + 1).tolist()
    right = np.array([intents[number] == example.intent for number, example in zip(chosen, examples, strict=True)])
    taken = chance >= threshold
    out = {"threshold": threshold, "in_scope": float((right & taken)[inside].mean())}
    out["out_of_scope_recall"] = float((~taken)[~inside].mean())
    return {name: round(value, 4) for name, value in out.items()}


def figures(
    found: list[tuple[Tensor, Tensor]], examples: list[Example], intents: list[str], tags: list[str], steps: np.ndarray
) -> dict[str, float]:
    """Figures of a domain: the likeliest intent in scope, and slots by the scores of `steps` from tag to tag. Where
    some sentences are out of scope also the accuracy at the threshold that finds 80 % of those."""
    scores = torch.stack([intent for intent, _ in found])
    chosen = (scores[:, 1:].argmax(1) + 1).tolist()
    inside = np.array([example.intent != NONE for example in examples])
    right = np.array([intents[number] == example.intent for number, example in zip(chosen, examples, strict=True)])
    true = guessed = hit = 0
    both = np.zeros(len(examples), bool)
    for at, ((_, tag_scores), example) in enumerate(zip(found, examples, strict=True)):
        if example.tags is None or not inside[at]:
            continue
        path = [tags[number] for number in best_path(tag_scores.numpy(), steps)]
        wanted, got = set(data.spans(example.tags)), set(data.spans(path))
        true, guessed, hit = true + len(wanted), guessed + len(got), hit + len(wanted & got)
        both[at] = right[at] and wanted == got
    out = {"sentences": len(examples), "intent": float(right[inside].mean())}
    if true:
        out["slot_f1"] = 2 * hit / (true + guessed)
        out["intent_and_slots"] = float(both[inside].mean())
    if not inside.all():
        odds = outlyingness(scores).numpy()
        out["out_of_scope"] = int((~inside).sum())
        out["in_scope_at_80_recall"] = float((right & (odds < np.quantile(odds[~inside], 0.2)))[inside].mean())
    return {name: round(value, 4) for name, value in out.items()}
