#!/usr/bin/env python3
"""Measures how everyday sentences that no template holds are understood, and how often requests of another world are taken
for commands of the car.

    python3 tests/benchmarks/everyday.py SAMPLES PACKS [--out FILE]

SAMPLES: the folder that `training.nlu.car_domain` filled (train.tsv, dev.tsv), to tell which sentences are near to something
that was learnt. PACKS: the text packs, of which `clinc-oos-eval-test` has the requests that are out of scope. Writes
`nlu-everyday.json`; `vocar` is taken from target/release.
"""

import argparse
import json
import os
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

import run

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
RUN = 4
"""Words in a row that make a sentence near to another."""


def read(table: Path) -> tuple[dict, list[dict]]:
    """Sums, and what came of each sentence of a table."""
    vocar = [ROOT / "target" / "release" / "vocar", "eval", table, "--nlu", "--entities", "demo", "--each", "--json"]
    done = subprocess.run(vocar, capture_output=True, text=True, check=True)
    return json.loads(done.stdout), [json.loads(line) for line in done.stderr.splitlines() if line.startswith("{")]


def runs(sentence: str) -> set[tuple[str, ...]]:
    words = sentence.split()
    return {tuple(words[at : at + RUN]) for at in range(len(words) - RUN + 1)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("samples", type=Path)
    parser.add_argument("packs", type=Path)
    parser.add_argument("--out", type=Path, default=HERE / "nlu-everyday.json")
    args = parser.parse_args()

    tables = [(args.samples / f"{split}.tsv").read_text(encoding="utf-8") for split in ("train", "dev")]
    learnt = {line.split("\t")[0] for table in tables for line in table.splitlines()[1:]}
    near = set().union(*map(runs, learnt))
    sums, each = read(HERE / "car-everyday.tsv")
    far = [row for row in each if row["text"] not in learnt and not runs(row["text"]) & near]
    named = sum(row["got"] is not None and row["got"]["name"] == row["intent"] for row in far)
    whole = sum(row["right"] for row in far)
    apart = {"texts": len(far), "intent": round(named / len(far), 4), "intent_and_slots": round(whole / len(far), 4)}

    pack = (args.packs / "clinc-oos-eval-test.jsonl").read_text(encoding="utf-8").splitlines()
    others = [row["text"] for row in map(json.loads, pack) if row["intent"] == "oos"]
    with tempfile.NamedTemporaryFile("w", suffix=".tsv", encoding="utf-8") as table:
        table.write("text\tintent\tslots\n" + "".join(f"{text}\t\t\n" for text in others))
        table.flush()
        outside, _ = read(Path(table.name))

    found = {
        "command": shlex.join(["python3", "tests/benchmarks/everyday.py", *sys.argv[1:]]),
        "machine": run.processor(),
        "cores": os.cpu_count(),
        "result": sums,
        "learnt_word_for_word": sum(row["text"] in learnt for row in each),
        "no_four_words_in_a_row_learnt": apart,
        "out_of_scope": {"texts": outside["others"], "taken": outside["others_taken"]},
    }
    args.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
