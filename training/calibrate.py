"""Fits the confidence curve of a bundle: logistic regression on what the decoder knows about development recordings.

Reads tables printed by the example `evidence` of `vocar-speech`: from sentences that could be recognised (first
column 1 where the best sentence is right) and from speech that was no command (all of it wrong). Writes the
`[confidence]` values into the bundle's manifest and prints the trade-off curve.
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path

import numpy as np

from training.bundle import BUNDLE

MARGIN_LIMIT = 1.0
WORST_LIMIT = -6.0
#: Frames of 30 ms within words.
LENGTH_LIMIT = 60.0


def read(path: Path, wrong: bool) -> tuple[np.ndarray, np.ndarray]:
    """Features [rows, 5] (ratio, worst word, margin, length, 1) and whether each row is right."""
    rows = [line.split("\t") for line in path.read_text(encoding="utf-8").splitlines()]
    features = [
        [
            float(r[1]),
            max(WORST_LIMIT, float(r[2])),
            min(MARGIN_LIMIT, float(r[3])),
            min(1.0, float(r[4]) / LENGTH_LIMIT),
            1.0,
        ]
        for r in rows
    ]
    return np.array(features), np.array([0 if wrong else int(r[0]) for r in rows])


def fit(features: np.ndarray, right: np.ndarray, ridge: float = 1e-2) -> np.ndarray:
    """Logistic regression by Newton's method."""
    weights = np.zeros(features.shape[1])
    for _ in range(100):
        p = 1 / (1 + np.exp(-features @ weights))
        gradient = features.T @ (right - p) - ridge * weights
        hessian = (features * (p * (1 - p))[:, None]).T @ features + ridge * np.eye(len(weights))
        weights += np.linalg.solve(hessian, gradient)
    return weights


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--sentences", type=Path, required=True, nargs="+", help="tables of recordings that could be recognised"
    )
    parser.add_argument(
        "--background", type=Path, required=True, nargs="+", help="tables of recordings that are no command"
    )
    parser.add_argument("--bundle", type=Path, default=BUNDLE)
    args = parser.parse_args()

    spoken = [read(path, wrong=False) for path in args.sentences]
    other = [read(path, wrong=True) for path in args.background]
    features = np.concatenate([f for f, _ in spoken + other])
    right = np.concatenate([r for _, r in spoken + other])
    ratio, worst, margin, length, offset = fit(features, right)
    slope = ratio + worst
    values = {
        "slope": slope,
        "offset": offset,
        "worst_word": worst / slope,
        "margin": margin / slope,
        "margin_limit": MARGIN_LIMIT,
        "length": length / slope,
        "length_limit": LENGTH_LIMIT,
    }
    path = args.bundle / "manifest.toml"
    lines = "\n".join(f"{key} = {value:.4f}" for key, value in values.items())
    text = re.sub(r"(?<=\[confidence\]\n).*?(?=\n\n)", lines, path.read_text(encoding="utf-8"), flags=re.S)
    path.write_text(text, encoding="utf-8")

    score = 1 / (1 + np.exp(-features @ np.array([ratio, worst, margin, length, offset])))
    first = sum(len(r) for _, r in spoken)
    print("threshold  right accepted  wrong sentence  background accepted")
    for threshold in (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9):
        taken = score >= threshold
        print(
            f"{threshold:9.1f} {(taken & (right == 1)).sum():10d}/{(right == 1).sum()}"
            f" {(taken[:first] & (right[:first] == 0)).sum():15d} {taken[first:].sum():14d}/{len(right) - first}"
        )


if __name__ == "__main__":
    main()
