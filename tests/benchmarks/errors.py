#!/usr/bin/env python3
"""Shows where an evaluation goes wrong: by corpus, by reason, by pair of sentences.

    vocar eval MANIFEST … --each 2> EACH.jsonl
    python3 tests/benchmarks/errors.py EACH.jsonl … [--list]

One line a file and corpus: how many recordings were right, wrong or got no answer, and why. Then the sentences that were
taken for another one or beaten by it, most frequent first, with the words in which they differ. `--list`: every error, too.
For an evaluation of sentences (`--sentences`); needs nothing but Python.
"""

import argparse
import collections
import difflib
import json
from pathlib import Path


def read(path):
    """The rows that `vocar eval --each` printed."""
    return [json.loads(line) for line in Path(path).read_text(encoding="utf-8").splitlines() if line.startswith("{")]


def origin(row):
    """Corpus with split and name of a recording: from folder and name, or from the name when it was mixed with noise."""
    path = Path(row["path"])
    # VoxForge has names with two hyphens of their own: only the mixed ones, which lie in folders of their set, count.
    if path.parent.name.startswith("closed-set"):
        corpus, _, name = path.stem.partition("--")
        return corpus, name
    return path.parent.name, path.stem


def corpus(row):
    """Corpus and split of a recording."""
    return origin(row)[0]


def verdict(row):
    """`right`, `wrong` (another sentence or more than one was accepted), or why there was no answer."""
    if row["right"]:
        return "right"
    if row["heard"]:
        return "wrong"
    return (row["decisions"][-1]["refused"] or "nothing") if row["decisions"] else "nothing"


def taken_for(row):
    """The best reading, accepted or not."""
    return " / ".join(one["text"] for one in row["decisions"] if one["text"])


def difference(said, heard):
    """What differs between two sentences: `said>heard` for each stretch of words."""
    said, heard = said.split(), heard.split()
    blocks = difflib.SequenceMatcher(None, said, heard, autojunk=False).get_opcodes()
    return [
        f"{' '.join(said[a:b]) or '-'}>{' '.join(heard[c:d]) or '-'}" for tag, a, b, c, d in blocks if tag != "equal"
    ]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("each", nargs="+", type=Path)
    parser.add_argument("--list", action="store_true")
    args = parser.parse_args()

    pairs, swaps = collections.Counter(), collections.Counter()
    for path in args.each:
        rows = read(path)
        print(f"{path.stem}: {sum(row['right'] for row in rows) / len(rows):.1%} of {len(rows)} right")
        for name in sorted({corpus(row) for row in rows}):
            verdicts = collections.Counter(verdict(row) for row in rows if corpus(row) == name)
            print(
                f"    {name:22} {verdicts['right'] / sum(verdicts.values()):6.1%} of {sum(verdicts.values()):3}  {dict(verdicts)}"
            )
        for row in (row for row in rows if not row["right"]):
            heard = taken_for(row)
            kept = [one["text"] for one in row["decisions"]] == [row["text"]]
            if heard and not kept:
                pairs[row["text"], heard] += 1
                if " / " not in heard:
                    swaps.update(difference(row["text"], heard))
            if args.list:
                sure = [f"{one['confidence']:.2f}" for one in row["decisions"] if one["confidence"] is not None]
                what = "the same" if kept else f'"{heard}"'
                print(f'      {corpus(row)} {origin(row)[1]} {verdict(row)}: "{row["text"]}" → {what} {" ".join(sure)}')
    print("sentences taken for others, or beaten by them")
    for (said, heard), count in pairs.most_common(30):
        print(f'{count:4}  "{said}" → "{heard}"')
    print("words in which they differ")
    print(", ".join(f"{swap} {count}" for swap, count in swaps.most_common(40)))


if __name__ == "__main__":
    main()
