"""The encoder: words in, a state for each word and one for the sentence out; and the heads of the domains.

A sentence begins with a row of its own (`sentence`), whose state says what the sentence wants. Rows of words are looked
up outside the exported network; what is exported begins with rows plus places.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from training.nlu.data import DOMAINS
from training.nlu.text import BUCKETS, MOST_GRAMS, MOST_WORDS, grams


@dataclass
class Config:
    """Sizes of the network."""

    vocabulary: int
    row: int = 96
    dim: int = 192
    heads: int = 6
    layers: int = 4
    expansion: int = 4
    dropout: float = 0.1
    #: Chance that a known word has to do with its n-grams alone, in training.
    unknown: float = 0.12
    #: Heads and units of each layer where pruning has left fewer; a head is as wide as before.
    pruned: list[list[int]] | None = None

    @property
    def head(self) -> int:
        """Width of a head."""
        return self.dim // self.heads

    def widths(self) -> list[list[int]]:
        """Heads and units of each layer."""
        return self.pruned or [[self.heads, self.expansion * self.dim]] * self.layers


class Block(nn.Module):
    """Attention and feed-forward, each on a normalised input and added to it."""

    def __init__(self, config: Config, heads: int, units: int) -> None:
        super().__init__()
        self.heads, inner = heads, heads * config.head
        self.first, self.second = nn.LayerNorm(config.dim), nn.LayerNorm(config.dim)
        self.qkv, self.out = nn.Linear(config.dim, 3 * inner), nn.Linear(inner, config.dim)
        self.up, self.down = nn.Linear(config.dim, units), nn.Linear(units, config.dim)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        q, k, v = self.qkv(self.first(x)).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        mixed = functional.scaled_dot_product_attention(q, k, v, attn_mask=mask).transpose(1, 2).flatten(2)
        x = x + self.dropout(self.out(mixed))
        return x + self.dropout(self.down(functional.silu(self.up(self.second(x)))))


class Encoder(nn.Module):
    """Rows of words to states."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        #: Row 0 is what unknown words have: nothing. Row `vocabulary + 1` begins the sentence.
        self.words = nn.Embedding(config.vocabulary + 2, config.row, padding_idx=0)
        self.grams = nn.Embedding(BUCKETS + 1, config.row, padding_idx=BUCKETS)
        self.places = nn.Parameter(0.02 * torch.randn(MOST_WORDS + 1, config.row))
        for table in (self.words, self.grams):
            nn.init.normal_(table.weight, std=0.1)
            table.weight.data[table.padding_idx] = 0.0
        self.project = nn.Linear(config.row, config.dim)
        self.blocks = nn.ModuleList(Block(config, *widths) for widths in config.widths())
        self.norm = nn.LayerNorm(config.dim)
        self.dropout = nn.Dropout(config.dropout)

    def rows(self, words: Tensor, grams: Tensor) -> Tensor:
        """Rows of words [n, row]: numbers of words [n] (0: unknown), buckets [n, MOST_GRAMS] (BUCKETS: none)."""
        if self.training:
            words = words * (torch.rand(words.shape, device=words.device) >= self.config.unknown)
        count = (grams < BUCKETS).sum(1, keepdim=True).clamp(min=1)
        return self.words(words) + self.grams(grams).sum(1) / count

    def inner(self, rows: Tensor, mask: Tensor | None) -> Tensor:
        """Rows with places [batch, length, row] to states [batch, length, dim]; what is exported."""
        x = self.project(rows)
        for block in self.blocks:
            x = block(x, mask)
        return self.norm(x)

    def forward(self, types: Tensor, words: Tensor, grams: Tensor) -> tuple[Tensor, Tensor]:
        """States of sentences [batch, dim] and words [batch, length, dim]. `types` [batch, length] counts into `words`
        and `grams`, -1 where a sentence is over."""
        table = self.rows(words, grams)
        begin = self.words.weight[-1].expand(types.shape[0], 1, -1)
        rows = torch.cat([begin, table[types.clamp(min=0)]], dim=1) + self.places[: types.shape[1] + 1]
        real = functional.pad(types >= 0, (1, 0), value=True)
        states = self.inner(self.dropout(rows), real[:, None, None, :])
        return states[:, 0], states[:, 1:]


class Head(nn.Module):
    """What a domain makes of the states: logits of intents and of the tags of each word, and scores of steps from tag
    to tag (`training.nlu.chain`)."""

    def __init__(self, dim: int, intents: int, tags: int) -> None:
        super().__init__()
        self.intents, self.tags = nn.Linear(dim, intents), nn.Linear(dim, tags)
        self.steps = nn.Parameter(torch.zeros(tags + 1, tags))


class Understanding(nn.Module):
    """An encoder of this width, and a head for each domain: the numbers of its intents and of its tags."""

    def __init__(self, encoder: nn.Module, dim: int, labels: dict[str, tuple[int, int]]) -> None:
        super().__init__()
        self.encoder = encoder
        self.heads = nn.ModuleDict({domain: Head(dim, *sizes) for domain, sizes in labels.items()})

    def parameters_shipped(self) -> int:
        """How many numbers the shipped model has."""
        return sum(p.numel() for p in self.parameters())


class Lookup:
    """Numbers of words and n-grams, worked out once for each word."""

    def __init__(self, vocabulary: list[str]) -> None:
        self.vocabulary = vocabulary
        self.numbers = {word: number for number, word in enumerate(vocabulary, 1)}
        self._types: dict[str, int] = {}
        self._rows: list[tuple[int, list[int]]] = []

    def type_of(self, word: str) -> int:
        """The number of a distinct word, known or not."""
        if word not in self._types:
            self._types[word] = len(self._rows)
            found = grams(word)
            self._rows.append((self.numbers.get(word, 0), found + [BUCKETS] * (MOST_GRAMS - len(found))))
        return self._types[word]

    def batch(self, sentences: list[list[str]], device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
        """The three arguments of the encoder."""
        index: dict[int, int] = {}
        length = max(len(sentence[:MOST_WORDS]) for sentence in sentences)
        rows = []
        for sentence in sentences:
            here = [index.setdefault(self.type_of(word), len(index)) for word in sentence[:MOST_WORDS]]
            rows.append(here + [-1] * (length - len(here)))
        types = torch.tensor(rows)
        words = torch.tensor([self._rows[number][0] for number in index])
        buckets = torch.tensor([self._rows[number][1] for number in index])
        return types.to(device), words.to(device), buckets.to(device)

    def rows_of(self, words: list[str]) -> tuple[Tensor, Tensor]:
        """Numbers [words] and buckets [words, MOST_GRAMS] of words, in their order."""
        rows = [self._rows[self.type_of(word)] for word in words]
        return torch.tensor([number for number, _ in rows]), torch.tensor([buckets for _, buckets in rows])


def saved(model: Understanding) -> dict:
    """Sizes and weights for a checkpoint."""
    config = getattr(model.encoder, "config", None)
    return {"config": asdict(config) if config else {}, "weights": model.state_dict()}


def load(path: Path) -> tuple[Understanding, dict]:
    """The model of a checkpoint, and the checkpoint."""
    state = torch.load(path, map_location="cpu", weights_only=True)
    labels = {d: (len(state["intents"][d]), len(state["tags"][d])) for d in DOMAINS}
    config = Config(**state["config"])
    model = Understanding(Encoder(config), config.dim, labels)
    model.load_state_dict(state["weights"])
    return model.eval(), state
