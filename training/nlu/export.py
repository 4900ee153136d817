r"""A checkpoint becomes a bundle: the network as ONNX, rows of words and n-grams in int8, a file of heads a domain.

    python -m training.nlu.export --checkpoint data/nlu/run/best.pt --bundle models/nlu-en
    cargo run --release -p vocar-compress -- quantise --plan compress/plans/nlu-en.toml \
        models/nlu-en/encoder-f32.onnx models/nlu-en/encoder-mixed.onnx
    python -m training.nlu.export --seal models/nlu-en      # writes manifest.toml with the hashes of what lies there

The network takes `rows` [1, length, row], rows of words with their places, the sentence's own row first, and `mask`
[1, 1, 1, length], 0 where there is a word and -10000 where there is none; it gives `states` [1, length, dim].
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import TensorProto, helper

from training.bundle import hashes
from training.nlu import tensors
from training.nlu.data import DOMAINS
from training.nlu.model import Block, Encoder, Understanding, load
from training.nlu.text import BUCKETS, GRAMS, MOST_GRAMS, MOST_WORDS
from training.onnx_graph import Writer

TOLERANCE = 2e-3
#: What the mask holds where there is no word.
NOTHING = -10_000.0


def graph(encoder: Encoder) -> onnx.ModelProto:
    """The network behind the rows, for any length."""
    c = encoder.config
    w = Writer()
    w.inputs.append(helper.make_tensor_value_info("rows", TensorProto.FLOAT, [1, "length", c.row]))
    w.inputs.append(helper.make_tensor_value_info("mask", TensorProto.FLOAT, [1, 1, 1, "length"]))
    w.outputs.append(helper.make_tensor_value_info("states", TensorProto.FLOAT, [1, "length", c.dim]))
    x = w.linear("project", "rows", encoder.project)
    for number, block in enumerate(encoder.blocks):
        x = _block(w, f"block{number}", x, block)
    weight, bias = w.constant("norm.weight", encoder.norm.weight), w.constant("norm.bias", encoder.norm.bias)
    w.op("LayerNormalization", "states", x, weight, bias, axis=-1, epsilon=encoder.norm.eps)
    return w.model("Encoder of words: rows and mask in, states out.", "encoder")


def _block(w: Writer, name: str, x: str, block: Block) -> str:
    dim = block.out.in_features
    head = dim // block.heads
    qkv = w.linear(f"{name}.qkv", w.norm(f"{name}.first", x, block.first), block.qkv)
    split = w.reshape(f"{name}.heads", qkv, [1, -1, 3 * block.heads, head])
    turned = w.op("Transpose", f"{name}.turned", split, perm=[0, 2, 1, 3])
    q, k, v = parts = [f"{name}.q", f"{name}.k", f"{name}.v"]
    sizes = w.constant(f"{name}.sizes", [block.heads] * 3)
    w.nodes.append(helper.make_node("Split", [turned, sizes], parts, name=f"{name}.split", axis=1))
    scaled = w.op("Mul", f"{name}.scaled", q, w.constant(f"{name}.scale", np.float32(head**-0.5).reshape(1)))
    scores = w.op("MatMul", f"{name}.scores", scaled, w.op("Transpose", f"{name}.keys", k, perm=[0, 1, 3, 2]))
    masked = w.op("Add", f"{name}.masked", scores, "mask")
    mixed = w.op("MatMul", f"{name}.mixed", w.op("Softmax", f"{name}.softmax", masked, axis=-1), v)
    flat = w.reshape(f"{name}.flat", w.op("Transpose", f"{name}.back", mixed, perm=[0, 2, 1, 3]), [1, -1, dim])
    x = w.op("Add", f"{name}.attended", w.linear(f"{name}.out", flat, block.out), x)
    up = w.silu(f"{name}.silu", w.linear(f"{name}.up", w.norm(f"{name}.second", x, block.second), block.up))
    return w.op("Add", f"{name}.fed", w.linear(f"{name}.down", up, block.down), x)


def check(encoder: Encoder, model: bytes) -> float:
    """Largest difference of the graph from PyTorch, on random rows of two lengths, one of them with empty places."""
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    rng, apart = np.random.default_rng(1), 0.0
    for length, real in ((5, 5), (12, 9)):
        rows = rng.standard_normal((1, length, encoder.config.row)).astype(np.float32)
        mask = np.zeros((1, 1, 1, length), np.float32)
        mask[..., real:] = NOTHING
        (found,) = session.run(None, {"rows": rows, "mask": mask})
        with torch.no_grad():
            wanted = encoder.inner(torch.tensor(rows[:, :real]), None).numpy()
        apart = max(apart, float(np.abs(found[:, :real] - wanted).max()))
    return apart


def quantised(table: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
    """int8 rows, and the scale of each."""
    values = table.detach().numpy()
    scale = np.maximum(np.abs(values).max(1), 1e-8).astype(np.float32) / 127
    return np.rint(values / scale[:, None]).astype(np.int8), scale


def write(folder: Path, model: Understanding, state: dict) -> None:
    """Everything of the bundle but the manifest and the quantised network."""
    folder.mkdir(parents=True, exist_ok=True)
    encoder = model.encoder
    network = graph(encoder).SerializeToString()
    apart = check(encoder, network)
    print(f"against PyTorch: at most {apart:.2e} apart")
    if apart > TOLERANCE:
        raise SystemExit(f"the ONNX graph differs from the trained model by {apart:.2e}, more than {TOLERANCE:.0e}")
    (folder / "encoder-f32.onnx").write_bytes(network)
    words, word_scales = quantised(encoder.words.weight)
    grams, gram_scales = quantised(encoder.grams.weight[:BUCKETS])
    table = {"words": words, "words.scale": word_scales, "grams": grams, "grams.scale": gram_scales}
    tensors.write(folder / "rows.safetensors", table | {"places": encoder.places.detach().numpy()}, {})
    (folder / "words.txt").write_text("".join(f"{word}\n" for word in state["vocabulary"]), encoding="utf-8")
    for domain in DOMAINS:
        head, remarks = model.heads[domain], {}
        remarks["intents"] = "\n".join(state["intents"][domain])
        remarks["tags"] = "\n".join(state["tags"][domain])
        remarks |= {name: repr(value) for name, value in state.get("calibration", {}).get(domain, {}).items()}
        halves = {name: value.detach().numpy().astype(np.float16) for name, value in head.named_parameters()}
        tensors.write(folder / f"head-{domain}.safetensors", halves, remarks)


def manifest(folder: Path, version: str) -> str:
    """The text of `manifest.toml`; hashes are taken from the files as they lie there."""
    networks = {kind: f"encoder-{kind}.onnx" for kind in ("mixed", "int8", "f32")}
    models = "\n".join(f'{kind} = "{file}"' for kind, file in networks.items() if (folder / file).exists())
    heads = "\n".join(f'{d} = "head-{d}.safetensors"' for d in DOMAINS if (folder / f"head-{d}.safetensors").exists())
    free = '\n[free_speech]\nwords = "commands.ngram"\n' if (folder / "commands.ngram").exists() else ""
    files = sorted(path.name for path in folder.iterdir() if path.name not in ("manifest.toml", "README.md"))
    return f"""format = 1
name = "nlu-en"
version = "{version}"
language = "en"
licence = "Apache-2.0"

# How words become rows: see vocar_nlu::encoder.
[text]
words = "words.txt"
rows = "rows.safetensors"
buckets = {BUCKETS}
grams = [{GRAMS[0]}, {GRAMS[1]}]
most_grams = {MOST_GRAMS}
most_words = {MOST_WORDS}

[models]
{models}

[heads]
{heads}
{free}
[files]
{hashes(folder, files)}
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--checkpoint", type=Path)
    parser.add_argument("--bundle", type=Path, default=Path("models/nlu-en"))
    parser.add_argument("--seal", type=Path, metavar="BUNDLE", help="write the manifest of a bundle")
    parser.add_argument("--version", default="0.1.0")
    args = parser.parse_args()

    if args.checkpoint:
        write(args.bundle, *load(args.checkpoint))
    folder = args.seal or args.bundle
    (folder / "manifest.toml").write_text(manifest(folder, args.version), encoding="utf-8")
    print(f"{sum(f.stat().st_size for f in folder.iterdir()) / 1e6:.2f} MB in {folder}")


if __name__ == "__main__":
    main()
