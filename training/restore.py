"""Makes a checkpoint of the bundle's f32 network, to align with it, to start from it or to compare with it.

    python -m training.restore --out data/shipped.pt

What `onnx_graph` folded stays folded: halves lie in the feed-forward weights and are taken out again, the batch
normalisation lies in the depthwise convolution and comes back as the identity.
"""

from __future__ import annotations

import argparse
import tomllib
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import numpy_helper

from training.bundle import BUNDLE, read_phone_lm
from training.model import AcousticModel, Config
from training.units import read_phones


def config_of(weights: dict[str, np.ndarray], chunk: int, delay: int) -> Config:
    """The shape that the weights have."""
    layers = sum(name.endswith(".attention.qkv.weight") for name in weights)
    heads, _, keys = weights["block0.attention.distance"].shape[1:]
    dim, wide = weights["block0.first.up.weight"].shape
    return Config(
        mels=len(weights["mean"]),
        columns=weights["out.weight"].shape[1],
        dim=dim,
        layers=layers,
        heads=heads,
        expansion=wide // dim,
        kernel=weights["block0.convolution.depthwise.weight"].shape[2],
        channels=len(weights["subsampling.first.bias"]),
        chunk=chunk,
        context=keys - chunk,
        delay=delay,
    )


def restore(model: onnx.ModelProto, chunk: int, delay: int) -> AcousticModel:
    """The network of a streaming ONNX model as `onnx_graph.streaming` writes it."""
    weights = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    if "block0.attention.distance" not in weights or "log_prior" in weights:
        raise ValueError("this is no f32 network written by training.export from an LF-MMI stage")
    network = AcousticModel(config_of(weights, chunk, delay)).eval()
    state = network.state_dict()
    for name in state:
        found = _value(name, weights, network)
        if found is not None:
            state[name] = torch.tensor(found, dtype=state[name].dtype)
    network.load_state_dict(state)
    return network


def _value(name: str, weights: dict[str, np.ndarray], network: AcousticModel) -> np.ndarray | None:
    """The parameter of that name; None leaves it as it is."""
    short = name.replace("blocks.", "block")
    if ".batch_norm." in name:
        eps = network.blocks[0].convolution.batch_norm.eps
        return (
            np.float32(1.0 - eps) * np.ones_like(weights["block0.norm.bias"]) if name.endswith("running_var") else None
        )
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
    parser.add_argument("--out", type=Path, default=Path("data/shipped.pt"))
    args = parser.parse_args()
    acoustic = tomllib.loads((args.bundle / "manifest.toml").read_text(encoding="utf-8"))["acoustic"]
    network = restore(onnx.load(args.bundle / acoustic["models"]["f32"]), acoustic["chunk"], acoustic["delay"])
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
