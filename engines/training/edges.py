"""Whether a painting draws the photo's outlines: structural similarity of luma edges."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

_WINDOW = (11, 11)
_SIGMA = 1.5
_RANGE = 255.0
_C1, _C2 = (0.01 * _RANGE) ** 2, (0.03 * _RANGE) ** 2

Image = NDArray[np.uint8]
Plane = NDArray[np.float64]


def edge_similarity(painting: Image, photo: Image) -> float:
    """SSIM of the two pictures' edge maps: 1 = the same edges, about 0 = unrelated.

    Wang et al. 2004 (Image Quality Assessment: From Error Visibility to Structural Similarity), with the paper's
    Gaussian window of 11 px and constants, on the length of the luma's Sobel gradient (a quarter of it: about 0..255).
    Colour and tone do not count. painting, photo: RGB uint8 (height, width, 3) of one size.
    """
    a, b = _edges(painting), _edges(photo)
    mean_a, mean_b = _blurred(a), _blurred(b)
    variance_a = _blurred(a * a) - mean_a**2
    variance_b = _blurred(b * b) - mean_b**2
    covariance = _blurred(a * b) - mean_a * mean_b
    top = (2 * mean_a * mean_b + _C1) * (2 * covariance + _C2)
    bottom = (mean_a**2 + mean_b**2 + _C1) * (variance_a + variance_b + _C2)
    return float((top / bottom).mean())


def _edges(image: Image) -> Plane:
    luma = np.asarray(cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_RGB2GRAY), np.float64)
    across, down = (cv2.Sobel(luma, cv2.CV_64F, *axes, borderType=cv2.BORDER_REPLICATE) for axes in ((1, 0), (0, 1)))
    return np.asarray(np.hypot(across, down) / 4, np.float64)


def _blurred(plane: Plane) -> Plane:
    return np.asarray(cv2.GaussianBlur(plane, _WINDOW, _SIGMA, borderType=cv2.BORDER_REFLECT_101), np.float64)
