"""Makes a checkpoint of the bundle's f32 network, to align with it, to start from it or to compare with it.

    python -m training.restore --out data/shipped.pt
    python -m training.restore --network data/pruned.onnx --out data/pruned.pt

What `onnx_graph` folded stays folded: halves lie in the feed-forward weights and are taken out again, the batch
normalisation lies in the depthwise convolution and comes back as the identity.
"""

from __future__ import annotations

import argparse
import re
import tomllib
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import numpy_helper

from training.bundle import BUNDLE, read_phone_lm
from training.model import AcousticModel, Config, Widths
from training.units import read_phones


def block_names(weights: dict[str, np.ndarray]) -> list[str]:
    """Names of the blocks in their order; pruning may have left gaps between their numbers."""
    mark = ".attention.qkv.weight"
    numbers = (name.removesuffix(mark).removeprefix("block") for name in weights if name.endswith(mark))
    return [f"block{number}" for number in sorted(map(int, numbers))]


def widths_of(weights: dict[str, np.ndarray], block: str) -> Widths:
    """The sizes of a block."""
    return Widths(
        heads=weights[f"{block}.attention.distance"].shape[1],
        first=weights[f"{block}.first.up.weight"].shape[1],
        second=weights[f"{block}.second.up.weight"].shape[1],
        channels=weights[f"{block}.convolution.out.weight"].shape[0],
    )


def config_of(weights: dict[str, np.ndarray], chunk: int, delay: int) -> Config:
    """The shape that the weights have."""
    blocks = block_names(weights)
    widths = tuple(widths_of(weights, block) for block in blocks)
    dim, columns = weights["out.weight"].shape
    head = weights[f"{blocks[0]}.attention.out.weight"].shape[0] // widths[0].heads
    config = Config(
        mels=len(weights["mean"]),
        columns=columns,
        dim=dim,
        layers=len(blocks),
        heads=dim // head,
        expansion=max(1, widths[0].first // dim),
        kernel=weights[f"{blocks[0]}.convolution.depthwise.weight"].shape[2],
        channels=len(weights["subsampling.first.bias"]),
        chunk=chunk,
        context=weights[f"{blocks[0]}.attention.distance"].shape[3] - chunk,
        delay=delay,
    )
    return config if config.blocks() == widths else replace(config, pruned=widths)


def restore(model: onnx.ModelProto, chunk: int, delay: int) -> AcousticModel:
    """The network of a streaming ONNX model as `onnx_graph.streaming` writes it, pruned by `vocar-compress` or not."""
    weights = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    if not block_names(weights) or "log_prior" in weights:
        raise ValueError("this is no f32 network written by training.export from an LF-MMI stage")
    network = AcousticModel(config_of(weights, chunk, delay)).eval()
    state = network.state_dict()
    blocks = block_names(weights)
    for name in state:
        found = _value(name, blocks, weights)
        if found is not None:
            state[name] = torch.tensor(found, dtype=state[name].dtype)
    network.load_state_dict(state)
    return network


def _value(name: str, blocks: list[str], weights: dict[str, np.ndarray]) -> np.ndarray | None:
    """The parameter of that name; None leaves it as it is."""
    short = re.sub(r"^blocks\.(\d+)", lambda found: blocks[int(found[1])], name)
    if name.endswith(".batch_norm.running_var"):
        channels = len(weights[short.replace("batch_norm.running_var", "depthwise.bias")])
        return np.full(channels, 1.0 - torch.nn.BatchNorm1d(1).eps, np.float32)
    if ".batch_norm." in name:
        return None
    if name.endswith("attention.bias"):
        return _bias(weights[short.removesuffix("bias") + "distance"][0])
    value = weights[short]
    if ".down." in name:
        value = 2.0 * value
    linear = value.ndim == 2
    return value.T if linear else value


def _bias(distance: np.ndarray) -> np.ndarray:
    """[heads, chunk, keys], a value for each query and key, back to [heads, distances]."""
    heads, chunk, keys = distance.shape
    bias = np.zeros((heads, keys + chunk - 1), np.float32)
    for query in range(chunk):
        bias[:, chunk - 1 - query : chunk - 1 - query + keys] = distance[:, query]
    return bias


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", type=Path, default=BUNDLE)
    parser.add_argument(
        "--network", type=Path, help="an ONNX file in place of the bundle's, as `vocar-compress prune` writes"
    )
    parser.add_argument("--out", type=Path, default=Path("data/shipped.pt"))
    args = parser.parse_args()
    acoustic = tomllib.loads((args.bundle / "manifest.toml").read_text(encoding="utf-8"))["acoustic"]
    path = args.network or args.bundle / acoustic["models"]["f32"]
    network = restore(onnx.load(path), acoustic["chunk"], acoustic["delay"])
    transitions = read_phone_lm(args.bundle / "phone-lm.tsv", read_phones(args.bundle / "phones.txt"))
    state = {
        "config": network.config.as_dict(),
        "average": network.state_dict(),
        "transitions": torch.from_numpy(transitions),
        "log_prior": torch.zeros(network.config.columns),
        "kind": "mmi",
    }
    args.out.parent.mkdir(parents=True, exist_ok=True)
    torch.save(state, args.out)
    print(f"{args.out}: {sum(p.numel() for p in network.parameters())} parameters")


if __name__ == "__main__":
    main()
