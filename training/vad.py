"""Trains the voice activity detector and writes the weights that `speech/src/vad` holds.

A recurrent network of 18,000 parameters: 32 log-mel bands of a 32 ms window every 16 ms, one rectified layer, one
gated recurrent layer (Cho et al., 2014), one logit. Speech is what the acoustic network of the bundle aligns with
phones in the clean recording (train splits only); noise is made from nothing (`training.noise`, coloured noise). Speech
lies between pauses, at -5 to 30 dB, with the colour and level of many microphones.
"""

from __future__ import annotations

import argparse
import struct
import time
from pathlib import Path

import numpy as np
import torch
from torch import nn

from training import evaluate, noise
from training.bundle import BUNDLE
from training.corpus import EVALUATION_ONLY, decode, read_manifest, read_tar
from training.evaluate import ALIGNED
from training.features import FFT, LOW_HZ, SAMPLE_RATE, mel
from training.prepare import load_lexicon
from training.units import Lexicon

FRAME = 256
WINDOW = 512
BANDS = 32
HIGH_HZ = 7600.0
FLOOR = 1e-7
MAGIC = b"VVAD\x01"
WEIGHTS = Path(__file__).resolve().parent.parent / "speech" / "src" / "vad" / "weights.bin"


class Bands(nn.Module):
    """Samples [rows, FRAME n] to log-mel [rows, n, BANDS]; frame i looks at the samples up to FRAME (i + 1)."""

    def __init__(self) -> None:
        super().__init__()
        hann = 0.5 - 0.5 * np.cos(2.0 * np.pi * np.arange(WINDOW) / WINDOW)
        points = np.linspace(mel(LOW_HZ), mel(HIGH_HZ), BANDS + 2)
        positions = mel(np.arange(FFT // 2 + 1) * SAMPLE_RATE / FFT)[:, None]
        left, centre, right = points[:-2], points[1:-1], points[2:]
        triangles = np.minimum((positions - left) / (centre - left), (right - positions) / (right - centre))
        self.register_buffer("hann", torch.tensor(hann, dtype=torch.float32))
        self.register_buffer("bank", torch.tensor(np.maximum(0.0, triangles), dtype=torch.float32))

    def forward(self, samples: torch.Tensor) -> torch.Tensor:
        primed = nn.functional.pad(samples, (WINDOW - FRAME, 0))
        power = torch.fft.rfft(primed.unfold(1, WINDOW, FRAME) * self.hann, FFT).abs().square()
        return torch.log(power @ self.bank + FLOOR)


class Detector(nn.Module):
    """Log-mel [rows, frames, BANDS] to logits [rows, frames]."""

    def __init__(self, inner: int = 40, memory: int = 56) -> None:
        super().__init__()
        self.register_buffer("mean", torch.full((BANDS,), -4.0))
        self.register_buffer("scale", torch.full((BANDS,), 0.3))
        self.inner = nn.Linear(BANDS, inner)
        self.memory = nn.GRU(inner, memory, batch_first=True)
        self.out = nn.Linear(memory, 1)

    def forward(self, bands: torch.Tensor) -> torch.Tensor:
        inner = torch.relu(self.inner((bands - self.mean) * self.scale))
        return self.out(self.memory(inner)[0]).squeeze(-1)

    def to_bytes(self) -> bytes:
        """Magic, three sizes (u32), then all numbers as little-endian f32 in the order that Rust reads them."""
        sizes = (BANDS, self.inner.out_features, self.memory.hidden_size)
        tensors = (
            self.mean,
            self.scale,
            self.inner.weight,
            self.inner.bias,
            self.memory.weight_ih_l0,
            self.memory.bias_ih_l0,
            self.memory.weight_hh_l0,
            self.memory.bias_hh_l0,
            self.out.weight,
            self.out.bias,
        )
        numbers = b"".join(t.detach().numpy().astype("<f4").tobytes() for t in tensors)
        return MAGIC + struct.pack("<3I", *sizes) + numbers


def labelled(speech: Path, bundle: Path, hours: float, splits: set[str]) -> list[tuple[np.ndarray, np.ndarray]]:
    """Recordings (int16) with a Boolean for each ALIGNED samples, evenly from all corpora of the splits."""
    network = evaluate.of_bundle(bundle, "am-f32.onnx")
    _, lexicon = load_lexicon(bundle)
    rows = [r for r in read_manifest(speech) if r.split in splits and r.corpus not in EVALUATION_ONLY]
    tars = sorted({(r.corpus, r.split) for r in rows})
    found = []
    for corpus, split in tars:
        own = {r.id: r for r in rows if (r.corpus, r.split) == (corpus, split)}
        budget = hours * 3600 / len(tars)
        chosen, seconds = set(), 0.0
        for name in np.random.default_rng(1).permutation(sorted(own)):
            if seconds < budget:
                chosen.add(name)
                seconds += own[name].seconds
        for name, data in read_tar(speech / f"{corpus}-{split}.tar"):
            if name in chosen:
                samples = decode(data)
                labels = _labels(samples, own[name].words, lexicon, network)
                if labels is not None:
                    found.append(((np.clip(samples, -1, 1) * 32767).astype(np.int16), labels))
    return found


def _labels(
    samples: np.ndarray, words: tuple[str, ...], lexicon: Lexicon, network: tuple[evaluate.Network, int, int]
) -> np.ndarray | None:
    path = evaluate.align(samples, [lexicon.pronunciations(word) for word in words], network)
    return None if path is None else evaluate.speech(path, len(samples))


class Mixer:
    """Draws batches: speech between pauses in noise, with a label for each frame."""

    def __init__(self, recordings: list, seed: int, noise_seconds: int = 600) -> None:
        self.recordings = recordings
        self.rng = np.random.default_rng(seed)
        self.track = noise.track(noise_seconds, self.rng)

    def batch(self, rows: int, frames: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Samples [rows, FRAME frames] and labels [rows, frames]."""
        drawn = [self._row(frames * FRAME) for _ in range(rows)]
        samples = torch.from_numpy(np.stack([s for s, _ in drawn]).astype(np.float32))
        return samples, torch.from_numpy(np.stack([label for _, label in drawn]).astype(np.float32))

    def _row(self, length: int) -> tuple[np.ndarray, np.ndarray]:
        rng = self.rng
        speech, label = self._speech(length)
        active = speech[label]
        if len(active):
            power = max(1e-8, float((active**2).mean()))
            speech = self._coloured(speech) if rng.random() < 0.5 else speech
        else:
            power = 1e-3
        if rng.random() < 0.93:
            speech = speech + self._noise(length) * np.sqrt(power * 10 ** (-rng.uniform(-5, 30) / 10))
        level = 10 ** (rng.uniform(-45, -12) / 20)
        speech = np.clip(speech * level / np.sqrt(power), -1, 1)
        return speech, label[FRAME // 2 :: FRAME]

    def _speech(self, length: int) -> tuple[np.ndarray, np.ndarray]:
        rng = self.rng
        speech, label = np.zeros(length), np.zeros(length, bool)
        at = int(rng.uniform(0, 2.5) * SAMPLE_RATE) - int(rng.integers(2)) * SAMPLE_RATE
        while at < length:
            samples, spoken = self.recordings[rng.integers(len(self.recordings))]
            samples = samples / 32768.0
            spoken = np.repeat(spoken, ALIGNED)[: len(samples)]
            begin, skipped = max(at, 0), max(-at, 0)
            count = min(length - begin, len(samples) - skipped)
            if count > 0:
                speech[begin : begin + count] = samples[skipped : skipped + count]
                label[begin : begin + count] = spoken[skipped : skipped + count]
            at += len(samples) + int(rng.uniform(0.2, 3.0) * SAMPLE_RATE)
        return speech, label

    def _coloured(self, speech: np.ndarray) -> np.ndarray:
        """A microphone's colour: a tilt and a slow ripple over the octaves."""
        rng = self.rng
        octaves = np.log2(np.maximum(np.fft.rfftfreq(len(speech), 1 / SAMPLE_RATE), 60) / 1000)
        gain = rng.uniform(-3, 3) * octaves + rng.uniform(0, 4) * np.cos(
            octaves * rng.uniform(0.5, 3) + rng.uniform(0, 6.3)
        )
        return np.fft.irfft(np.fft.rfft(speech) * 10 ** (gain / 20), len(speech))

    def _noise(self, length: int) -> np.ndarray:
        rng = self.rng
        kind = rng.integers(4)
        if kind <= 1:
            made = noise.coloured(length, rng.uniform(-0.5, 2.5), rng)
            made = self._coloured(made)
        else:
            start = rng.integers(len(self.track) - length)
            made = self.track[start : start + length].astype(np.float64)
            if kind == 3:
                made = made + noise.coloured(length, rng.uniform(0, 2.0), rng) * rng.uniform(0.2, 1.5)
        if rng.random() < 0.4:
            steps = rng.standard_normal(length // 1600 + 2) * rng.uniform(0, 5)
            made = made * 10 ** (np.interp(np.arange(length) / 1600, np.arange(len(steps)), steps) / 20)
        return made / max(1e-6, made.std())


def area(scores: np.ndarray, speech: np.ndarray) -> float:
    """Area under the ROC curve by ranks."""
    ranks = np.empty(len(scores))
    ranks[np.argsort(scores, kind="stable")] = np.arange(1, len(scores) + 1)
    positive = int(speech.sum())
    return float((ranks[speech].sum() - positive * (positive + 1) / 2) / (positive * (len(speech) - positive)))


def train(
    model: Detector, mixer: Mixer, checks: tuple[torch.Tensor, torch.Tensor], minutes: float, rows: int, frames: int
) -> float:
    """Trains for so many minutes of the clock; returns the area under the curve on the checks."""
    bands = Bands()
    optimiser = torch.optim.AdamW(model.parameters(), lr=4e-3, weight_decay=1e-4)
    begin = time.monotonic()
    step, shown = 0, 0.0
    while (spent := (time.monotonic() - begin) / 60) < minutes:
        for group in optimiser.param_groups:
            group["lr"] = 4e-3 * max(0.02, 1 - spent / minutes) * min(1.0, (step + 1) / 50)
        samples, labels = mixer.batch(rows, frames)
        with torch.no_grad():
            features = bands(samples)
        logits = model(features)
        loss = nn.functional.binary_cross_entropy_with_logits(logits, labels)
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        step += 1
        if spent - shown >= minutes / 8:
            shown = spent
            print(
                f"{spent:.1f} min, step {step}, loss {loss.item():.4f}, dev {_judge(model, bands, checks):.4f}",
                flush=True,
            )
    return _judge(model, bands, checks)


@torch.no_grad()
def _judge(model: Detector, bands: Bands, checks: tuple[torch.Tensor, torch.Tensor]) -> float:
    samples, labels = checks
    return area(model(bands(samples)).numpy().ravel(), labels.numpy().ravel() > 0.5)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--speech", type=Path, default=Path("../shared/speech"))
    parser.add_argument("--bundle", type=Path, default=BUNDLE)
    parser.add_argument(
        "--cache", type=Path, default=Path("data/vad-labels.npz"), help="aligned recordings; made when missing"
    )
    parser.add_argument("--hours", type=float, default=3.0, help="of speech to align")
    parser.add_argument("--minutes", type=float, default=14.0)
    parser.add_argument("--memory", type=int, default=56, help="units of the recurrent layer")
    parser.add_argument("--inner", type=int, default=40, help="units of the layer before it")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, default=WEIGHTS)
    args = parser.parse_args()

    torch.manual_seed(args.seed)
    if not args.cache.exists():
        args.cache.parent.mkdir(parents=True, exist_ok=True)
        made = {s: labelled(args.speech, args.bundle, h, {s}) for s, h in (("train", args.hours), ("dev", 0.3))}
        arrays = {
            f"{s}-{i}-{k}": a for s, pairs in made.items() for i, pair in enumerate(pairs) for k, a in enumerate(pair)
        }
        np.savez(args.cache, **arrays)
    stored = np.load(args.cache)
    pairs = {s: [] for s in ("train", "dev")}
    for name in stored.files:
        split, index, kind = name.split("-")
        if kind == "0":
            pairs[split].append((stored[name], stored[f"{split}-{index}-1"]))
    checks = Mixer(pairs["dev"], 99, 120).batch(64, 1250)
    model = Detector(args.inner, args.memory)
    reached = train(model, Mixer(pairs["train"], args.seed), checks, args.minutes, 48, 375)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_bytes(model.to_bytes())
    count = sum(p.numel() for p in model.parameters())
    print(f"{count} parameters, dev area under the curve {reached:.4f}, {args.out.stat().st_size} bytes in {args.out}")


if __name__ == "__main__":
    main()
