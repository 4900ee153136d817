"""An encoder that rounds in training as it will in the vehicle (`training.fake_quant` has the grids and the plan).

Weights are in int8 with a scale for each channel or in int4 with one for each 32 inputs, what enters such a layer is
int8 with a scale for each row, and what is left is half floats where the plan stores it so. Rows of words are no part
of the network. What is trained and saved stays floats under the same names.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from training.fake_quant import FEWEST_HALVES, GROUP, Plan, halves, int4_grid, int8_grid, read_plan, row_scale, through


def stored(value: Tensor, halved: bool) -> Tensor:
    """A parameter or scales as the file holds them."""
    return through(value, halves(value)) if halved and value.numel() >= FEWEST_HALVES else value


class Rounded(nn.Linear):
    """A linear layer whose weights and, in int8 and int4, inputs lie on their grids.

    `width`: int4, int8, f16 or f32. `halved`: scales and biases, and weights in f32, are stored as half floats."""

    def __init__(self, layer: nn.Linear, width: str = "int8", halved: bool = False) -> None:
        nn.Module.__init__(self)
        self.in_features, self.out_features = layer.in_features, layer.out_features
        self.weight, self.bias = layer.weight, layer.bias
        self.width, self.halved = width, halved
        #: Integers and scales of int4 groups that somebody has worked out for the next run.
        self.grid: tuple[Tensor, Tensor] | None = None

    def forward(self, x: Tensor) -> Tensor:
        """In whole floats, in which sums of so few int8 products are exact."""
        with torch.autocast(x.device.type, enabled=False):
            x, bias = x.float(), stored(self.bias, self.halved)
            if self.width in ("f16", "f32"):
                return functional.linear(x, stored(self.weight, self.halved or self.width == "f16"), bias)
            weight, channels = self._int8() if self.width == "int8" else self._int4()
            scale, inverse = row_scale(x.detach())
            stretched = x * inverse
            sums = functional.linear(through(stretched, stretched.round()), weight)
            return sums * (scale * channels) + bias

    def _int8(self) -> tuple[Tensor, Tensor]:
        """Integers and the scale of each output."""
        integers, scales = int8_grid(self.weight)
        return through(self.weight / scales[:, None], integers), stored(scales, self.halved)

    def _int4(self) -> tuple[Tensor, Tensor | float]:
        """Integers times the scales of their groups: what is left to multiply with is one."""
        integers, scales = self.grid or int4_grid(self.groups())
        self.grid = None
        on_grid = integers * stored(scales, self.halved)[:, None]
        return through(self.weight, on_grid.view_as(self.weight)), 1.0

    def groups(self) -> Tensor:
        """The weight in groups that share a scale, [groups, 32]."""
        return self.weight.detach().reshape(-1, GROUP)


class HalvedNorm(nn.LayerNorm):
    """A normalisation whose parameters are stored as half floats."""

    def __init__(self, norm: nn.LayerNorm) -> None:
        nn.Module.__init__(self)
        self.normalized_shape, self.eps, self.elementwise_affine = norm.normalized_shape, norm.eps, True
        self.weight, self.bias = norm.weight, norm.bias

    def forward(self, x: Tensor) -> Tensor:
        weight, bias = stored(self.weight, True), stored(self.bias, True)
        return functional.layer_norm(x, self.normalized_shape, weight, bias, self.eps)


def search_scales(network: nn.Module, _: object = None) -> None:
    """Works out the scales of all int4 layers at once: the search takes some hundred steps, each a launch on a GPU."""
    layers = [layer for layer in network.modules() if isinstance(layer, Rounded) and layer.width == "int4"]
    if layers:
        groups = [layer.groups() for layer in layers]
        counts = [len(own) for own in groups]
        integers, scales = (found.split(counts) for found in int4_grid(torch.cat(groups)))
        for layer, *grid in zip(layers, integers, scales, strict=True):
            layer.grid = tuple(grid)


def round_layers(network: nn.Module, source: str | None = None) -> None:
    """Has each linear layer of a network round from now on, and with a plan what else it stores in less. Names of
    parameters stay.

    `source`: a plan file of `vocar-compress`, `int8` or `int4` (`training.fake_quant.read_plan`); without one all is
    int8 and nothing halved.
    """
    plan = read_plan(source, network) if source else None
    for name, layer in list(network.named_modules()):
        made = _rounded(name, layer, plan)
        if made is not None:
            parent, _, own = name.rpartition(".")
            setattr(network.get_submodule(parent), own, made)
    if plan and "int4" in plan.layers.values():
        network.register_forward_pre_hook(search_scales)


def _rounded(name: str, layer: nn.Module, plan: Plan | None) -> nn.Module | None:
    """What takes a layer's place, if anything does."""
    halved = plan is not None and plan.halve_the_rest
    if isinstance(layer, nn.Linear) and not isinstance(layer, Rounded):
        return Rounded(layer, plan.of(name, layer.in_features) if plan else "int8", halved)
    if isinstance(layer, nn.LayerNorm) and not isinstance(layer, HalvedNorm) and halved:
        return HalvedNorm(layer)
    return None
