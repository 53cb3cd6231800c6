"""The guide: a frame at the size at which style kernels are computed, whatever the frame's own size is."""

from __future__ import annotations

from math import sqrt

import numpy as np
from numpy.typing import NDArray

from engines.scaling import Shrinker, scaled_size

# Root of the guide's area at stroke 1: what style kernels see of a frame. Strokes have their size on the guide, so a
# smaller one is faster and paints with a broader brush.
GUIDE_SIDE_PX = 160
MARGIN_CELLS = 2  # of guidance, around the guide: `engines.nets.guidance.MARGIN_PX`
_LEAST_PX = 64
_MULTIPLE_PX = 8


def guide_size(height: int, width: int, stroke: float = 1.0) -> tuple[int, int]:
    """Height and width of the guide of a frame: about its shape, multiples of 8 from 64 px.

    The root of its area is about GUIDE_SIDE_PX / stroke, or the frame's own where that is smaller.
    """
    shrink = max(1.0, stroke * sqrt(height * width) / GUIDE_SIDE_PX)
    return scaled_size(height, width, 1 / shrink, multiple=_MULTIPLE_PX, least=_LEAST_PX)


def guidance_size(height: int, width: int) -> tuple[int, int]:
    """Rows and columns of what a guide's graph tells of a guide of this size: a quarter, and the margin around it."""
    return height // 4 + 2 * MARGIN_CELLS, width // 4 + 2 * MARGIN_CELLS


class Guide:
    """Makes the guides of a stream's frames. The array it gives is overwritten by the next one."""

    def __init__(self) -> None:
        self._shrinker = Shrinker()

    def of(self, image: NDArray[np.uint8], stroke: float = 1.0) -> NDArray[np.uint8]:
        """RGB uint8 (h, w, 3) -> RGB uint8 (*guide_size(h, w, stroke), 3), averaged down."""
        return self._shrinker.to(image, guide_size(image.shape[0], image.shape[1], stroke))
