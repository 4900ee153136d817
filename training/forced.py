"""Log posteriors of a network over packed utterances, and forced alignments with them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import torch

from training import viterbi
from training.augment import WARPS
from training.dataset import STRIDE, Item, output_frames
from training.features import LogMel
from training.model import SUBSAMPLING, AcousticModel, Config

#: What stands for features after the end, normalised.
SILENCE = -1.0


def load(path: Path, device: torch.device) -> tuple[AcousticModel, dict]:
    """The averaged network of a checkpoint, ready for use, and the checkpoint."""
    state = torch.load(path, map_location=device, weights_only=True)
    network = AcousticModel(Config(**state["config"])).to(device)
    network.load_state_dict(state["average"])
    return network.eval(), state


def pad(network: AcousticModel, features: torch.Tensor, frames: int) -> torch.Tensor:
    """Normalised features cut or filled to what `frames` output frames need."""
    wanted = network.padded(frames * SUBSAMPLING)
    missing = max(0, wanted - features.shape[1])
    return torch.nn.functional.pad(features[:, :wanted], (0, 0, 0, missing), value=SILENCE)


def log_mel(logmel: LogMel, samples: torch.Tensor, item: Item) -> torch.Tensor:
    """Features [1, frames, mels] of an utterance as it was recorded."""
    sound = samples[item.start : item.start + item.length].float()[None] / 32768.0
    return logmel(sound, torch.tensor([WARPS.index(1.0)], device=samples.device))


@torch.no_grad()
def log_posteriors(
    network: AcousticModel, logmel: LogMel, samples: torch.Tensor, items: Iterable[Item]
) -> Iterator[tuple[Item, np.ndarray]]:
    """Output of a network, delay taken off, [frames, columns] for each item; in order of length."""
    ordered = sorted(items, key=lambda item: item.length)
    delay = network.config.delay
    for at in range(0, len(ordered), 32):
        group = ordered[at : at + 32]
        frames = [int(output_frames(item.length)) for item in group]
        padded = [pad(network, network.normalise(log_mel(logmel, samples, item)), max(frames)) for item in group]
        columns = network(torch.cat(padded)).cpu().numpy()
        for item, count, row in zip(group, frames, columns, strict=True):
            yield item, row[delay : delay + count]


def align(found: Iterable[tuple[Item, np.ndarray]], prior: np.ndarray | float) -> dict[tuple[str, str], list | None]:
    """Segments (unit, start in samples) by key of item, None where the transcript does not fit."""
    with ProcessPoolExecutor() as pool:
        work = ((item.key, item.pronunciations, row - prior) for item, row in found)
        paths = dict(pool.map(_align, work, chunksize=16))
    return {key: path and [(unit, (start + 0.5) * STRIDE) for unit, start, _ in path] for key, path in paths.items()}


def _align(work: tuple) -> tuple[tuple[str, str], list | None]:
    key, pronunciations, row = work
    return key, viterbi.align(row, viterbi.transcript_graph(pronunciations))
