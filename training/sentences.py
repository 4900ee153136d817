"""Chooses sentences to be spoken by synthetic voices: short requests from the openly licensed text packs, and any
other file of sentences (samples of a domain, for instance). Deterministic; one sentence a line on standard output."""

from __future__ import annotations

import argparse
import json
import random
import re
from pathlib import Path

from training.text import words


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--packs", type=Path, nargs="*", default=[], help="JSON-lines files with a field `text`")
    parser.add_argument(
        "--files", type=Path, nargs="*", default=[], help="sentences, one a line; columns after a tab are left alone"
    )
    parser.add_argument("--count", type=int, default=3000, help="sentences drawn from the packs")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()

    texts = {json.loads(line)["text"] for pack in args.packs for line in pack.open(encoding="utf-8")}
    usable = sorted(text for text in texts if not re.search(r"[\d@_/&]", text) and 2 <= len(words(text)) <= 12)
    chosen = random.Random(args.seed).sample(usable, min(args.count, len(usable)))
    chosen += [line.split("\t")[0] for file in args.files for line in file.read_text(encoding="utf-8").splitlines()]
    for text in chosen:
        print(" ".join(words(text)))


if __name__ == "__main__":
    main()
