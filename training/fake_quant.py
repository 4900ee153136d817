"""Quantisation-aware training: a network that rounds in floats as the vehicle's low precision does.

Weights lie on the grids of `vocar-compress quantise` (compress/src/quantise/grid.rs): int8 with a scale for each
output channel, int4 with a scale for each 32 inputs, half floats. What enters an int8 or int4 layer is rounded row by
row, and what enters an int8 convolution output frame by output frame, as the run time does it
(inference/src/gemm/rows.rs). Gradients pass the rounding as if it were not there (the straight-through estimator:
Y. Bengio et al., 2013; B. Jacob et al., CVPR 2018). The weights themselves stay floats, so that a checkpoint is
exported like any other and quantises to the very integers it was trained with.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn
from torch.func import functional_call
from torch.nn import functional as F

from training.model import AcousticModel, Config, Convolution

#: Inputs that share a scale in int4.
GROUP = 32
#: The largest of a row of activations, or of a channel of int8 weights, becomes this.
HIGHEST = 127.0
#: Scales that are tried for an int4 group: those with which its largest value becomes -8, -7.75 and so on.
TRIED = 12
#: Constants of fewer elements are not stored as half floats.
FEWEST_HALVES = 128
#: Weights of convolutions of fewer elements are not stored in int8.
FEWEST_INT8 = 1024
WIDTHS = ("int4", "int8", "f16", "f32")


class _Through(torch.autograd.Function):
    """Takes the place of a value with its rounded one; the gradient goes to the value."""

    @staticmethod
    def forward(_: object, value: torch.Tensor, rounded: torch.Tensor) -> torch.Tensor:
        return rounded

    @staticmethod
    def backward(_: object, gradient: torch.Tensor) -> tuple[torch.Tensor, None]:
        return gradient, None


def through(value: torch.Tensor, rounded: torch.Tensor) -> torch.Tensor:
    """`rounded`, whose gradient goes to `value` unchanged."""
    return _Through.apply(value, rounded.detach())


# --- grids -----------------------------------------------------------------------------------------------------------


def row_scale(rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Scale [..., 1] of each row of activations [..., inputs], and what a row is multiplied by before it is rounded."""
    highest = rows.abs().amax(dim=-1, keepdim=True)
    return highest / HIGHEST, torch.where(highest > 0, HIGHEST / highest, 0.0)


@torch.no_grad()
def int8_grid(weight: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Integers [outputs, inputs] and scales [outputs] of a weight: the largest of a channel becomes 127."""
    scale = weight.abs().amax(dim=1) / HIGHEST
    scale = torch.where(scale == 0, 1.0, scale)
    return (weight / scale[:, None]).round().clamp(-HIGHEST, HIGHEST), scale


@torch.no_grad()
def int4_grid(groups: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Integers [groups, 32], -8 to 7, and scales [groups]: of a few scales the one with the least squared error.

    Errors are summed one after the other: another order would choose another scale where two are nearly as good.
    """
    values = groups.T.contiguous()
    largest = values.gather(0, values.abs().argmax(dim=0, keepdim=True))
    scales = largest / (0.25 * torch.arange(TRIED, device=values.device) - 8.0)[:, None]
    error = torch.zeros_like(scales)
    for value in values:
        difference = _int4(value, scales) * scales - value
        error += difference * difference
    scale = scales.gather(0, error.argmin(dim=0, keepdim=True))
    return _int4(values, scale).T.contiguous(), scale[0]


def _int4(value: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
    return torch.where(scale == 0, 0.0, (value / scale).round().clamp(-8.0, 7.0))


@torch.no_grad()
def halves(value: torch.Tensor) -> torch.Tensor:
    """The nearest half floats; what is beyond their range stays."""
    rounded = value.half().float()
    return torch.where(rounded.isfinite(), rounded, value)


# --- plan ------------------------------------------------------------------------------------------------------------


def product_name(layer: str) -> str:
    """How the exported graph calls the product of a linear layer: `blocks.0.first.up` is `block0.first.up.product`."""
    return layer.replace("blocks.", "block", 1) + ".product"


@dataclass(frozen=True)
class Plan:
    """Precision of each linear layer by the name of its product, as `vocar-compress plan` writes it. A layer that is
    not listed is f32."""

    layers: dict[str, str]
    halve_the_rest: bool = False
    #: Whether large weights of convolutions are int8; else they belong to the rest.
    int8_convolutions: bool = False

    def of(self, layer: str, inputs: int) -> str:
        """Precision of a layer by its name in the network; int4 needs whole groups of inputs, else it stays f32."""
        width = self.layers.get(product_name(layer), "f32")
        return "f32" if width == "int4" and inputs % GROUP else width


def read_plan(source: str, network: nn.Module) -> Plan:
    """A plan file, or `int8` or `int4`: that for every layer and half floats for the rest.

    Raises ValueError when the file is no plan or names a layer that the network does not have.
    """
    there = [product_name(name) for name, layer in network.named_modules() if isinstance(layer, nn.Linear)]
    if source in ("int8", "int4"):
        return Plan(dict.fromkeys(there, source), halve_the_rest=True, int8_convolutions=True)
    try:
        found = tomllib.loads(Path(source).read_text(encoding="utf-8"))
        layers = found["layers"]
    except (OSError, KeyError, tomllib.TOMLDecodeError) as problem:
        raise ValueError(f"{source}: no plan ({problem!r}); make one with `vocar-compress plan`") from problem
    for name, width in layers.items():
        if name not in there:
            raise ValueError(f"{source}: `{name}` is no layer of the network; its layers are {', '.join(there)}")
        if width not in WIDTHS:
            raise ValueError(f"{source}: `{name}` is to be {width!r}, which is none of {', '.join(WIDTHS)}")
    return Plan(layers, found.get("halve_the_rest", False))


# --- network ---------------------------------------------------------------------------------------------------------


class RowQuantised(nn.Linear):
    """A linear layer that rounds what enters it. Its weight is expected on a grid: integers with `channel_scale`
    [outputs] or their scales in them with a `channel_scale` of one; `FakeQuantised` sees to it."""

    def __init__(self, layer: nn.Linear) -> None:
        nn.Module.__init__(self)
        self.in_features, self.out_features = layer.in_features, layer.out_features
        self.weight, self.bias = layer.weight, layer.bias
        self.register_buffer("channel_scale", torch.ones((), device=layer.weight.device), persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """In whole floats, where sums of int8 products are exact up to 1040 inputs."""
        with torch.autocast(x.device.type, enabled=False):
            x = x.float()
            scale, inverse = row_scale(x.detach())
            stretched = x * inverse
            sums = F.linear(through(stretched, stretched.round()), self.weight)
            return sums * (scale * self.channel_scale) + self.bias


class FrameQuantised(nn.Conv2d):
    """A convolution over time and frequency that rounds what enters it: all that makes one output frame with one scale,
    for which no two output frames may share what they are made of. Its weight is expected on a grid, as that of
    `RowQuantised`."""

    def __init__(self, layer: nn.Conv2d) -> None:
        nn.Module.__init__(self)
        if layer.kernel_size[0] != layer.stride[0] or layer.padding[0]:
            raise ValueError(f"output frames of {layer} share what they are made of")
        self.span = layer.stride[0]
        self.strides, self.pads = layer.stride, layer.padding
        self.weight, self.bias = layer.weight, layer.bias
        self.register_buffer("channel_scale", torch.ones((), device=layer.weight.device), persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[batch, channels, time, bands], in whole floats."""
        with torch.autocast(x.device.type, enabled=False):
            x = x.float()
            frames = x.shape[2] // self.span
            spans = x[:, :, : frames * self.span].unflatten(2, (frames, self.span))
            rows = spans.detach().permute(0, 2, 1, 3, 4).flatten(2)
            scale, inverse = row_scale(rows)
            stretched = spans * inverse[:, None, :, :, None]
            integers = through(stretched, stretched.round()).flatten(2, 3)
            sums = F.conv2d(integers, self.weight, None, self.strides, self.pads)
            scale = scale[:, None] * self.channel_scale.reshape(-1, 1, 1)
            return sums * scale + self.bias[:, None, None]


class FakeQuantised(nn.Module):
    """An acoustic model as the vehicle runs it with a plan. Replaces the model's linear layers, shares its weights.

    `network`: the model. `plan`: the precision of its layers."""

    def __init__(self, network: AcousticModel, plan: Plan) -> None:
        super().__init__()
        self.network = network
        self.plan = plan
        self.grouped: list[str] = []
        self.channelled: list[str] = []
        self.sixteen: list[str] = []
        for name, layer in list(network.named_modules()):
            if not isinstance(layer, nn.Linear):
                continue
            width = plan.of(name, layer.in_features)
            if width == "f16":
                self.sixteen.append(f"{name}.weight")
            elif width != "f32":
                (self.grouped if width == "int4" else self.channelled).append(name)
                parent, _, own = name.rpartition(".")
                setattr(network.get_submodule(parent), own, RowQuantised(layer))
        subsampling = network.subsampling
        self.convolved: list[str] = []
        if self._is_int8(subsampling.second.weight):
            self.convolved.append("subsampling.second")
            subsampling.second = FrameQuantised(subsampling.second)
        self.halved = self._halved()

    @property
    def config(self) -> Config:
        """Shape of the model."""
        return self.network.config

    def normalise(self, features: torch.Tensor) -> torch.Tensor:
        """As the model does."""
        return self.network.normalise(features)

    def padded(self, frames: int) -> int:
        """As the model does."""
        return self.network.padded(frames)

    def forward(self, normalised: torch.Tensor) -> torch.Tensor:
        """Log posteriors, as the model's, with everything rounded."""
        return functional_call(self.network, self.rounded(), (normalised,))

    def rounded(self) -> dict[str, torch.Tensor]:
        """What takes the place of the model's parameters, by name."""
        return self._in_halves() | self._depthwise() | self._in_int8() | self._in_int4()

    def _is_int8(self, convolution: torch.Tensor) -> bool:
        return self.plan.int8_convolutions and convolution.numel() >= FEWEST_INT8

    def _stored(self, scales: torch.Tensor) -> torch.Tensor:
        """Scales as the file holds them."""
        return halves(scales) if self.plan.halve_the_rest and scales.numel() >= FEWEST_HALVES else scales

    def _in_int8(self) -> dict[str, torch.Tensor]:
        made = {}
        for name in self.channelled + self.convolved:
            weight = self.network.get_submodule(name).weight
            integers, scale = int8_grid(weight.flatten(1))
            folded = _folded(name)
            made[f"{name}.weight"] = through(weight.flatten(1) / scale[:, None], integers).view_as(weight)
            made[f"{name}.channel_scale"] = self._stored(scale * folded) / folded
        return made

    def _in_int4(self) -> dict[str, torch.Tensor]:
        """All layers at once: a scale is searched in some fifty steps, each of which costs a launch on a GPU."""
        weights = [self.network.get_submodule(name).weight for name in self.grouped]
        if not weights:
            return {}
        factors = [_folded(name) for name in self.grouped]
        counts = [weight.numel() // GROUP for weight in weights]
        groups = [factor * weight.reshape(-1, GROUP) for factor, weight in zip(factors, weights, strict=True)]
        integers, scales = int4_grid(torch.cat(groups))
        parts = zip(self.grouped, weights, factors, integers.split(counts), scales.split(counts), strict=True)
        return {
            f"{name}.weight": through(weight, (i * self._stored(s)[:, None]).view_as(weight) / factor)
            for name, weight, factor, i, s in parts
        }

    def _halved(self) -> list[str]:
        """Parameters that are stored as half floats, but for those of depthwise convolutions."""
        integers = {f"{name}.weight" for name in self.grouped + self.channelled + self.convolved}
        folded = tuple(name for name, layer in self.network.named_modules() if isinstance(layer, Convolution))
        wanted = list(self.sixteen)
        for name, parameter in self.network.named_parameters():
            inside = name.startswith(tuple(f"{one}.{part}" for one in folded for part in ("depthwise.", "batch_norm.")))
            large = parameter.numel() >= FEWEST_HALVES
            if self.plan.halve_the_rest and large and not inside and name not in integers and name not in wanted:
                wanted.append(name)
        return wanted

    def _in_halves(self) -> dict[str, torch.Tensor]:
        if not self.halved:
            return {}
        values = [self.network.get_parameter(name) for name in self.halved]
        factors = [_folded(name.rpartition(".")[0]) for name in self.halved]
        rounded = halves(torch.cat([factor * v.flatten() for factor, v in zip(factors, values, strict=True)]))
        parts = zip(self.halved, rounded.split([v.numel() for v in values]), values, factors, strict=True)
        return {name: through(value, part.view_as(value) / factor) for name, part, value, factor in parts}

    def _depthwise(self) -> dict[str, torch.Tensor]:
        """Depthwise convolutions are stored with their batch normalisation in them."""
        made = {}
        layers = [(name, one) for name, one in self.network.named_modules() if isinstance(one, Convolution)]
        for name, layer in layers if self.plan.halve_the_rest else ():
            conv, norm = layer.depthwise, layer.batch_norm
            gain = (norm.weight / (norm.running_var + norm.eps).sqrt()).detach()
            mean, shift = norm.running_mean, norm.bias.detach()
            weight = self._stored_weight(conv.weight * gain[:, None, None]) / gain[:, None, None]
            bias = (halves((conv.bias - mean) * gain + shift) - shift) / gain + mean
            for part, value, rounded in (("weight", conv.weight, weight), ("bias", conv.bias, bias)):
                if value.numel() >= FEWEST_HALVES:
                    made[f"{name}.depthwise.{part}"] = through(value, torch.where(rounded.isfinite(), rounded, value))
        return made

    def _stored_weight(self, weight: torch.Tensor) -> torch.Tensor:
        """Weight [channels, 1, taps] of a depthwise convolution as the file holds it."""
        if not self._is_int8(weight):
            return halves(weight)
        integers, scale = int8_grid(weight.flatten(1))
        return (integers * self._stored(scale)[:, None]).view_as(weight)


def _folded(layer: str) -> float:
    """What the exported weights of a layer are multiplied by: the half of a feed-forward layer lies in them."""
    return 0.5 if layer.endswith(".down") else 1.0
