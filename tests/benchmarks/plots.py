#!/usr/bin/env python3
"""Draws the figures of the model card from what `run.py` measured.

    python3 tests/benchmarks/plots.py WORK [--results tests/benchmarks] [--out tests/benchmarks/plots]

Needs numpy and matplotlib. Every plot is drawn whose data are there; for the others it says what is missing.

* `noise.png`: `closed-set.json`, `closed-set-noise.json` in RESULTS
* `reliability.png`: WORK/each/*.jsonl of the closed set, clean and in noise, and of the car commands
* `rejection.png`: WORK/each/*.jsonl of the closed set, the car commands at an open microphone, and other speech
* `wake-det.png`: `wake-det.json` in RESULTS, written by the wake phrase benchmark:
  {"phrases": {"athena": {"points": [{"threshold": 0.5, "false_alarms_per_hour": 0.1, "missed": 0.08}, …]}, …}};
  the key "phrases" may also be left out
* `compression.png`: `compression.json` in RESULTS, written by `vocar-compress report … --recognise … --json`:
  {"rows": [{"name": "f32", "bytes": 9951728, "median_ms": 1.8, "recognition": {"accepted_right": 0.97} or null}, …]}
* `vad-roc.png`: `vad-roc.json` in RESULTS, written by `vad.py`: {"auc": 0.96, "points": [{"false": 0.1, "true": 0.9}, …]}
"""

import argparse
import json
from pathlib import Path

import matplotlib
import numpy as np
from errors import read

matplotlib.use("Agg")
from matplotlib import pyplot

HERE = Path(__file__).resolve().parent
# Told apart by people who do not see all colours (M. Okabe and K. Ito, 2008).
BLUE, ORANGE, GREEN, PINK, GREY = "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#777777"
COLOURS = (BLUE, ORANGE, GREEN, PINK, "#e69f00", "#56b4e9")
NOISES = {"road": BLUE, "babble": ORANGE, "cabin": GREEN}
LEVELS = (20, 10, 6)
STYLE = {
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#e4e4e4",
    "legend.frameon": False,
    "lines.linewidth": 1.8,
    "savefig.dpi": 120,
}


class Missing(Exception):
    """A file that a plot needs is not there."""


def load(path):
    """A result file; what `run.py` wrapped is unwrapped."""
    if not path.exists():
        raise Missing(f"{path.name} is not there")
    found = json.loads(path.read_text(encoding="utf-8"))
    return found.get("result", found) if isinstance(found, dict) else {"rows": found}


def outcomes(work, *names):
    """Each recording's outcome of some evaluations."""
    paths = [work / f"each/{name}.jsonl" for name in names]
    missing = [path.name for path in paths if not path.exists()]
    if missing:
        raise Missing(f"each/{missing[0]} is not there")
    return [row for path in paths for row in read(path)]


def noise(work, results, figure):
    """Accuracy against the signal-to-noise ratio."""
    data, clean = load(results / "closed-set-noise.json"), load(results / "closed-set.json")["accepted_right"]
    axes = figure.subplots()
    at = range(len(LEVELS) + 1)
    for name, colour in NOISES.items():
        shares = [clean, *(data[name][str(level)]["accepted_right"] for level in LEVELS)]
        axes.plot(at, [100 * share for share in shares], "o-", color=colour, label=f"{name} ({data[name]['mean']:.1%})")
    axes.axhline(90, color=GREY, linestyle=":", linewidth=1)
    axes.annotate(
        "mark for the mean, 90 %", (at[-1], 90), (0, 4), textcoords="offset points", ha="right", color=GREY, fontsize=8
    )
    axes.set_xticks(at, ["clean", *(f"{level} dB" for level in LEVELS)])
    axes.set_xlabel("speech over noise, over the speech-active part")
    axes.set_ylabel("accepted and right, %")
    axes.set_ylim(top=100.5)
    axes.set_title(f"Sentences out of 4,266 in noise (mean of the nine {data['mean']:.1%})", fontsize=11)
    axes.legend(loc="lower left")


def judged(rows):
    """Confidence and rightness of each decision that had a reading, refused for its confidence or not at all."""
    pairs = []
    for row in rows:
        for one in row["decisions"]:
            if one["confidence"] is not None and one["refused"] in (None, "low_confidence"):
                right = one["text"] == row["text"] or (one["refused"] is None and row["right"])
                pairs.append((one["confidence"], right))
    return np.array(pairs, float).reshape(-1, 2)


def bins(pairs, count=10):
    """For each tenth of the confidence that occurs: mean confidence, share of right ones, how many."""
    index = np.minimum((pairs[:, 0] * count).astype(int), count - 1)
    for number in range(count):
        inside = pairs[index == number]
        if len(inside):
            yield inside[:, 0].mean(), inside[:, 1].mean(), len(inside)


def reliability(work, results, figure):
    """Of the readings at a confidence, how many are right."""
    noisy = [f"closed-set-{name}-{level}db" for name in NOISES for level in LEVELS]
    sets = {
        "closed set, clean": ("closed-set",),
        "closed set in noise": noisy,
        "car commands": ("car-clean", "car-10db"),
    }
    top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    top.plot((0, 1), (0, 1), color=GREY, linestyle=":", linewidth=1)
    drawn = 0
    for (name, files), colour in zip(sets.items(), COLOURS, strict=False):
        try:
            pairs = judged(outcomes(work, *files))
        except Missing:
            continue
        table = np.array(list(bins(pairs)))
        error = (abs(table[:, 0] - table[:, 1]) * table[:, 2]).sum() / table[:, 2].sum()
        top.plot(
            table[:, 0], table[:, 1], "o-", color=colour, markersize=4, label=f"{name} (off by {error:.1%} on average)"
        )
        bottom.bar(
            np.arange(0.05, 1, 0.1) + (drawn - 1) * 0.028, np.histogram(pairs[:, 0], 10, (0, 1))[0], 0.026, color=colour
        )
        drawn += 1
    if not drawn:
        raise Missing("no outcomes in each/")
    top.set_ylabel("share that is right")
    top.legend(loc="lower right", fontsize=8)
    top.set_title("What a confidence is worth", fontsize=11)
    bottom.set_yscale("log")
    bottom.set_ylabel("readings")
    bottom.set_xlabel("confidence")


def accepted(row, threshold):
    """The decisions of a recording that this threshold accepts."""
    decisions = [one for one in row["decisions"] if one["confidence"] is not None]
    return [one for one in decisions if one["refused"] in (None, "low_confidence") and one["confidence"] >= threshold]


def is_right(row, decisions):
    """Whether these decisions are the one right answer. Of refused readings only the words are known."""
    if len(decisions) != 1:
        return False
    return decisions[0]["text"] == row["text"] or (decisions[0]["refused"] is None and row["right"])


def trade(rows, thresholds):
    """For each threshold the shares of recordings that are accepted and right, and accepted and wrong."""
    chosen = [[accepted(row, threshold) for row in rows] for threshold in thresholds]
    right = [sum(is_right(row, one) for row, one in zip(rows, found, strict=True)) / len(rows) for found in chosen]
    some = [sum(bool(one) for one in found) / len(rows) for found in chosen]
    return np.array(right), np.array(some) - np.array(right)


def rejection(work, results, figure):
    """What a higher threshold costs and saves. Pieces refused as part of other talk stay refused at any threshold."""
    thresholds = np.unique(np.concatenate([np.linspace(0, 1, 101), [0.2, 0.96], 1 - np.logspace(-4, -2, 9)]))
    left, right = figure.subplots(1, 2)
    noisy = [f"closed-set-{name}-{level}db" for name in NOISES for level in LEVELS]
    for name, files, colour in (("clean", ("closed-set",), BLUE), ("in noise", noisy, ORANGE)):
        try:
            good, bad = trade(outcomes(work, *files), thresholds)
        except Missing:
            continue
        left.plot(100 * bad, 100 * good, color=colour, label=name)
        mark(left, 100 * bad, 100 * good, thresholds, 0.2, colour)
    left.set(xlabel="accepted and wrong, %", ylabel="accepted and right, %")
    left.set_title("sentences, addressed (dot: 0.2)", fontsize=10)
    left.legend(loc="lower right")
    good, _ = trade(outcomes(work, "car-open-mic"), thresholds)
    talk = outcomes(work, "not-commands")
    hours = sum(row["seconds"] for row in talk) / 3600
    alarms = np.array([sum(len(accepted(row, threshold)) for row in talk) / hours for threshold in thresholds])
    right.plot(alarms, 100 * good, color=GREEN)
    mark(right, alarms, 100 * good, thresholds, 0.96, GREEN)
    right.axvline(0.5, color=GREY, linestyle=":", linewidth=1)
    right.set_xscale("symlog", linthresh=0.5)
    right.set_xticks([0, 0.5, 10, 100], ["0", "0.5", "10", "100"])
    right.minorticks_off()
    right.set_xlim(-0.05, max(1.0, alarms.max()))
    right.set(xlabel="false intents an hour", ylabel="commands accepted and right, %")
    right.set_title("open microphone (dot: 0.96)", fontsize=10)


def mark(axes, x, y, thresholds, threshold, colour):
    """A dot where the built-in threshold lies."""
    at = int(abs(thresholds - threshold).argmin())
    axes.plot(x[at], y[at], "o", color=colour)


def wake_det(work, results, figure):
    """Missed wake phrases against false alarms an hour."""
    data = load(results / "wake-det.json")
    phrases = data.get("phrases", data)
    axes = figure.subplots()
    for (name, curve), colour in zip(sorted(phrases.items()), COLOURS * 4, strict=False):
        if isinstance(curve, dict) and "points" in curve:
            points = sorted(curve["points"], key=lambda point: (point["false_alarms_per_hour"], -point["missed"]))
            alarms = [max(point["false_alarms_per_hour"], 0.01) for point in points]
            axes.step(alarms, [100 * point["missed"] for point in points], where="post", color=colour, label=name)
    axes.plot(0.1, 8, "x", color=GREY)
    axes.annotate("mark", (0.1, 8), (5, 3), textcoords="offset points", color=GREY, fontsize=8)
    axes.set_xscale("log")
    axes.set(xlabel="false alarms an hour (none at the left edge)", ylabel="missed, %")
    axes.set_ylim(bottom=0)
    axes.set_title("Wake phrases from text alone", fontsize=11)
    axes.legend()


def vad_roc(work, results, figure):
    """Speech frames found against other frames taken for speech."""
    data = load(results / "vad-roc.json")
    axes = figure.subplots()
    points = sorted((point["false"], point["true"]) for point in data["points"])
    axes.plot((0, 1), (0, 1), color=GREY, linestyle=":", linewidth=1)
    axes.plot(*zip(*points, strict=True), color=BLUE)
    axes.set(xlabel="other frames taken for speech", ylabel="speech frames found", xlim=(0, 1), ylim=(0, 1.01))
    axes.set_aspect("equal")
    axes.set_title(f"Voice activity in noise, area {data['auc']:.3f}", fontsize=11)


def compression(_work, results, figure):
    """File, step and recognition of each network side by side; the divergence where nothing was recognised."""
    path = results / "compression.json"
    rows = load(path).get("rows", [])
    if not rows:
        raise Missing(f"{path.name} has no rows")
    if all(row["recognition"] for row in rows):
        rated = ("sentences accepted and right, %", [100 * row["recognition"]["accepted_right"] for row in rows])
    else:
        rated = ("divergence from f32, nats a frame", [row["divergence"] for row in rows])
    places = range(len(rows))
    left, middle, right = figure.subplots(1, 3, sharey=True)
    for axes, colour, title, values in (
        (left, BLUE, "file, MB", [row["bytes"] / 1e6 for row in rows]),
        (middle, ORANGE, "median step, ms", [row["median_ms"] for row in rows]),
    ):
        bars = axes.barh(places, values, color=colour, height=0.6)
        axes.bar_label(bars, fmt="%.2f", padding=3, fontsize=8)
        axes.set_xlabel(title)
        axes.margins(x=0.2)
        axes.set_axisbelow(True)
    title, values = rated
    right.plot(values, places, "o", color=GREEN)
    right.margins(x=0.15)
    right.set_xlabel(title)
    left.set_yticks(places, [row["name"] for row in rows])
    left.invert_yaxis()


PLOTS = {
    "compression": (compression, (10.0, 4.4)),
    "noise": (noise, (6.4, 4.0)),
    "reliability": (reliability, (6.4, 5.2)),
    "rejection": (rejection, (8.0, 4.0)),
    "wake-det": (wake_det, (6.4, 4.0)),
    "vad-roc": (vad_roc, (4.8, 4.8)),
}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path)
    parser.add_argument("--results", type=Path, default=HERE)
    parser.add_argument("--out", type=Path, default=HERE / "plots")
    args = parser.parse_args()

    args.out.mkdir(parents=True, exist_ok=True)
    pyplot.rcParams.update(STYLE)
    for name, (draw, size) in PLOTS.items():
        figure = pyplot.figure(figsize=size, layout="constrained")
        try:
            draw(args.work, args.results, figure)
        except Missing as missing:
            print(f"{name}.png left out: {missing}")
        else:
            # Without the drawing library's version the same data give the same bytes.
            figure.savefig(args.out / f"{name}.png", metadata={"Software": None})
            print(args.out / f"{name}.png")
        pyplot.close(figure)


if __name__ == "__main__":
    main()
