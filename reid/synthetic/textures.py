"""Colours and patterns of clothes, as functions of the position on the body."""

from dataclasses import dataclass

import numpy as np

from reid.synthetic.raster import Bools, Floats

PATTERNS = (
    "plain",
    "stripes",
    "pinstripes",
    "checks",
    "dots",
    "logo",
    "back_print",
    "two_tone",
    "chest_band",
    "side_panels",
    "open_front",
    "zip",
)


@dataclass(frozen=True)
class Cloth:
    """A garment's surface.

    Attributes:
        pattern: One of PATTERNS.
        base: (3,) RGB of the ground.
        second: (3,) RGB of the pattern.
        pitch: Size of the pattern in [0, 1]; what it means depends on the pattern.
        fold: Phase of the folds.
    """

    pattern: str
    base: Floats
    second: Floats
    pitch: float
    fold: float

    def __call__(self, t: Floats, angle: Floats) -> Floats:
        """Returns the colours (N, 3), RGB, at positions (t, angle) of a strip.

        Args:
            t: (N,) positions along the strip, in [0, 1].
            angle: (N,) angles around it, radians.
        """
        folds = 1 + 0.05 * np.sin(11 * t + 4 * angle + self.fold) * np.sin(5 * t - 3 * angle)
        return np.asarray(self._colors(t, angle) * folds[:, None])

    def _colors(self, t: Floats, angle: Floats) -> Floats:
        """Returns the colours without folds, (N, 3), or (3,) where there is one alone."""
        if self.pattern == "plain":
            return self.base
        if self.pattern == "checks":
            rings, bars = _rings(self.pitch, t), _bars(self.pitch, angle)
            weight = np.asarray(0.5 * rings + 0.5 * bars, np.float32)[:, None]
            return np.asarray(self.base * (1 - weight) + self.second * weight)
        on = _has_second(self.pattern, self.pitch, t, angle)
        return np.where(on[:, None], self.second, self.base)


def _rings(pitch: float, t: Floats) -> Bools:
    return np.asarray((t * (4 + 7 * pitch)) % 1 < 0.4)


def _bars(pitch: float, angle: Floats) -> Bools:
    return np.asarray((angle * (1.2 + 1.6 * pitch)) % 1 < 0.4)


def _has_second(pattern: str, pitch: float, t: Floats, angle: Floats) -> Bools:
    """Returns where a pattern of two colours shows the second one, (N,)."""
    if pattern == "stripes":
        return _rings(pitch, t)
    if pattern == "pinstripes":
        return _bars(pitch, angle)
    if pattern == "dots":
        row = t * (6 + 4 * pitch)
        shifted = angle * (1.5 + pitch) + 0.5 * (np.floor(row) % 2)
        return np.asarray((row % 1 < 0.55) & (shifted % 1 < 0.5))
    return _placed(pattern, pitch, t, np.abs(angle))


def _placed(pattern: str, pitch: float, t: Floats, away: Floats) -> Bools:
    """Returns where a pattern at one spot of the body is, (N,); ``away`` is |angle|."""
    size = 0.07 + 0.10 * pitch
    on = np.zeros(t.shape, bool)
    if pattern == "logo":
        on = (away < 3.5 * size) & (np.abs(t - 0.38) < size)
    elif pattern == "back_print":
        on = (away > np.pi - 0.9) & (np.abs(t - 0.35) < size)
    elif pattern == "two_tone":
        on = t > 0.3 + 0.35 * pitch
    elif pattern == "chest_band":
        on = np.abs(t - 0.42) < size
    elif pattern == "side_panels":
        on = np.abs(away - np.pi / 2) < 0.3 + 0.35 * pitch
    elif pattern == "open_front":
        on = away < 0.18 + 0.35 * pitch
    elif pattern == "zip":
        on = away < 0.09
    return np.asarray(on)
