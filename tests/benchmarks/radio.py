#!/usr/bin/env python3
"""Mixes sentences of the closed set with a radio that talks on, for `vocar eval`.

    python3 tests/benchmarks/radio.py SPEECH EVAL OUT [--set closed-set|closed-set-dev] [--count 60] [--seed 2026]

The radio is one other speaker of the same split whose recordings follow each other with their pauses cut out. It begins one
second before the sentence, is 10 dB weaker than it (as `noisy.py` measures that) and goes on for 25 seconds after it. OUT
receives the recordings and a manifest such as `closed-set-radio.tsv`; evaluate with `--tail 0`. What counts is
`longest_utterance_s`: it must not exceed `listen.longest_s`.
"""

import argparse
import zlib
from pathlib import Path

import noises
import noisy
import numpy as np
import soundfile

SNR = 10
LEAD, TAIL = noises.RATE, 25 * noises.RATE


def radio(path, speakers, length, rng):
    """One other speaker without a pause, and unit power."""
    recordings = speakers.others(path, rng, length)[0]
    voiced = np.concatenate([part[noises.active(part)] / np.sqrt(noises.speech_power(part)) for part in recordings])
    return noises.unit(np.resize(voiced, length))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("speech", type=Path)
    parser.add_argument("eval", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--set", choices=("closed-set", "closed-set-dev"), default="closed-set")
    parser.add_argument("--count", type=int, default=60)
    parser.add_argument("--seed", type=int, default=2026)
    args = parser.parse_args()

    rows, speakers = noisy.rows_and_speakers(args.speech, args.eval, args.set)
    drawn = np.random.default_rng(args.seed).permutation(len(rows))[: args.count]
    folder = args.out.resolve() / f"{args.set}-radio"
    folder.mkdir(parents=True, exist_ok=True)
    lines = ["path\ttext"]
    for path, text in (rows[index] for index in sorted(drawn)):
        rng = np.random.default_rng([args.seed, zlib.crc32(f"radio/{Path(path).stem}".encode())])
        speech = noisy.read(path)
        length = LEAD + len(speech) + TAIL
        mixed = noises.mix(speech, radio(path, speakers, length, rng), SNR, LEAD, TAIL)
        target = folder / f"{Path(path).parent.name}--{Path(path).stem}.wav"
        soundfile.write(target, mixed * min(1.0, 0.99 / abs(mixed).max()), noises.RATE, subtype="PCM_16")
        lines.append(f"{target}\t{text}")
    manifest = args.out.resolve() / f"{args.set}-radio.tsv"
    manifest.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(f"{manifest.name}: {len(lines) - 1} recordings")


if __name__ == "__main__":
    main()
