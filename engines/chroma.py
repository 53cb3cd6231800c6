"""Keep my colours: the painting's light and dark, the frame's own colours, by degrees."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray


def with_colours_of(image: NDArray[np.uint8], painting: NDArray[np.uint8], share: float) -> NDArray[np.uint8]:
    """`painting` with a share 0..1 of the chroma of `image` (ITU-R BT.601's Cb and Cr), and its own luma.

    All RGB uint8 (h, w, 3). Share 0 gives `painting` itself.
    """
    if share == 0:
        return painting
    ours, theirs = (cv2.cvtColor(picture, cv2.COLOR_RGB2YCrCb) for picture in (painting, image))
    cv2.mixChannels([ours], [theirs], [0, 0])  # the luma
    mixed = theirs if share == 1 else cv2.addWeighted(ours, 1 - share, theirs, share, 0)
    return np.asarray(cv2.cvtColor(mixed, cv2.COLOR_YCrCb2RGB), np.uint8)
