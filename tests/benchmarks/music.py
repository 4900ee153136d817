"""Music of our own: seeded songs with drums, bass, chords and a melody, in stereo, for what the car plays.

Nothing here is a recording. A song draws its tempo, key, chords, instruments, stereo places and loudness of its
sections; the instruments are sums of harmonics and filtered noise with envelopes.
"""

import numpy as np

RATE = 16_000
_PROGRESSIONS = ((0, 7, 9, 5), (0, 9, 5, 7), (9, 5, 0, 7), (0, 5, 9, 7), (0, 3, 10, 5), (0, 10, 5, 0))
_SCALE = (0, 2, 4, 7, 9, 12, 14, 16)


def _envelope(length, attack, decay, sustain=0.0):
    """Rises over `attack` seconds, then falls with time constant `decay` to `sustain`."""
    time = np.arange(length) / RATE
    return np.minimum(1, time / attack) * (sustain + (1 - sustain) * np.exp(-time / decay))


def _tone(pitch, seconds, harmonics, attack, decay, sustain, vibrato=0.0):
    """A note: MIDI pitch and the amplitudes of its harmonics."""
    time = np.arange(int(seconds * RATE)) / RATE
    frequency = 440 * 2 ** ((pitch - 69) / 12)
    phase = 2 * np.pi * frequency * (time + vibrato / (2 * np.pi * 5.5) * np.sin(2 * np.pi * 5.5 * time))
    sound = np.zeros(len(time))
    for number, amplitude in enumerate(harmonics, 1):
        if number * frequency < 0.47 * RATE:
            sound += amplitude * np.sin(number * phase)
    release = np.minimum(1, (len(time) - np.arange(len(time))) / (0.02 * RATE))
    return sound * _envelope(len(time), attack, decay, sustain) * release


def _instrument(rng, bright):
    """Harmonics, attack, decay, sustain and vibrato of a drawn instrument; `bright` 0 to 1."""
    slope = 2.2 - 1.4 * bright + rng.uniform(-0.2, 0.2)
    harmonics = np.arange(1, 25) ** -slope * rng.uniform(0.4, 1.0, 24)
    if rng.random() < 0.3:
        harmonics[1::2] *= 0.15
    plucked = rng.random() < 0.5
    return harmonics, 0.005 if plucked else 0.05, rng.uniform(0.25, 0.6) if plucked else 2.0, 0.1 if plucked else 0.7


def _kick(rng):
    time = np.arange(int(0.25 * RATE)) / RATE
    return np.sin(2 * np.pi * (45 * time + 6 * (1 - np.exp(-time / 0.03)))) * np.exp(-time / 0.09)


def _snare(rng):
    time = np.arange(int(0.2 * RATE)) / RATE
    return 0.7 * rng.standard_normal(len(time)) * np.exp(-time / 0.06) + 0.4 * np.sin(2 * np.pi * 190 * time) * np.exp(
        -time / 0.04
    )


def _hat(rng):
    noise = rng.standard_normal(int(0.06 * RATE))
    return np.diff(noise, 2, prepend=0, append=0)[: len(noise)] * _envelope(len(noise), 0.001, 0.015)


def _place(track, sound, at):
    start = int(at * RATE)
    if start < len(track):
        piece = sound[: len(track) - start]
        track[start : start + len(piece)] += piece


def _drums(length, beat, rng):
    """Kick on one and three, snare on two and four, hats in between, with fills left out at random."""
    track = np.zeros(length)
    for step in range(int(length / RATE / beat * 2) + 1):
        at = step * beat / 2 + rng.normal(0, 0.003) + 0.01
        loud = rng.uniform(0.7, 1.0)
        if step % 4 == 0 or rng.random() < 0.08:
            _place(track, 1.0 * loud * _kick(rng), at)
        if step % 4 == 2:
            _place(track, 0.5 * loud * _snare(rng), at)
        if rng.random() < 0.85:
            _place(track, 0.12 * loud * _hat(rng), at)
    return track


def _harmony(length, beat, key, chords, rng):
    """Bass and chords of a progression, a chord a bar: two tracks."""
    bass, pad = np.zeros(length), np.zeros(length)
    low, high = _instrument(rng, 0.3), _instrument(rng, rng.uniform(0.3, 0.9))
    arpeggio = rng.random() < 0.5
    for bar in range(int(length / RATE / (4 * beat)) + 1):
        root = key + chords[bar % len(chords)]
        third = 4 if chords[bar % len(chords)] in (0, 5, 7) else 3
        for quarter in range(4):
            _place(bass, _tone(root - 12, 0.9 * beat, *low), (4 * bar + quarter) * beat)
        for number, step in enumerate((0, third, 7, 12)):
            times = range(number, 8, 4) if arpeggio else (0, 4)
            for eighth in times:
                _place(
                    pad,
                    0.3 * _tone(root + 12 + step, (1 if arpeggio else 2) * beat, *high),
                    4 * bar * beat + eighth * beat / 2,
                )
    return bass, pad


def _melody(length, beat, key, rng):
    """A tune that wanders over the scale; it sings with vibrato."""
    track = np.zeros(length)
    voice = _instrument(rng, rng.uniform(0.5, 1.0))
    step, at = int(rng.integers(len(_SCALE))), 0.0
    while at * RATE < length:
        notes = float(rng.choice([0.5, 0.5, 1, 1, 2])) * beat
        step = int(np.clip(step + rng.integers(-2, 3), 0, len(_SCALE) - 1))
        if rng.random() < 0.85:
            _place(track, _tone(key + 24 + _SCALE[step], notes, *voice, vibrato=0.006), at)
        at += notes
    return track


def song(seconds, rng):
    """Stereo music, shape (2, samples), mean square 1 over both channels; `rng` is numpy's generator."""
    length = int(seconds * RATE)
    beat = 60 / rng.uniform(72, 150)
    key = int(rng.integers(40, 52))
    chords = _PROGRESSIONS[int(rng.integers(len(_PROGRESSIONS)))]
    bass, pad = _harmony(length, beat, key, chords, rng)
    tracks = [
        (_drums(length, beat, rng), rng.uniform(0.5, 1.3), 0.0),
        (bass, rng.uniform(0.4, 0.9), 0.0),
        (pad, rng.uniform(0.6, 1.2), rng.uniform(-0.7, 0.7)),
        (_melody(length, beat, key, rng), rng.uniform(0.5, 1.2), rng.uniform(-0.6, 0.6)),
    ]
    mix = np.zeros((2, length))
    for track, gain, pan in tracks:
        level = gain * track / (track.std() + 1e-9)
        mix += np.sqrt([(1 - pan) / 2, (1 + pan) / 2])[:, None] * level
    # Sections of four beats rise and fall by a few decibels.
    bars = np.arange(length) / RATE / (4 * beat)
    rises = rng.uniform(-3, 3, int(bars[-1]) + 2)
    mix *= 10 ** (np.interp(bars, np.arange(len(rises)), rises) / 20)
    return mix / np.sqrt((mix**2).mean())
