"""A streaming network of random weights, as large as asked: for timing engines on more than the shipped model.

    python -m training.synthetic OUT.onnx [--layers 12] [--dim 256] [--heads 4] [--expansion 4] [--chunk 4] …

As it stands it has 18.4 million parameters: 12 layers of width 256, feed-forward 1024, 4 output frames in a step,
attention over 32 cached ones. The same arguments give the same file. `vocar-compress quantise` makes the smaller ones
from it, and `vocar-compress bench` times them.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from training.model import AcousticModel, Config
from training.onnx_graph import streaming


def network(config: Config, seed: int = 1) -> AcousticModel:
    """The model as it is initialised, before any training, for evaluation."""
    torch.manual_seed(seed)
    return AcousticModel(config).eval()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    defaults = {"layers": 12, "dim": 256, "heads": 4, "expansion": 4, "chunk": 4, "context": 32}
    for name, value in defaults.items():
        parser.add_argument(f"--{name}", type=int, default=value)
    args = parser.parse_args()
    if args.dim % args.heads:
        parser.error(f"--heads {args.heads}: the width {args.dim} is to be a multiple of it")
    model = network(Config(**{name: getattr(args, name) for name in defaults}))
    graph = streaming(model, None)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_bytes(graph.SerializeToString())
    count = sum(parameter.numel() for parameter in model.parameters())
    print(f"{args.out}: {count / 1e6:.1f} million parameters, {args.out.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
