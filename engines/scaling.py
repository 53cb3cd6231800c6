"""Making pictures smaller, as fast as can be done without aliases."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray


class Shrinker:
    """Makes one stream's frames smaller. The array it gives is overwritten by the next one."""

    def __init__(self) -> None:
        self._made = np.empty((0, 0, 3), np.uint8)

    def to(self, image: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
        """RGB uint8 (h, w, 3) -> RGB uint8 (*size, 3), averaged down."""
        height, width = size
        if self._made.shape[:2] != size:
            self._made = np.empty((height, width, 3), np.uint8)
        # Halves first, and what is left by bilinear interpolation, which below a factor of two leaves out no pixel. The
        # mean over areas of any size takes four times as long.
        while image.shape[0] >= 2 * height and image.shape[1] >= 2 * width:
            half = (image.shape[1] // 2, image.shape[0] // 2)
            image = np.asarray(cv2.resize(image, half, interpolation=cv2.INTER_AREA), np.uint8)
        cv2.resize(image, (width, height), dst=self._made, interpolation=cv2.INTER_LINEAR)
        return self._made


def scaled_size(height: int, width: int, share: float, *, multiple: int, least: int) -> tuple[int, int]:
    """`share` of both sides, each rounded to a multiple of `multiple` px and at least `least` px."""
    return _rounded(height * share, multiple, least), _rounded(width * share, multiple, least)


def _rounded(side: float, multiple: int, least: int) -> int:
    return max(least, multiple * round(side / multiple))
