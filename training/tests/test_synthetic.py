"""The network of random weights for timing: as asked, the same each time, and one that runs."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from training import synthetic
from training.export import Stream

SMALL = ["--layers", "2", "--dim", "32", "--heads", "2"]


def made(monkeypatch: pytest.MonkeyPatch, path: Path, *options: str) -> bytes:
    monkeypatch.setattr(sys, "argv", ["synthetic", str(path), *options])
    synthetic.main()
    return path.read_bytes()


def test_the_same_arguments_give_the_same_file_and_it_runs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    one = made(monkeypatch, tmp_path / "one.onnx", *SMALL)
    assert one == made(monkeypatch, tmp_path / "other.onnx", *SMALL)
    assert len(made(monkeypatch, tmp_path / "wide.onnx", *SMALL, "--expansion", "8")) > len(one)
    stream = Stream(one)
    columns = stream.run(np.zeros((2 * stream.frames, 80), np.float32))
    assert columns.shape == (8, 80) and np.isfinite(columns).all()


def test_heads_that_do_not_divide_the_width_are_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(SystemExit):
        made(monkeypatch, tmp_path / "odd.onnx", "--dim", "32", "--heads", "3")
