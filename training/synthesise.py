"""Speaks sentences with the synthetic voices of Debian's flite, festival and espeak-ng packages.

Writes a corpus in the form of the recorded ones: `manifest.tsv` and one tar of Ogg Opus files. Some voices are
kept for testing alone (`--voices test`), so that no figure is measured on a voice the model has heard.
"""

from __future__ import annotations

import argparse
import io
import random
import subprocess
import tarfile
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import soundfile

from training.corpus import SAMPLE_RATE, decode
from training.text import words

_ACCENTS = ("en-us", "en-us", "en-us", "en-us-nyc", "en-gb", "en-gb-x-rp", "en-gb-scotland", "en-029")
_VARIANTS = (
    "",
    "+m1",
    "+m2",
    "+m3",
    "+m4",
    "+m7",
    "+f1",
    "+f2",
    "+f3",
    "+f4",
    "+f5",
    "+klatt2",
    "+Andrea",
    "+Annie",
    "+steph",
)
TRAIN_VOICES = tuple(
    [("flite", name) for name in ("kal16", "awb", "slt")] * 12
    + [("festival", name) for name in ("kal_diphone", "cmu_us_slt_arctic_hts")] * 3
    + [("espeak", accent + variant) for accent in _ACCENTS for variant in _VARIANTS]
)
TEST_VOICES = (("flite", "rms"), ("festival", "ked_diphone"))


def speak(engine: str, voice: str, text: str, rng: random.Random, folder: Path) -> np.ndarray:
    """One sentence as 16 kHz mono float32; pace and pitch vary a little."""
    out = folder / f"{rng.getrandbits(64):016x}.wav"
    pace = rng.uniform(0.85, 1.2)
    if engine == "flite":
        command = ["flite", "-voice", voice, "--setf", f"duration_stretch={pace:.2f}", "-t", text, "-o", str(out)]
        subprocess.run(command, check=True, capture_output=True)
    elif engine == "espeak":
        command = [
            "espeak-ng",
            "-v",
            voice,
            "-s",
            str(int(165 / pace)),
            "-p",
            str(rng.randint(25, 75)),
            "-w",
            str(out),
            text,
        ]
        subprocess.run(command, check=True, capture_output=True)
    else:
        steps = (
            f"(voice_{voice})",
            f"(Parameter.set 'Duration_Stretch {pace:.2f})",
            f'(utt.save.wave (utt.synth (Utterance Text "{text}")) "{out}" \'riff)',
        )
        script = "\n".join(steps) + "\n"
        subprocess.run(["festival", "--pipe"], input=script.encode(), check=True, capture_output=True)
    samples = decode(out.read_bytes())
    out.unlink()
    return samples


def level(samples: np.ndarray, rng: random.Random) -> np.ndarray:
    """Trims nothing, sets the peak to a drawn level and adds drawn lengths of near-silence around."""
    peak = max(1e-4, float(np.abs(samples).max()))
    lead, tail = (int(rng.uniform(0.2, 0.6) * SAMPLE_RATE) for _ in range(2))
    padded = np.pad(samples * rng.uniform(0.15, 0.8) / peak, (lead, tail))
    noise = np.random.default_rng(rng.getrandbits(32)).standard_normal(len(padded)).astype(np.float32)
    return padded.astype(np.float32) + noise * 10 ** rng.uniform(-4.5, -3.0)


def _one(number: int, text: str, voices: tuple, seed: int, folder: Path) -> tuple[str, str, np.ndarray, bytes]:
    rng = random.Random(seed * 1_000_003 + number)
    engine, voice = rng.choice(voices)
    samples = level(speak(engine, voice, text, rng, folder), rng)
    encoded = io.BytesIO()
    soundfile.write(encoded, np.clip(samples, -1, 1), SAMPLE_RATE, format="OGG", subtype="OPUS")
    return f"{number:06d}", f"{engine}-{voice}", samples, encoded.getvalue()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "sentences", type=Path, help="a text file, one sentence a line; columns after a tab are left alone"
    )
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--voices", choices=("train", "test"), default="train")
    parser.add_argument("--corpus", default="synthetic", help="the corpus' name in the manifest")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=2)
    args = parser.parse_args()

    lines = args.sentences.read_text(encoding="utf-8").splitlines()
    texts = [" ".join(words(line.split("\t")[0])) for line in lines]
    voices = TRAIN_VOICES if args.voices == "train" else TEST_VOICES
    args.out.mkdir(parents=True, exist_ok=True)
    rows = ["id\tcorpus\tsplit\tspeaker\tseconds\tlicence\ttext"]
    with (
        tempfile.TemporaryDirectory() as folder,
        tarfile.open(args.out / f"{args.corpus}-{args.voices}.tar", "w") as tar,
        ThreadPoolExecutor(args.jobs) as pool,
    ):
        spoken = pool.map(lambda pair: _one(pair[0], pair[1], voices, args.seed, Path(folder)), enumerate(texts))
        for (name, voice, samples, data), text in zip(spoken, texts, strict=True):
            member = tarfile.TarInfo(f"{name}.opus")
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
            rows.append(
                "\t".join((name, args.corpus, args.voices, voice, f"{len(samples) / SAMPLE_RATE:.2f}", "CC0", text))
            )
    (args.out / "manifest.tsv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    print(f"{len(texts)} sentences in {args.out}")


if __name__ == "__main__":
    main()
