"""Step 1, prepare: decodes the recordings and looks up pronunciations.

Writes into the output folder `audio.i16` (all samples, 16 kHz mono, one after the other) and `index.jsonl`
(one line an utterance: id, corpus, split, speaker, words, start, length, pronunciations).
Corpora that are for evaluation only never enter.
"""

from __future__ import annotations

import argparse
import json
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np

from training import g2p
from training.bundle import BUNDLE
from training.corpus import EVALUATION_ONLY, Utterance, decode, read_manifest, read_tar
from training.units import Lexicon, read_phones


def load_lexicon(bundle: Path) -> tuple[list[str], Lexicon]:
    """Phone table and lexicon of a bundle; its own grapheme-to-phoneme model speaks for other words."""
    phones = read_phones(bundle / "phones.txt")
    model = g2p.Model.load(bundle / "g2p.bin")
    return phones, Lexicon(bundle / "lexicon.txt", phones, lambda word: [model.pronounce(word)])


def _pcm(data: bytes) -> np.ndarray:
    return (np.clip(decode(data), -1.0, 1.0) * 32767.0).astype(np.int16)


def _tars(root: Path, rows: list[Utterance]) -> list[Path]:
    return [root / f"{corpus}-{split}.tar" for corpus, split in sorted({(r.corpus, r.split) for r in rows})]


def prepare(roots: list[Path], out: Path, splits: set[str], lexicon: Lexicon) -> tuple[int, float]:
    """Packs the wanted splits of each root; returns the number of utterances and of hours."""
    out.mkdir(parents=True, exist_ok=True)
    position = count = 0
    with (out / "audio.i16").open("wb") as audio, (out / "index.jsonl").open("w", encoding="utf-8") as index:
        for root in roots:
            rows = [r for r in read_manifest(root) if r.split in splits and r.corpus not in EVALUATION_ONLY]
            by_id = {(r.corpus, r.split, r.id): r for r in rows}
            for tar in _tars(root, rows):
                corpus, split = tar.stem.rsplit("-", 1)
                wanted = [(by_id[corpus, split, i], data) for i, data in read_tar(tar) if (corpus, split, i) in by_id]
                with ProcessPoolExecutor() as pool:
                    for (row, _), pcm in zip(wanted, pool.map(_pcm, [d for _, d in wanted], chunksize=16), strict=True):
                        audio.write(pcm.tobytes())
                        index.write(json.dumps(_entry(row, position, len(pcm), lexicon)) + "\n")
                        position += len(pcm)
                        count += 1
    return count, position / 16_000 / 3600


def _entry(row: Utterance, start: int, length: int, lexicon: Lexicon) -> dict:
    return {
        "id": row.id,
        "corpus": row.corpus,
        "split": row.split,
        "speaker": row.speaker,
        "words": row.words,
        "start": start,
        "length": length,
        "pronunciations": [lexicon.pronunciations(word) for word in row.words],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--speech", type=Path, nargs="+", default=[Path("../shared/speech")], help="folders with a manifest.tsv"
    )
    parser.add_argument("--out", type=Path, default=Path("data/pack"))
    parser.add_argument("--splits", nargs="+", default=["train", "dev"])
    parser.add_argument("--bundle", type=Path, default=BUNDLE)
    args = parser.parse_args()
    _, lexicon = load_lexicon(args.bundle)
    count, hours = prepare(args.speech, args.out, set(args.splits), lexicon)
    print(f"{count} utterances, {hours:.2f} hours in {args.out}")


if __name__ == "__main__":
    main()
