"""Streaming conformer over log-mel features; every layer sees a bounded past and its own chunk.

Conformer: A. Gulati et al., Interspeech 2020; chunked attention with cached keys and values as in the
streaming transformers of Chen et al., ICASSP 2021. Instead of a position encoding, each head adds a learned
bias for every distance between query and key. The labels come `delay` frames after their sound, which
gives each frame some future to look at without growing the chunk.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace

import torch
from torch import nn
from torch.nn import functional as F

SUBSAMPLING = 3
#: Feature frames of the past that the subsampling convolutions need.
FEATURE_CACHE = 2


@dataclass(frozen=True)
class Widths:
    """Sizes within one block: heads, units of both feed-forward layers, channels of the convolution."""

    heads: int
    first: int
    second: int
    channels: int


@dataclass(frozen=True)
class Config:
    """Shape of the model. Frames are output frames of 30 ms.

    `future`: frames after its own chunk that attention sees in every layer, and the convolution is centred: for a
    teacher, which need not stream. 0 for whatever is to run in a vehicle.
    `pruned`: sizes of each block, where pruning made them unlike; a head stays as wide as `dim` and `heads` make it.
    """

    mels: int = 80
    columns: int = 80
    dim: int = 160
    layers: int = 6
    heads: int = 5
    expansion: int = 2
    kernel: int = 9
    channels: int = 32
    chunk: int = 4
    context: int = 48
    delay: int = 2
    future: int = 0
    dropout: float = 0.1
    pruned: tuple[Widths, ...] = ()

    def __post_init__(self) -> None:
        widths = (one if isinstance(one, Widths) else Widths(**one) for one in self.pruned)
        object.__setattr__(self, "pruned", tuple(widths))
        if self.pruned and len(self.pruned) != self.layers:
            raise ValueError(f"sizes of {len(self.pruned)} blocks for {self.layers} layers")

    @property
    def head(self) -> int:
        """Columns of a head."""
        return self.dim // self.heads

    def blocks(self) -> tuple[Widths, ...]:
        """Sizes of each block."""
        wide = self.dim * self.expansion
        return self.pruned or (Widths(self.heads, wide, wide, self.dim),) * self.layers

    def as_dict(self) -> dict:
        """What a checkpoint holds; `Config(**d)` makes the same of it."""
        return asdict(self)


class Subsampling(nn.Module):
    """[batch, frames, mels] to [batch, frames / 3, dim]; output i sees feature frames 3 i - 2 to 3 i + 2."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, config.channels, 3, stride=(1, 2), padding=(0, 1))
        self.second = nn.Conv2d(config.channels, config.channels, 3, stride=(3, 2), padding=(0, 1))
        self.project = nn.Linear(config.channels * config.mels // 4, config.dim)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        padded = F.pad(features, (0, 0, FEATURE_CACHE, 0)).unsqueeze(1)
        maps = F.silu(self.second(F.silu(self.first(padded))))
        return self.project(maps.transpose(1, 2).flatten(2))


class FeedForward(nn.Module):
    """Position-wise layer pair with SiLU between."""

    def __init__(self, config: Config, units: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(config.dim)
        self.up = nn.Linear(config.dim, units)
        self.down = nn.Linear(units, config.dim)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.dropout(self.down(self.dropout(F.silu(self.up(self.norm(x))))))


class ChunkAttention(nn.Module):
    """Each chunk attends to itself, `context` frames before and `future` frames after it; beyond the ends are zeros."""

    def __init__(self, config: Config, heads: int) -> None:
        super().__init__()
        self.config = config
        self.heads = heads
        self.norm = nn.LayerNorm(config.dim)
        self.qkv = nn.Linear(config.dim, 3 * heads * config.head)
        self.out = nn.Linear(heads * config.head, config.dim)
        self.width = config.context + config.chunk + config.future
        self.bias = nn.Parameter(torch.zeros(heads, self.width + config.chunk - 1))
        self.softmax = nn.Softmax(dim=-1)
        self.dropout = nn.Dropout(config.dropout)
        query = torch.arange(config.chunk)[:, None]
        key = torch.arange(self.width)[None, :]
        self.register_buffer("distance", key - query + config.chunk - 1, persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        c = self.config
        batch, frames, _ = x.shape
        q, k, v = self.qkv(self.norm(x)).chunk(3, dim=-1)
        q = q.reshape(batch, frames // c.chunk, c.chunk, self.heads, c.head).permute(0, 1, 3, 2, 4)
        k, v = (self._windows(t) for t in (k, v))
        scores = q @ k.transpose(-1, -2) * c.head**-0.5 + self.bias[:, self.distance]
        mixed = self.dropout(self.softmax(scores)).to(v.dtype) @ v
        return self.dropout(self.out(mixed.permute(0, 1, 3, 2, 4).reshape(batch, frames, self.heads * c.head)))

    def _windows(self, t: torch.Tensor) -> torch.Tensor:
        """[batch, frames, heads * head] to [batch, chunks, heads, width, head]."""
        c = self.config
        padded = F.pad(t, (0, 0, c.context, c.future)).unfold(1, self.width, c.chunk)
        batch, chunks, _, width = padded.shape
        return padded.reshape(batch, chunks, self.heads, c.head, width).transpose(-1, -2)


class Convolution(nn.Module):
    """Gated depthwise convolution: causal, or centred in a model that sees the future."""

    def __init__(self, config: Config, channels: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(config.dim)
        self.gate = nn.Linear(config.dim, 2 * channels)
        self.depthwise = nn.Conv1d(channels, channels, config.kernel, groups=channels)
        self.batch_norm = nn.BatchNorm1d(channels)
        self.out = nn.Linear(channels, config.dim)
        self.dropout = nn.Dropout(config.dropout)
        after = (config.kernel - 1) // 2 if config.future else 0
        self.margin = (config.kernel - 1 - after, after)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        gated = F.glu(self.gate(self.norm(x)), dim=-1).transpose(1, 2)
        mixed = self.batch_norm(self.depthwise(F.pad(gated, self.margin)))
        return self.dropout(self.out(F.silu(mixed).transpose(1, 2)))


class Block(nn.Module):
    """Conformer block: half feed-forward, attention, convolution, half feed-forward, norm."""

    def __init__(self, config: Config, widths: Widths) -> None:
        super().__init__()
        self.first = FeedForward(config, widths.first)
        self.attention = ChunkAttention(config, widths.heads)
        self.convolution = Convolution(config, widths.channels)
        self.second = FeedForward(config, widths.second)
        self.norm = nn.LayerNorm(config.dim)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x + 0.5 * self.first(x)
        x = x + self.attention(x)
        x = x + self.convolution(x)
        x = x + 0.5 * self.second(x)
        return self.norm(x)


class AcousticModel(nn.Module):
    """Log-mel features [batch, 3 n, mels], n a multiple of the chunk, to log posteriors [batch, n, columns]."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.register_buffer("mean", torch.zeros(config.mels))
        self.register_buffer("scale", torch.ones(config.mels))
        self.subsampling = Subsampling(config)
        self.blocks = nn.ModuleList(Block(config, widths) for widths in config.blocks())
        self.out = nn.Linear(config.dim, config.columns)

    def normalise(self, features: torch.Tensor) -> torch.Tensor:
        """Zero mean and unit variance by the training data's figures."""
        return (features - self.mean) * self.scale

    def forward(self, normalised: torch.Tensor) -> torch.Tensor:
        x = self.subsampling(normalised)
        for block in self.blocks:
            x = block(x)
        return F.log_softmax(self.out(x).float(), dim=-1)

    def padded(self, frames: int) -> int:
        """Feature frames to present for `frames` of sound: whole chunks, and the delay on top."""
        step = SUBSAMPLING * self.config.chunk
        wanted = frames + SUBSAMPLING * self.config.delay
        return -(-wanted // step) * step


def with_chunk(network: AcousticModel, chunk: int) -> AcousticModel:
    """The same weights over chunks of another length. Distances between query and key that the old chunks did not
    hold take the bias of the nearest one that they did."""
    old = network.config
    changed = AcousticModel(replace(old, chunk=chunk))
    state = network.state_dict()
    distance = torch.arange(2 * chunk - 1 + old.context + old.future) - chunk + old.chunk
    for name in (name for name in state if name.endswith("attention.bias")):
        state[name] = state[name][:, distance.clamp(0, state[name].shape[1] - 1)]
    changed.load_state_dict(state)
    return changed.train(network.training)
