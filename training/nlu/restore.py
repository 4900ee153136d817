"""Makes a checkpoint of a bundle of words, to go on from: of its own network in floats, or of one that
`vocar-compress prune` made narrower.

    vocar-compress prune models/nlu-en data/nlu/pruned.onnx --recordings data/nlu/train.tsv --structured ffn=0.75
    python -m training.nlu.restore --network data/nlu/pruned.onnx --out data/nlu/pruned.pt
    python -m training.nlu.train --begin data/nlu/pruned.pt ...

Rows of words come back from int8 and heads from half floats. With `--beside CHECKPOINT` both are that checkpoint's, in
floats, and the network alone is the file's.
"""

from __future__ import annotations

import argparse
import tomllib
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import numpy_helper

from training.nlu import tensors
from training.nlu.data import DOMAINS
from training.nlu.model import Config, Encoder, Understanding, saved
from training.nlu.text import BUCKETS

#: What a file of heads says about how sure it is.
CURVE = ("slope", "offset", "threshold")


def block_names(weights: dict[str, np.ndarray]) -> list[str]:
    """Names of the layers in their order; pruning may have left gaps between their numbers."""
    mark = ".qkv.weight"
    numbers = (name.removesuffix(mark).removeprefix("block") for name in weights if name.endswith(mark))
    return [f"block{number}" for number in sorted(map(int, numbers))]


def config_of(weights: dict[str, np.ndarray], vocabulary: int) -> Config:
    """The shape that the weights of a network have."""
    row, dim = weights["project.weight"].shape
    head = round(float(weights[f"{block_names(weights)[0]}.scale"].reshape(())) ** -2)
    widths = [
        [weights[f"{block}.out.weight"].shape[0] // head, weights[f"{block}.up.weight"].shape[1]]
        for block in block_names(weights)
    ]
    config = Config(vocabulary, row, dim, dim // head, len(widths))
    config.pruned = None if config.widths() == widths else widths
    return config


def network_weights(model: onnx.ModelProto) -> dict[str, np.ndarray]:
    """The constants of a network in floats, as `training.nlu.export` writes it, pruned or not.

    Raises ValueError when it is none.
    """
    weights = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    if not block_names(weights) or "project.weight" not in weights:
        raise ValueError(
            "this is no network of floats as training.nlu.export writes it; one in int8 becomes floats with "
            "`vocar-compress restore`"
        )
    return weights


def encoder_of(weights: dict[str, np.ndarray], vocabulary: int) -> Encoder:
    """An encoder with the weights of a network; its rows are yet to come."""
    encoder = Encoder(config_of(weights, vocabulary))
    state, blocks = encoder.state_dict(), block_names(weights)
    for name in state:
        first, _, rest = name.partition(".")
        number, _, rest = rest.partition(".") if first == "blocks" else ("", "", rest)
        value = weights.get(f"{blocks[int(number)]}.{rest}" if number else name)
        if value is not None:
            state[name] = torch.tensor(value.T if value.ndim == 2 else value)
    encoder.load_state_dict(state)
    return encoder


def read_rows(path: Path) -> dict[str, torch.Tensor]:
    """Rows of words, of n-grams and of places, as an encoder calls them."""
    table, _ = tensors.read(path)
    words, grams = (
        torch.tensor(table[name] * table[f"{name}.scale"][:, None], dtype=torch.float32) for name in ("words", "grams")
    )
    nothing = torch.zeros(BUCKETS + 1 - len(grams), grams.shape[1])
    places = torch.tensor(table["places"], dtype=torch.float32)
    return {"words.weight": words, "grams.weight": torch.cat([grams, nothing]), "places": places}


def restore(bundle: Path, network: Path) -> dict:
    """A checkpoint of a bundle's rows and heads and of a network in floats."""
    manifest = tomllib.loads((bundle / "manifest.toml").read_text(encoding="utf-8"))
    vocabulary = (bundle / manifest["text"]["words"]).read_text(encoding="utf-8").splitlines()
    encoder = encoder_of(network_weights(onnx.load(network)), len(vocabulary))
    encoder.load_state_dict(encoder.state_dict() | read_rows(bundle / manifest["text"]["rows"]))
    intents, tags, calibration, heads = {}, {}, {}, {}
    for domain in DOMAINS:
        heads[domain], remarks = tensors.read(bundle / manifest["heads"][domain])
        intents[domain], tags[domain] = remarks["intents"].split("\n"), remarks["tags"].split("\n")
        calibration[domain] = {name: float(remarks[name]) for name in CURVE if name in remarks}
    labels = {domain: (len(intents[domain]), len(tags[domain])) for domain in DOMAINS}
    model = Understanding(encoder, encoder.config.dim, labels)
    for domain, head in model.heads.items():
        head.load_state_dict({name: torch.tensor(value.astype(np.float32)) for name, value in heads[domain].items()})
    return {"vocabulary": vocabulary, "intents": intents, "tags": tags, "calibration": calibration, **saved(model)}


def beside(state: dict, checkpoint: Path) -> dict:
    """The same with the rows and heads of another checkpoint.

    Raises ValueError when that is for other words, intents or slots.
    """
    other = torch.load(checkpoint, map_location="cpu", weights_only=True)
    for what in ("vocabulary", "intents", "tags"):
        if other[what] != state[what]:
            raise ValueError(
                f"{checkpoint} has another {what} than the bundle; give the checkpoint that it was made of"
            )
    own = ("encoder.words.", "encoder.grams.", "encoder.places", "heads.")
    taken = {name: value for name, value in other["weights"].items() if name.startswith(own)}
    return state | {"weights": state["weights"] | taken}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", type=Path, default=Path("models/nlu-en"))
    parser.add_argument("--network", type=Path, help="an ONNX file in floats in place of the bundle's f32 network")
    parser.add_argument("--beside", type=Path, metavar="CHECKPOINT", help="take rows and heads of this one")
    parser.add_argument("--out", type=Path, default=Path("data/nlu/restored.pt"))
    args = parser.parse_args()
    state = restore(args.bundle, args.network or args.bundle / "encoder-f32.onnx")
    state = beside(state, args.beside) if args.beside else state
    args.out.parent.mkdir(parents=True, exist_ok=True)
    torch.save(state, args.out)
    print(f"{args.out}: {sum(value.numel() for value in state['weights'].values())} parameters")


if __name__ == "__main__":
    main()
