"""Step 3, evaluate: phone error by corpus, of a checkpoint or of the streaming ONNX model of the bundle.

The free phone loop with the bundle's bigram decodes every utterance of the split; the reference is the model's own
alignment of the transcript, which chooses among alternative pronunciations. No lexicon and no sentences help, so the
figure tells what the network alone knows.
"""

from __future__ import annotations

import argparse
import json
import tomllib
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import torch

from training import scoring, viterbi
from training.bundle import BUNDLE, read_phone_lm
from training.dataset import Item, Pack, output_frames
from training.export import Stream, load
from training.fake_quant import FakeQuantised, read_plan
from training.features import LogMel
from training.model import SUBSAMPLING
from training.units import SIL, read_phones

#: Samples (16 kHz) of an output frame.
ALIGNED = 480

#: Log-mel [frames, mels], whole chunks, to log likelihoods [frames / 3, columns].
Network = Callable[[np.ndarray], np.ndarray]


def of_checkpoint(path: Path, prior_scale: float, plan: str | None = None) -> tuple[Network, int, int]:
    """The averaged model of a checkpoint over whole utterances, in low precision when there is a plan; with it feature
    frames of a chunk and label delay."""
    model, state = load(path)
    if plan is not None:
        model = FakeQuantised(model, read_plan(plan, model)).eval()
    prior = 0.0 if state["kind"] == "mmi" else prior_scale * state["log_prior"]

    @torch.no_grad()
    def run(log_mel: np.ndarray) -> np.ndarray:
        return (model(model.normalise(torch.from_numpy(log_mel)[None]))[0] - prior).numpy()

    return run, model.config.chunk * SUBSAMPLING, model.config.delay


def of_bundle(folder: Path, file: str) -> tuple[Network, int, int]:
    """A streaming ONNX model of a bundle, chunk by chunk as in the vehicle."""
    stream = Stream((folder / file).read_bytes())
    manifest = tomllib.loads((folder / "manifest.toml").read_text(encoding="utf-8"))
    return stream.run, stream.frames, manifest["acoustic"]["delay"]


def outputs(features: np.ndarray, frames: int, network: tuple[Network, int, int]) -> np.ndarray:
    """So many frames of a network's output, label delay taken off; after the end the newest frame is repeated."""
    run, chunk, delay = network
    wanted = -(-(frames + delay) * SUBSAMPLING // chunk) * chunk
    features = np.pad(features[:wanted], ((0, max(0, wanted - len(features))), (0, 0)), mode="edge")
    return run(features)[delay : delay + frames]


def align(samples: np.ndarray, words: Sequence, network: tuple[Network, int, int]) -> list[tuple[int, int, int]] | None:
    """Units (unit, first frame, frames) of a recording of words with these pronunciations; None where no path fits."""
    features = LogMel()(torch.from_numpy(samples)[None])[0].numpy()
    columns = outputs(features, len(features) // SUBSAMPLING, network)
    return viterbi.align(columns, viterbi.transcript_graph(words))


def speech(path: list[tuple[int, int, int]], samples: int) -> np.ndarray:
    """Of an alignment, a Boolean for each ALIGNED of so many samples: whether it is speech."""
    labels = np.zeros(-(-samples // ALIGNED), bool)
    for unit, begin, length in path:
        labels[begin : begin + length] = unit != SIL
    return labels


def heard(
    items: list[Item], samples: torch.Tensor, network: tuple[Network, int, int], transitions: np.ndarray
) -> Iterator[scoring.Heard]:
    """Runs the network over utterances; the end is padded with repetitions of the newest frame, as in the vehicle."""
    log_mel = LogMel()
    for item in items:
        sound = samples[item.start : item.start + item.length].float()[None] / 32768.0
        columns = outputs(log_mel(sound)[0].numpy(), int(output_frames(item.length)), network)
        path = viterbi.align(columns, viterbi.transcript_graph(item.pronunciations))
        if path is None:
            units = [unit for word in item.pronunciations for unit in word[0]]
        else:
            units = [unit for unit, *_ in path]
        yield scoring.Heard(item.corpus, units, columns, transitions)


def first_of_each(items: list[Item], limit: int) -> list[Item]:
    """At most so many utterances of each corpus."""
    taken: dict[str, int] = defaultdict(int)
    chosen = []
    for item in items:
        taken[item.corpus] += 1
        if taken[item.corpus] <= limit:
            chosen.append(item)
    return chosen


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pack", type=Path, default=Path("data/pack"), help="what training.prepare wrote")
    parser.add_argument("--split", default="dev", help="a split that the pack holds")
    parser.add_argument(
        "--checkpoint", type=Path, help="a stageN.pt of training.train; without it the bundle's ONNX model"
    )
    parser.add_argument(
        "--quantise", metavar="PLAN", help="the checkpoint in low precision: a plan, or int8 or int4 for all layers"
    )
    parser.add_argument("--model", default="am-f32.onnx", help="file in the bundle: am-f32.onnx or am-mixed.onnx")
    parser.add_argument("--bundle", type=Path, default=BUNDLE)
    parser.add_argument("--prior-scale", type=float, default=0.6, help="used for models trained by cross-entropy alone")
    parser.add_argument("--limit", type=int, help="only so many utterances of each corpus, for a quick look")
    args = parser.parse_args()

    pack = Pack(args.pack)
    items = pack.split(args.split)
    if not items:
        raise SystemExit(f"{args.pack} holds no split {args.split}: run training.prepare with --splits {args.split}")
    if args.limit is not None:
        items = first_of_each(items, args.limit)
    if args.checkpoint:
        network = of_checkpoint(args.checkpoint, args.prior_scale, args.quantise)
    else:
        network = of_bundle(args.bundle, args.model)
    transitions = read_phone_lm(args.bundle / "phone-lm.tsv", read_phones(args.bundle / "phones.txt"))
    error = scoring.by_corpus(map(scoring.phone_errors, heard(items, pack.samples, network, transitions)))
    print(json.dumps({"split": args.split, "utterances": len(items), "phone_error": error}))


if __name__ == "__main__":
    main()
