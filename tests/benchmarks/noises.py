"""Noises of a moving car, and how speech is mixed with them. Everything is drawn from the generator that is passed in.

Signals are one-dimensional arrays of float64 at 16 kHz. Noises have unit power; `mix` gives them their level.
"""

import functools

import cabin
import numpy as np
from scipy import signal

RATE = 16_000
FRAME = 320
"""Samples of the 20 ms frames in which speech and pauses are told apart."""

ROAD_LEVELS = {31.5: 82, 63: 78, 125: 72, 250: 67, 500: 62, 1000: 58, 2000: 53, 4000: 46, 8000: 38}
"""Octave levels in dB inside a car at motorway speed; together they are 65 dB(A)."""
FAN_LEVELS = {63: 50, 125: 53, 250: 56, 500: 56, 1000: 54, 2000: 50, 4000: 44, 8000: 36}
"""Octave levels in dB of ventilation at a high setting."""

PLACES = {
    "driver": cabin.SEATS["driver"],
    "passenger": cabin.SEATS["passenger"],
    "vents": (2.25, 0.72, 0.65),
    "rear": (0.5, 0.95, 0.5),
}
"""Where sounds come from in `cabin.py`'s box, metres."""


def rumble(length, rng):
    """Tyre rumble (falling 9 dB an octave from 60 Hz), wind hiss below it and an engine's harmonics.

    The noise of the set `car-10db`: nearly all of its power lies below 300 Hz. Its power is not normalised.
    """
    size = 1 << (length - 1).bit_length()
    frequency = np.fft.rfftfreq(size, 1 / RATE)
    slope = (np.maximum(frequency, 60) / 60) ** -1.5 + 0.02 * (np.maximum(frequency, 60) / 60) ** -0.5
    low = np.fft.irfft(np.fft.rfft(rng.standard_normal(size)) * slope)[:length]
    time = np.arange(length) / RATE
    firing = rng.uniform(55, 110)
    engine = sum(np.sin(2 * np.pi * firing * k * time + rng.uniform(0, 6.3)) / k for k in range(1, 7))
    return low / low.std() + 0.3 * engine / engine.std()


def louder_half(samples):
    """Mean power of the louder half of 20 ms frames: the voice, not the pauses around it."""
    frames = samples[: len(samples) // FRAME * FRAME].reshape(-1, FRAME)
    return np.sort((frames**2).mean(1))[len(frames) // 2 :].mean()


def unit(samples):
    """The same at unit power."""
    return samples / max(np.sqrt((samples**2).mean()), 1e-12)


def shaped(length, rng, levels, tilt=0.0, bump=(0.0, 1000.0, 1.0)):
    """Noise with the given octave levels (dB by frequency), tilted by `tilt` dB an octave about 500 Hz.

    `bump`: height in dB, frequency in Hz and width in octaves of a resonance.
    """
    size = 1 << (length - 1).bit_length()
    frequency = np.maximum(np.fft.rfftfreq(size, 1 / RATE), 1.0)
    octave = np.log2(frequency / 500)
    centres = np.log2(np.array(list(levels)) / 500)
    # An octave is as wide as its frequency is high: levels to density.
    density = np.interp(octave, centres, np.array(list(levels.values())) - 10 * np.log10(list(levels)))
    density += tilt * octave + bump[0] * np.exp(-0.5 * (np.log2(frequency / bump[1]) / bump[2]) ** 2)
    # Hands-free microphones cut what is below the voice: second order, 150 Hz.
    cut = 1 / np.sqrt(1 + (150 / frequency) ** 4)
    return unit(np.fft.irfft(np.fft.rfft(rng.standard_normal(size)) * 10 ** (density / 20) * cut)[:length])


def harmonics(length, rng, pitch, count):
    """A turning machine: `count` harmonics falling as 1/k; its speed wanders by about a hundredth."""
    wander = np.interp(np.arange(length), np.arange(0, length + RATE, RATE // 2), _walk(length, rng))
    phase = 2 * np.pi * np.cumsum(pitch * (1 + 0.01 * wander)) / RATE
    return unit(sum(np.sin(k * phase + rng.uniform(0, 6.3)) / k for k in range(1, count + 1)))


def _walk(length, rng):
    """A smooth random walk of about unit size, one value each half second."""
    count = len(np.arange(0, length + RATE, RATE // 2))
    return signal.lfilter([0.6], [1, -0.8], rng.standard_normal(count))


def road(length, rng):
    """Tyres, wind with gusts and engine at motorway speed: a third of its power lies above 300 Hz."""
    cavity = (rng.uniform(3, 7), rng.uniform(200, 240), 0.15)
    tyres = shaped(length, rng, ROAD_LEVELS, rng.uniform(-1, 1), cavity)
    gusts = 10 ** (np.interp(np.arange(length), np.arange(0, length + RATE, RATE // 2), 2.5 * _walk(length, rng)) / 20)
    wind = shaped(length, rng, {31.5: 40, 250: 50, 500: 55, 1000: 56, 2000: 52, 8000: 36}) * gusts
    engine = harmonics(length, rng, rng.uniform(60, 110), 8)
    return unit(tyres + 0.35 * wind + 0.3 * engine)


def fan(length, rng):
    """Ventilation: broad noise of the air, the blades' tone and two harmonics."""
    air = shaped(length, rng, FAN_LEVELS, rng.uniform(-1.5, 1.5))
    return unit(air + 0.2 * harmonics(length, rng, rng.uniform(180, 420), 3))


def babble(talkers, length, rng):
    """Several people talking at once, equally loud. `talkers`: for each, recordings that are long enough together."""
    total = np.zeros(length)
    for recordings in talkers:
        speech = np.concatenate([part / np.sqrt(speech_power(part)) for part in recordings])
        total += np.resize(np.roll(speech, rng.integers(len(speech))), length)
    return unit(total)


@functools.cache
def cabin_response(place):
    """Impulse response from a place of `PLACES` to the microphone in the roof before the driver.

    Begins with the direct sound, so that times stay; unit energy.
    """
    response = cabin.impulse_response(PLACES[place], cabin.MICROPHONES["driver"])
    # The image method adds a constant that no room has.
    response = signal.sosfilt(signal.butter(2, 80, "high", fs=RATE, output="sos"), response)
    response = response[max(0, int(abs(response).argmax()) - 2) :]
    return response / np.sqrt((response**2).sum())


def heard_from(place, samples):
    """The same as the microphone hears it from a place in the cabin; as long as before."""
    return signal.fftconvolve(samples, cabin_response(place))[: len(samples)]


def active(speech):
    """Which samples belong to speech: those in 20 ms frames less than 15.9 dB below the mean of all such frames.

    The margin is that of the active speech level of ITU-T P.56; the level is the fixed point that is reached from below.
    """
    count = len(speech) // FRAME
    power = (speech[: count * FRAME].reshape(count, FRAME) ** 2).mean(1)
    level = power.mean()
    for _ in range(20):
        level = power[power >= level * 10**-1.59].mean()
    mask = np.zeros(len(speech), bool)
    mask[: count * FRAME] = np.repeat(power >= level * 10**-1.59, FRAME)
    return mask


def speech_power(speech):
    """Mean power of the speech-active part."""
    return (speech[active(speech)] ** 2).mean()


def mix(speech, noise, snr, lead=0, tail=0):
    """Speech in noise that begins `lead` samples before it and ends `tail` samples after it.

    `snr`: decibels; mean power of the speech over that of the noise, both over the speech-active part.
    """
    assert len(noise) == lead + len(speech) + tail, "the noise is as long as speech, lead and tail"
    mask = active(speech)
    under = noise[lead : lead + len(speech)][mask]
    gain = np.sqrt((speech[mask] ** 2).mean() / (under**2).mean() * 10 ** (-snr / 10))
    return np.pad(speech, (lead, tail)) + gain * noise
