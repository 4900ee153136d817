"""Layers in low precision with what they compute, for tests of both sides.

`python -m training.tests.fake_quant_fixture` writes inference/tests/data/fake-quant.toml. Weights and activations are
drawn at random, with halves, noughts and rows of noughts among them; integers, scales and outputs are those of
`training.fake_quant`. The run time and `vocar-compress` must find the same integers and the same outputs: in int8 to
the last bit, in int4 but for the order of sums.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import nn

from training.fake_quant import RowQuantised, int4_grid, int8_grid, row_scale

FIXTURE = Path(__file__).resolve().parents[2] / "inference" / "tests" / "data" / "fake-quant.toml"
ROWS, INPUTS, OUTPUTS = 6, 64, 18


def drawn() -> dict[str, torch.Tensor]:
    """Activations [rows, inputs], weight [outputs, inputs] and bias [outputs]."""
    rng = np.random.default_rng(20)
    weight = rng.standard_normal((OUTPUTS, INPUTS)) / 8
    activations = rng.standard_normal((ROWS, INPUTS)) * [[1.0], [30.0], [1e-3], [1.0], [1.0], [1.0]]
    halves = np.arange(INPUTS) / 2 - 15
    activations[3], activations[3, 0] = halves, 127.0
    activations[4] = 0.0
    weight[2], weight[2, 5] = halves, -127.0
    weight[3], weight[3, [7, 40]] = np.tile(np.arange(32) / 4 - 4, 2), -8.0
    weight[4], weight[5, :32] = 0.0, 0.0
    values = {"activations": activations, "weight": weight, "bias": rng.standard_normal(OUTPUTS)}
    return {name: torch.tensor(value, dtype=torch.float32) for name, value in values.items()}


def int8_of(weight: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Integers [outputs, inputs] and scales [outputs]."""
    return int8_grid(weight)


def int4_of(weight: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Integers [outputs, inputs] and scales [outputs, groups]."""
    integers, scales = int4_grid(weight.reshape(-1, 32))
    return integers.reshape(weight.shape), scales.reshape(len(weight), -1)


def output(activations: torch.Tensor, weight: torch.Tensor, scale: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
    """What a layer makes [rows, outputs] with a weight on its grid and a scale for each channel."""
    layer = RowQuantised(nn.Linear(weight.shape[1], len(weight)))
    layer.weight.data, layer.bias.data, layer.channel_scale = weight, bias, scale
    with torch.no_grad():
        return layer(activations)


def expected(values: dict[str, torch.Tensor]) -> dict[str, dict[str, torch.Tensor]]:
    """Tables of the fixture, matrices as the run time wants them: weights [inputs, outputs]."""
    activations, weight, bias = values["activations"], values["weight"], values["bias"]
    row, inverse = row_scale(activations)
    (eight, channels), (four, groups) = int8_of(weight), int4_of(weight)
    on_grid = (four.reshape(OUTPUTS, -1, 32) * groups[..., None]).reshape(weight.shape)
    return {
        "layer": {"activations": activations, "weight": weight.T, "bias": bias},
        "rows": {"integers": (activations * inverse).round().int(), "scales": row[:, 0]},
        "int8": {"integers": eight.T.int(), "scales": channels, "output": output(activations, eight, channels, bias)},
        "int4": {
            "integers": four.T.int(),
            "scales": groups,
            "output": output(activations, on_grid, torch.ones(()), bias),
        },
    }


def as_text(tables: dict[str, dict[str, torch.Tensor]]) -> str:
    """TOML, row-major, with as many digits as floats need."""
    lines = [
        "# Layers in low precision, row-major: activations [rows][inputs], weights [inputs][outputs], int4 scales",
        "# [outputs][groups], outputs [rows][outputs]. Written by `python -m training.tests.fake_quant_fixture`.",
        f"inputs = {INPUTS}",
        f"outputs = {OUTPUTS}",
    ]
    for name, table in tables.items():
        lines += ["", f"[{name}]"]
        for key, value in table.items():
            numbers = value.reshape(-1).tolist()
            digits = "d" if value.dtype == torch.int32 else ".9g"
            written = ", ".join(_float(n, digits) for n in numbers)
            lines.append(f"{key} = [{written}]")
    return "\n".join(lines) + "\n"


def _float(number: float, digits: str) -> str:
    text = format(number, digits)
    return text if digits == "d" or "." in text or "e" in text else f"{text}.0"


def main() -> None:
    FIXTURE.write_text(as_text(expected(drawn())), encoding="utf-8")
    print(f"{FIXTURE}: {FIXTURE.stat().st_size} bytes")


if __name__ == "__main__":
    main()
