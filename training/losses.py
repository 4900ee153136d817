"""Training criteria under the begin-continue topology: frame cross-entropy and lattice-free MMI.

LF-MMI: D. Povey et al., Interspeech 2016. Numerator: all alignments of the transcript's units that stay within a
tolerance of the reference alignment. Denominator: the same phone-bigram loop that the decoder uses as its background.
"""

from __future__ import annotations

import torch
from torch.nn import functional as F

_LOW = -1e4


def shifted(columns: torch.Tensor, delay: int, frames: int) -> torch.Tensor:
    """Model output [rows, n, columns] with the delay taken off: row i then speaks of sound frame i."""
    return columns[:, delay : delay + frames]


def cross_entropy(columns: torch.Tensor, labels: torch.Tensor, smoothing: float = 0.0) -> torch.Tensor:
    """Mean over labelled frames. `columns`: log posteriors [rows, frames, columns]."""
    return F.cross_entropy(columns.flatten(0, 1), labels.flatten(), ignore_index=-100, label_smoothing=smoothing)


def numerator(
    columns: torch.Tensor,
    units: torch.Tensor,
    first_frames: torch.Tensor,
    unit_counts: torch.Tensor,
    frames: torch.Tensor,
    tolerance: int,
) -> torch.Tensor:
    """Log likelihood [rows] of the unit sequences, summed over alignments near the reference."""
    rows, longest, _ = columns.shape
    names = units.clamp_min(0)
    begin = columns.gather(2, (2 * names)[:, None, :].expand(-1, longest, -1))
    stay = columns.gather(2, (2 * names + 1)[:, None, :].expand(-1, longest, -1))
    last = torch.cat([first_frames[:, 1:], torch.full_like(first_frames[:, :1], -1)], dim=1)
    last = torch.where(last < 0, frames[:, None], last)
    time = torch.arange(longest, device=columns.device)[None, :, None]
    outside = (time < first_frames[:, None, :] - tolerance) | (time >= last[:, None, :] + tolerance)
    outside |= (units < 0)[:, None, :]
    barrier = outside * _LOW
    begin, stay = begin + barrier, stay + barrier
    start = torch.full((rows, units.shape[1]), _LOW, device=columns.device)
    alpha = torch.cat([begin[:, 0, :1], start[:, 1:]], dim=1)
    ends = [alpha]
    wall = torch.full((rows, 1), _LOW, device=columns.device)
    for t in range(1, longest):
        arriving = torch.cat([wall, alpha[:, :-1]], dim=1)
        alpha = torch.logaddexp(arriving + begin[:, t], alpha + stay[:, t])
        ends.append(alpha)
    stacked = torch.stack(ends, dim=1)
    row = torch.arange(rows, device=columns.device)
    return stacked[row, frames - 1, unit_counts - 1]


def denominator(columns: torch.Tensor, transitions: torch.Tensor, frames: torch.Tensor) -> torch.Tensor:
    """Log likelihood [rows] of the whole phone loop. `transitions[v, u]`: natural log P(u | v); starts after SIL."""
    begin, stay = columns[..., 0::2], columns[..., 1::2]
    moves = transitions.exp()
    alpha = begin[:, 0] + transitions[0]
    ends = [alpha]
    for t in range(1, columns.shape[1]):
        peak = alpha.amax(dim=1, keepdim=True)
        arriving = ((alpha - peak).exp() @ moves).clamp_min(1e-30).log() + peak
        alpha = torch.logaddexp(arriving + begin[:, t], alpha + stay[:, t])
        ends.append(alpha)
    stacked = torch.stack(ends, dim=1)
    row = torch.arange(len(columns), device=columns.device)
    return stacked[row, frames - 1].logsumexp(dim=1)


def soft_cross_entropy(columns: torch.Tensor, taught: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Cross-entropy against a teacher's posteriors (G. Hinton et al., 2015), mean over labelled frames.

    `columns`, `taught`: log posteriors [rows, frames, columns] of student and teacher.
    """
    inside = labels >= 0
    each = -(taught.exp() * columns).sum(dim=2)
    return (each * inside).sum() / inside.sum().clamp_min(1)


def _fast_sums() -> tuple:
    from training import lattice_free

    return lattice_free.numerator, lattice_free.denominator


def mmi(
    columns: torch.Tensor,
    units: torch.Tensor,
    first_frames: torch.Tensor,
    unit_counts: torch.Tensor,
    frames: torch.Tensor,
    transitions: torch.Tensor,
    tolerance: int = 3,
) -> torch.Tensor:
    """Negative log posterior of the transcripts, per frame."""
    sums = _fast_sums() if columns.is_cuda else (numerator, denominator)
    above = sums[0](columns, units, first_frames, unit_counts, frames, tolerance)
    below = sums[1](columns, transitions, frames)
    inside = above > _LOW / 2
    return ((below - above) * inside).sum() / (frames * inside).sum().clamp_min(1)
