"""Step 2, train: alignments in, acoustic model out.

A schedule of stages, each with its minutes: frame cross-entropy, first on given alignments, then on alignments of our
own model, then lattice-free MMI with cross-entropy beside it. With a teacher, its posteriors on the undisturbed sound
take the place of most of the labels. Runs on a GPU when there is one, on several under `torchrun`. Each stage ends in a
checkpoint `stageN.pt` in the output folder, with the average so far in it all along, and the last weights themselves in
`stageN-last.pt`; `--resume` starts after the last stage, from the latter where it is there.
"""

from __future__ import annotations

import argparse
import copy
import json
import math
import multiprocessing
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from training import forced, losses, scoring, spans
from training.augment import WARPS, Augment, strength
from training.bundle import BUNDLE
from training.dataset import SPEEDS, STRIDE, Batch, Item, Pack, assemble, batches, gather, output_frames, repeated
from training.distil import Distiller, read_mix, with_layers
from training.fake_quant import FakeQuantised, read_plan
from training.features import LogMel
from training.model import AcousticModel, Config, with_chunk
from training.sparsity import Zeros
from training.team import Team
from training.units import SIL, read_phones


class Trainer:
    """Model, its moving average, data and device of one run."""

    def __init__(self, args: argparse.Namespace) -> None:
        self.args = args
        self.team = Team()
        self.device = self.team.device(args.device)
        torch.manual_seed(args.seed)
        self.rng = np.random.default_rng(args.seed)
        self.phones = read_phones(args.bundle / "phones.txt")
        self.pack = Pack(args.pack)
        self.samples = self.pack.samples.to(self.device)
        self.train_items = [i for i in self.pack.split("train") if i.length < 20 * 16_000]
        self.dev_items = self.pack.split("dev")
        self.config = shape(args, 2 * len(self.phones))
        self.model = AcousticModel(self.config).to(self.device)
        self.logmel = LogMel(WARPS).to(self.device)
        seed = args.seed + 1000 * self.team.rank
        self.augment = Augment(self.device, seed, strength(args.strength))
        self.teacher: AcousticModel | None = None
        self.distiller: Distiller | None = None
        self._measure_features()
        torch.manual_seed(seed)
        self.rng = np.random.default_rng(seed)
        self.average = copy.deepcopy(self.model).eval()
        #: What is trained and judged: the networks themselves, or as they compute in low precision.
        self.network, self.judged = self.model, self.average
        if args.quantise:
            plan = read_plan(args.quantise, self.model)
            self.network, self.judged = (FakeQuantised(one, plan) for one in (self.model, self.average))
        self.zeros = Zeros([])
        self.transitions = torch.zeros(len(self.phones), len(self.phones), device=self.device)

    def _measure_features(self) -> None:
        chosen = [self.train_items[i] for i in self.rng.permutation(len(self.train_items))[:400]]
        frames = torch.cat([forced.log_mel(self.logmel, self.samples, item)[0] for item in chosen])
        self.model.mean.copy_(frames.mean(0))
        self.model.scale.copy_(1.0 / frames.std(0))

    def distil(self, teacher: AcousticModel | None) -> None:
        """Learns from another network or from itself, too, as `--distil` says."""
        self.teacher = teacher
        mix = read_mix(self.args.distil if self.args.distil is not None else "soft=0.8")
        # What several processes begin with must be the same.
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.args.seed)
            self.distiller = Distiller(mix, self.model, teacher).to(self.device)

    def learning(self) -> list[torch.nn.Parameter]:
        """All that gradients change."""
        return [*self.model.parameters(), *(self.distiller.parameters() if self.distiller else ())]

    def stage(self, number: int, kind: str, minutes: float) -> None:
        """Trains for so many minutes with a one-cycle learning rate and keeps the moving average."""
        peak = self.args.rate * (0.4 if kind == "mmi" else 1.0)
        fused = self.device.type == "cuda"
        optimiser = torch.optim.AdamW(self.learning(), lr=peak, betas=(0.9, 0.98), weight_decay=1e-2, fused=fused)
        began = time.monotonic()
        step, seen, running, progress = 0, 0.0, 0.0, 0.0
        if self.args.keep_norms:
            keep_norms(self.model)
        for batch in self._stream():
            if step % 8 == 0:
                progress = self.team.agreed((time.monotonic() - began) / (minutes * 60))
            if progress >= 1:
                break
            warm = min(1.0, (step + 1) / 300)
            for group in optimiser.param_groups:
                group["lr"] = peak * warm * max(0.01, 0.5 * (1 + math.cos(math.pi * progress)))
            loss = self._loss(batch, kind)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            self._step(optimiser)
            self.zeros.apply()
            self._follow(step)
            step += 1
            seen += self.team.size * float((batch.lengths / batch.speeds).sum()) / 16_000 / 3600
            running += (loss.detach() - running) * 0.02 if step > 1 else loss.detach()
            if step % 200 == 0:
                figures = f"hours {seen:.1f} loss {float(running):.4f} progress {progress:.2f}"
                self._say(f"stage {number} {kind} step {step} {figures}")
            if step % 2000 == 0:
                self._save(number)
        self._say(f"stage {number} {kind}: {step} steps, {seen:.0f} hours in {minutes} min")
        self._save(number)

    def _say(self, line: str) -> None:
        if self.team.leads:
            print(line, flush=True)

    def _step(self, optimiser: torch.optim.Optimizer) -> None:
        """An update, left out when a gradient is not finite; the GPU decides, nobody waits for it."""
        self.team.average_gradients(self.learning())
        norm = torch.nn.utils.clip_grad_norm_(self.learning(), 2.0)
        if self.device.type == "cuda":
            optimiser.found_inf = (~torch.isfinite(norm)).float()
            optimiser.grad_scale = None
            optimiser.step()
        elif torch.isfinite(norm):
            optimiser.step()

    def _loss(self, batch: Batch, kind: str) -> torch.Tensor:
        longest = batch.samples
        batch = batch.to(self.device)
        frames = batch.labels.shape[1]
        clean = gather(self.samples, batch, longest)
        banks = self.augment.banks(len(clean))
        features = self._augmented(clean, banks, frames)
        with torch.autocast(self.device.type, dtype=torch.bfloat16):
            columns = self.network(features)
        columns = losses.shifted(columns.float(), self.config.delay, frames)
        plain = losses.cross_entropy(columns, batch.labels, smoothing=0.05)
        if self.distiller is not None:
            taught = self._undisturbed(self.teacher, clean, banks, frames)
            averaged = self._undisturbed(self.average if self.distiller.mix.ema else None, clean, banks, frames)
            plain = self.distiller(plain, columns, taught, averaged, batch.labels)
        if kind == "ce":
            return plain
        sequence = losses.mmi(
            columns, batch.units, batch.first_frames, batch.unit_counts, batch.frames, self.transitions
        )
        return sequence + self.args.smooth * plain

    @torch.no_grad()
    def _augmented(self, clean: torch.Tensor, banks: torch.Tensor, frames: int) -> torch.Tensor:
        """Normalised features [rows, feature frames, mels] of disturbed sound, filled to whole chunks and the delay."""
        features = self.logmel(self.augment.waveform(clean), banks)
        features = self.augment.features(self.model.normalise(features))
        return forced.pad(self.model, features, frames)

    @torch.no_grad()
    def _undisturbed(
        self, network: AcousticModel | None, clean: torch.Tensor, banks: torch.Tensor, frames: int
    ) -> torch.Tensor | None:
        """Log posteriors [rows, frames, columns] of a network that teaches, if any, on the sound undisturbed."""
        if network is None:
            return None
        features = forced.pad(network, network.normalise(self.logmel(clean, banks)), frames)
        with torch.autocast(self.device.type, dtype=torch.bfloat16):
            columns = network(features)
        return losses.shifted(columns.float(), network.config.delay, frames)

    @torch.no_grad()
    def _follow(self, step: int) -> None:
        keep = min(self.args.average, (step + 1) / (step + 10))
        pairs = zip(self.average.state_dict().values(), self.model.state_dict().values(), strict=True)
        slow, fast = zip(*((s, f) for s, f in pairs if s.dtype.is_floating_point), strict=True)
        torch._foreach_lerp_(list(slow), list(fast), 1 - keep)

    def _stream(self) -> Iterator[Batch]:
        """Endless batches, laid out by processes ahead of the device."""
        usable = repeated([item for item in self.train_items if item.segments], self.args.repeat)
        context = multiprocessing.get_context("fork")
        ready = context.Queue(maxsize=8)
        seeds = self.rng.integers(1 << 60, size=self.args.workers)
        workers = [
            context.Process(target=_lay_out, args=(usable, self.args, int(seed), ready), daemon=True) for seed in seeds
        ]
        for worker in workers:
            worker.start()
        try:
            while True:
                yield ready.get()
        finally:
            for worker in workers:
                worker.terminate()

    def log_posteriors(self, items: list[Item]) -> Iterator[tuple[Item, np.ndarray]]:
        """Output of the averaged model, delay taken off, [frames, columns] for each item."""
        return forced.log_posteriors(self.judged, self.logmel, self.samples, items)

    def label_with(self, network: AcousticModel, prior: np.ndarray | float) -> None:
        """Replaces alignments by those of a network, train and dev, and counts phone transitions."""
        items = self.train_items + self.dev_items
        found = forced.align(forced.log_posteriors(network, self.logmel, self.samples, items), prior)
        for item in items:
            item.segments = found[item.key] or []
        self._say(f"realigned, no path for {sum(not item.segments for item in items)}")
        self.count_transitions()

    def realign(self, prior_scale: float) -> None:
        """Alignments of the averaged model."""
        self.label_with(self.average, self._log_prior() * prior_scale)

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
        if not self.team.leads:
            return
        self.args.out.mkdir(parents=True, exist_ok=True)
        torch.save(
            {
                "config": self.config.as_dict(),
                "average": self.average.state_dict(),
                "transitions": self.transitions.cpu(),
                "log_prior": torch.from_numpy(self._log_prior()),
                "kind": self.args.schedule[number].split(":")[0],
            },
            self.args.out / f"stage{number}.pt",
        )
        torch.save(self.model.state_dict(), self.args.out / f"stage{number}-last.pt")

    def load(self, path: Path) -> None:
        """Continues from a checkpoint of the same shape; the length of its chunks may differ, and of more layers evenly
        spaced ones are taken."""
        state = torch.load(path, map_location=self.device, weights_only=True)
        network = AcousticModel(Config(**state["config"]))
        last = path.with_name(f"{path.stem}-last.pt")
        moving = torch.load(last, map_location=self.device, weights_only=True) if last.exists() else state["average"]
        for own, weights in ((self.model, moving), (self.average, state["average"])):
            network.load_state_dict(weights)
            fitting = with_chunk(network, self.config.chunk)
            if self.config.layers < fitting.config.layers:
                fitting = with_layers(fitting, self.config.layers)
            own.load_state_dict(fitting.state_dict())
        self.transitions = state["transitions"].to(self.device)
        if self.args.keep_zeros:
            self.zeros = Zeros.of(self.model)
            self._say(f"{self.zeros.count()} weights are nought and stay so")


def shape(args: argparse.Namespace, columns: int) -> Config:
    """The network to train: as the options say, or as the checkpoint that it starts from, pruned or not."""
    if args.warm_start:
        state = torch.load(args.warm_start, map_location="cpu", weights_only=True)
        begun = Config(**state["config"])
        layers = min(args.layers, begun.layers)
        pruned = begun.pruned if layers == begun.layers else ()
        return replace(begun, chunk=args.chunk, dropout=args.dropout, layers=layers, pruned=pruned)
    return Config(
        columns=columns,
        dim=args.dim,
        layers=args.layers,
        heads=args.heads or args.dim // 32,
        expansion=args.expansion,
        kernel=args.kernel,
        channels=args.channels,
        chunk=args.chunk,
        delay=args.delay,
        future=args.future,
        dropout=args.dropout,
    )


def keep_norms(model: torch.nn.Module) -> None:
    """From now on batch normalisation uses the statistics it has. What `restore` made carries them in its weights, and
    a short round would only have to learn them again."""
    for layer in model.modules():
        if isinstance(layer, torch.nn.BatchNorm1d):
            layer.eval()


def _lay_out(items: list[Item], args: argparse.Namespace, seed: int, ready: multiprocessing.Queue) -> None:
    """Fills a queue with batches for ever."""
    rng = np.random.default_rng(seed)
    while True:
        for group in batches(items + spans.drawn(items, args.spans, rng), args.seconds, rng):
            batch = assemble(group, rng, args.speeds)
            if batch is not None:
                ready.put(batch)


def prepare_labels(trainer: Trainer) -> None:
    """First alignments: of a checkpoint when there is one, else from the bootstrap file."""
    args = trainer.args
    source = args.label_with or args.teacher
    if source is None:
        print(f"bootstrap alignments: {trainer.pack.read_alignment(args.align, trainer.phones)}", flush=True)
        return
    network, state = forced.load(source, trainer.device)
    trainer.label_with(network, 0.0 if state["kind"] == "mmi" else 0.6 * state["log_prior"].cpu().numpy())


def arguments() -> argparse.ArgumentParser:
    """The switches of a run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pack", type=Path, default=Path("data/pack"))
    parser.add_argument(
        "--align", type=Path, default=Path("data/bootstrap.jsonl"), help="bootstrap alignments (training.align)"
    )
    parser.add_argument("--label-with", type=Path, help="a checkpoint that aligns instead of the bootstrap file")
    parser.add_argument("--teacher", type=Path, help="a checkpoint to learn from; it aligns, too, unless --label-with")
    parser.add_argument(
        "--distil",
        metavar="NAME=WEIGHT,...",
        help="what is learnt from the teacher (soft, feature, attention, relation) and from itself (self, ema); "
        "soft=0.8 with a teacher",
    )
    parser.add_argument(
        "--warm-start",
        type=Path,
        help="a checkpoint to start from; its shape counts, but for --chunk, --dropout and fewer --layers",
    )
    parser.add_argument(
        "--quantise", metavar="PLAN", help="train for low precision: a plan file, or int8 or int4 for all layers"
    )
    parser.add_argument("--out", type=Path, default=Path("data/run"))
    parser.add_argument("--bundle", type=Path, default=BUNDLE)
    parser.add_argument("--schedule", nargs="+", default=["ce:20", "ce:60", "mmi:60"], metavar="KIND:MINUTES")
    parser.add_argument("--resume", type=int, default=0, help="number of stages already done")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu", help="cuda, cuda:1 or cpu")
    parser.add_argument("--workers", type=int, default=2, help="processes that lay out batches")
    parser.add_argument("--seconds", type=float, default=200, help="audio in a batch")
    parser.add_argument("--rate", type=float, default=2e-3, help="peak learning rate")
    parser.add_argument("--smooth", type=float, default=0.3, help="weight of cross-entropy beside MMI")
    parser.add_argument("--average", type=float, default=0.998, help="decay of the moving average")
    parser.add_argument("--dim", type=int, default=160)
    parser.add_argument("--layers", type=int, default=6)
    parser.add_argument("--expansion", type=int, default=2)
    parser.add_argument("--heads", type=int, help="of attention; one for each 32 of --dim when not given")
    parser.add_argument("--kernel", type=int, default=9)
    parser.add_argument("--channels", type=int, default=32, help="of the convolutions over the features")
    parser.add_argument("--chunk", type=int, default=8, help="output frames of 30 ms in a step")
    parser.add_argument("--delay", type=int, default=2)
    parser.add_argument("--future", type=int, default=0, help="frames of future in each layer: for teachers")
    parser.add_argument("--dropout", type=float, default=0.1)
    parser.add_argument(
        "--keep-norms", action="store_true", help="leave batch normalisation as it is: for short rounds from a bundle"
    )
    parser.add_argument(
        "--keep-zeros", action="store_true", help="weights that are nought in the checkpoint to start from stay nought"
    )
    parser.add_argument(
        "--repeat", nargs="+", default=[], metavar="CORPUS=N", help="hear a corpus so many times in each pass"
    )
    parser.add_argument(
        "--spans", type=float, default=0.0, help="spans of one to three words said alone for each utterance in a pass"
    )
    parser.add_argument("--speeds", type=float, nargs="+", default=SPEEDS, help="playing speeds to draw from")
    parser.add_argument(
        "--strength", nargs="+", default=[], metavar="NAME=VALUE", help="figures of augment.Strength, as in noisy=0.75"
    )
    parser.add_argument("--seed", type=int, default=1)
    return parser


def main() -> None:
    args = arguments().parse_args()
    trainer = Trainer(args)
    size = sum(p.numel() for p in trainer.model.parameters())
    print(f"{size} parameters on {trainer.device}, {len(trainer.train_items)} utterances", flush=True)
    if args.teacher or args.distil:
        trainer.distil(forced.load(args.teacher, trainer.device)[0] if args.teacher else None)
    prepare_labels(trainer)
    if args.warm_start:
        trainer.load(args.warm_start)
        trainer.count_transitions()
    if args.resume:
        trainer.load(args.out / f"stage{args.resume - 1}.pt")
    own_labels = args.label_with is None and args.teacher is None
    for number, stage in enumerate(args.schedule):
        kind, minutes = stage.split(":")
        if number < args.resume:
            continue
        if number > 0 and args.teacher is None:
            trainer.realign(0.0 if args.schedule[number - 1].startswith("mmi") else 0.6)
        trainer.stage(number, kind, float(minutes))
        scale = 0.0 if kind == "mmi" else 0.6
        if number == 0 and own_labels:
            trainer.realign(scale)
        if not trainer.team.leads:
            continue
        print(json.dumps({"stage": number, "kind": kind, "dev_phone_error": trainer.report(scale)}), flush=True)


if __name__ == "__main__":
    main()
