"""SSIM of two pictures: how much of the structure is the same, whatever the largest difference is."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

_SIGMA_PX, _SIDE_PX = 1.5, 11
_C1, _C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2


def ssim(ours: NDArray[Any], theirs: NDArray[Any]) -> float:
    """Mean SSIM over places and channels; both (h, w) or (h, w, channels), of 0..255. 1: the same; about 0: unrelated.

    Wang et al. 2004 (Image Quality Assessment: From Error Visibility to Structural Similarity), with the paper's
    Gaussian window of 11 px and constants.
    """
    a, b = ours.astype(np.float64), theirs.astype(np.float64)

    def blurred(values: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(cv2.GaussianBlur(values, (_SIDE_PX, _SIDE_PX), _SIGMA_PX), np.float64)

    mean_a, mean_b = blurred(a), blurred(b)
    spread_a, spread_b = blurred(a * a) - mean_a**2, blurred(b * b) - mean_b**2
    both = blurred(a * b) - mean_a * mean_b
    above = (2 * mean_a * mean_b + _C1) * (2 * both + _C2)
    below = (mean_a**2 + mean_b**2 + _C1) * (spread_a + spread_b + _C2)
    return float((above / below).mean())
