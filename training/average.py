"""Averages the weights of checkpoints that began as the same network (M. Wortsman et al., "Model soups", ICML 2022).

    python -m training.average --out data/average.pt data/shipped.pt=0.5 data/a/stage0.pt=0.25 data/b/stage0.pt=0.25

Networks that were trained apart from one start often lie around a better one. Averaged with that start, too, they keep
more of what it knew. Everything but the weights (phone bigram, kind of the last stage) comes from the first checkpoint.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch


def average(checkpoints: list[dict], shares: list[float]) -> dict:
    """A checkpoint whose averaged weights are the weighted mean of those of `checkpoints`; `shares` add up to one.

    Raises ValueError when they do not, or when the networks differ in shape.
    """
    if abs(sum(shares) - 1) > 1e-6:
        raise ValueError(f"the shares add up to {sum(shares):g}, not to 1")
    first = checkpoints[0]
    if any({**one["config"], "dropout": 0} != {**first["config"], "dropout": 0} for one in checkpoints):
        raise ValueError("the networks differ in shape: their configurations are not the same")
    pairs = list(zip(checkpoints, shares, strict=True))
    weights = {
        name: sum(share * one["average"][name].double() for one, share in pairs).to(value.dtype)
        if value.is_floating_point()
        else value
        for name, value in first["average"].items()
    }
    return {**first, "average": weights}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("parts", nargs="+", metavar="CHECKPOINT=SHARE")
    args = parser.parse_args()

    paths, shares = zip(*(part.rsplit("=", 1) for part in args.parts), strict=True)
    checkpoints = [torch.load(path, map_location="cpu", weights_only=True) for path in paths]
    torch.save(average(checkpoints, [float(share) for share in shares]), args.out)


if __name__ == "__main__":
    main()
