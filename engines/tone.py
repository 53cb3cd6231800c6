"""Tones: how the values of a picture's channels are spread, and curves that bring a painting's nearer to its style's.

After the network, because what it paints keeps too much of the frame's own spread. Per channel, optimal transport in
one dimension (Pitié et al. 2007, "Automated colour grading using colour distribution transfer", sec. 2.3), by straight
pieces between quantiles and only part of the way.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from engines.pixels import every, looked_up
from engines.settling import Latest, Settling

TONES = 17  # quantiles at which a channel's spread is told, from dark to light
TONE_SHARE = 0.6  # of the way from the painting's tones to the style picture's
STEEPEST = 2.5  # slope of a curve: more would draw steps into what is smooth
TONE_GAP = 1 / 255  # tones nearer than this cannot be pulled apart
STEP_PX = 4  # every so many pixels are looked at
_CUT = 0.1  # mean difference of tones, 0..1, from which it is another scene

Tones = NDArray[np.float64]


def places(count: int) -> list[int]:
    """Where the TONES quantiles are among `count` ordered values."""
    return [round((k + 0.5) / TONES * (count - 1)) for k in range(TONES)]


class Toner:
    """Applies the tone curves of one stream, which change slowly. Not for several threads."""

    def __init__(self) -> None:
        self._own = Settling(lambda own, kept: float(np.abs(own - kept).mean()), _CUT)
        self._tables = Latest(_tables)
        self._toned = np.empty((0, 0, 3), np.uint8)

    def of(
        self,
        painting: NDArray[np.uint8],
        wanted: NDArray[np.float32],
        strength: float,
        memory: float,
        where: NDArray[np.bool_] | None = None,
    ) -> NDArray[np.uint8]:
        """RGB uint8 (h, w, 3) and tones 0..1 (3, TONES) -> RGB uint8 (h, w, 3), until the next call.

        strength: of the painting, 0..1: as much of the curves. memory: see `engines.settling`. where:
        (ceil(h/4), ceil(w/4)), the places whose tones are to be the wanted ones; None: all. The curves hold everywhere.
        """
        own = self._own.of(lambda: tones_of(every(painting, STEP_PX), where), memory)
        if self._toned.shape != painting.shape:
            self._toned = np.empty_like(painting)
        looked_up(painting, self._tables.of(own, wanted, strength), self._toned)
        return self._toned

    def reset(self) -> None:
        """Forget the former paintings."""
        self._own.reset()


def tones_of(picture: NDArray[np.uint8], where: NDArray[np.bool_] | None = None) -> Tones:
    """RGB uint8 (h, w, 3) -> (3, TONES) in 0..1; where: (h, w), the pixels that count, if there are any."""
    if where is not None and not where.any():
        where = None
    wanted = places(picture.shape[0] * picture.shape[1] if where is None else int(where.sum()))
    mask = None if where is None else where.view(np.uint8)
    rows = []
    for channel in range(3):
        # Of bytes, a histogram says what sorting would, in a tenth of the time.
        counts = cv2.calcHist([picture], [channel], mask, [256], [0, 256]).ravel()
        rows.append(np.searchsorted(np.cumsum(counts), wanted, side="right"))
    return np.asarray(rows, np.float64) / 255


def _tables(own: Tones, wanted: NDArray[np.float32], strength: float) -> NDArray[np.uint8]:
    """What each byte becomes in each channel: uint8 (3, 256)."""
    levels = np.arange(256) / 255
    return np.rint(255 * (levels + strength * (curves(own, wanted, levels) - levels))).astype(np.uint8)


def curves(own: Tones, wanted: NDArray[np.float32], levels: NDArray[np.float64]) -> Tones:
    """The value of each channel's curve at `levels` (k,) in 0..1: (3, k) in 0..1.

    own, wanted: (3, TONES). `engines.nets.finish.toned` is the same for tensors.
    """
    goal = own + TONE_SHARE * (wanted - own)
    gaps = np.diff(own)
    slopes = (np.diff(goal) / np.maximum(gaps, TONE_GAP)).clip(0, STEEPEST)
    shape = np.concatenate([np.zeros((3, 1)), np.cumsum(slopes * gaps, 1)], 1)
    # What the limits of the slopes took away shall not move the mean.
    starts = shape[:, 0] + (goal - shape).mean(1)
    knots = starts[:, None] + shape  # (3, TONES)
    # Outside the outermost tones a curve goes on without a change of contrast.
    rows = [
        np.interp(levels, tones, values) + np.minimum(levels - tones[0], 0) + np.maximum(levels - tones[-1], 0)
        for tones, values in zip(own, knots, strict=True)
    ]
    return np.asarray(rows, np.float64).clip(0, 1)
