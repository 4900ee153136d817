"""Several GPUs of one machine that train one model: each process takes batches of its own, gradients are averaged.

    torchrun --nproc-per-node 2 -m training.train ...

Without `torchrun` a process is a team of one, and nothing here costs anything.
"""

from __future__ import annotations

import os
from collections.abc import Iterable

import torch
from torch import distributed


class Team:
    """The processes that train together. `rank` 0 leads: it prints, saves and says how far the training is."""

    def __init__(self) -> None:
        self.size = int(os.environ.get("WORLD_SIZE", "1"))
        self.rank = int(os.environ.get("RANK", "0"))
        self._clock = None
        if self.size > 1:
            distributed.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
            self._clock = distributed.new_group(backend="gloo")

    @property
    def leads(self) -> bool:
        """Whether this process speaks for the team."""
        return self.rank == 0

    def device(self, wanted: str) -> torch.device:
        """The device of this process: a GPU for each when they are several."""
        if self.size > 1 and wanted == "cuda":
            torch.cuda.set_device(self.rank)
            return torch.device(f"cuda:{self.rank}")
        return torch.device(wanted)

    @torch.no_grad()
    def average_gradients(self, parameters: Iterable[torch.nn.Parameter]) -> None:
        """Replaces each gradient by its mean over the team."""
        if self.size == 1:
            return
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        flat = torch.cat([gradient.flatten() for gradient in gradients])
        distributed.all_reduce(flat)
        parts = flat.div_(self.size).split([gradient.numel() for gradient in gradients])
        torch._foreach_copy_(gradients, [part.view_as(old) for part, old in zip(parts, gradients, strict=True)])

    def agreed(self, value: float) -> float:
        """The leader's value, so that all stop at the same step."""
        if self.size == 1:
            return value
        shared = torch.tensor([value], dtype=torch.float64)
        distributed.broadcast(shared, 0, group=self._clock)
        return float(shared)
