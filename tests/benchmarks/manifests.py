#!/usr/bin/env python3
"""Lays out the evaluation sets of the speech collection for `vocar eval`; needs nothing but Python.

    tests/benchmarks/manifests.py SPEECH OUT

SPEECH holds `manifest.tsv` and one tar a corpus and split. OUT receives the recordings and

* `closed-set.tsv`: every test utterance of 2 to 7 words; `closed-set-dev.tsv`: the same of the development splits;
* `sentences.txt`: every distinct sentence of 2 to 7 words of the whole collection, the closed set itself;
* `not-commands.tsv`: read speech at an open microphone, none of it a command;
* `not-commands-dev.tsv`: the same of the development splits;
* `open-librispeech-test.tsv`, `open-commonvoice-test.tsv` and `-dev.tsv`: whole splits, for open-vocabulary word error.
"""

import re
import sys
import tarfile
from pathlib import Path

TEST = {("librispeech", "test"), ("speechocean762", "test"), ("commonvoice", "test"), ("voxforge", "eval")}
DEV = {("speechocean762", "dev"), ("commonvoice", "dev")}
READ = {("librispeech", "test"), ("voxforge", "eval")}
OPEN = [("librispeech", "test"), ("commonvoice", "test"), ("commonvoice", "dev")]


def words(text):
    """The words of a transcript as the recogniser spells them."""
    found = re.findall(r"[a-z']+", text.lower().replace("’", "'").replace("-", " "))
    return [word.strip("'") for word in found if word.strip("'")]


def extract(speech, out, splits):
    """Unpacks the recordings of some splits; returns where each lies."""
    paths = {}
    for corpus, split in sorted(splits):
        folder = out / f"{corpus}-{split}"
        folder.mkdir(parents=True, exist_ok=True)
        with tarfile.open(speech / f"{corpus}-{split}.tar") as tar:
            for member in tar:
                if member.isfile():
                    name = Path(member.name).name
                    (folder / name).write_bytes(tar.extractfile(member).read())
                    paths[corpus, split, Path(name).stem] = folder / name
    return paths


def main():
    speech, out = Path(sys.argv[1]), Path(sys.argv[2]).resolve()
    out.mkdir(parents=True, exist_ok=True)
    rows = [line.split("\t") for line in (speech / "manifest.tsv").read_text(encoding="utf-8").splitlines()[1:]]
    rows = [(row[1], row[2], row[0], words(row[6] if len(row) > 6 else "")) for row in rows]
    paths = extract(speech, out, TEST | DEV)
    short = [row for row in rows if 2 <= len(row[3]) <= 7]
    sentences = sorted({" ".join(row[3]) for row in short})
    (out / "sentences.txt").write_text("\n".join(sentences) + "\n", encoding="utf-8")

    def write(name, chosen, texts):
        lines = [f"{paths[row[:3]]}\t{' '.join(row[3]) if texts else ''}" for row in chosen]
        (out / name).write_text("\n".join(["path\ttext", *lines]) + "\n", encoding="utf-8")
        print(f"{name}: {len(lines)} recordings")

    write("closed-set.tsv", [row for row in short if row[:2] in TEST], True)
    write("closed-set-dev.tsv", [row for row in short if row[:2] in DEV], True)
    write("not-commands.tsv", [row for row in rows if row[:2] in READ], False)
    write("not-commands-dev.tsv", [row for row in rows if row[:2] in DEV], False)
    for corpus, split in OPEN:
        write(f"open-{corpus}-{split}.tsv", [row for row in rows if row[:2] == (corpus, split)], True)
    print(f"sentences.txt: {len(sentences)} sentences")


if __name__ == "__main__":
    main()
