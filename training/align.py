"""Bootstrap phone alignments with PocketSphinx, whose acoustic model comes inside its package.

Only the first pass of training uses them; later passes align with our own model.
Output: one JSON line an utterance, {"id", "phones": [[phone, start, frames], ...]} in 10 ms frames.
"""

from __future__ import annotations

import argparse
import json
import random
import re
from pathlib import Path

import numpy as np
from pocketsphinx import Decoder

from training.corpus import EVALUATION_ONLY, decode, read_manifest, read_tar

_STRESS = re.compile(r"\d")


def align(decoder: Decoder, samples: np.ndarray, text: str) -> list[list] | None:
    """Aligns one utterance; None where PocketSphinx finds no path."""
    pcm = (np.clip(samples, -1, 1) * 32767).astype(np.int16).tobytes()
    decoder.set_align_text(text)
    _process(decoder, pcm)
    if decoder.hyp() is None:
        return None
    decoder.set_alignment()
    _process(decoder, pcm)
    phones = []
    for word in decoder.get_alignment():
        for phone in word:
            name = _STRESS.sub("", phone.name)
            phones.append(["SIL" if name in ("SIL", "+NSN+", "+SPN+") else name, phone.start, phone.duration])
    return phones


def _process(decoder: Decoder, pcm: bytes) -> None:
    decoder.start_utt()
    decoder.process_raw(pcm, full_utt=True)
    decoder.end_utt()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--speech", type=Path, default=Path("../shared/speech"))
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--part", type=int, default=0, help="which of --parts to align")
    parser.add_argument("--parts", type=int, default=1)
    parser.add_argument("--longest", type=float, default=12.0, help="seconds; longer utterances are left out")
    args = parser.parse_args()

    rows = [row for row in read_manifest(args.speech) if row.split == "train" and row.corpus not in EVALUATION_ONLY]
    rows = [row for row in rows if row.seconds <= args.longest]
    audio = {}
    for corpus in sorted({row.corpus for row in rows}):
        audio.update(read_tar(args.speech / f"{corpus}-train.tar"))
    random.Random(1).shuffle(rows)
    decoder = Decoder(samprate=16000, loglevel="FATAL", bestpath=False)
    done = failed = 0
    with args.out.open("w", encoding="utf-8") as out:
        for row in rows[args.part :: args.parts]:
            try:
                phones = align(decoder, decode(audio[row.id]), " ".join(row.words))
            except RuntimeError:
                phones = None
            if phones is None:
                failed += 1
                continue
            done += 1
            out.write(json.dumps({"id": row.id, "phones": phones}) + "\n")
            if done % 50 == 0:
                out.flush()
    print(f"aligned {done}, no path or unknown word {failed}")


if __name__ == "__main__":
    main()
