"""Packs of made sound, for tests that train."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np


def write_pack(folder: Path, entries: list[tuple[str, str, str, list[int]]]) -> None:
    """A pack of (corpus, id, split, units): a unit sounds for a fifth of a second as a chord of its own."""
    rng = np.random.default_rng(9)
    sound, lines, at = [], [], 0
    time = np.arange(3200) / 16_000
    for corpus, name, split, units in entries:
        chords = [
            sum(np.sin(2 * np.pi * 150 * u * k * time) for k in (1, 2, 5)) * 0.2 * min(u, 1) for u in [0, *units, 0]
        ]
        samples = np.concatenate(chords) + 0.003 * rng.standard_normal(3200 * (len(units) + 2))
        entry = {"id": name, "corpus": corpus, "split": split, "speaker": "s", "words": ["w"], "start": at}
        lines.append(json.dumps(entry | {"length": len(samples), "pronunciations": [[units]]}))
        sound.append((samples * 20_000).astype(np.int16))
        at += len(samples)
    np.concatenate(sound).tofile(folder / "audio.i16")
    (folder / "index.jsonl").write_text("\n".join(lines) + "\n")
