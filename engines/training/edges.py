"""Whether a painting draws the photo's outlines: structural similarity of luma edges."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from engines.similarity import ssim

Image = NDArray[np.uint8]
Plane = NDArray[np.float64]


def edge_similarity(painting: Image, photo: Image) -> float:
    """SSIM of the two pictures' edge maps: 1 = the same edges, about 0 = unrelated.

    Of the length of the luma's Sobel gradient (a quarter of it: about 0..255): colour and tone do not count.
    painting, photo: RGB uint8 (height, width, 3) of one size.
    """
    return ssim(_edges(painting), _edges(photo))


def _edges(image: Image) -> Plane:
    luma = np.asarray(cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_RGB2GRAY), np.float64)
    across, down = (cv2.Sobel(luma, cv2.CV_64F, *axes, borderType=cv2.BORDER_REPLICATE) for axes in ((1, 0), (0, 1)))
    return np.asarray(np.hypot(across, down) / 4, np.float64)
