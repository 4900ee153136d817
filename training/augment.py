"""Augmentation of whole batches: gain, echo of a small room, noise, vocal-tract warp, colour, masks."""

from __future__ import annotations

import torch

WARPS = tuple(round(0.84 + 0.04 * i, 2) for i in range(9))


class Augment:
    """Draws everything anew for each row of each batch, on the batch's own device."""

    def __init__(self, device: torch.device, seed: int) -> None:
        self.device = device
        self.rng = torch.Generator(device=device).manual_seed(seed)

    def _uniform(self, rows: int, low: float, high: float) -> torch.Tensor:
        return torch.rand(rows, 1, generator=self.rng, device=self.device) * (high - low) + low

    def _chosen(self, rows: int, share: float) -> torch.Tensor:
        return torch.rand(rows, 1, generator=self.rng, device=self.device) < share

    def waveform(self, speech: torch.Tensor) -> torch.Tensor:
        """Echo, noise and gain on [rows, samples]."""
        rows = len(speech)
        echoed = self._echo(speech)
        speech = torch.where(self._chosen(rows, 0.3), echoed, speech)
        noise = self._noise(speech)
        level = speech.square().mean(1, keepdim=True).clamp_min(1e-10)
        power = noise.square().mean(1, keepdim=True).clamp_min(1e-10)
        wanted = level * 10 ** (-self._uniform(rows, 3.0, 30.0) / 10)
        noisy = speech + noise * (wanted / power).sqrt()
        speech = torch.where(self._chosen(rows, 0.5), noisy, speech)
        gain = 10 ** (self._uniform(rows, -18.0, 10.0) / 20)
        return (speech * gain).clamp(-1, 1)

    def _echo(self, speech: torch.Tensor) -> torch.Tensor:
        """Exponentially decaying noise as the impulse response, reverberation time 50 to 400 ms."""
        rows, length = speech.shape
        taps = 6400
        time = torch.arange(taps, device=self.device) / 16_000
        decay = torch.exp(-6.9 * time / self._uniform(rows, 0.05, 0.4))
        response = torch.randn(rows, taps, generator=self.rng, device=self.device) * decay
        response = response / response.square().sum(1, keepdim=True).sqrt() * self._uniform(rows, 0.2, 0.9)
        response[:, 0] = 1.0
        size = 1 << (length + taps - 1).bit_length()
        spectrum = torch.fft.rfft(speech, size) * torch.fft.rfft(response, size)
        return torch.fft.irfft(spectrum, size)[:, :length]

    def _noise(self, speech: torch.Tensor) -> torch.Tensor:
        """A third babble of the batch's other rows, the rest coloured noise (road, fan, hiss)."""
        babble = sum(speech.roll(shift, 0).roll(int(shift * 7919), 1) for shift in (1, 2, 3, 5))
        return torch.where(self._chosen(len(speech), 1 / 3), babble, self._coloured(speech.shape))

    def _coloured(self, shape: torch.Size) -> torch.Tensor:
        """White noise with a spectrum of 1 / f^a, a from 0 to 2.5: the steep end sounds like a road."""
        size = 1 << (shape[1] - 1).bit_length()
        white = torch.randn(shape[0], size, generator=self.rng, device=self.device)
        frequency = torch.arange(size // 2 + 1, device=self.device) * 16_000 / size
        slope = self._uniform(shape[0], 0.0, 2.5)
        shaped = torch.fft.rfft(white) * (frequency.clamp_min(60.0) / 60.0) ** (-slope / 2)
        return torch.fft.irfft(shaped, size)[:, : shape[1]]

    def banks(self, rows: int) -> torch.Tensor:
        """An index into WARPS for each row; half of the rows stay unwarped."""
        drawn = torch.randint(0, len(WARPS), (rows,), generator=self.rng, device=self.device)
        plain = torch.full_like(drawn, WARPS.index(1.0))
        return torch.where(self._chosen(rows, 0.5).squeeze(1), drawn, plain)

    def features(self, features: torch.Tensor) -> torch.Tensor:
        """Colour of a microphone, and SpecAugment masks (D. Park et al., 2019), on normalised [rows, frames, mels]."""
        rows, frames, mels = features.shape
        axis = torch.linspace(-1, 1, mels, device=self.device)[None, :]
        tilt = self._uniform(rows, -0.4, 0.4) * axis + self._uniform(rows, -0.3, 0.3) * torch.cos(
            torch.pi * axis * self._uniform(rows, 0.5, 2.0) + self._uniform(rows, 0.0, 6.3)
        )
        keep = (
            self._mask(rows, mels, 2, 10)[:, None, :] & self._mask(rows, frames, max(2, frames // 250), 18)[:, :, None]
        )
        return (features + tilt[:, None, :]) * keep

    def _mask(self, rows: int, size: int, count: int, widest: int) -> torch.Tensor:
        """True where the value stays; `count` gaps of up to `widest` in each row."""
        index = torch.arange(size, device=self.device)[None, :]
        keep = torch.ones(rows, size, dtype=torch.bool, device=self.device)
        for _ in range(count):
            width = self._uniform(rows, 0, widest)
            start = torch.rand(rows, 1, generator=self.rng, device=self.device) * (size - width).clamp_min(1)
            keep &= (index < start) | (index >= start + width)
        return keep
