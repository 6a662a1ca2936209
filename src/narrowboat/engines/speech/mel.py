"""Sound as Whisper sees it: log-mel features of at most 30 seconds.

Covers: samples to features, a few seconds at a time so that the work space stays small.
Does not cover: which samples (``speech/voice.py``).

The figures (16 kHz, windows of 400 samples every 160, Slaney's mel scale with area-normalised triangles, eight
decades of range) are those that Whisper was trained with: "Robust Speech Recognition via Large-Scale Weak
Supervision", section 2.2, and Slaney's "Auditory Toolbox" for the scale.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt

RATE = 16_000  # Hz
WINDOW = 400  # samples
HOP = 160  # samples; one frame of features
FRAMES = 3000  # of a full input: 30 s
_BLOCK = 300  # frames transformed at a time: 3 s, about 2 MB of work space
_FLOOR = 1e-10
_DECADES = 8.0  # of range kept below the loudest value

Floats = npt.NDArray[np.float32]


def log_mel(samples: npt.NDArray[np.int16], mels: int = 80, frames: int = FRAMES) -> Floats:
    """Features of ``samples`` (int16, mono, 16 kHz), shape (mels, frames): cut or filled with silence to fit."""
    length = frames * HOP
    kept = samples[:length].astype(np.float32) / 32768.0
    padded = np.zeros(length + WINDOW, np.float32)
    padded[WINDOW // 2 : WINDOW // 2 + len(kept)] = kept
    if len(kept) > WINDOW:  # the edge is mirrored, as in training
        padded[: WINDOW // 2] = kept[WINDOW // 2 : 0 : -1]
    windows = np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[::HOP]
    shape = np.hanning(WINDOW + 1)[:-1].astype(np.float32)
    filters = mel_filters(mels)
    features = np.full((mels, frames), np.log10(_FLOOR), np.float32)
    used = min(frames, -(-(len(kept) + WINDOW // 2) // HOP))  # what comes after is silence
    for start in range(0, used, _BLOCK):
        end = min(start + _BLOCK, used)
        spectrum = np.fft.rfft(windows[start:end] * shape, axis=1)
        power = (spectrum.real**2 + spectrum.imag**2).astype(np.float32)
        features[:, start:end] = np.log10(np.maximum(filters @ power.T, _FLOOR))
    np.maximum(features, features.max() - _DECADES, out=features)
    features += 4.0
    features /= 4.0
    return features


@lru_cache(maxsize=2)
def mel_filters(mels: int) -> Floats:
    """Triangles over the frequencies of a window's transform: shape (mels, 201), each of area one."""
    edges = _mel_to_hertz(np.linspace(0.0, _hertz_to_mel(RATE / 2), mels + 2))
    frequencies = np.linspace(0.0, RATE / 2, WINDOW // 2 + 1)
    rising = (frequencies[None, :] - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    falling = (edges[2:, None] - frequencies[None, :]) / (edges[2:] - edges[1:-1])[:, None]
    triangles = np.maximum(0.0, np.minimum(rising, falling))
    return (triangles * (2.0 / (edges[2:] - edges[:-2]))[:, None]).astype(np.float32)


# Slaney's scale: linear below 1 kHz (3 mel for each 200 Hz), logarithmic above (27 mel for a factor of 6.4).
_LINEAR = 200.0 / 3.0
_KNEE = 1000.0
_STEP = np.log(6.4) / 27.0


def _hertz_to_mel(hertz: float) -> float:
    if hertz < _KNEE:
        return hertz / _LINEAR
    return float(_KNEE / _LINEAR + np.log(hertz / _KNEE) / _STEP)


def _mel_to_hertz(mel: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    knee = _KNEE / _LINEAR
    return np.where(mel < knee, mel * _LINEAR, _KNEE * np.exp(_STEP * (mel - knee)))
