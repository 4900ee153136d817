"""Log-mel filterbank, the same numbers as `speech/src/frontend` computes in the car.

Frame t covers samples [160 t, 160 t + 400); periodic Hann window, 512-point power spectrum, HTK mel triangles
without area normalisation, natural logarithm of (energy + FLOOR). Samples are floats in [-1, 1].
"""

from __future__ import annotations

import numpy as np
import torch

SAMPLE_RATE = 16_000
WINDOW = 400
HOP = 160
FFT = 512
MELS = 80
LOW_HZ = 20.0
HIGH_HZ = 7600.0
FLOOR = 1e-7


def mel(hz: np.ndarray | float) -> np.ndarray:
    """Hertz to mel, HTK's formula."""
    return 2595.0 * np.log10(1.0 + np.asarray(hz, dtype=np.float64) / 700.0)


def hertz(mels: np.ndarray) -> np.ndarray:
    """Mel to hertz."""
    return 700.0 * (10.0 ** (mels / 2595.0) - 1.0)


def filterbank(warp: float = 1.0) -> np.ndarray:
    """Triangles [FFT / 2 + 1, MELS]; `warp` scales the frequency axis (vocal-tract length perturbation)."""
    points = np.linspace(mel(LOW_HZ), mel(HIGH_HZ), MELS + 2)
    bins = np.arange(FFT // 2 + 1) * SAMPLE_RATE / FFT
    positions = mel(_warped(bins, warp))[:, None]
    left, centre, right = points[:-2], points[1:-1], points[2:]
    rising = (positions - left) / (centre - left)
    falling = (right - positions) / (right - centre)
    return np.maximum(0.0, np.minimum(rising, falling)).astype(np.float32)


def _warped(bins: np.ndarray, warp: float) -> np.ndarray:
    """Piecewise-linear warp that leaves the Nyquist frequency where it is (as Kaldi's VTLN does)."""
    if warp == 1.0:
        return bins
    nyquist = SAMPLE_RATE / 2
    knee = 0.8 * nyquist / max(warp, 1.0)
    above = knee * warp + (bins - knee) * (nyquist - knee * warp) / (nyquist - knee)
    return np.where(bins <= knee, bins * warp, above)


class LogMel(torch.nn.Module):
    """Samples [batch, length] to log-mel [batch, frames, MELS], with a filterbank chosen for each row."""

    def __init__(self, warps: tuple[float, ...] = (1.0,)) -> None:
        super().__init__()
        window = 0.5 - 0.5 * np.cos(2.0 * np.pi * np.arange(WINDOW) / WINDOW)
        self.register_buffer("window", torch.tensor(window, dtype=torch.float32))
        self.register_buffer("banks", torch.tensor(np.stack([filterbank(w) for w in warps])))

    def forward(self, samples: torch.Tensor, bank: torch.Tensor | None = None) -> torch.Tensor:
        frames = samples.unfold(1, WINDOW, HOP) * self.window
        power = torch.fft.rfft(frames, FFT).abs().square()
        energy = power @ self.banks[0] if bank is None else torch.bmm(power, self.banks[bank])
        return torch.log(energy + FLOOR)
