"""Interference made from nothing: music, engines, fans, rain, clatter and cries, as one long track to cut from.

Tyres and wind are coloured noise, drawn anew for every batch (`augment`); what has a melody, a rhythm or a turning
part is dearer to make and is made once.
"""

from __future__ import annotations

import numpy as np

RATE = 16_000
_SCALE = np.array([0, 2, 4, 5, 7, 9, 11])


def track(seconds: int, rng: np.random.Generator) -> np.ndarray:
    """Pieces of 10 s of all kinds, float32, each of unit power."""
    kinds = (music, music, engine, fan, rain, clatter, cries)
    pieces = [kinds[i % len(kinds)](10 * RATE, rng) for i in range(max(1, seconds // 10))]
    rng.shuffle(pieces)
    return np.concatenate([piece / max(1e-6, piece.std()) for piece in pieces]).astype(np.float32)


def music(length: int, rng: np.random.Generator) -> np.ndarray:
    """Chords, a bass, a melody and drums in a drawn key and tempo."""
    beat = int(RATE * 60 / rng.uniform(70, 150))
    key = rng.uniform(110, 220)
    sound = np.zeros(length + 2 * RATE)
    brightness = rng.uniform(0.4, 0.9)
    for at in range(0, length, beat):
        root = rng.choice(_SCALE)
        for step in (0, 2, 4):
            _note(sound, at, beat * 2, key * 2 ** (_degree(root, step) / 12), brightness, 0.3, rng)
        _note(sound, at, beat, key / 2 * 2 ** (root / 12), 0.5, 0.6, rng)
        for half in range(rng.integers(1, 4)):
            pitch = key * 4 * 2 ** (rng.choice(_SCALE) / 12)
            _note(sound, at + half * beat // 3, beat // 2, pitch, brightness, 0.4, rng)
        _drum(sound, at, rng.choice([0.02, 0.05, 0.15]), rng)
    return sound[:length]


def _degree(root: int, step: int) -> int:
    place = int(np.searchsorted(_SCALE, root)) + step
    return int(_SCALE[place % 7] + 12 * (place // 7))


def _note(
    sound: np.ndarray, at: int, length: int, pitch: float, brightness: float, level: float, rng: np.random.Generator
) -> None:
    time = np.arange(min(length, len(sound) - at)) / RATE
    envelope = np.minimum(1.0, time / 0.01) * np.exp(-time * rng.uniform(1.0, 6.0))
    harmonics = np.arange(1, min(12, int(7000 / pitch)) + 1)
    strengths = brightness**harmonics * rng.uniform(0.5, 1.0, len(harmonics))
    waves = np.sin(2 * np.pi * pitch * harmonics[:, None] * time + rng.uniform(0, 6.3, (len(harmonics), 1)))
    sound[at : at + len(time)] += level * envelope * (strengths @ waves)


def _drum(sound: np.ndarray, at: int, decay: float, rng: np.random.Generator) -> None:
    time = np.arange(min(RATE // 4, len(sound) - at)) / RATE
    sound[at : at + len(time)] += 0.7 * rng.standard_normal(len(time)) * np.exp(-time / decay)


def engine(length: int, rng: np.random.Generator) -> np.ndarray:
    """Harmonics of a wandering firing frequency over a rumble."""
    wander = np.cumsum(rng.standard_normal(length // 1600 + 2)) * rng.uniform(0.0, 1.5)
    firing = np.clip(
        rng.uniform(30, 140) + np.interp(np.arange(length) / 1600, np.arange(len(wander)), wander), 20, 200
    )
    phase = 2 * np.pi * np.cumsum(firing) / RATE
    falling = rng.uniform(0.7, 1.5)
    tones = sum(
        np.sin(0.5 * k * phase + rng.uniform(0, 6.3)) * rng.uniform(0.3, 1.0) / k**falling for k in range(1, 30)
    )
    return tones + coloured(length, rng.uniform(1.0, 2.5), rng) * rng.uniform(0.3, 1.5)


def fan(length: int, rng: np.random.Generator) -> np.ndarray:
    """Air through vents: broad noise with a bump, and the blades' tone."""
    spectrum = np.fft.rfft(rng.standard_normal(length))
    frequency = np.fft.rfftfreq(length, 1 / RATE)
    centre, spread = rng.uniform(200, 2500), rng.uniform(0.4, 1.2)
    spectrum *= (1 + 4 * np.exp(-(np.log2((frequency + 1) / centre) ** 2) / spread)) / (1 + frequency / 800)
    blades = np.sin(2 * np.pi * rng.uniform(80, 600) * np.arange(length) / RATE)
    air = np.fft.irfft(spectrum, length)
    return air / air.std() + rng.uniform(0.0, 0.5) * blades


def rain(length: int, rng: np.random.Generator) -> np.ndarray:
    """Drops, ticks of an indicator, rattles: short bursts at random or even times over a hiss."""
    sound = coloured(length, rng.uniform(0.0, 1.0), rng) * rng.uniform(0.1, 0.6)
    even = rng.random() < 0.3
    gap = rng.uniform(0.3, 0.8) if even else rng.uniform(0.005, 0.3)
    times = (
        np.arange(gap, length / RATE, gap) if even else np.cumsum(rng.exponential(gap, int(length / RATE / gap) + 1))
    )
    for at in (times * RATE).astype(int):
        if at < length - 400:
            time = np.arange(400) / RATE
            ring = np.sin(2 * np.pi * rng.uniform(300, 5000) * time) + 0.5 * rng.standard_normal(400)
            sound[at : at + 400] += ring * np.exp(-time * rng.uniform(150, 1500)) * rng.uniform(0.5, 3.0)
    return sound


def clatter(length: int, rng: np.random.Generator) -> np.ndarray:
    """Cups, keys, coins in a tray: things struck now and then, each with modes of its own, over a faint hiss."""
    sound = coloured(length, rng.uniform(0.0, 1.5), rng) * rng.uniform(0.0, 0.1)
    things = [
        (rng.uniform(300, 7000, count), rng.uniform(10, 120, count), rng.uniform(0.2, 1.0, count))
        for count in rng.integers(3, 12, size=4)
    ]
    time = np.arange(RATE // 4) / RATE
    at = rng.exponential(0.3)
    while at < length / RATE - 0.25:
        pitches, decays, heights = things[rng.integers(len(things))]
        ring = (heights[:, None] * np.sin(2 * np.pi * pitches[:, None] * time) * np.exp(-decays[:, None] * time)).sum(0)
        strike = rng.standard_normal(len(time)) * np.exp(-time * 400)
        start = int(at * RATE)
        sound[start : start + len(time)] += rng.uniform(0.2, 1.5) * (ring + strike)
        at += rng.exponential(rng.choice([0.05, 0.2, 0.6]))
    return sound


def cries(length: int, rng: np.random.Generator) -> np.ndarray:
    """Children, animals, sirens: harmonics of a gliding pitch under a wandering resonance, with breaks between."""
    sound = coloured(length, rng.uniform(0.5, 2.0), rng) * rng.uniform(0.01, 0.2)
    base, at = rng.uniform(200, 900), rng.exponential(0.3)
    while at < length / RATE - 0.1:
        lasts = rng.uniform(0.15, 1.2)
        start = int(at * RATE)
        time = np.arange(min(int(lasts * RATE), length - start)) / RATE
        bend = rng.uniform(-0.5, 0.5) * np.sin(np.pi * time / lasts + rng.uniform(0, 1.5))
        pitch = base * rng.uniform(0.7, 1.4) * 2**bend * (1 + rng.uniform(0, 0.03) * np.sin(40 * time))
        phase = 2 * np.pi * np.cumsum(pitch) / RATE
        resonance = rng.uniform(600, 3500) * 2 ** (rng.uniform(-0.7, 0.7) * time / lasts)
        voices = sum(
            np.sin(k * phase) * np.exp(-((k * pitch - resonance) ** 2) / (2 * 700.0**2)) + np.sin(k * phase) * 0.3 / k
            for k in range(1, 14)
        )
        sound[start : start + len(time)] += voices * np.sin(np.pi * np.minimum(time / lasts, 1)) ** 0.5
        at += lasts + rng.exponential(0.5)
    return sound


def coloured(length: int, slope: float, rng: np.random.Generator) -> np.ndarray:
    """Noise whose power falls as 1 / f^slope above 60 Hz, of unit power."""
    spectrum = np.fft.rfft(rng.standard_normal(length))
    frequency = np.fft.rfftfreq(length, 1 / RATE)
    sound = np.fft.irfft(spectrum * (np.maximum(frequency, 60) / 60) ** (-slope / 2), length)
    return sound / sound.std()
