"""Tags as a chain: how likely a tag is after another is learnt with the tags themselves.

J. Lafferty, A. McCallum, F. Pereira, "Conditional Random Fields", ICML 2001. Scores of a sentence are those of its tags
and of its steps from tag to tag; the last row of `steps` [tags + 1, tags] is for the first word.
"""

from __future__ import annotations

import torch
from torch import Tensor

#: The score of a step that is not allowed.
NEVER = -1e4


def total(scores: Tensor, steps: Tensor, lengths: Tensor) -> Tensor:
    """Logarithm of the sum over all tag sequences [sentences]; scores [sentences, words, tags], lengths [sentences]."""
    best = scores[:, 0] + steps[-1]
    for at in range(1, scores.shape[1]):
        further = torch.logsumexp(best[:, :, None] + steps[:-1], 1) + scores[:, at]
        best = torch.where((at < lengths)[:, None], further, best)
    return torch.logsumexp(best, 1)


def score(scores: Tensor, steps: Tensor, lengths: Tensor, tags: Tensor) -> Tensor:
    """Score of the given tags [sentences, words]; what lies behind a sentence's length does not count."""
    real = torch.arange(scores.shape[1], device=scores.device) < lengths[:, None]
    said = scores.gather(2, tags[:, :, None]).squeeze(2)
    moved = torch.cat([steps[-1][tags[:, :1]], steps[tags[:, :-1], tags[:, 1:]]], 1)
    return ((said + moved) * real).sum(1)


def loss(scores: Tensor, steps: Tensor, lengths: Tensor, tags: Tensor) -> Tensor:
    """Negative log-likelihood [sentences] of the given tags."""
    return total(scores, steps, lengths) - score(scores, steps, lengths, tags)


def marginals(scores: Tensor, steps: Tensor, lengths: Tensor) -> Tensor:
    """Probability of each tag at each word, as the derivative of the total with respect to its score."""
    with torch.enable_grad():
        scores = scores.detach().requires_grad_()
        return torch.autograd.grad(total(scores, steps.detach(), lengths).sum(), scores)[0]
