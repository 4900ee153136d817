#!/usr/bin/env python3
"""Measures wake phrases from text alone: missed against false alarms an hour, the whole DET curve.

    python3 tests/benchmarks/wake.py SPEECH WORK [eval|dev] [--out tests/benchmarks/wake-det.json]

Needs the Python packages of `training/requirements.txt`; lays out what is missing in WORK (about 700 MB).

eval: the phrases athena, amelia and computer on the recordings of `wakewords-eval`. Negatives: every test recording of
LibriSpeech, Common Voice, speechocean762 and VoxForge; every second one of them again at 10 dB in the noise of road or
cabin, taking turns; the recorded noises by themselves; ten minutes each of road and cabin noise without speech; the
recordings of the other wake words and those of none. A recording whose transcript holds the phrase, also as the beginning of a
word ("computers"), is no negative for it, though "computed" and "computing" are. Each recording is heard by itself, as the
example `wake` hears it: through voice activity, network and spotter. One alarm a second at most; a positive is missed
when its best score stays below the threshold.

dev: chooses thresholds. 300 words of five to nine phones, by a seeded draw, in the transcripts of Common Voice and speechocean762
(dev) are taken for phrases; recordings are those of the dev splits, in which they are said in running speech, and every third of
their words cut out, said alone (`cut_words.py`). Negatives of a phrase are the recordings without the word or one that differs
from it in one phone. Prints the threshold by the number of phones at 0.1 false alarm an hour, the line through them, which is
what `WakeConfig` holds, and the share missed of both kinds; nothing of `wakewords-eval` is touched.
"""

import argparse
import collections
import json
import random
import subprocess
import sys
import tarfile
import zlib
from pathlib import Path

import cut_words
import noises
import noisy
import numpy as np
import soundfile
from manifests import TEST, words

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(ROOT))

PHRASES = ("athena", "amelia", "computer")
RATE_WANTED = 0.1
FLOOR = -40.0
#: No threshold is as low; what stays below need not be weighed against other words.
FLOOR_DEV = -50.0
#: Phrases of the development recordings, and one in how many of their words is said alone.
DRAWN, EVERY = 300, 3


def unpack(speech, folder, name):
    """The recordings of a tar of the collection."""
    folder.mkdir(parents=True, exist_ok=True)
    with tarfile.open(speech / f"{name}.tar") as tar:
        for member in tar:
            target = folder / Path(member.name).name
            if member.isfile() and not target.exists():
                target.write_bytes(tar.extractfile(member).read())
    return folder


def in_noise(path, number, recorded, folder):
    """The recording at 10 dB, half a second of noise before and one second after it."""
    target = folder / f"{path.stem}.flac"
    if not target.exists():
        samples = noisy.read(path)
        rng = np.random.default_rng([2026, zlib.crc32(path.stem.encode())])
        length = noisy.LEAD + len(samples) + noisy.TAIL
        noise = noisy.cabin_noise(recorded, length, rng) if number % 2 else noises.road(length, rng)
        mixed = noises.mix(samples, noise, 10, noisy.LEAD, noisy.TAIL)
        soundfile.write(target, mixed * min(1.0, 0.99 / abs(mixed).max()), noises.RATE, subtype="PCM_16")
    return target


def silence(recorded, folder):
    """Noise alone: ten minutes each of road and cabin, in pieces of one minute."""
    for number in range(20):
        target = folder / f"only-{number:02d}.flac"
        if not target.exists():
            rng = np.random.default_rng([2026, number])
            length = 60 * noises.RATE
            made = noisy.cabin_noise(recorded, length, rng) if number % 2 else noises.road(length, rng)
            soundfile.write(target, 0.03 * made, noises.RATE, subtype="PCM_16")
        yield target


def material(speech, work):
    """Rows (path, words of the transcript); those of wake words have the phrase as their only word."""
    base = work / "eval"
    if not (base / "not-commands-dev.tsv").exists():
        subprocess.run([sys.executable, HERE / "manifests.py", speech, base], check=True)
    lines = [line.split("\t") for line in (speech / "manifest.tsv").read_text(encoding="utf-8").splitlines()[1:]]
    recorded = noisy.recorded_noises(speech)
    noise_folder, own = work / "wake-noise", unpack(speech, work / "wake-words", "wakewords-eval")
    noise_folder.mkdir(parents=True, exist_ok=True)
    number = 0
    for row in lines:
        if (row[1], row[2]) in TEST:
            path, text = base / f"{row[1]}-{row[2]}" / f"{row[0]}.opus", words(row[6])
            yield path, text
            number += 1
            if number % 2:
                yield in_noise(path, number // 2, recorded, noise_folder), text
        elif row[1] == "wakewords":
            yield own / f"{row[0]}.opus", words(row[6] if len(row) > 6 else "")
    for path in sorted(unpack(speech, work / "noise", "noise").glob("*.opus")):
        yield path, []
    for path in silence(recorded, noise_folder):
        yield path, []


def development(speech, work):
    """The same of the dev splits: whole recordings, and words said alone."""
    base = work / "eval"
    if not (base / "not-commands-dev.tsv").exists():
        subprocess.run([sys.executable, HERE / "manifests.py", speech, base], check=True)
    running = []
    for line in (speech / "manifest.tsv").read_text(encoding="utf-8").splitlines()[1:]:
        row = line.split("\t")
        if row[2] == "dev":
            running.append((base / f"{row[1]}-dev" / f"{row[0]}.opus", words(row[6])))
    alone = [(Path(path), [word]) for path, word in cut_words.lay_out(speech, work)[::EVERY]]
    return running, alone


def alarms(phrases, rows, work, bundle, floor=FLOOR):
    """For each phrase the scores of each recording, those of at least `floor`."""
    (work / "wake-phrases.txt").write_text("\n".join(phrases) + "\n", encoding="utf-8")
    listed = "\n".join(["path", *(str(path) for path, _ in rows)])
    (work / "wake-manifest.tsv").write_text(listed + "\n", encoding="utf-8")
    build = ["cargo", "build", "-q", "--release", "-p", "vocar-speech", "--example", "wake"]
    subprocess.run(build, check=True, cwd=ROOT)
    command = [ROOT / "target/release/examples/wake", bundle, work / "wake-phrases.txt", work / "wake-manifest.tsv"]
    found = collections.defaultdict(lambda: collections.defaultdict(list))
    with subprocess.Popen([*command, str(floor)], stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout:
            path, phrase, end, score = line.rstrip("\n").split("\t")
            found[phrase][path].append((float(score), float(end)))
    if process.returncode:
        raise SystemExit(f"the example `wake` ended with {process.returncode}")
    return found


def holds(text, phrase):
    """Whether a transcript holds the phrase, or a word that begins with it."""
    return f" {phrase}" in " " + " ".join(text)


def curve(positives, negatives, hours):
    """Points of the DET curve, threshold rising: at each false alarm's score, and finely where there is none."""
    steps = np.unique(np.concatenate([negatives, np.quantile(positives, np.linspace(0, 1, 101))]))
    points = []
    for threshold in steps[np.unique(np.linspace(0, len(steps) - 1, 400).astype(int))]:
        points.append(
            {
                "threshold": round(float(threshold), 3),
                "false_alarms_per_hour": round(float((negatives > threshold).sum() / hours), 4),
                "missed": round(float((positives <= threshold).mean()), 4),
            }
        )
    return points


def missed_at(positives, negatives, hours, rate):
    """Threshold and share missed at no more than `rate` false alarms an hour; what equals the threshold is no alarm."""
    allowed = int(rate * hours)
    ranked = np.sort(negatives)[::-1]
    threshold = ranked[allowed] if len(ranked) > allowed else FLOOR
    return float(threshold), float((positives <= threshold).mean())


def measure(speech, work, bundle):
    """The curve of each phrase."""
    rows = list(material(speech, work))
    seconds = {path: soundfile.info(path).duration for path, _ in rows}
    found = alarms(PHRASES, rows, work, bundle)
    phrases = {}
    for phrase in PHRASES:
        own = [path for path, text in rows if text == [phrase]]
        others = [path for path, text in rows if not holds(text, phrase)]
        hours = sum(seconds[path] for path in others) / 3600
        positives = np.array([max((s for s, _ in found[phrase][str(path)]), default=FLOOR) for path in own])
        heard = sorted(
            ((s, str(path.name), end) for path in others for s, end in found[phrase][str(path)]), reverse=True
        )
        negatives = np.array([s for s, _, _ in heard])
        threshold, missed = missed_at(positives, negatives, hours, RATE_WANTED)
        phrases[phrase] = {
            "positives": len(own),
            "hours": round(hours, 3),
            "threshold_at_0.1_per_hour": round(threshold, 3),
            "missed_at_0.1_per_hour": round(missed, 4),
            "missed_at_0.5_per_hour": round(missed_at(positives, negatives, hours, 0.5)[1], 4),
            "missed_at_1_per_hour": round(missed_at(positives, negatives, hours, 1.0)[1], 4),
            "worst": [{"recording": name, "end": end, "score": s} for s, name, end in heard[:5]],
            "points": curve(positives, negatives, hours),
        }
    total = sum(p["positives"] for p in phrases.values())
    mean = sum(p["missed_at_0.1_per_hour"] * p["positives"] for p in phrases.values()) / total
    return {
        "command": "python3 tests/benchmarks/wake.py SPEECH WORK eval",
        "missed_at_0.1_per_hour": round(mean, 4),
        "phrases": phrases,
    }


def near(said, reference):
    """Fewest edits between a phone sequence and any part of another."""
    row = np.zeros(len(reference) + 1)
    for number, phone in enumerate(said, 1):
        new = np.full_like(row, number)
        for column, other in enumerate(reference, 1):
            new[column] = min(row[column] + 1, new[column - 1] + 1, row[column - 1] + (phone != other))
        row = new
    return row.min()


def choose(speech, work, bundle):
    """Thresholds by number of phones."""
    from training.prepare import load_lexicon

    _, lexicon = load_lexicon(bundle)
    running, alone = development(speech, work)
    rows, kinds = [*running, *alone], {"in running speech": running, "alone": alone}
    hours = sum(soundfile.info(path).duration for path, _ in rows) / 3600
    ways = {word: lexicon.pronunciations(word) for word in {w for _, text in rows for w in text}}
    length = {word: min(map(len, said)) for word, said in ways.items()}
    fit = sorted(word for word, said in ways.items() if length[word] >= 5 and max(map(len, said)) <= 9)
    phrases = sorted(random.Random(5).sample(fit, min(DRAWN, len(fit))))
    phones = {path: [p for word in text for p in ways[word][0]] for path, text in rows}
    found = alarms(phrases, rows, work, bundle, FLOOR_DEV)

    def best(phrase, path):
        return max((s for s, _ in found[phrase][str(path)]), default=FLOOR_DEV)

    negatives, thresholds = collections.defaultdict(list), {}
    for phrase in phrases:
        for path, text in rows:
            heard = [s for s, _ in found[phrase][str(path)]]
            if heard and not holds(text, phrase) and min(near(said, phones[path]) for said in ways[phrase]) > 1:
                negatives[length[phrase]] += heard
    for count in sorted({length[phrase] for phrase in phrases}):
        own = [phrase for phrase in phrases if length[phrase] == count]
        thresholds[count], _ = missed_at(np.zeros(1), np.array(negatives[count]), hours * len(own), RATE_WANTED)
        said = [best(phrase, path) for phrase in own for path, text in rows if phrase in text]
        missed = np.mean(np.array(said) <= thresholds[count])
        print(
            f"{count} phones: {len(own)} phrases, threshold {thresholds[count]:.2f}, missed {missed:.1%} of {len(said)}"
        )
    for kind, own in kinds.items():
        said = [(best(p, path), thresholds[length[p]]) for p in phrases for path, text in own if p in text]
        print(f"{kind}: missed {np.mean([score <= least for score, least in said]):.1%} of {len(said)}")
    counts = sorted(thresholds)
    weights = [sum(length[phrase] == count for phrase in phrases) ** 0.5 for count in counts]
    slope, offset = np.polyfit(counts, [thresholds[count] for count in counts], 1, w=weights)
    line = f"threshold: {offset:.2f}, threshold_per_phone: {slope:.2f}"
    print(f"{line}  ({hours:.2f} hours for each of {len(phrases)} phrases)")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("speech", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("what", choices=("eval", "dev"), nargs="?", default="eval")
    parser.add_argument("--bundle", type=Path, default=ROOT / "models/speech-en")
    parser.add_argument("--out", type=Path, default=HERE / "wake-det.json")
    args = parser.parse_args()

    work = args.work.resolve()
    if args.what == "dev":
        choose(args.speech, work, args.bundle.resolve())
        return
    result = measure(args.speech, work, args.bundle.resolve())
    args.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    short = {name: {k: v for k, v in p.items() if k != "points"} for name, p in result["phrases"].items()}
    print(json.dumps({"missed_at_0.1_per_hour": result["missed_at_0.1_per_hour"], "phrases": short}, indent=1))


if __name__ == "__main__":
    main()
