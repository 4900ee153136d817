"""Forward-backward sums of LF-MMI as GPU kernels: one program a row, all frames within it.

A loop of tensor operations over frames spends its time on launching them; here a whole utterance is one launch, so that
an MMI step costs little more than one of cross-entropy. `losses` holds the same sums in plain PyTorch, for processors
and as the reference of the tests. Without a GPU, `TRITON_INTERPRET=1` runs these kernels slowly but exactly.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl

_LOW = -1e4


@triton.jit
def _log_add(a, b):
    peak = tl.maximum(a, b)
    return peak + tl.log(tl.exp(a - peak) + tl.exp(b - peak))


@triton.jit
def _loop(
    columns,
    transitions,
    frames,
    alphas,
    totals,
    grads,
    longest,
    units: tl.constexpr,
    width: tl.constexpr,
):
    """The phone loop: alpha forwards, beta backwards, occupancies into `grads` [rows, longest, 2 units]."""
    row = tl.program_id(0)
    last = tl.load(frames + row) - 1
    index = tl.arange(0, width)
    real = index < units
    matrix = index[:, None] * units + index[None, :]
    inside = real[:, None] & real[None, :]
    moves = tl.exp(tl.load(transitions + matrix, mask=inside, other=-1e30))
    scores = columns + row.to(tl.int64) * longest * 2 * units + 2 * index
    grad = grads + row.to(tl.int64) * longest * 2 * units + 2 * index
    kept = alphas + row.to(tl.int64) * longest * width + index

    alpha = tl.load(scores, mask=real, other=-1e30) + tl.load(transitions + index, mask=real, other=0.0)
    tl.store(kept, alpha)
    for t in range(1, last + 1):
        begin = tl.load(scores + t * 2 * units, mask=real, other=-1e30)
        stay = tl.load(scores + t * 2 * units + 1, mask=real, other=-1e30)
        peak = tl.max(alpha, axis=0)
        summed = tl.sum(tl.exp(alpha - peak)[:, None] * moves, axis=0)
        alpha = _log_add(tl.log(tl.maximum(summed, 1e-30)) + peak + begin, alpha + stay)
        tl.store(kept + t * width, alpha)
    peak = tl.max(alpha, axis=0)
    total = peak + tl.log(tl.sum(tl.exp(alpha - peak), axis=0))
    tl.store(totals + row, total)

    beta = tl.where(real, 0.0, -1e30)
    for back in range(0, last):
        t = last - back
        begin = tl.load(scores + t * 2 * units, mask=real, other=-1e30)
        stay = tl.load(scores + t * 2 * units + 1, mask=real, other=-1e30)
        before = tl.load(kept + (t - 1) * width)
        entered = begin + beta
        above = tl.max(before, axis=0)
        summed = tl.sum(tl.exp(before - above)[:, None] * moves, axis=0)
        arriving = tl.log(tl.maximum(summed, 1e-30)) + above
        tl.store(grad + t * 2 * units, tl.exp(arriving + entered - total), mask=real)
        tl.store(grad + t * 2 * units + 1, tl.exp(before + stay + beta - total), mask=real)
        peak = tl.max(entered, axis=0)
        left = tl.sum(moves * tl.exp(entered - peak)[None, :], axis=1)
        beta = _log_add(tl.log(tl.maximum(left, 1e-30)) + peak, stay + beta)
    first = tl.load(kept)
    tl.store(grad, tl.exp(first + beta - total), mask=real)


@triton.jit
def _chain(
    columns,
    names,
    firsts,
    lasts,
    counts,
    frames,
    alphas,
    shifts,
    totals,
    grads,
    longest,
    most,
    units: tl.constexpr,
    width: tl.constexpr,
    tolerance: tl.constexpr,
):
    """A transcript, left to right: state s is its s-th unit and lives near the reference alignment only.

    `shifts` [rows, 2, width] passes scores between neighbouring states.
    """
    row = tl.program_id(0)
    last = tl.load(frames + row) - 1
    count = tl.load(counts + row)
    index = tl.arange(0, width)
    real = index < count
    name = tl.load(names + row * most + index, mask=real, other=0)
    opens = tl.load(firsts + row * most + index, mask=real, other=0) - tolerance
    closes = tl.load(lasts + row * most + index, mask=real, other=0) + tolerance
    scores = columns + row.to(tl.int64) * longest * 2 * units + 2 * name
    grad = grads + row.to(tl.int64) * longest * 2 * units + 2 * name
    kept = alphas + row.to(tl.int64) * longest * width + index
    shift = shifts + row * 2 * width

    wall = tl.where(real & (opens <= 0) & (closes > 0), 0.0, -1e4)
    alpha = tl.where(index == 0, tl.load(scores, mask=real, other=-1e4) + wall, -1e4)
    tl.store(kept, alpha)
    tl.debug_barrier()
    for t in range(1, last + 1):
        wall = tl.where(real & (opens <= t) & (closes > t), 0.0, -1e4)
        begin = tl.load(scores + t * 2 * units, mask=real, other=-1e4) + wall
        stay = tl.load(scores + t * 2 * units + 1, mask=real, other=-1e4) + wall
        arriving = tl.load(kept + (t - 1) * width - 1, mask=index > 0, other=-1e4)
        alpha = _log_add(arriving + begin, alpha + stay)
        tl.store(kept + t * width, alpha)
        tl.debug_barrier()
    total = tl.sum(tl.where(index == count - 1, alpha, 0.0), axis=0)
    tl.store(totals + row, total)

    beta = tl.where(index == count - 1, 0.0, -1e4)
    for back in range(0, last):
        t = last - back
        wall = tl.where(real & (opens <= t) & (closes > t), 0.0, -1e4)
        begin = tl.load(scores + t * 2 * units, mask=real, other=-1e4) + wall
        stay = tl.load(scores + t * 2 * units + 1, mask=real, other=-1e4) + wall
        before = tl.load(kept + (t - 1) * width)
        arriving = tl.load(kept + (t - 1) * width - 1, mask=index > 0, other=-1e4)
        entered = begin + beta
        tl.atomic_add(grad + t * 2 * units, tl.exp(tl.minimum(arriving + entered - total, 0.0)), mask=real)
        tl.atomic_add(grad + t * 2 * units + 1, tl.exp(tl.minimum(before + stay + beta - total, 0.0)), mask=real)
        slot = shift + (t % 2) * width
        tl.store(slot + index, entered)
        tl.debug_barrier()
        following = tl.load(slot + index + 1, mask=index < width - 1, other=-1e4)
        beta = _log_add(following, stay + beta)
    first = tl.load(kept)
    tl.atomic_add(grad, tl.exp(tl.minimum(first + beta - total, 0.0)), mask=real)


class _Sum(torch.autograd.Function):
    """Log likelihoods whose gradient was computed along with them."""

    @staticmethod
    def forward(ctx, columns: torch.Tensor, totals: torch.Tensor, grads: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(grads)
        return totals

    @staticmethod
    def backward(ctx, upstream: torch.Tensor) -> tuple:
        (grads,) = ctx.saved_tensors
        return grads * upstream[:, None, None], None, None


def denominator(columns: torch.Tensor, transitions: torch.Tensor, frames: torch.Tensor) -> torch.Tensor:
    """As `losses.denominator`."""
    rows, longest, size = columns.shape
    units = size // 2
    width = triton.next_power_of_2(units)
    scores = columns.detach().contiguous()
    alphas = scores.new_empty(rows, longest, width)
    totals = scores.new_empty(rows)
    grads = torch.zeros_like(scores)
    _loop[(rows,)](scores, transitions.contiguous(), frames, alphas, totals, grads, longest, units, width)
    return _Sum.apply(columns, totals, grads)


def numerator(
    columns: torch.Tensor,
    units: torch.Tensor,
    first_frames: torch.Tensor,
    unit_counts: torch.Tensor,
    frames: torch.Tensor,
    tolerance: int,
) -> torch.Tensor:
    """As `losses.numerator`."""
    rows, longest, size = columns.shape
    most = units.shape[1]
    width = max(16, triton.next_power_of_2(most))
    last = torch.cat([first_frames[:, 1:], torch.full_like(first_frames[:, :1], -1)], dim=1)
    last = torch.where(last < 0, frames[:, None], last).contiguous()
    scores = columns.detach().contiguous()
    alphas = scores.new_empty(rows, longest, width)
    shifts = scores.new_empty(rows, 2, width)
    totals = scores.new_empty(rows)
    grads = torch.zeros_like(scores)
    _chain[(rows,)](
        scores,
        units.contiguous(),
        first_frames.contiguous(),
        last,
        unit_counts,
        frames,
        alphas,
        shifts,
        totals,
        grads,
        longest,
        most,
        size // 2,
        width,
        tolerance,
    )
    return _Sum.apply(columns, totals, grads)
