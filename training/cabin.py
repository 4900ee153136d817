"""Impulse responses of a car's cabin by the image method (J. Allen, D. Berkley, JASA 1979), for augmentation."""

from __future__ import annotations

import numpy as np

SPEED_OF_SOUND = 343.0
#: Length of a response, 100 ms: a cabin's echoes have died by then.
TAPS = 1600


def response(rng: np.random.Generator, rate: int = 16_000) -> np.ndarray:
    """From a drawn mouth to a drawn microphone in a drawn cabin, [TAPS], direct sound first and of height 1."""
    size = rng.uniform((1.8, 1.3, 1.05), (3.2, 1.7, 1.4))
    mouth = rng.uniform((0.25, 0.15, 0.55), (0.75, 0.85, 0.8)) * size
    microphone = rng.uniform((0.05, 0.1, 0.6), (0.5, 0.9, 0.98)) * size
    reflection = rng.uniform(0.35, 0.85, size=(3, 2))
    delays, heights = _images(size, mouth, microphone, reflection)
    taps = np.zeros(TAPS)
    nearest = delays.min()
    index = np.round((delays - nearest) * rate).astype(np.int64)
    inside = index < TAPS
    np.add.at(taps, index[inside], heights[inside])
    return (taps / heights[delays.argmin()]).astype(np.float32)


def _images(size: np.ndarray, mouth: np.ndarray, microphone: np.ndarray, reflection: np.ndarray) -> tuple:
    """Delay in seconds and height of every mirror image, by axis; `reflection` [3, 2]: of walls at 0 and at `size`."""
    order = np.arange(-12, 13)
    distances, strengths = [], []
    for axis in range(3):
        near, far = reflection[axis]
        even = 2 * order * size[axis] + mouth[axis] - microphone[axis]
        odd = 2 * order * size[axis] - mouth[axis] - microphone[axis]
        distances.append(np.concatenate([even, odd]))
        strengths.append(
            np.concatenate(
                [near ** np.abs(order) * far ** np.abs(order), near ** np.abs(order - 1) * far ** np.abs(order)]
            )
        )
    squared = sum(np.meshgrid(*(d**2 for d in distances), indexing="ij"))
    strength = np.prod(np.meshgrid(*strengths, indexing="ij"), axis=0)
    distance = np.sqrt(squared).clip(0.05).ravel()
    return distance / SPEED_OF_SOUND, strength.ravel() / distance
