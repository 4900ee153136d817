#!/usr/bin/env python3
"""Write tiny-f32.onnx, tiny-int8.onnx and tiny-expected.toml beside this script.

A conformer block in miniature with random weights, in the tensor names and the layer operators of the real
acoustic model: Conv 3x3, LayerNormalization, attention over a cache, gated depthwise convolution over a
cache, feed-forward, LogSoftmax. The expected values come from the numpy code below, which shares nothing
with the ONNX graph but the weights. Needs numpy and onnx: python3 make_tiny.py
"""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

HERE = Path(__file__).parent
MELS, CHUNK, SUB, D, HEADS, CACHE, KERNEL, UNITS, CHANNELS = 8, 4, 3, 8, 2, 6, 5, 3, 4
FRAMES, FLAT, COLUMNS, WIDE, STEPS = CHUNK * SUB, CHANNELS * MELS // 2, 2 * UNITS, 16, 3

rng = np.random.default_rng(20)


def random(*shape, scale=None):
    scale = 1.0 / np.sqrt(shape[0]) if scale is None else scale
    return (rng.standard_normal(shape) * scale).astype(np.float32)


WEIGHTS = {
    "mean": random(MELS, scale=1.0), "deviation": np.abs(random(MELS, scale=0.3)) + 0.7,
    "front.w": random(CHANNELS, 1, 3, 3, scale=0.4), "front.b": random(CHANNELS, scale=0.1),
    "flat.w": random(FLAT, D), "flat.b": random(D, scale=0.1),
    "q.w": random(D, D), "k.w": random(D, D), "v.w": random(D, D), "o.w": random(D, D),
    "gate.w": random(D, 2 * D), "gate.b": random(2 * D, scale=0.1),
    "depth.w": random(D, 1, KERNEL, scale=0.4), "depth.b": random(D, scale=0.1),
    "point.w": random(D, D), "up.w": random(D, WIDE), "up.b": random(WIDE, scale=0.1),
    "down.w": random(WIDE, D), "down.b": random(D, scale=0.1),
    "out.w": random(D, COLUMNS, scale=1.0), "out.b": random(COLUMNS, scale=0.1),
} | {f"norm{i}.{p}": random(D, scale=0.2) + (p == "g") for i in range(4) for p in "gb"}
WEIGHTS = {name: value.astype(np.float32) for name, value in WEIGHTS.items()}


class Graph:
    """ONNX nodes and initialisers, and the two ways to multiply by a weight."""

    def __init__(self, int8):
        self.int8, self.nodes, self.tensors, self.count = int8, [], {}, 0

    def op(self, kind, *inputs, out=None, outputs=1, **attributes):
        self.count += 1
        names = [out] if out else [f"t{self.count}.{i}" for i in range(outputs)]
        self.nodes.append(helper.make_node(kind, list(inputs), names, name=f"n{self.count}", **attributes))
        return names[0] if outputs == 1 else names

    def const(self, name, value):
        self.tensors[name] = value
        return name

    def ints(self, *values):
        return self.const("i" + "_".join(map(str, values)), np.array(values, np.int64))

    def weight(self, name):
        return self.const(name, WEIGHTS[name])

    def dense(self, x, name, bias=None):
        if self.int8:
            q, scale = quantised_weight(WEIGHTS[name])
            xq, xs, xz = self.op("DynamicQuantizeLinear", x, outputs=3)
            product = self.op("MatMulInteger", xq, self.const(name + ".q", q), xz)
            y = self.op("Mul", self.op("Cast", product, to=TensorProto.FLOAT), xs)
            y = self.op("Mul", y, self.const(name + ".scale", scale))
        else:
            y = self.op("MatMul", x, self.weight(name))
        return self.op("Add", y, self.weight(bias)) if bias else y

    def norm(self, x, i):
        return self.op("LayerNormalization", x, self.weight(f"norm{i}.g"), self.weight(f"norm{i}.b"),
                       axis=-1, epsilon=1e-5)

    def silu(self, x):
        return self.op("Mul", x, self.op("Sigmoid", x))

    def slice(self, x, start, end, axis, out=None):
        return self.op("Slice", x, self.ints(start), self.ints(end), self.ints(axis), out=out)

    def heads(self, x, length, *order):
        split = self.op("Reshape", x, self.ints(1, length, HEADS, D // HEADS))
        return self.op("Transpose", split, perm=order)


def build(int8):
    g = Graph(int8)
    x = g.op("Div", g.op("Sub", "features", g.weight("mean")), g.weight("deviation"))
    x = g.op("Conv", g.op("Unsqueeze", x, g.ints(1)), g.weight("front.w"), g.weight("front.b"),
             kernel_shape=[3, 3], strides=[3, 2], pads=[0, 1, 0, 1])
    x = g.op("Reshape", g.op("Transpose", g.silu(x), perm=[0, 2, 1, 3]), g.ints(1, CHUNK, FLAT))
    x = g.dense(x, "flat.w", "flat.b")

    n = g.norm(x, 0)
    past = g.op("Concat", "state.attention", n, axis=1)
    g.slice(past, CHUNK, CHUNK + CACHE, 1, out="next.attention")
    q = g.heads(g.dense(n, "q.w"), CHUNK, 0, 2, 1, 3)
    k = g.heads(g.dense(past, "k.w"), CHUNK + CACHE, 0, 2, 3, 1)
    v = g.heads(g.dense(past, "v.w"), CHUNK + CACHE, 0, 2, 1, 3)
    scale = g.const("scale", np.float32(1 / np.sqrt(D // HEADS)))
    weights = g.op("Softmax", g.op("Mul", g.op("MatMul", q, k), scale), axis=-1)
    a = g.op("Transpose", g.op("MatMul", weights, v), perm=[0, 2, 1, 3])
    x = g.op("Add", x, g.dense(g.op("Reshape", a, g.ints(1, CHUNK, D)), "o.w"))

    y = g.dense(g.norm(x, 1), "gate.w", "gate.b")
    y = g.op("Mul", g.slice(y, 0, D, 2), g.op("Sigmoid", g.slice(y, D, 2 * D, 2)))
    past = g.op("Concat", "state.convolution", g.op("Transpose", y, perm=[0, 2, 1]), axis=2)
    g.slice(past, CHUNK, CHUNK + KERNEL - 1, 2, out="next.convolution")
    y = g.silu(g.op("Conv", past, g.weight("depth.w"), g.weight("depth.b"), kernel_shape=[KERNEL], group=D))
    x = g.op("Add", x, g.dense(g.op("Transpose", y, perm=[0, 2, 1]), "point.w"))

    y = g.silu(g.dense(g.norm(x, 2), "up.w", "up.b"))
    x = g.op("Add", x, g.dense(y, "down.w", "down.b"))
    g.op("LogSoftmax", g.dense(g.norm(x, 3), "out.w", "out.b"), axis=-1, out="log_posteriors")

    def value(name, *shape):
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)

    states = [("attention", (1, CACHE, D)), ("convolution", (1, D, KERNEL - 1))]
    graph = helper.make_graph(
        g.nodes, "tiny",
        [value("features", 1, FRAMES, MELS)] + [value("state." + n, *s) for n, s in states],
        [value("log_posteriors", 1, CHUNK, COLUMNS)] + [value("next." + n, *s) for n, s in states],
        [numpy_helper.from_array(np.asarray(t), name) for name, t in g.tensors.items()])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    return model


def quantised_weight(w):
    """Symmetric int8, a scale for each output column."""
    scale = (np.abs(w).max(axis=0) / 127).astype(np.float32)
    return np.clip(np.rint(w / scale), -127, 127).astype(np.int8), scale


def reference(int8):
    """The same network in numpy: log posteriors of STEPS steps over one stream."""
    w = WEIGHTS
    sigmoid = lambda x: 1 / (1 + np.exp(-x))
    silu = lambda x: x * sigmoid(x)

    def dense(x, name, bias=None):
        if int8:
            low, high = min(x.min(), 0), max(x.max(), 0)
            scale = np.float32((high - low) / 255)
            zero = int(np.clip(np.rint(-low / scale), 0, 255))
            xq = np.clip(np.rint(x / scale) + zero, 0, 255).astype(np.int32)
            q, columns = quantised_weight(w[name])
            y = ((xq - zero) @ q.astype(np.int32)) * scale * columns
        else:
            y = x @ w[name]
        return y + w[bias] if bias else y

    def norm(x, i):
        mean, variance = x.mean(-1, keepdims=True), x.var(-1, keepdims=True)
        return (x - mean) / np.sqrt(variance + 1e-5) * w[f"norm{i}.g"] + w[f"norm{i}.b"]

    def attend(q, k, v):
        heads = []
        for h in range(HEADS):
            part = slice(h * D // HEADS, (h + 1) * D // HEADS)
            s = q[:, part] @ k[:, part].T / np.sqrt(D // HEADS)
            e = np.exp(s - s.max(-1, keepdims=True))
            heads.append(e / e.sum(-1, keepdims=True) @ v[:, part])
        return np.concatenate(heads, axis=1)

    attention, convolution = np.zeros((CACHE, D), np.float32), np.zeros((KERNEL - 1, D), np.float32)
    result = []
    for step in range(STEPS):
        f = (features(step) - w["mean"]) / w["deviation"]
        padded = np.pad(f, ((0, 0), (1, 1)))
        front = np.zeros((CHUNK, CHANNELS, MELS // 2), np.float32)
        for t in range(CHUNK):
            for m in range(MELS // 2):
                patch = padded[3 * t:3 * t + 3, 2 * m:2 * m + 3]
                front[t, :, m] = (w["front.w"][:, 0] * patch).sum((1, 2)) + w["front.b"]
        x = dense(silu(front).reshape(CHUNK, FLAT), "flat.w", "flat.b")
        n = norm(x, 0)
        past = np.concatenate([attention, n])
        attention = past[-CACHE:]
        x = x + dense(attend(dense(n, "q.w"), dense(past, "k.w"), dense(past, "v.w")), "o.w")
        y = dense(norm(x, 1), "gate.w", "gate.b")
        past = np.concatenate([convolution, y[:, :D] * sigmoid(y[:, D:])])
        convolution = past[-(KERNEL - 1):]
        y = np.stack([(past[t:t + KERNEL] * w["depth.w"][:, 0].T).sum(0) for t in range(CHUNK)])
        x = x + dense(silu(y + w["depth.b"]), "point.w")
        x = x + dense(silu(dense(norm(x, 2), "up.w", "up.b")), "down.w", "down.b")
        z = dense(norm(x, 3), "out.w", "out.b")
        z = z - z.max(-1, keepdims=True)
        result.append(z - np.log(np.exp(z).sum(-1, keepdims=True)))
    return np.stack(result)


def features(step):
    """What the Rust test feeds: 2 sin(0.37 n) + cos(0.011 n^2), n counting values from the first step on."""
    n = np.arange(FRAMES * MELS, dtype=np.float64) + step * FRAMES * MELS
    return (2 * np.sin(0.37 * n) + np.cos(0.011 * n * n)).astype(np.float32).reshape(FRAMES, MELS)


def main():
    lines = ["# Log posteriors by numpy, one array a step, row-major [chunk][columns]; written by make_tiny.py"]
    for name in ("f32", "int8"):
        (HERE / f"tiny-{name}.onnx").write_bytes(build(name == "int8").SerializeToString())
        lines.append(f"{name} = [")
        lines += ["  [" + ", ".join(f"{v:.6f}" for v in step.ravel()) + "]," for step in reference(name == "int8")]
        lines.append("]")
    (HERE / "tiny-expected.toml").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
