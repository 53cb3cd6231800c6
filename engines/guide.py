"""The guide: a frame at the size at which style kernels are computed, whatever the frame's own size is."""

from __future__ import annotations

from math import sqrt

import cv2
import numpy as np
from numpy.typing import NDArray

# Root of the guide's area at stroke 1: what style kernels see of a frame. Strokes have their size on the guide, so a
# smaller one is faster and paints with a broader brush.
GUIDE_SIDE_PX = 240
_LEAST_PX = 64
_MULTIPLE_PX = 8


def guide_size(height: int, width: int, stroke: float = 1.0) -> tuple[int, int]:
    """Height and width of the guide of a frame: about its shape, multiples of 8 from 64 px.

    The root of its area is about GUIDE_SIDE_PX / stroke, or the frame's own where that is smaller.
    """
    shrink = max(1.0, stroke * sqrt(height * width) / GUIDE_SIDE_PX)
    return _rounded(height / shrink), _rounded(width / shrink)


class Guide:
    """Makes the guides of a stream's frames. The array it gives is overwritten by the next one."""

    def __init__(self) -> None:
        self._made = np.empty((0, 0, 3), np.uint8)

    def of(self, image: NDArray[np.uint8], stroke: float = 1.0) -> NDArray[np.uint8]:
        """RGB uint8 (h, w, 3) -> RGB uint8 (*guide_size(h, w, stroke), 3), averaged down."""
        height, width = guide_size(image.shape[0], image.shape[1], stroke)
        if self._made.shape[:2] != (height, width):
            self._made = np.empty((height, width, 3), np.uint8)
        # Halves first, and what is left by bilinear interpolation, which below a factor of two leaves out no pixel. The
        # mean over areas of any size takes four times as long.
        while image.shape[0] >= 2 * height and image.shape[1] >= 2 * width:
            half = (image.shape[1] // 2, image.shape[0] // 2)
            image = np.asarray(cv2.resize(image, half, interpolation=cv2.INTER_AREA), np.uint8)
        cv2.resize(image, (width, height), dst=self._made, interpolation=cv2.INTER_LINEAR)
        return self._made


def _rounded(side: float) -> int:
    return max(_LEAST_PX, _MULTIPLE_PX * round(side / _MULTIPLE_PX))
