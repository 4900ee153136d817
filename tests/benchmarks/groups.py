#!/usr/bin/env python3
"""Tells an evaluation apart by groups of speakers and names the worst group.

    vocar eval MANIFEST … --each 2> EACH.jsonl
    python3 tests/benchmarks/groups.py SPEECH EACH.jsonl [--json FILE]

SPEECH is the speech collection, whose manifest says who speaks in which recording. What is known of a speaker is in
`speakers.tsv`: sex and age of the speechocean762 speakers as that corpus publishes them (`spk2gender`, `spk2age`; J. Zhang
et al., 2021, CC BY 4.0), sex of the LibriSpeech readers from its `SPEAKERS.TXT` (both adults, as all its readers).

* native: LibriSpeech. Not native: speechocean762, whose speakers' first language is Mandarin.
* child: up to 15 years, as speechocean762 divides them.
* Of the VoxForge and Common Voice speakers in this collection neither accent, age nor sex is known: they count in no such
  group. Instead they are divided by a **measured proxy**, the median pitch of all their recordings here: at least 165 Hz
  "high", else "low". It is no statement about sex or age. How often the proxy agrees with the known adults is printed.

Shares are given with their 95 % interval (Wilson), which takes recordings for independent: they are not, with few speakers.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import soundfile
from errors import origin, read
from noises import RATE, active

HERE = Path(__file__).resolve().parent
CHILD = 15
HIGH = 165.0


def table(path):
    """A table with a header as dictionaries."""
    lines = path.read_text(encoding="utf-8").splitlines()
    columns = lines[0].split("\t")
    return [dict(zip(columns, line.split("\t"), strict=False)) for line in lines[1:]]


def pitch(samples, low=75, high=400):
    """Fundamental frequencies in Hz of the voiced 40 ms frames, one each 20 ms, by autocorrelation."""
    size, step = int(0.04 * RATE), int(0.02 * RATE)
    mask = active(samples)
    starts = [at for at in range(0, len(samples) - size, step) if mask[at : at + size].all()]
    if not starts:
        return np.array([])
    frames = np.stack([samples[at : at + size] for at in starts])
    frames = (frames - frames.mean(1, keepdims=True)) * np.hanning(size)
    window = np.fft.irfft(abs(np.fft.rfft(np.hanning(size), 2 * size)) ** 2)[:size]
    correlation = np.fft.irfft(abs(np.fft.rfft(frames, 2 * size, axis=1)) ** 2, axis=1)[:, :size] / window
    correlation /= correlation[:, :1] + 1e-12
    lags = np.arange(RATE // high, RATE // low)
    best = correlation[:, lags]
    # The shortest lag that is nearly as good as the best one: no subharmonic.
    first = (best > best.max(1, keepdims=True) - 0.06).argmax(1)
    return RATE / lags[first][best.max(1) > 0.5]


def interval(right, asked):
    """Wilson's 95 % interval of a share."""
    share, z = right / asked, 1.96
    middle = share + z * z / (2 * asked)
    half = z * np.sqrt(share * (1 - share) / asked + z * z / (4 * asked * asked))
    return [round(float((middle + sign * half) / (1 + z * z / asked)), 4) for sign in (-1, 1)]


def known(corpus, speaker):
    """Names of the groups a speaker belongs to: by the corpus, and by the row of `speakers.tsv` if there is one."""
    language = {"librispeech": "native", "speechocean762": "not native"}.get(corpus)
    if not language or not speaker:
        return [language] if language else []
    age = "child" if speaker["age"] and int(speaker["age"]) <= CHILD else "adult"
    sex = {"f": "female", "m": "male"}[speaker["sex"]]
    return [language, age, sex, f"{language}, {age}", f"{language}, {age}, {sex}"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("speech", type=Path)
    parser.add_argument("each", type=Path)
    parser.add_argument("--json", type=Path, help="where to keep the result, too")
    args = parser.parse_args()

    said = {row["id"]: row for row in table(args.speech / "manifest.tsv")}
    who = {row["speaker"]: row for row in table(HERE / "speakers.tsv")}
    rows = [(said[origin(row)[1]], row) for row in read(args.each)]
    heights = {}
    for about, row in rows:
        heights.setdefault(about["speaker"], []).append(pitch(soundfile.read(row["path"])[0]))
    heights = {speaker: float(np.median(np.concatenate(found))) for speaker, found in heights.items()}

    groups = {}
    for about, row in rows:
        speaker = about["speaker"]
        names = [("corpus", about["corpus"])]
        names += [("known", name) for name in known(about["corpus"], who.get(speaker))]
        if len(names) == 1:
            names.append(("proxy", "high voice" if heights[speaker] >= HIGH else "low voice"))
        for name in names:
            groups.setdefault(name, []).append((row["right"], speaker))

    result = {"groups": []}
    for (kind, name), found in sorted(groups.items()):
        right, asked = sum(right for right, _ in found), len(found)
        result["groups"].append(
            {
                "kind": kind,
                "name": name,
                "speakers": len({speaker for _, speaker in found}),
                "asked": asked,
                "accepted_right": round(right / asked, 4),
                "interval": interval(right, asked),
            }
        )
    # The groups of the mark: finer ones are shown for the reader.
    marked = [group for group in result["groups"] if group["kind"] == "known" and "," not in group["name"]]
    result["worst"] = min(marked, key=lambda group: group["accepted_right"]) if marked else None
    adults = [name for name in heights if name in who and "adult" in known(who[name]["corpus"], who[name])]
    agree = [(heights[name] >= HIGH) == (who[name]["sex"] == "f") for name in adults]
    result["proxy_agrees"] = f"{sum(agree)} of {len(agree)} adults of known sex"

    print("| kind | group | speakers | recordings | accepted and right | 95 % interval |")
    print("|---|---|---|---|---|---|")
    for group in result["groups"]:
        low, high = group["interval"]
        print(
            f"| {group['kind']} | {group['name']} | {group['speakers']} | {group['asked']} "
            f"| **{group['accepted_right']:.1%}** | {low:.1%} to {high:.1%} |"
        )
    if result["worst"]:
        print(f"worst known group: {result['worst']['name']}, {result['worst']['accepted_right']:.1%}")
    print(f"pitch of at least {HIGH:.0f} Hz means female: {result['proxy_agrees']}")
    if args.json:
        args.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
