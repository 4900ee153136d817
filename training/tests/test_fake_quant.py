"""Training in low precision is what the vehicle computes, and it pays."""

from __future__ import annotations

import subprocess
import tomllib
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper

from training import losses
from training.evaluate import of_checkpoint
from training.fake_quant import FakeQuantised, Plan, int4_grid, int8_grid, product_name, read_plan
from training.model import SUBSAMPLING, AcousticModel, Config
from training.onnx_graph import streaming
from training.tests import fake_quant_fixture as fixture
from training.tests.networks import random_model
from training.tests.packs import write_pack
from training.train import Trainer, arguments

RELEASE = Path(__file__).resolve().parents[2] / "target" / "release"
TOOL, STREAM = RELEASE / "vocar-compress", RELEASE / "examples" / "stream"
SMALL = Config(mels=80, columns=16, dim=64, layers=2, heads=2, channels=8, context=16, dropout=0.0)
MIXED = {
    "block0.first.up.product": "int4",
    "block0.first.down.product": "int4",
    "block0.attention.qkv.product": "int8",
    "block0.convolution.gate.product": "f16",
    "block0.second.down.product": "int8",
    "block1.attention.out.product": "int4",
    "block1.convolution.out.product": "int8",
    "block1.second.up.product": "f32",
    "subsampling.project.product": "int4",
    "out.product": "int8",
}


def test_layers_compute_what_the_run_time_does() -> None:
    """The same file as inference/tests/fake_quant.rs and compress/src/quantise/grid.rs."""
    read = tomllib.loads(fixture.FIXTURE.read_text(encoding="utf-8"))
    inputs, outputs = read.pop("inputs"), read.pop("outputs")
    layer = {name: torch.tensor(value) for name, value in read["layer"].items()}
    layer["activations"] = layer["activations"].reshape(-1, inputs)
    layer["weight"] = layer["weight"].reshape(inputs, outputs).T.contiguous()
    for name, table in fixture.expected(layer).items():
        for key, found in table.items():
            wanted = torch.tensor(read[name][key], dtype=found.dtype)
            close = 1e-6 if (name, key) == ("int4", "output") else 0.0
            torch.testing.assert_close(found.reshape(-1), wanted, rtol=close, atol=close, msg=f"{name}.{key}")


def test_weights_on_a_grid_stay_there() -> None:
    weight = torch.randn(20, 64, generator=torch.Generator().manual_seed(1))
    integers, scale = int8_grid(weight)
    again, _ = int8_grid(integers * scale[:, None])
    assert torch.equal(again, integers)
    integers, scale = int4_grid(weight.reshape(-1, 32))
    assert integers.min() == -8 and integers.max() == 7
    on_grid = integers * scale[:, None]
    again, other = int4_grid(on_grid)
    assert torch.allclose(again * other[:, None], on_grid, atol=1e-6)


def test_gradients_pass_the_rounding_and_the_weights_stay_floats() -> None:
    model = random_model(SMALL, 2)
    names = set(model.state_dict())
    plain = AcousticModel(SMALL).eval()
    plain.load_state_dict(model.state_dict())
    rounded = FakeQuantised(model, Plan(MIXED, halve_the_rest=True))
    features = torch.randn(2, 8 * SMALL.chunk * SUBSAMPLING, SMALL.mels)
    rounded(features)[..., 3].sum().backward()
    plain(features)[..., 3].sum().backward()
    assert set(model.state_dict()) == names
    for (name, one), other in zip(model.named_parameters(), plain.parameters(), strict=True):
        assert torch.equal(one, other), f"{name} is rounded itself"
        likeness = torch.nn.functional.cosine_similarity(one.grad.flatten(), other.grad.flatten(), dim=0)
        assert likeness > 0.7, f"{name}: gradient {likeness:.2f} like that of the floats"


def test_a_plan_that_does_not_fit_is_refused_by_name(tmp_path: Path) -> None:
    model, path = random_model(SMALL, 3), tmp_path / "plan.toml"
    for text, complaint in (
        ('[layers]\n"block9.up" = "int8"', "`block9.up` is no layer.*block0.first.up.product"),
        ('[layers]\n"out.product" = "int3"', "`out.product` is to be 'int3'"),
        ("budget = 1", "no plan.*vocar-compress plan"),
    ):
        path.write_text(text)
        with pytest.raises(ValueError, match=f"plan.toml: {complaint}"):
            read_plan(str(path), model)
    with pytest.raises(ValueError, match="nowhere"):
        read_plan(str(tmp_path / "nowhere"), model)
    assert set(read_plan("int4", model).layers.values()) == {"int4"}


# --- against the tools -----------------------------------------------------------------------------------------------


@pytest.mark.skipif(
    not (TOOL.exists() and STREAM.exists()),
    reason="needs `cargo build --release --bin vocar-compress --package vocar-inference --example stream`",
)
@pytest.mark.parametrize("how", ["plan", "int4", "int8"])
def test_the_exported_network_is_the_one_that_was_trained(tmp_path: Path, how: str) -> None:
    # Wide enough for convolutions in int8.
    config = SMALL if how == "plan" else replace(SMALL, dim=128, channels=16)
    model = random_model(config, 6)
    floats, small = tmp_path / "floats.onnx", tmp_path / "small.onnx"
    floats.write_bytes(streaming(model, None).SerializeToString())
    if how == "plan":
        lines = [f'"{name}" = "{width}"' for name, width in MIXED.items()]
        (tmp_path / "plan.toml").write_text(
            "budget = 0\nmeasured = 0\nhalve_the_rest = true\n[layers]\n" + "\n".join(lines)
        )
        options = ["--plan", tmp_path / "plan.toml"]
        plan = read_plan(str(tmp_path / "plan.toml"), model)
    else:
        options, plan = ["--bits", how.removeprefix("int"), "--halve-the-rest"], read_plan(how, model)
    subprocess.run([TOOL, "quantise", floats, small, *options], check=True, capture_output=True)
    rounded = FakeQuantised(model, plan).eval()
    assert rounded.convolved == ([] if how == "plan" else ["subsampling.second"])
    _same_grids(rounded, onnx.load(small).graph)

    step = config.chunk * SUBSAMPLING
    log_mel = np.random.default_rng(4).standard_normal((20 * step, config.mels)).astype(np.float32)
    log_mel = log_mel / model.scale.numpy() + model.mean.numpy()
    log_mel.tofile(tmp_path / "features.f32")
    subprocess.run([STREAM, small, tmp_path / "features.f32", tmp_path / "scores.f32"], check=True)
    found = np.fromfile(tmp_path / "scores.f32", np.float32).reshape(-1, config.columns)
    with torch.no_grad():
        wanted = rounded(model.normalise(torch.tensor(log_mel)[None]))[0].numpy()
        floating = AcousticModel(config).eval()
        floating.load_state_dict(model.state_dict())
        off = np.abs(floating(floating.normalise(torch.tensor(log_mel)[None]))[0].numpy() - wanted).mean()
    # A value that lies between two integers to the last bit may be rounded either way.
    difference = np.abs(found - wanted)
    middle, mean = np.median(difference), difference.mean()
    assert middle < 1e-5 and mean < off / 20, f"median {middle}, mean {mean}, floats {off}"


def _stored_layers(graph: onnx.GraphProto, values: dict[str, np.ndarray]) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Integers and scales of each low-precision layer, by the name of its product."""
    made = {output: node for node in graph.node for output in node.output}

    def constant(name: str) -> np.ndarray | None:
        while name not in values and name in made and made[name].op_type == "Cast":
            name = made[name].input[0]
        return values.get(name)

    layers = {}
    for node in graph.node:
        if node.op_type == "MatMulNBits":
            layers[node.name] = constant(node.input[1]), constant(node.input[2])
        elif node.op_type == "Mul" and node.name.endswith(".product"):
            integers = made[made[node.input[0]].input[0]]
            assert integers.op_type == "MatMulInteger", node.name
            scales = [constant(name) for name in made[node.input[1]].input]
            layers[node.name] = constant(integers.input[1]), next(scale for scale in scales if scale is not None)
    return layers


def _same_grids(rounded: FakeQuantised, graph: onnx.GraphProto) -> None:
    """Every integer and every scale in the file is that of training."""
    values = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    stored, made = _stored_layers(graph, values), rounded.rounded()
    layers = rounded.grouped + rounded.channelled
    assert len(layers) >= 8
    for layer in layers:
        name = product_name(layer)
        integers, scale = stored[name]
        weight, factor = made[f"{layer}.weight"].detach(), 0.5 if layer.endswith(".down") else 1.0
        if layer in rounded.channelled:
            assert np.array_equal(integers.T, weight.numpy()), name
            assert np.array_equal(made[f"{layer}.channel_scale"].numpy() * factor, scale.astype(np.float32)), name
        else:
            pairs = np.stack([integers & 15, integers >> 4], axis=-1).astype(np.float32) - 8
            groups = pairs.reshape(len(weight), -1, 32) * scale.astype(np.float32).reshape(len(weight), -1, 1)
            assert np.array_equal(groups.reshape(weight.shape), weight.numpy() * factor), name
    for layer in rounded.convolved:
        restored = [node.input for node in graph.node if node.op_type == "DequantizeLinear"]
        stored = next(names for names in restored if values[names[0]].shape[2] == 3)
        integers, scale = (values[name] for name in stored[:2])
        assert np.array_equal(integers, made[f"{layer}.weight"].detach().numpy()), layer
        assert np.array_equal(made[f"{layer}.channel_scale"].numpy(), scale), layer
    # What is stored as it is, once for all that are equal, has names of no meaning.
    halves = {(v.size, v.astype(np.float32).tobytes()) for v in values.values() if v.dtype == np.float16}
    compared = 0
    for name in rounded.halved:
        # Depthwise convolutions carry their batch normalisation in the file, biases by distance are diagonals there:
        # those the scores have to tell.
        if ".depthwise." in name or name.endswith("attention.bias"):
            continue
        value = made[name].detach()
        value = (value.T if value.ndim == 2 else value).numpy() * (0.5 if ".down." in name else 1.0)
        assert (value.size, np.ascontiguousarray(value, np.float32).tobytes()) in halves, name
        compared += 1
    assert compared >= 9


# --- learning --------------------------------------------------------------------------------------------------------


def test_training_in_low_precision_loses_less_than_rounding_alone() -> None:
    torch.manual_seed(5)
    torch.set_num_threads(1)
    floats, model = random_model(SMALL, 5), AcousticModel(SMALL).eval()
    for layer in floats.modules():
        if isinstance(layer, torch.nn.Linear):
            # A few large weights, which leave the others in their group few steps.
            layer.weight.data *= torch.randn_like(layer.weight).exp()
    floats.out.weight.data *= 4.0
    model.load_state_dict(floats.state_dict())
    seen, unseen = torch.randn(2, 8, 60 * SUBSAMPLING, SMALL.mels)
    with torch.no_grad():
        taught, wanted = floats(seen), floats(unseen)
    rounded = FakeQuantised(model, read_plan("int4", model)).eval()

    def lost() -> float:
        """Divergence from the floats on features that were not trained with, nats a frame."""
        with torch.no_grad():
            return (wanted.exp() * (wanted - rounded(unseen))).sum(-1).mean().item()

    before = lost()
    optimiser = torch.optim.Adam(model.parameters(), lr=2e-4)
    for _ in range(20):
        loss = losses.soft_cross_entropy(rounded(seen), taught, torch.zeros(8, 60, dtype=torch.long))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert lost() < 0.4 * before, (lost(), before)


def test_a_stage_in_low_precision_leaves_a_checkpoint_of_floats(tmp_path: Path) -> None:
    said = [[1, 2, 3], [3, 1], [2, 1], [1, 3, 2, 3]]
    entries = [("a", str(number), "train", units) for number, units in enumerate(said)]
    write_pack(tmp_path, [*entries, ("a", "9", "dev", [2, 3])])
    options = f"""--device cpu --seconds 10 --workers 1 --strength track=10 --dim 32 --layers 1 --chunk 4
    --quantise int8 --pack {tmp_path} --out {tmp_path} --schedule ce:0.02""".split()
    trainer = Trainer(arguments().parse_args(options))
    trainer.realign(0.0)
    trainer.count_transitions()
    trainer.stage(0, "ce", 0.02)
    assert trainer.report(0.0).keys() == {"a"}
    weight = torch.load(tmp_path / "stage0.pt", weights_only=True)["average"]["blocks.0.first.up.weight"]
    integers, scale = int8_grid(weight)
    assert not torch.allclose(integers * scale[:, None], weight, atol=1e-6)
    (floats, *_), (rounded, *_) = (of_checkpoint(tmp_path / "stage0.pt", 0.6, plan) for plan in (None, "int8"))
    log_mel = np.random.default_rng(6).standard_normal((48, 80)).astype(np.float32)
    difference = np.abs(floats(log_mel) - rounded(log_mel)).mean()
    assert 0 < difference < 0.1, difference
