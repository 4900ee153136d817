"""Fits the confidence curve of a bundle: logistic regression on what the decoder knows about development recordings.

Reads tables printed by the example `evidence` of `vocar-speech`: of sentences that could be recognised (column
`right`), clean and in noise, and of speech that was no command (all of it wrong). Writes the `[confidence]` values into
the bundle's manifest. Prints how reliable the confidence is and what each threshold costs, both on folds of sentences
that the curve was not fitted on; `--report` writes the same as JSON.
"""

from __future__ import annotations

import argparse
import csv
import json
import re
import zlib
from pathlib import Path

import numpy as np

from training.bundle import BUNDLE

MARGIN_LIMIT = 1.0
WORST_LIMIT = -6.0
#: Frames of 30 ms within words.
LENGTH_LIMIT = 60.0
#: Parts in which the recordings are left out in turn; all versions of a sentence are in the same part.
FOLDS = 5
BINS = 10
THRESHOLDS = (0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 0.98)


def read(path: Path, wrong: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features [rows, 6] (ratio, worst word, margin, length, clarity, 1), whether each row is right, and its fold."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    features = [
        [
            float(row["ratio"]),
            max(WORST_LIMIT, float(row["worst_word"])),
            min(MARGIN_LIMIT, float(row["margin"])),
            min(1.0, float(row["frames"]) / LENGTH_LIMIT),
            float(row["clarity"]),
            1.0,
        ]
        for row in rows
    ]
    right = [0 if wrong else int(row["right"]) for row in rows]
    folds = [zlib.crc32((row["wanted"] or Path(row["path"]).stem).encode()) % FOLDS for row in rows]
    return np.array(features).reshape(-1, 6), np.array(right, dtype=int), np.array(folds, dtype=int)


def curve(features: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Confidence of each row, 0 to 1."""
    return 1 / (1 + np.exp(-features @ weights))


def fit(features: np.ndarray, right: np.ndarray, counts: np.ndarray | None = None, ridge: float = 1e-2) -> np.ndarray:
    """Logistic regression by Newton's method; `counts` says how often each row counts."""
    weights = np.zeros(features.shape[1])
    counts = np.ones(len(features)) if counts is None else counts
    for _ in range(100):
        p = curve(features, weights)
        gradient = features.T @ (counts * (right - p)) - ridge * weights
        hessian = (features * (counts * p * (1 - p))[:, None]).T @ features + ridge * np.eye(len(weights))
        weights += np.linalg.solve(hessian, gradient)
    return weights


def held_out(features: np.ndarray, right: np.ndarray, counts: np.ndarray, folds: np.ndarray) -> np.ndarray:
    """Confidence of each row by a curve that was fitted without its fold."""
    confidence = np.zeros(len(features))
    for fold in range(FOLDS):
        apart = folds == fold
        confidence[apart] = curve(features[apart], fit(features[~apart], right[~apart], counts[~apart]))
    return confidence


def reliability(confidence: np.ndarray, right: np.ndarray) -> dict:
    """Bins of confidence with the share that is right, and the expected calibration error over them."""
    edges = np.linspace(0, 1, BINS + 1)
    number = np.minimum((confidence * BINS).astype(int), BINS - 1)
    bins = []
    for low, high, index in zip(edges, edges[1:], range(BINS), strict=False):
        inside = number == index
        mean = float(confidence[inside].mean()) if inside.any() else None
        share = float(right[inside].mean()) if inside.any() else None
        bins.append(
            {
                "low": float(low),
                "high": float(high),
                "count": int(inside.sum()),
                "mean_confidence": mean,
                "right": share,
            }
        )
    gaps = [b["count"] * abs(b["mean_confidence"] - b["right"]) for b in bins if b["count"]]
    return {"bins": bins, "ece": sum(gaps) / max(1, len(confidence))}


def trade_off(confidence: np.ndarray, right: np.ndarray, background: np.ndarray) -> list[dict]:
    """What each threshold lets through: shares of the sentences, and pieces of background."""
    return [
        {
            "threshold": threshold,
            "accepted_right": float(((confidence >= threshold) & (right == 1)).mean()),
            "accepted_wrong": float(((confidence >= threshold) & (right == 0)).mean()),
            "background_accepted": int((background >= threshold).sum()),
        }
        for threshold in THRESHOLDS
    ]


def write(bundle: Path, weights: np.ndarray) -> None:
    """Puts the curve into the bundle's manifest."""
    ratio, worst, margin, length, clarity, offset = weights
    slope = ratio + worst
    values = {
        "slope": slope,
        "offset": offset,
        "worst_word": worst / slope,
        "margin": margin / slope,
        "margin_limit": MARGIN_LIMIT,
        "length": length / slope,
        "length_limit": LENGTH_LIMIT,
        "clarity": clarity / slope,
    }
    path = bundle / "manifest.toml"
    lines = "\n".join(f"{key} = {value:.4f}" for key, value in values.items())
    text = re.sub(r"(?<=\[confidence\]\n).*?(?=\n\n)", lines, path.read_text(encoding="utf-8"), flags=re.S)
    path.write_text(text, encoding="utf-8")


def show(report: dict) -> None:
    """Prints the report as tables."""
    print("confidence  sentences  mean confidence  right")
    for b in report["reliability"]["bins"]:
        if b["count"]:
            print(f"{b['low']:.1f} - {b['high']:.1f} {b['count']:10d} {b['mean_confidence']:15.3f} {b['right']:7.3f}")
    print(f"expected calibration error {report['reliability']['ece']:.4f}")
    print("threshold  accepted right  accepted wrong  background accepted")
    for row in report["trade_off"]:
        print(
            f"{row['threshold']:9.2f} {row['accepted_right']:15.3f} {row['accepted_wrong']:15.3f}"
            f" {row['background_accepted']:14d}/{report['background']}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--sentences", type=Path, required=True, nargs="+", help="tables of recordings that could be recognised"
    )
    parser.add_argument(
        "--background", type=Path, required=True, nargs="+", help="tables of recordings that are no command"
    )
    parser.add_argument(
        "--background-share",
        type=float,
        default=0.5,
        help="share of what is heard that is no command",
    )
    parser.add_argument("--bundle", type=Path, default=BUNDLE)
    parser.add_argument("--report", type=Path, help="where reliability and trade-off go as JSON")
    args = parser.parse_args()

    spoken = [read(path, wrong=False) for path in args.sentences]
    other = [read(path, wrong=True) for path in args.background]
    features, right, folds = (np.concatenate(part) for part in zip(*spoken, *other, strict=True))
    first = sum(len(table[1]) for table in spoken)
    share = args.background_share
    counts = np.ones(len(right))
    counts[first:] = share / (1 - share) * first / max(1, len(right) - first)
    weights = fit(features, right, counts)
    if weights[1] < 0:
        # A better worst word must never make a sentence less certain: where it says nothing, it is left out.
        features[:, 1] = 0
        weights = fit(features, right, counts)
    write(args.bundle, weights)

    confidence = held_out(features, right, counts, folds)
    report = {
        "sentences": first,
        "background": len(right) - first,
        "background_share": share,
        "reliability": reliability(confidence[:first], right[:first]),
        "trade_off": trade_off(confidence[:first], right[:first], confidence[first:]),
    }
    show(report)
    if args.report:
        args.report.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
