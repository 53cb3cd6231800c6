"""The working size: at which size frames are painted, and how a painting comes back to its frame's own size.

Strokes have their size relative to the frame, so a large frame needs no more of them than a small one: it is painted
smaller and enlarged. What only the large frame shows, its fine detail, is laid over the painting.
"""

from __future__ import annotations

from math import sqrt

import cv2
import numpy as np
from numpy.typing import NDArray

from engines.scaling import Shrinker, scaled_size

# Roots of areas: a frame of FRAME_SIDE_PX (640x360) is painted at WORKING_SIDE_PX. The working size grows with a power
# of the frame's, slower than the frame, and is never larger.
FRAME_SIDE_PX, WORKING_SIDE_PX = 480, 304
GROWTH = 0.9
NEAR = 0.64  # of the frame's sides: from here on it is painted at its own size
DETAIL = 0.5  # share of the frame's fine detail that the painting gets
_LEAST_PX = 64
_MULTIPLE_PX = 8


def working_size(height: int, width: int, render_scale: float = 1.0) -> tuple[int, int]:
    """Height and width at which a frame is painted: about its shape, multiples of 8 from 64 px, or its own size.

    render_scale: how much larger than usual.
    """
    share = render_scale * _usual_share(height, width)
    if share >= NEAR:
        return height, width
    rows, columns = scaled_size(height, width, share, multiple=_MULTIPLE_PX, least=_LEAST_PX)
    return min(rows, height), min(columns, width)


def painted_scale(render_scale: float, stroke: float, *, guided: bool) -> float:
    """The render scale that a look asks for.

    guided: the strokes' size is decided on a guide. Without one it is so many pixels of the working frame, so that a
    broader brush is a smaller working frame.
    """
    return render_scale if guided else render_scale / stroke


def full_scale(height: int, width: int) -> float:
    """The render scale from which on a frame is painted at its own size."""
    return NEAR / _usual_share(height, width)


def _usual_share(height: int, width: int) -> float:
    side = sqrt(height * width)
    return WORKING_SIDE_PX / side * float((side / FRAME_SIDE_PX) ** GROWTH)


class Working:
    """Takes one stream's frames to their working size and paintings back. Not for several threads."""

    def __init__(self) -> None:
        self._shrinker = Shrinker()
        # New arrays would cost as much time as the arithmetic.
        self._base, self._large = (np.empty((0, 0, 3), np.uint8) for _ in range(2))

    def of(self, image: NDArray[np.uint8], render_scale: float) -> NDArray[np.uint8]:
        """RGB uint8 (h, w, 3) -> RGB uint8 (*working_size(...), 3): `image` itself, or good until the next call."""
        size = working_size(image.shape[0], image.shape[1], render_scale)
        return image if size == image.shape[:2] else self._shrinker.to(image, size)

    def finish(
        self,
        image: NDArray[np.uint8],
        working: NDArray[np.uint8],
        painting: NDArray[np.uint8],
        strength: float,
        detail: float = DETAIL,
    ) -> NDArray[np.uint8]:
        """`painting` (of `working`, which is `of(image)`) at the size of `image`, with its detail; a new array.

        All RGB uint8. strength: of the painting; at 0 all detail is kept, and the answer is `image` to the last bit.
        detail: share of it that is kept at strength 1, 0..1.
        """
        if working is image:
            return painting.copy()
        if strength == 0:
            return image.copy()
        kept = 1 - strength * (1 - detail)
        # image + enlarged(painting - working), in bytes throughout: what is enlarged is (painting - kept * working),
        # moved and scaled to 0..255. Bytes are enlarged and mixed several times as fast as wider numbers.
        room = 1 + kept
        if self._large.shape != image.shape or self._base.shape != painting.shape:
            self._base, self._large = np.empty_like(painting), np.empty_like(image)
        cv2.addWeighted(painting, 1 / room, working, -kept / room, 255 * kept / room, dst=self._base)
        size = (image.shape[1], image.shape[0])
        cv2.resize(self._base, size, dst=self._large, interpolation=cv2.INTER_CUBIC)
        return np.asarray(cv2.addWeighted(image, kept, self._large, room, -255 * kept), np.uint8)
