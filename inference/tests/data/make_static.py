#!/usr/bin/env python3
"""Write tiny-static.onnx and tiny-static-expected.toml beside this script.

Two layers with random weights that ONNX Runtime's quantiser gave fixed scales, and what ONNX Runtime computes with
them, node by node. Needs numpy, onnx and onnxruntime: python3 make_static.py
"""

from pathlib import Path

import numpy as np
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

HERE = Path(__file__).resolve().parent
ROWS, INPUTS, HIDDEN, OUTPUTS = 5, 24, 40, 6


def features(seed):
    """Values that the test makes, too."""
    n = np.arange(ROWS * INPUTS, dtype=np.float64)
    return (2.0 * np.sin(0.37 * n + seed) + 0.5).astype(np.float32).reshape(1, ROWS, INPUTS)


class Reader(CalibrationDataReader):
    """A few inputs to calibrate on."""

    def __init__(self):
        self.left = [{"x": features(seed)} for seed in range(8)]

    def get_next(self):
        return self.left.pop() if self.left else None


def main():
    rng = np.random.default_rng(5)
    weights = {
        "up": rng.standard_normal((INPUTS, HIDDEN)).astype(np.float32) / 5,
        "up.bias": rng.standard_normal(HIDDEN).astype(np.float32),
        "down": rng.standard_normal((HIDDEN, OUTPUTS)).astype(np.float32) / 6,
        "down.bias": rng.standard_normal(OUTPUTS).astype(np.float32),
    }
    nodes = [
        helper.make_node("MatMul", ["x", "up"], ["raised"], "raised"),
        helper.make_node("Add", ["raised", "up.bias"], ["biased"], "biased"),
        helper.make_node("Relu", ["biased"], ["kept"], "kept"),
        helper.make_node("MatMul", ["kept", "down"], ["lowered"], "lowered"),
        helper.make_node("Add", ["lowered", "down.bias"], ["y"], "y"),
    ]
    graph = helper.make_graph(
        nodes,
        "static",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, ROWS, INPUTS])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, ROWS, OUTPUTS])],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    path = HERE / "tiny-static.onnx"
    quantize_static(
        model,
        path,
        Reader(),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        op_types_to_quantize=["MatMul"],
        extra_options={"WeightSymmetric": True},
    )
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    (expected,) = session.run(None, {"x": features(3)})
    values = ", ".join(f"{value:.6f}" for value in expected.ravel())
    (HERE / "tiny-static-expected.toml").write_text(f"# Written by make_static.py\ny = [{values}]\n")


if __name__ == "__main__":
    main()
