"""An encoder that rounds in training as it will in the vehicle: int8 weights with a scale for each channel, int8
activations with a scale for each row (`training.fake_quant`)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from training.fake_quant import int8_grid, row_scale, through


class Rounded(nn.Linear):
    """A linear layer whose weights and inputs lie on their grids; what is trained and saved stays floats."""

    def __init__(self, layer: nn.Linear) -> None:
        nn.Module.__init__(self)
        self.in_features, self.out_features = layer.in_features, layer.out_features
        self.weight, self.bias = layer.weight, layer.bias

    def forward(self, x: Tensor) -> Tensor:
        """In whole floats, in which sums of so few int8 products are exact."""
        with torch.autocast(x.device.type, enabled=False):
            x = x.float()
            scale, inverse = row_scale(x.detach())
            integers, channels = int8_grid(self.weight)
            weight = through(self.weight / channels[:, None], integers)
            stretched = x * inverse
            sums = functional.linear(through(stretched, stretched.round()), weight)
            return sums * (scale * channels) + self.bias


def round_layers(network: nn.Module) -> None:
    """Has each linear layer of a network round from now on. Names of parameters stay."""
    for name, layer in list(network.named_modules()):
        if isinstance(layer, nn.Linear) and not isinstance(layer, Rounded):
            parent, _, own = name.rpartition(".")
            setattr(network.get_submodule(parent), own, Rounded(layer))
