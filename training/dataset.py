"""The packed corpus in memory and the batches drawn from it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import astuple, dataclass, field, fields
from pathlib import Path

import numpy as np
import torch

from training.features import HOP, WINDOW
from training.model import SUBSAMPLING

#: Samples between two output frames.
STRIDE = HOP * SUBSAMPLING
#: Time of an output frame's centre relative to the start of its hop, in samples.
CENTRE = WINDOW // 2
#: Playing speeds that training draws from; they change pitch and formants, too.
SPEEDS = (0.9, 0.95, 1.0, 1.05, 1.1)
#: Samples over which a cut fades into the room around it.
FADE = 240


@dataclass(frozen=True)
class Cut:
    """What of an utterance is heard, in samples from its start: [first, last), and around it the room's silence, over
    and over, forwards and backwards."""

    first: int
    last: int
    room: int
    room_length: int


@dataclass
class Item:
    """One utterance of the pack; `segments` is its alignment as (unit, start in samples), in order."""

    id: str
    corpus: str
    split: str
    speaker: str
    words: list[str]
    start: int
    length: int
    pronunciations: list[list[tuple[int, ...]]]
    segments: list[tuple[int, float]] = field(default_factory=list)
    cut: Cut | None = None

    @property
    def key(self) -> tuple[str, str]:
        """What tells it from every other utterance: ids are unique within a corpus only."""
        return self.corpus, self.id


@dataclass
class Batch:
    """Rows of a batch. `labels` [rows, frames] are output columns, -100 where there is nothing to learn;
    `units` and `first_frames` [rows, longest] the aligned units and where they begin, padded with -1; `cuts` [rows, 4]
    the fields of `Cut`, a room of no length where a whole utterance is heard.
    Arrays as the workers lay them out, tensors after `to`."""

    starts: np.ndarray | torch.Tensor
    lengths: np.ndarray | torch.Tensor
    speeds: np.ndarray | torch.Tensor
    labels: np.ndarray | torch.Tensor
    units: np.ndarray | torch.Tensor
    first_frames: np.ndarray | torch.Tensor
    unit_counts: np.ndarray | torch.Tensor
    frames: np.ndarray | torch.Tensor
    cuts: np.ndarray | torch.Tensor

    @property
    def samples(self) -> int:
        """Samples of the longest row at its speed."""
        return int((self.lengths / self.speeds).max())

    def to(self, device: torch.device) -> Batch:
        """The same as tensors on a device, copied without waiting for it."""
        tensors = (torch.from_numpy(getattr(self, field.name)) for field in fields(self))
        if device.type == "cuda":
            tensors = (tensor.pin_memory().to(device, non_blocking=True) for tensor in tensors)
        return Batch(*tensors)


class Pack:
    """`audio.i16` and `index.jsonl` as `prepare` wrote them, with alignments when there are any."""

    def __init__(self, folder: Path) -> None:
        self.samples = torch.from_numpy(np.fromfile(folder / "audio.i16", dtype=np.int16))
        self.items = [_item(json.loads(line)) for line in (folder / "index.jsonl").open(encoding="utf-8")]
        common = [key for key, count in Counter(item.key for item in self.items).items() if count > 1]
        if common:
            raise ValueError(
                f"{folder}: two utterances are {common[0]}: give each corpus a name of its own and prepare anew"
            )

    def split(self, name: str) -> list[Item]:
        """Items of a split."""
        return [item for item in self.items if item.split == name]

    def read_alignment(self, path: Path, phones: list[str]) -> int:
        """Takes bootstrap alignments in 10 ms frames from a JSON-lines file; returns how many matched."""
        index = {name: unit for unit, name in enumerate(phones)}
        by_id = {item.id: item for item in self.items if item.split == "train"}
        matched = 0
        for line in path.open(encoding="utf-8"):
            row = json.loads(line)
            if row["id"] in by_id:
                by_id[row["id"]].segments = [(index[p], float(s * HOP)) for p, s, _ in row["phones"]]
                matched += 1
        return matched


def _item(row: dict) -> Item:
    row["pronunciations"] = [[tuple(p) for p in word] for word in row["pronunciations"]]
    return Item(**row)


def output_frames(samples: int | np.ndarray) -> int | np.ndarray:
    """Output frames whose features are complete in so many samples."""
    return np.maximum((samples - WINDOW) // HOP + 1, 0) // SUBSAMPLING


def first_frames(segments: list[tuple[int, float]], speed: float, frames: int) -> np.ndarray | None:
    """First output frame of each segment at a playing speed, at least one frame each; None if they do not fit."""
    times = np.array([start for _, start in segments])
    starts = np.round((times / speed - CENTRE) / STRIDE).astype(np.int64)
    starts[0] = 0
    count = len(starts)
    order = np.arange(count)
    starts = np.maximum.accumulate(starts - order) + order
    starts = np.minimum(starts, frames - count + order)
    return starts if starts[0] >= 0 and frames >= count else None


def batches(items: list[Item], seconds: float, rng: np.random.Generator) -> list[list[Item]]:
    """Groups utterances of like length so that each batch, padded, holds about `seconds` of audio; shuffled."""
    lengths = np.array([item.length for item in items]) * rng.uniform(0.9, 1.1, len(items))
    groups: list[list[Item]] = [[]]
    for i in np.argsort(lengths):
        if (len(groups[-1]) + 1) * lengths[i] > seconds * 16_000 and groups[-1]:
            groups.append([])
        groups[-1].append(items[i])
    return [groups[i] for i in rng.permutation(len(groups))]


def repeated(items: list[Item], times: list[str]) -> list[Item]:
    """Items with those of some corpora listed more than once: `times` holds words such as "speechocean762=2"."""
    counts = {corpus: int(count) for corpus, _, count in (word.partition("=") for word in times)}
    unknown = counts.keys() - {item.corpus for item in items}
    if unknown:
        raise ValueError(f"--repeat: no corpus {', '.join(sorted(unknown))} in the pack")
    return [item for item in items for _ in range(counts.get(item.corpus, 1))]


def assemble(group: list[Item], rng: np.random.Generator, speeds: Sequence[float] = (1.0,)) -> Batch | None:
    """Draws a playing speed for each utterance of a group and lays out its labels."""
    rows = []
    for item in group:
        speed = float(rng.choice(speeds))
        frames = int(output_frames(int(item.length / speed)))
        starts = first_frames(item.segments, speed, frames) if item.segments else None
        if starts is not None:
            rows.append((item, speed, frames, starts))
    if not rows:
        return None
    longest = max(frames for _, _, frames, _ in rows)
    most = max(len(starts) for *_, starts in rows)
    labels = np.full((len(rows), longest), -100, dtype=np.int64)
    units = np.full((len(rows), most), -1, dtype=np.int64)
    firsts = np.full((len(rows), most), -1, dtype=np.int64)
    for row, (item, _, frames, starts) in enumerate(rows):
        names = np.array([unit for unit, _ in item.segments])
        labels[row, :frames] = np.repeat(2 * names + 1, np.diff(np.append(starts, frames)))
        labels[row, starts] = 2 * names
        units[row, : len(names)] = names
        firsts[row, : len(names)] = starts
    return Batch(
        starts=np.array([item.start for item, *_ in rows]),
        lengths=np.array([item.length for item, *_ in rows]),
        speeds=np.array([speed for _, speed, *_ in rows]),
        labels=labels,
        units=units,
        first_frames=firsts,
        unit_counts=np.array([len(starts) for *_, starts in rows]),
        frames=np.array([frames for _, _, frames, _ in rows]),
        cuts=np.array([astuple(item.cut or Cut(0, item.length, 0, 0)) for item, *_ in rows]),
    )


def gather(samples: torch.Tensor, batch: Batch, longest: int) -> torch.Tensor:
    """Waveforms [rows, longest] of a batch on the device of `samples`, at the drawn speeds (linear interpolation),
    zero-padded; cuts of utterances in the silence of their rooms."""
    speeds, lengths, starts = batch.speeds[:, None], batch.lengths[:, None], batch.starts[:, None]
    position = torch.arange(longest, device=samples.device, dtype=torch.float64)[None, :] * speeds
    inside = position.long() < lengths - 1
    sound = _interpolated(samples, starts, torch.minimum(position, lengths - 1))
    first, last, room, room_length = (column[:, None] for column in batch.cuts.unbind(1))
    silence = _interpolated(samples, starts + room, _to_and_fro(position, room_length))
    weight = (torch.minimum(position - first, last - position).float() / FADE).clamp(0, 1)
    sound = torch.where(room_length > 0, torch.lerp(silence, sound, weight), sound)
    return torch.where(inside, sound, 0.0) / 32768.0


def _to_and_fro(position: torch.Tensor, length: torch.Tensor) -> torch.Tensor:
    """Positions that run forwards and backwards within a length."""
    turn = (length - 1).clamp_min(1)
    return turn - (position % (2 * turn) - turn).abs()


def _interpolated(samples: torch.Tensor, starts: torch.Tensor, position: torch.Tensor) -> torch.Tensor:
    """Samples at positions, not whole ones, from starts."""
    whole = position.long()
    fraction = (position - whole).float()
    at = (starts + whole).clamp(0, len(samples) - 2)
    left, right = samples[at].float(), samples[at + 1].float()
    return left + (right - left) * fraction
