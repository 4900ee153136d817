"""Step 2, train: bootstrap alignments in, acoustic model out.

A schedule of stages, each with its minutes: frame cross-entropy on the bootstrap alignments, then again on
alignments of our own model, then lattice-free MMI with cross-entropy beside it. Runs on a GPU when there is one.
Each stage ends in a checkpoint `stageN.pt` in the output folder; `--resume` starts after the last of them.
"""

from __future__ import annotations

import argparse
import copy
import json
import math
import queue
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import torch

from training import losses, scoring, viterbi
from training.augment import WARPS, Augment
from training.bundle import BUNDLE
from training.dataset import STRIDE, Batch, Item, Pack, assemble, batches, gather, output_frames
from training.features import LogMel
from training.model import SUBSAMPLING, AcousticModel, Config
from training.units import SIL, read_phones


class Trainer:
    """Model, its moving average, data and device of one run."""

    def __init__(self, args: argparse.Namespace) -> None:
        self.args = args
        self.device = torch.device(args.device)
        torch.manual_seed(args.seed)
        self.rng = np.random.default_rng(args.seed)
        self.phones = read_phones(args.bundle / "phones.txt")
        self.pack = Pack(args.pack)
        self.samples = self.pack.samples.to(self.device)
        self.train_items = [i for i in self.pack.split("train") if i.length < 20 * 16_000]
        self.dev_items = self.pack.split("dev")
        self.config = Config(
            columns=2 * len(self.phones), dim=args.dim, layers=args.layers, heads=args.dim // 32, delay=args.delay
        )
        self.model = AcousticModel(self.config).to(self.device)
        self.logmel = LogMel(WARPS).to(self.device)
        self.augment = Augment(self.device, args.seed)
        self._measure_features()
        self.average = copy.deepcopy(self.model).eval()
        self.transitions = torch.zeros(len(self.phones), len(self.phones), device=self.device)

    def _measure_features(self) -> None:
        chosen = [self.train_items[i] for i in self.rng.permutation(len(self.train_items))[:400]]
        frames = torch.cat([self._features(item)[0] for item in chosen])
        self.model.mean.copy_(frames.mean(0))
        self.model.scale.copy_(1.0 / frames.std(0))

    def _features(self, item: Item) -> torch.Tensor:
        samples = self.samples[item.start : item.start + item.length].float()[None] / 32768.0
        return self.logmel(samples, torch.tensor([WARPS.index(1.0)], device=self.device))

    def stage(self, number: int, kind: str, minutes: float) -> None:
        """Trains for so many minutes with a one-cycle learning rate and keeps the moving average."""
        peak = self.args.rate * (0.4 if kind == "mmi" else 1.0)
        optimiser = torch.optim.AdamW(self.model.parameters(), lr=peak, betas=(0.9, 0.98), weight_decay=1e-2)
        began = time.monotonic()
        step, seen, running = 0, 0.0, 0.0
        for batch in self._stream(perturb=number > 0):
            progress = (time.monotonic() - began) / (minutes * 60)
            if progress >= 1:
                break
            warm = min(1.0, (step + 1) / 300)
            for group in optimiser.param_groups:
                group["lr"] = peak * warm * max(0.02, 0.5 * (1 + math.cos(math.pi * progress)))
            loss = self._loss(batch, kind)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), 2.0)
            if torch.isfinite(norm):
                optimiser.step()
                self._follow(step)
            step += 1
            seen += float((batch.lengths / batch.speeds).sum()) / 16_000 / 3600
            running += (loss.detach() - running) * 0.02 if step > 1 else loss.detach()
            if step % 100 == 0:
                figures = f"hours {seen:.1f} loss {float(running):.4f} progress {progress:.2f}"
                print(f"stage {number} {kind} step {step} {figures}", flush=True)
        self._save(number)

    def _loss(self, batch: Batch, kind: str) -> torch.Tensor:
        features = self._augmented(batch)
        frames = batch.labels.shape[1]
        labels = batch.labels.to(self.device, non_blocking=True)
        with torch.autocast(self.device.type, dtype=torch.bfloat16):
            columns = self.model(features)
        columns = losses.shifted(columns.float(), self.config.delay, frames)
        plain = losses.cross_entropy(columns, labels, smoothing=0.05)
        if kind == "ce":
            return plain
        sequence = losses.mmi(
            columns,
            batch.units.to(self.device),
            batch.first_frames.to(self.device),
            batch.unit_counts.to(self.device),
            batch.frames.to(self.device),
            self.transitions,
        )
        return sequence + self.args.smooth * plain

    def _augmented(self, batch: Batch) -> torch.Tensor:
        """Normalised features [rows, frames, mels], padded to whole chunks and the delay."""
        waveform = self.augment.waveform(gather(self.samples, batch, self.device))
        with torch.no_grad():
            features = self.logmel(waveform, self.augment.banks(len(waveform)))
            features = self.augment.features(self.model.normalise(features))
            return self._pad(features, batch.labels.shape[1])

    def _pad(self, features: torch.Tensor, frames: int) -> torch.Tensor:
        wanted = self.model.padded(frames * SUBSAMPLING)
        missing = max(0, wanted - features.shape[1])
        return torch.nn.functional.pad(features[:, :wanted], (0, 0, 0, missing), value=-1.0)

    def _follow(self, step: int) -> None:
        keep = min(self.args.average, (step + 1) / (step + 10))
        with torch.no_grad():
            for slow, fast in zip(self.average.state_dict().values(), self.model.state_dict().values(), strict=True):
                if slow.dtype.is_floating_point:
                    slow.lerp_(fast, 1 - keep)

    def _stream(self, perturb: bool) -> Iterator[Batch]:
        """Endless batches, laid out by a thread ahead of the device."""
        ready: queue.Queue[Batch] = queue.Queue(maxsize=6)

        def fill() -> None:
            while True:
                usable = [item for item in self.train_items if item.segments]
                for group in batches(usable, self.args.seconds, self.rng):
                    batch = assemble(group, self.rng, perturb)
                    if batch is not None:
                        ready.put(batch)

        threading.Thread(target=fill, daemon=True).start()
        while True:
            yield ready.get()

    @torch.no_grad()
    def log_posteriors(self, items: list[Item]) -> Iterator[tuple[Item, np.ndarray]]:
        """Output of the averaged model, delay taken off, [frames, columns] for each item."""
        ordered = sorted(items, key=lambda item: item.length)
        for at in range(0, len(ordered), 32):
            group = ordered[at : at + 32]
            frames = [int(output_frames(item.length)) for item in group]
            padded = [self._pad(self.model.normalise(self._features(item)), max(frames)) for item in group]
            columns = self.average(torch.cat(padded)).cpu().numpy()
            for item, count, row in zip(group, frames, columns, strict=True):
                yield item, row[self.config.delay : self.config.delay + count]

    def realign(self, prior_scale: float) -> None:
        """Replaces alignments by those of the averaged model, train and dev, and counts phone transitions."""
        prior = self._log_prior() * prior_scale
        with ProcessPoolExecutor() as pool:
            work = (
                (item.key, item.pronunciations, row - prior)
                for item, row in self.log_posteriors(self.train_items + self.dev_items)
            )
            found = pool.map(_align, work, chunksize=16)
            aligned = dict(found)
        lost = 0
        for item in self.train_items + self.dev_items:
            path = aligned[item.key]
            item.segments = [(unit, (start + 0.5) * STRIDE) for unit, start, _ in path] if path else []
            lost += not path
        print(f"realigned, no path for {lost}", flush=True)

    def _log_prior(self) -> np.ndarray:
        """Log relative frequency [columns] of the labels in the current alignments."""
        counts = np.ones(self.config.columns)
        for item in self.train_items:
            if item.segments:
                frames = int(output_frames(item.length))
                starts = np.array([s for _, s in item.segments]) / STRIDE
                lengths = np.maximum(np.diff(np.append(starts, frames)), 1)
                units = np.array([u for u, _ in item.segments])
                np.add.at(counts, 2 * units, 1)
                np.add.at(counts, 2 * units + 1, lengths - 1)
        return np.log(counts / counts.sum()).astype(np.float32)

    def count_transitions(self) -> None:
        """Phone bigram of the alignments, add-one smoothed by the unigram."""
        size = len(self.phones)
        counts = np.zeros((size, size))
        for item in self.train_items:
            units = [unit for unit, _ in item.segments]
            np.add.at(counts, (units[:-1], units[1:]), 1)
        unigram = counts.sum(0) + 1
        counts += 5 * unigram / unigram.sum()
        counts[SIL, SIL] = 1e-3
        probability = counts / counts.sum(1, keepdims=True)
        self.transitions = torch.tensor(np.log(probability), dtype=torch.float32, device=self.device)

    def report(self, prior_scale: float) -> dict[str, float]:
        """Phone error of the free phone loop on the development split, by corpus."""
        prior = self._log_prior() * prior_scale
        transitions = self.transitions.cpu().numpy()
        work = [
            scoring.Heard(item.corpus, [unit for unit, _ in item.segments], row - prior, transitions)
            for item, row in self.log_posteriors(self.dev_items)
        ]
        with ProcessPoolExecutor() as pool:
            return scoring.by_corpus(pool.map(scoring.phone_errors, work, chunksize=16))

    def _save(self, number: int) -> None:
        self.args.out.mkdir(parents=True, exist_ok=True)
        torch.save(
            {
                "config": self.config.as_dict(),
                "model": self.model.state_dict(),
                "average": self.average.state_dict(),
                "transitions": self.transitions.cpu(),
                "log_prior": torch.from_numpy(self._log_prior()),
                "kind": self.args.schedule[number].split(":")[0],
            },
            self.args.out / f"stage{number}.pt",
        )

    def load(self, path: Path) -> None:
        """Continues from a checkpoint."""
        state = torch.load(path, map_location=self.device, weights_only=True)
        self.model.load_state_dict(state.get("model", state["average"]))
        self.average.load_state_dict(state["average"])
        self.transitions = state["transitions"].to(self.device)


def _align(work: tuple) -> tuple[tuple[str, str], list | None]:
    key, pronunciations, row = work
    return key, viterbi.align(row, viterbi.transcript_graph(pronunciations))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pack", type=Path, default=Path("data/pack"))
    parser.add_argument(
        "--align", type=Path, default=Path("data/bootstrap.jsonl"), help="bootstrap alignments (training.align)"
    )
    parser.add_argument("--out", type=Path, default=Path("data/run"))
    parser.add_argument("--bundle", type=Path, default=BUNDLE)
    parser.add_argument("--schedule", nargs="+", default=["ce:20", "ce:60", "mmi:60"], metavar="KIND:MINUTES")
    parser.add_argument("--resume", type=int, default=0, help="number of stages already done")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu", help="cuda, cuda:1 or cpu")
    parser.add_argument("--seconds", type=float, default=200, help="audio in a batch")
    parser.add_argument("--rate", type=float, default=2e-3, help="peak learning rate")
    parser.add_argument("--smooth", type=float, default=0.3, help="weight of cross-entropy beside MMI")
    parser.add_argument("--average", type=float, default=0.998, help="decay of the moving average")
    parser.add_argument("--dim", type=int, default=160)
    parser.add_argument("--layers", type=int, default=6)
    parser.add_argument("--delay", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()

    trainer = Trainer(args)
    size = sum(p.numel() for p in trainer.model.parameters())
    print(f"{size} parameters on {trainer.device}, {len(trainer.train_items)} utterances", flush=True)
    print(f"bootstrap alignments: {trainer.pack.read_alignment(args.align, trainer.phones)}", flush=True)
    if args.resume:
        trainer.load(args.out / f"stage{args.resume - 1}.pt")
    for number, stage in enumerate(args.schedule):
        kind, minutes = stage.split(":")
        if number < args.resume:
            continue
        if number > 0:
            trainer.realign(0.0 if args.schedule[number - 1].startswith("mmi") else 0.6)
            trainer.count_transitions()
        trainer.stage(number, kind, float(minutes))
        scale = 0.0 if kind == "mmi" else 0.6
        if number == 0:
            trainer.realign(scale)
            trainer.count_transitions()
        print(json.dumps({"stage": number, "kind": kind, "dev_phone_error": trainer.report(scale)}), flush=True)


if __name__ == "__main__":
    main()
