"""Weights that are nought and stay nought, while a network that `vocar-compress prune` thinned out is tuned."""

from __future__ import annotations

import torch
from torch import nn


class Zeros:
    """Matrices with the places of their noughts."""

    def __init__(self, thinned: list[tuple[nn.Parameter, torch.Tensor]]) -> None:
        self._thinned = thinned

    @classmethod
    def of(cls, network: nn.Module) -> Zeros:
        """The noughts in the weights of all linear layers, as they are now."""
        layers = (layer for layer in network.modules() if isinstance(layer, nn.Linear))
        places = ((layer.weight, layer.weight.detach() == 0) for layer in layers)
        return cls([(weight, zero) for weight, zero in places if zero.any()])

    def count(self) -> int:
        """How many there are."""
        return sum(int(zero.sum()) for _, zero in self._thinned)

    @torch.no_grad()
    def apply(self) -> None:
        """Makes them nought again, after an update of the weights."""
        for weight, zero in self._thinned:
            weight.masked_fill_(zero, 0.0)
