"""Where the words of a recording are: its transcript aligned by the float network of the bundle."""

import sys
from pathlib import Path

import numpy as np
from manifests import words

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from training import evaluate
from training.evaluate import ALIGNED
from training.prepare import load_lexicon
from training.spans import part
from training.units import SIL


class Aligner:
    """Aligns clean recordings with their transcripts."""

    def __init__(self, bundle):
        self.network = evaluate.of_bundle(bundle, "am-f32.onnx")
        _, self.lexicon = load_lexicon(bundle)

    def path(self, samples, text):
        """Units as (unit, first frame, frames), or None where no path fits."""
        return evaluate.align(samples.astype(np.float32), self.spoken(text), self.network)

    def spoken(self, text):
        """Pronunciations of each word."""
        return [self.lexicon.pronunciations(word) for word in words(text)]

    def speech(self, samples, text):
        """A Boolean for every 480 samples, or None where no path fits."""
        path = self.path(samples, text)
        return None if path is None else evaluate.speech(path, len(samples))

    def words(self, samples, text):
        """Words as (word, first sample, end), and the longest silence as (first sample, end); None where no path fits or
        there is no silence."""
        path = self.path(samples, text)
        if path is None:
            return None
        silences = [(begin, length) for unit, begin, length in path if unit == SIL]
        said = [segment for segment in path if segment[0] != SIL]
        parted = part([unit for unit, _, _ in said], self.spoken(text))
        if parted is None or not silences:
            return None
        begin, length = max(silences, key=lambda silence: silence[1])
        found = [
            (word, said[first][1] * ALIGNED, (said[end - 1][1] + said[end - 1][2]) * ALIGNED)
            for word, (first, end) in zip(words(text), parted, strict=True)
        ]
        return found, (begin * ALIGNED, (begin + length) * ALIGNED)
