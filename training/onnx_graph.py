"""The streaming ONNX graph, written node by node: one chunk in, one chunk out, every cache an input and an output.

Written by hand rather than traced, so that each engine gets the fewest nodes and the names mean something.
"""

from __future__ import annotations

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper

from training.model import FEATURE_CACHE, SUBSAMPLING, AcousticModel, Block

OPSET = 17


class Writer:
    """Collects nodes, weights and caches; every method returns the name of the tensor it made."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.weights: dict[str, np.ndarray] = {}
        self.inputs: list[onnx.ValueInfoProto] = []
        self.outputs: list[onnx.ValueInfoProto] = []

    def op(self, kind: str, name: str, *inputs: str, **attributes: object) -> str:
        """A node with one output, called after itself."""
        self.nodes.append(helper.make_node(kind, list(inputs), [name], name=name, **attributes))
        return name

    def constant(self, name: str, value: torch.Tensor | np.ndarray | list[int]) -> str:
        """A weight, or a list of 64-bit integers."""
        if isinstance(value, list):
            array = np.array(value, dtype=np.int64)
        else:
            array = np.ascontiguousarray(value.detach().cpu().numpy() if isinstance(value, torch.Tensor) else value)
        self.weights[name] = array
        return name

    def linear(self, name: str, x: str, layer: torch.nn.Linear) -> str:
        """x W + b."""
        product = self.op("MatMul", f"{name}.product", x, self.constant(f"{name}.weight", layer.weight.T))
        return self.op("Add", name, product, self.constant(f"{name}.bias", layer.bias))

    def norm(self, name: str, x: str, layer: torch.nn.LayerNorm) -> str:
        """Layer normalisation over the last axis."""
        weight = self.constant(f"{name}.weight", layer.weight)
        bias = self.constant(f"{name}.bias", layer.bias)
        return self.op("LayerNormalization", name, x, weight, bias, axis=-1, epsilon=layer.eps)

    def silu(self, name: str, x: str) -> str:
        """x sigmoid(x)."""
        return self.op("Mul", name, x, self.op("Sigmoid", f"{name}.sigmoid", x))

    def reshape(self, name: str, x: str, shape: list[int]) -> str:
        """Reshape to a fixed shape."""
        return self.op("Reshape", name, x, self.constant(f"{name}.shape", shape))

    def cached(self, name: str, x: str, shape: list[int], axis: int) -> str:
        """Puts the cache `state.name` before x; the end of the result becomes `next.name`."""
        state = f"state.{name}"
        self.inputs.append(helper.make_tensor_value_info(state, TensorProto.FLOAT, shape))
        self.outputs.append(helper.make_tensor_value_info(f"next.{name}", TensorProto.FLOAT, shape))
        joined = self.op("Concat", f"{name}.joined", state, x, axis=axis)
        bounds = [
            self.constant(f"{name}.{which}", [value])
            for which, value in (("from", -shape[axis]), ("to", np.iinfo(np.int64).max), ("axis", axis))
        ]
        self.op("Slice", f"next.{name}", joined, *bounds)
        return joined

    def model(self, description: str, name: str = "acoustic") -> onnx.ModelProto:
        """The checked model."""
        initialisers = [numpy_helper.from_array(value, name) for name, value in self.weights.items()]
        graph = helper.make_graph(self.nodes, name, self.inputs, self.outputs, initialisers)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8)
        model.doc_string = description
        onnx.checker.check_model(model, full_check=True)
        return model


def streaming(model: AcousticModel, log_prior: torch.Tensor | None) -> onnx.ModelProto:
    """One step of the model. With `log_prior` [columns] the output is divided by the prior (hybrid scoring).

    Raises ValueError for a model that sees the future.
    """
    c = model.config
    if c.future:
        raise ValueError(f"a network that sees {c.future} frames of future cannot stream; export a student of it")
    w = Writer()
    frames = c.chunk * SUBSAMPLING
    w.inputs.append(helper.make_tensor_value_info("features", TensorProto.FLOAT, [1, frames, c.mels]))
    w.outputs.append(helper.make_tensor_value_info("log_posteriors", TensorProto.FLOAT, [1, c.chunk, c.columns]))
    centred = w.op("Sub", "centred", "features", w.constant("mean", model.mean))
    normalised = w.op("Mul", "normalised", centred, w.constant("scale", model.scale))
    x = _subsampling(w, model, normalised)
    for number, block in enumerate(model.blocks):
        x = _block(w, f"block{number}", x, block)
    out = w.linear("out", x, model.out)
    if log_prior is None:
        w.op("LogSoftmax", "log_posteriors", out, axis=-1)
    else:
        posterior = w.op("LogSoftmax", "posterior", out, axis=-1)
        w.op("Sub", "log_posteriors", posterior, w.constant("log_prior", log_prior.float()))
    return w.model("Streaming acoustic model: log-mel chunk and caches in, log posteriors and caches out.")


def _subsampling(w: Writer, model: AcousticModel, x: str) -> str:
    c = model.config
    layer = model.subsampling
    joined = w.cached("features", x, [1, FEATURE_CACHE, c.mels], axis=1)
    length = c.chunk * SUBSAMPLING + FEATURE_CACHE
    maps = w.reshape("subsampling.maps", joined, [1, 1, length, c.mels])
    for name, conv in (("first", layer.first), ("second", layer.second)):
        weights = [w.constant(f"subsampling.{name}.{part}", getattr(conv, part)) for part in ("weight", "bias")]
        maps = w.op("Conv", f"subsampling.{name}", maps, *weights, strides=list(conv.stride), pads=[0, 1, 0, 1])
        maps = w.silu(f"subsampling.{name}.silu", maps)
    turned = w.op("Transpose", "subsampling.turned", maps, perm=[0, 2, 1, 3])
    flat = w.reshape("subsampling.flat", turned, [1, c.chunk, c.channels * c.mels // 4])
    return w.linear("subsampling.project", flat, layer.project)


def _block(w: Writer, name: str, x: str, block: Block) -> str:
    x = _half(w, f"{name}.first", x, block.first)
    x = w.op("Add", f"{name}.attended", x, _attention(w, f"{name}.attention", x, block.attention))
    x = w.op("Add", f"{name}.convolved", x, _convolution(w, f"{name}.convolution", x, block.convolution))
    x = _half(w, f"{name}.second", x, block.second)
    return w.norm(f"{name}.norm", x, block.norm)


def _half(w: Writer, name: str, x: str, layer: torch.nn.Module) -> str:
    """x + feed_forward(x) / 2; the half goes into the weights."""
    up = w.silu(f"{name}.silu", w.linear(f"{name}.up", w.norm(f"{name}.norm", x, layer.norm), layer.up))
    product = w.op("MatMul", f"{name}.down.product", up, w.constant(f"{name}.down.weight", 0.5 * layer.down.weight.T))
    down = w.op("Add", f"{name}.down", product, w.constant(f"{name}.down.bias", 0.5 * layer.down.bias))
    return w.op("Add", f"{name}.sum", x, down)


def _attention(w: Writer, name: str, x: str, layer: torch.nn.Module) -> str:
    c = layer.config
    heads, head = layer.heads, c.head
    qkv = w.linear(f"{name}.qkv", w.norm(f"{name}.norm", x, layer.norm), layer.qkv)
    split = w.reshape(f"{name}.heads", qkv, [1, c.chunk, 3 * heads, head])
    turned = w.op("Transpose", f"{name}.turned", split, perm=[0, 2, 1, 3])
    parts = [f"{name}.q", f"{name}.k", f"{name}.v"]
    sizes = w.constant(f"{name}.sizes", [heads] * 3)
    w.nodes.append(helper.make_node("Split", [turned, sizes], parts, name=f"{name}.split", axis=1))
    cache = [1, heads, c.context, head]
    keys = w.cached(f"{name}.keys", parts[1], cache, axis=2)
    values = w.cached(f"{name}.values", parts[2], cache, axis=2)
    turned_keys = w.op("Transpose", f"{name}.turned_keys", keys, perm=[0, 1, 3, 2])
    scaled = w.op("Mul", f"{name}.scaled", parts[0], w.constant(f"{name}.scale", np.float32(head**-0.5).reshape(1)))
    scores = w.op("MatMul", f"{name}.scores", scaled, turned_keys)
    biased = w.op("Add", f"{name}.biased", scores, w.constant(f"{name}.distance", layer.bias[:, layer.distance][None]))
    mixed = w.op("MatMul", f"{name}.mixed", w.op("Softmax", f"{name}.softmax", biased, axis=-1), values)
    back = w.op("Transpose", f"{name}.back", mixed, perm=[0, 2, 1, 3])
    return w.linear(f"{name}.out", w.reshape(f"{name}.flat", back, [1, c.chunk, heads * head]), layer.out)


def _convolution(w: Writer, name: str, x: str, layer: torch.nn.Module) -> str:
    channels = layer.out.in_features
    past = layer.depthwise.kernel_size[0] - 1
    wide = w.linear(f"{name}.gate", w.norm(f"{name}.norm", x, layer.norm), layer.gate)
    halves = [f"{name}.value", f"{name}.open"]
    sizes = w.constant(f"{name}.sizes", [channels, channels])
    w.nodes.append(helper.make_node("Split", [wide, sizes], halves, name=f"{name}.split", axis=2))
    gated = w.op("Mul", f"{name}.gated", halves[0], w.op("Sigmoid", f"{name}.sigmoid", halves[1]))
    turned = w.op("Transpose", f"{name}.turned", gated, perm=[0, 2, 1])
    joined = w.cached(f"{name}.past", turned, [1, channels, past], axis=2)
    norm = layer.batch_norm
    gain = norm.weight / (norm.running_var + norm.eps).sqrt()
    weight = w.constant(f"{name}.depthwise.weight", layer.depthwise.weight * gain[:, None, None])
    bias = w.constant(f"{name}.depthwise.bias", (layer.depthwise.bias - norm.running_mean) * gain + norm.bias)
    mixed = w.silu(f"{name}.silu", w.op("Conv", f"{name}.depthwise", joined, weight, bias, group=channels))
    return w.linear(f"{name}.out", w.op("Transpose", f"{name}.back", mixed, perm=[0, 2, 1]), layer.out)
