"""Bands of detail: how strong the finest and the next finer detail of a picture are, and gains towards a style's.

After the network and the tones. A painting whose fine detail is weaker than its style picture's looks soft, whatever
its strokes are, and one whose detail is stronger looks harsh: the variance of a picture's sub-bands is the first thing
that makes its texture (Heeger and Bergen 1995, "Pyramid-based texture analysis/synthesis", sec. 2).
"""

from __future__ import annotations

from math import sqrt

import cv2
import numpy as np
from numpy.typing import NDArray

from engines.settling import Settling

# Taps and deviation (px) of the Gaussians, one after the other, whose differences are the bands.
GAUSSIANS = ((5, 0.8), (7, 1.6))
BANDS = len(GAUSSIANS)
LEAST_GAIN, MOST_GAIN = 0.3, 2.0
# The bands overlap: what one gains is partly the other's. Gains of just the ratio of the strengths leave a good part of
# what is missing; a still higher power overshoots where a gain is large.
POWER = 1.3
# As much of the style's strength is wanted. What flickers is the finest detail, and a style picture's own is partly the
# grain of its canvas, its print or its file: a painting with a little less is steadier and nearer to its style.
WANTED_SHARE = 0.9
GAIN_FLOOR = 0.3 / 255  # added to both strengths: where there is nothing, nothing is amplified
_CUT = 0.5  # relative change of the strengths from which it is another scene

Picture = NDArray[np.uint8]
Strengths = NDArray[np.float64]


class Detailer:
    """Applies the gains of one stream, which change slowly. Not for several threads."""

    def __init__(self) -> None:
        self._own = Settling(lambda own, kept: float(np.abs(own / (kept + GAIN_FLOOR) - 1).max()), _CUT)
        # New arrays would cost as much time as the arithmetic.
        self._fine, self._coarse, self._detail = (np.empty((0, 0, 3), np.uint8) for _ in range(3))

    def of(self, painting: Picture, of_style: NDArray[np.float32], strength: float, smoothing: float) -> Picture:
        """RGB uint8 (h, w, 3) and the style's strengths 0..1 (BANDS,) -> RGB uint8 (h, w, 3), until the next call.

        strength: of the painting, 0..1: as much of the gains. smoothing: 0 looks at this painting alone.
        """
        if self._fine.shape != painting.shape:
            self._fine, self._coarse, self._detail = (np.empty_like(painting) for _ in range(3))
        fine, coarse = blurred(painting, self._fine, self._coarse)
        own = self._own.of(_strengths(painting, fine, coarse), smoothing)
        first, second = 1 + strength * (gains(own, of_style) - 1)
        # coarse + second * (fine - coarse) + first * (painting - fine), in bytes throughout: a difference lies around
        # 128 and is cut off at half of the range, which is more than detail ever has.
        cv2.addWeighted(painting, first, fine, -first, 128, dst=self._detail)
        cv2.addWeighted(fine, second, coarse, 1 - second, 0, dst=coarse)
        cv2.addWeighted(coarse, 1, self._detail, 1, -128, dst=coarse)
        return coarse

    def reset(self) -> None:
        """Forget the former paintings."""
        self._own.reset()


def bands_of(picture: Picture) -> Strengths:
    """RGB uint8 (h, w, 3) -> the root mean square of each band, the finest first, in 0..1: (BANDS,)"""
    return _strengths(picture, *blurred(picture))


def blurred(picture: Picture, fine: Picture | None = None, coarse: Picture | None = None) -> tuple[Picture, Picture]:
    """`picture` (h, w, 3), blurred a little and more; into `fine` and `coarse` where they are given."""
    (taps, sigma), (more_taps, more_sigma) = GAUSSIANS
    fine = np.empty_like(picture) if fine is None else fine
    coarse = np.empty_like(picture) if coarse is None else coarse
    cv2.GaussianBlur(picture, (taps, taps), sigma, dst=fine, borderType=cv2.BORDER_REPLICATE)
    cv2.GaussianBlur(fine, (more_taps, more_taps), more_sigma, dst=coarse, borderType=cv2.BORDER_REPLICATE)
    return fine, coarse


def gains(own: Strengths, of_style: NDArray[np.float32]) -> Strengths:
    """The factor for each band: (BANDS,). `engines.nets.finish.gains` is the same for tensors."""
    ratio = (WANTED_SHARE * of_style + GAIN_FLOOR) / (own + GAIN_FLOOR)
    return np.asarray((ratio**POWER).clip(LEAST_GAIN, MOST_GAIN), np.float64)


def _strengths(picture: Picture, fine: Picture, coarse: Picture) -> Strengths:
    root = 255 * sqrt(picture.size)
    return np.array([cv2.norm(picture, fine, cv2.NORM_L2) / root, cv2.norm(fine, coarse, cv2.NORM_L2) / root])
