"""Augmentation of whole batches: cabin, microphone and codec, noise, gain, vocal-tract warp, colour, masks."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np
import torch

from training import cabin, noise

WARPS = tuple(round(0.84 + 0.04 * i, 2) for i in range(9))
_RATE = 16_000


@dataclass(frozen=True)
class Strength:
    """How much is done: shares are of the rows of a batch, levels in decibels."""

    room: float = 0.4
    band: float = 0.3
    noisy: float = 0.65
    #: Of the rows with made interference, those that hear coloured noise as well.
    both: float = 0.0
    warped: float = 0.67
    quietest: float = 30.0
    loudest: float = 0.0
    gain: tuple[float, float] = (-24.0, 10.0)
    mel_masks: int = 2
    widest_mels: int = 18
    widest_frames: int = 20
    #: One time mask for so many feature frames of 10 ms.
    frames_a_mask: int = 150
    #: Seconds of made interference and number of cabins to draw from.
    track: int = 600
    cabins: int = 60


def strength(changes: list[str]) -> Strength:
    """The usual strength with some figures changed, such as "noisy=0.75"."""
    kinds = {field.name: type(getattr(Strength(), field.name)) for field in fields(Strength)}
    values = {}
    for name, _, value in (change.partition("=") for change in changes):
        if kinds.get(name) not in (int, float):
            raise ValueError(
                f"--strength {name}: not one of {', '.join(n for n, k in kinds.items() if k is not tuple)}"
            )
        values[name] = kinds[name](value)
    return replace(Strength(), **values)


class Augment:
    """Draws everything anew for each row of each batch, on the batch's own device."""

    def __init__(self, device: torch.device, seed: int, strength: Strength | None = None) -> None:
        self.device = device
        self.strength = strength or Strength()
        self.rng = torch.Generator(device=device).manual_seed(seed)
        drawn = np.random.default_rng(seed)
        responses = np.stack([cabin.response(drawn) for _ in range(self.strength.cabins)])
        self.cabins = torch.from_numpy(responses).to(device)
        self.track = torch.from_numpy(noise.track(self.strength.track, drawn)).to(device)

    def _uniform(self, rows: int, low: float, high: float) -> torch.Tensor:
        return torch.rand(rows, 1, generator=self.rng, device=self.device) * (high - low) + low

    def _chosen(self, rows: int, share: float) -> torch.Tensor:
        return torch.rand(rows, 1, generator=self.rng, device=self.device) < share

    def waveform(self, speech: torch.Tensor) -> torch.Tensor:
        """Room, band, noise, clipping and gain on [rows, samples]."""
        s = self.strength
        rows = len(speech)
        speech = self._transmitted(speech)
        level = speech.square().mean(1, keepdim=True).clamp_min(1e-10)
        sound = self._noise(speech)
        power = sound.square().mean(1, keepdim=True).clamp_min(1e-10)
        wanted = level * 10 ** (-self._uniform(rows, s.loudest, s.quietest) / 10)
        noisy = speech + sound * (wanted / power).sqrt()
        speech = torch.where(self._chosen(rows, s.noisy), noisy, speech)
        gain = 10 ** (self._uniform(rows, *s.gain) / 20)
        return (speech * gain).clamp(-1, 1)

    def _transmitted(self, speech: torch.Tensor) -> torch.Tensor:
        """What a room and a limited band leave: one filter a row, applied in the frequency domain."""
        rows, length = speech.shape
        small = self.cabins[torch.randint(0, len(self.cabins), (rows,), generator=self.rng, device=self.device)]
        size = 1 << (length + 6400 - 1).bit_length()
        echo = torch.where(
            self._chosen(rows, 0.5), torch.nn.functional.pad(small, (0, 6400 - cabin.TAPS)), self._hall(rows)
        )
        direct = torch.zeros_like(echo)
        direct[:, 0] = 1.0
        response = torch.fft.rfft(torch.where(self._chosen(rows, self.strength.room), echo, direct), size)
        response = response * torch.where(self._chosen(rows, self.strength.band), self._band(rows, size), 1.0)
        return torch.fft.irfft(torch.fft.rfft(speech, size) * response, size)[:, :length]

    def _hall(self, rows: int) -> torch.Tensor:
        """Exponentially decaying noise, reverberation time 50 to 400 ms, [rows, 6400]."""
        time = torch.arange(6400, device=self.device) / _RATE
        decay = torch.exp(-6.9 * time / self._uniform(rows, 0.05, 0.4))
        response = torch.randn(rows, 6400, generator=self.rng, device=self.device) * decay
        response = response / response.square().sum(1, keepdim=True).sqrt() * self._uniform(rows, 0.2, 0.9)
        response[:, 0] = 1.0
        return response

    def _band(self, rows: int, size: int) -> torch.Tensor:
        """Gains [rows, size / 2 + 1] of a drawn high pass and low pass: telephones, cheap microphones, codecs."""
        frequency = torch.arange(size // 2 + 1, device=self.device) * _RATE / size
        low = 10 ** self._uniform(rows, 1.3, 2.6)
        high = self._uniform(rows, 3000.0, 8000.0)
        return 1 / (1 + (low / frequency.clamp_min(1.0)) ** 4).sqrt() / (1 + (frequency / high) ** 16).sqrt()

    def _noise(self, speech: torch.Tensor) -> torch.Tensor:
        """Of the rows, near 30 % other talkers, 30 % music, engine, fan or rain, 40 % coloured noise in gusts."""
        rows, length = speech.shape
        draw = torch.rand(rows, 1, generator=self.rng, device=self.device)
        cut, coloured = self._cut(rows, length), self._coloured(speech.shape)
        beside = self._chosen(rows, self.strength.both) * self._uniform(rows, 0.2, 1.5)
        loudness = coloured.square().mean(1, keepdim=True).clamp_min(1e-10).sqrt()
        made = torch.where(draw < 0.6, cut + beside * coloured / loudness, coloured)
        return torch.where(draw < 0.3, self._babble(speech), made)

    def _babble(self, speech: torch.Tensor) -> torch.Tensor:
        """Two to six of the batch's other rows, each at its own loudness."""
        rows = len(speech)
        sound = torch.zeros_like(speech)
        for number, shift in enumerate((1, 2, 3, 5, 7, 11)):
            heard = self._uniform(rows, 0.3, 1.0) * (self._chosen(rows, 0.5) if number > 1 else 1.0)
            sound = sound + heard * speech.roll(shift, 0).roll(shift * 7919, 1)
        return sound

    def _cut(self, rows: int, length: int) -> torch.Tensor:
        """Cuts of the made track."""
        last = max(1, len(self.track) - length)
        start = torch.randint(0, last, (rows, 1), generator=self.rng, device=self.device)
        return self.track[(start + torch.arange(length, device=self.device)) % len(self.track)]

    def _coloured(self, shape: torch.Size) -> torch.Tensor:
        """Noise with a power spectrum of 1 / f^a, a from 0 to 2.5, with a broad bump, swelling and fading."""
        rows, length = shape
        size = 1 << (length - 1).bit_length()
        white = torch.randn(rows, size, generator=self.rng, device=self.device)
        frequency = (torch.arange(size // 2 + 1, device=self.device) * _RATE / size).clamp_min(60.0)
        tilt = (frequency / 60.0) ** (-self._uniform(rows, 0.0, 2.5) / 2)
        centre = self._uniform(rows, 6.5, 12.0)
        bump = 1 + self._uniform(rows, 0.0, 3.0) * torch.exp(-((frequency.log2() - centre) ** 2) / 0.5)
        sound = torch.fft.irfft(torch.fft.rfft(white) * (tilt * bump), size)[:, :length]
        time = torch.arange(length, device=self.device) / _RATE
        pace, phase = self._uniform(rows, 0.3, 3.0), self._uniform(rows, 0.0, 6.3)
        return sound * (1 + self._uniform(rows, 0.0, 0.8) * torch.sin(6.283 * pace * time + phase))

    def banks(self, rows: int) -> torch.Tensor:
        """An index into WARPS for each row; some rows stay unwarped."""
        drawn = torch.randint(0, len(WARPS), (rows,), generator=self.rng, device=self.device)
        plain = torch.full_like(drawn, WARPS.index(1.0))
        return torch.where(self._chosen(rows, self.strength.warped).squeeze(1), drawn, plain)

    def features(self, features: torch.Tensor) -> torch.Tensor:
        """Colour of a microphone, and SpecAugment masks (D. Park et al., 2019), on normalised [rows, frames, mels]."""
        s = self.strength
        rows, frames, mels = features.shape
        axis = torch.linspace(-1, 1, mels, device=self.device)[None, :]
        tilt = self._uniform(rows, -0.4, 0.4) * axis + self._uniform(rows, -0.3, 0.3) * torch.cos(
            torch.pi * axis * self._uniform(rows, 0.5, 2.0) + self._uniform(rows, 0.0, 6.3)
        )
        times = max(2, frames // s.frames_a_mask)
        keep = (
            self._mask(rows, mels, s.mel_masks, s.widest_mels)[:, None, :]
            & self._mask(rows, frames, times, s.widest_frames)[:, :, None]
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
