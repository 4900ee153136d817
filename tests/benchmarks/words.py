#!/usr/bin/env python3
"""Measures open-vocabulary word error with a word n-gram, and keeps it.

    python3 tests/benchmarks/words.py SPEECH WORK NGRAM [--out tests/benchmarks/words.json]

SPEECH: the speech collection. WORK: a scratch folder; `manifests.py` lays out the recordings in WORK/eval when they are
missing. NGRAM: `large.ngram` of `training.ngram`. The n-gram's scale and the word bonus are chosen on the development
split of Common Voice; then each test split is heard once, by the example `dictation`.
"""

import argparse
import subprocess
from pathlib import Path

from run import HERE, ROOT, keep, script

SETS = ("librispeech-test", "commonvoice-test")


def rates(lines):
    """Word error of each set, 0 to 1, out of the example's table."""
    found = {}
    for line in lines:
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        name = cells[0].removeprefix("open-")
        if name in SETS:
            found[name] = round(float(cells[3].removesuffix("%")) / 100, 4)
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("speech", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("ngram", type=Path)
    parser.add_argument("--bundle", type=Path, default=ROOT / "models/speech-en")
    parser.add_argument("--out", type=Path, default=HERE / "words.json")
    args = parser.parse_args()

    base = args.work.resolve() / "eval"
    if not (base / "open-commonvoice-dev.tsv").exists():
        script("manifests.py", args.speech, base)
    tests = [str(base / f"open-{name}.tsv") for name in SETS]
    example = ["cargo", "run", "-q", "--release", "-p", "vocar-speech", "--example", "dictation", "--"]
    chosen = ["--tune", str(base / "open-commonvoice-dev.tsv")]
    command = [*example, str(args.bundle.resolve()), str(args.ngram.resolve()), *chosen, *tests]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    print(done.stdout)
    keep(args.out.resolve(), "python3 tests/benchmarks/words.py SPEECH WORK NGRAM", rates(done.stdout.splitlines()))


if __name__ == "__main__":
    main()
