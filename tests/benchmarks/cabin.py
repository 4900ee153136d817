"""A car's cabin as a box: impulse responses by the image method, seats, microphones and loudspeakers.

Source of the method: J. B. Allen and D. A. Berkley, Image method for efficiently simulating small-room acoustics,
J. Acoust. Soc. Am. 65(4), 1979; here with fractional delays, so that arrival times between microphones are right.
Lengths in metres; x runs from the rear window to the windscreen, y from the driver's door to the other side, z up.
"""

import numpy as np

RATE = 16_000
SPEED_OF_SOUND = 343.0
BOX = np.array([2.5, 1.45, 1.15])

# Heads of the people, one microphone in the roof before each of them, loudspeakers in the doors and the dashboard.
SEATS = {
    "driver": (1.45, 0.38, 0.90),
    "passenger": (1.45, 1.07, 0.90),
    "rear_left": (0.55, 0.38, 0.88),
    "rear_right": (0.55, 1.07, 0.88),
}
MICROPHONES = {
    "driver": (1.80, 0.45, 1.10),
    "passenger": (1.80, 1.00, 1.10),
    "rear_left": (0.90, 0.45, 1.10),
    "rear_right": (0.90, 1.00, 1.10),
}
LOUDSPEAKERS = {
    "front_left": (1.95, 0.06, 0.35),
    "front_right": (1.95, 1.39, 0.35),
    "rear_left": (0.75, 0.06, 0.40),
    "rear_right": (0.75, 1.39, 0.40),
    "centre": (2.25, 0.72, 0.75),
}

_HALF = 20  # Half width of the fractional-delay kernel, samples.


def _images(position, box, radius):
    """Mirror images of a source within `radius` of the box: positions (n, 3) and numbers of reflections (n,)."""
    axes = []
    for place, length in zip(position, box, strict=True):
        count = int(np.ceil(radius / (2 * length))) + 1
        order = np.arange(-count, count + 1)
        even = np.stack([2 * order * length + place, np.abs(2 * order)], 1)
        odd = np.stack([2 * order * length - place, np.abs(2 * order - 1)], 1)
        axes.append(np.concatenate([even, odd]))
    x, y, z = np.meshgrid(*(np.arange(len(axis)) for axis in axes), indexing="ij")
    chosen = [axis[index.ravel()] for axis, index in zip(axes, (x, y, z), strict=True)]
    return np.stack([axis[:, 0] for axis in chosen], 1), sum(axis[:, 1] for axis in chosen)


def impulse_response(source, microphone, absorption=0.55, seconds=0.1, rate=RATE):
    """Samples of the path from `source` to `microphone`; amplitude 1 is that of the free field at one metre.

    `absorption` is the share of energy that a wall swallows: 0.55 makes about 90 ms of reverberation in this box.
    """
    length = int(seconds * rate)
    places, reflections = _images(source, BOX, seconds * SPEED_OF_SOUND)
    distance = np.linalg.norm(places - np.asarray(microphone), axis=1)
    near = distance * rate / SPEED_OF_SOUND < length
    distance, reflections = distance[near], reflections[near]
    gain = (1 - absorption) ** (reflections / 2) / np.maximum(distance, 0.05)
    delay = distance * rate / SPEED_OF_SOUND
    first = np.floor(delay).astype(int)
    taps = np.arange(-_HALF, _HALF + 1)
    offset = taps - (delay - first)[:, None]
    kernel = np.sinc(offset) * (0.5 + 0.5 * np.cos(np.pi * np.clip(offset / (_HALF + 1), -1, 1)))
    response = np.zeros(length + 2 * _HALF + 1)
    np.add.at(response, (first[:, None] + taps + _HALF).ravel(), (gain[:, None] * kernel).ravel())
    return response[_HALF : _HALF + length]


def jittered(position, rng, spread=0.05):
    """A position moved by up to `spread` metres along each axis, still inside the box; `rng` is numpy's."""
    return np.clip(np.asarray(position) + rng.uniform(-spread, spread, 3), 0.03, BOX - 0.03)


def convolve(samples, response):
    """The samples as heard at the end of a path; as long as the samples plus the response."""
    length = len(samples) + len(response) - 1
    size = 1 << (length - 1).bit_length()
    return np.fft.irfft(np.fft.rfft(samples, size) * np.fft.rfft(response, size))[:length]
