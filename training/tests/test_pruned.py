"""Networks that `vocar-compress prune` made narrower: read back, run, tuned and written again."""

from __future__ import annotations

import copy
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper

from training import losses
from training.bundle import BUNDLE
from training.export import TOLERANCE, Stream, check, load
from training.model import SUBSAMPLING, AcousticModel, Config, Widths, with_chunk
from training.onnx_graph import streaming
from training.restore import restore
from training.sparsity import Zeros
from training.tests.networks import random_model
from training.tests.packs import write_pack
from training.tests.test_recipe import SMALL

UNEVEN = Config(
    columns=12,
    dim=32,
    layers=2,
    heads=4,
    channels=4,
    context=16,
    pruned=(Widths(heads=3, first=40, second=24, channels=20), Widths(heads=1, first=8, second=64, channels=32)),
)
TOOL = Path(__file__).resolve().parents[2] / "target" / "release" / "vocar-compress"


def uneven(seed: int) -> AcousticModel:
    """A network of unlike blocks, all of its weights drawn at random."""
    torch.manual_seed(seed)
    model = AcousticModel(UNEVEN)
    for block in model.blocks:
        block.attention.bias.data.normal_()
        block.convolution.batch_norm.running_mean.normal_(0.0, 0.5)
        block.convolution.batch_norm.running_var.uniform_(0.5, 2.0)
    return model.eval()


def renamed(graph: onnx.ModelProto, old: str, new: str) -> onnx.ModelProto:
    """The graph with other names of its constants."""
    graph = copy.deepcopy(graph)
    for tensor in graph.graph.initializer:
        tensor.name = tensor.name.replace(old, new)
    return graph


def run(module: str, *arguments: object) -> None:
    """A step of the recipe, on one thread."""
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    subprocess.run([sys.executable, "-m", module, *map(str, arguments)], check=True, env=environment)


def close(one: AcousticModel, other: AcousticModel) -> bool:
    features = torch.randn(2, 9 * one.config.chunk * SUBSAMPLING, one.config.mels)
    with torch.no_grad():
        return torch.allclose(one(features), other(features), atol=1e-4)


def test_unlike_blocks_are_exported_and_come_back() -> None:
    model = uneven(1)
    graph = streaming(model, None)
    assert check(model, None, graph.SerializeToString()) < TOLERANCE
    found = restore(graph, UNEVEN.chunk, UNEVEN.delay)
    assert found.config.blocks() == UNEVEN.pruned and found.config.head == UNEVEN.head
    assert close(found, model)
    assert close(with_chunk(with_chunk(model, 8), UNEVEN.chunk), model)


def test_gaps_that_lost_layers_left_do_not_matter() -> None:
    model = random_model(SMALL, 2)
    gap = renamed(streaming(model, None), "block1.", "block10.")
    found = restore(gap, model.config.chunk, model.config.delay)
    assert found.config == model.config and close(found, model)


def test_a_shape_survives_its_checkpoint_and_must_fit_its_layers(tmp_path: Path) -> None:
    model = uneven(3)
    torch.save({"config": UNEVEN.as_dict(), "average": model.state_dict()}, tmp_path / "uneven.pt")
    found, _ = load(tmp_path / "uneven.pt")
    assert found.config == UNEVEN and close(found, model)
    with pytest.raises(ValueError, match="2 blocks for 3 layers"):
        replace(UNEVEN, layers=3)


def test_noughts_stay_through_training_steps_and_the_rest_learns() -> None:
    model = uneven(4)
    weight = model.blocks[1].second.up.weight
    with torch.no_grad():
        weight[:, ::2] = 0.0
    before, zeros = weight.detach().clone(), Zeros.of(model)
    assert zeros.count() == weight.numel() // 2
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-2)
    for _ in range(3):
        features = torch.randn(2, 6 * UNEVEN.chunk * SUBSAMPLING, UNEVEN.mels)
        columns = model(features)
        labels = torch.randint(UNEVEN.columns, columns.shape[:2])
        losses.cross_entropy(columns, labels).backward()
        optimiser.step()
        zeros.apply()
    assert torch.equal(weight == 0, before == 0)
    assert not torch.allclose(weight[:, 1::2], before[:, 1::2])


@pytest.mark.skipif(not TOOL.exists(), reason="vocar-compress is not built: cargo build --release -p vocar-compress")
def test_a_network_is_pruned_restored_tuned_and_exported(tmp_path: Path) -> None:
    pruned, shares = tmp_path / "pruned.onnx", "heads=0.3,ffn=0.4,layers=0.5,channels=0.2"
    rows = ["--magnitude", "--structured", shares, "--n-m", "2:4"]
    subprocess.run([TOOL, "prune", BUNDLE, pruned, *rows], check=True, capture_output=True)
    checkpoint = tmp_path / "pruned.pt"
    run("training.restore", "--network", pruned, "--out", checkpoint)
    model, _ = load(checkpoint)
    assert model.config.layers == 3 and model.config.pruned
    features = np.random.default_rng(5).standard_normal((8 * 24, 80)).astype(np.float32)
    normalised = model.normalise(torch.from_numpy(features[None]))
    with torch.no_grad():
        expected = model(normalised)[0].numpy()
    assert np.abs(Stream(pruned.read_bytes()).run(features) - expected).max() < TOLERANCE

    (tmp_path / "pack").mkdir()
    write_pack(tmp_path / "pack", [("a", str(i), "train", [1 + i % 3, 2]) for i in range(4)])
    options = "--device cpu --workers 1 --seconds 2 --strength track=10 --schedule mmi:0.02 --keep-norms --keep-zeros"
    tuned = ["--label-with", checkpoint, "--warm-start", checkpoint, "--out", tmp_path / "run", *options.split()]
    run("training.train", "--pack", tmp_path / "pack", *tuned)
    after, _ = load(tmp_path / "run/stage0.pt")
    weights = ((one.weight, other.weight) for one, other in zip(linear(model), linear(after), strict=True))
    for one, other in weights:
        assert torch.equal(one == 0, other == 0) and not torch.equal(one, other)

    bundle = tmp_path / "bundle"
    shutil.copytree(BUNDLE, bundle)
    run("training.export", "--checkpoint", tmp_path / "run/stage0.pt", "--bundle", bundle, "--halves")
    weights = {t.name: numpy_helper.to_array(t) for t in onnx.load(bundle / "am-f32.onnx").graph.initializer}
    out = weights["out.weight"]
    assert out.dtype == np.float32 and np.array_equal(out, out.astype(np.float16).astype(np.float32))
    assert (bundle / "am-f32.onnx").stat().st_size < (BUNDLE / "am-f32.onnx").stat().st_size / 2


def linear(model: AcousticModel) -> list[torch.nn.Linear]:
    return [layer for layer in model.modules() if isinstance(layer, torch.nn.Linear)]
