"""Moves what was painted along with the picture: a fast estimate of the motion between two frames, and the warp."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

SCALE = 4  # the motion is estimated on a picture of a quarter of each side
STILL_PX = 0.35  # motion below this, in pixels of the full frame, is noise of the estimate and taken as none
MIN_SIDE_PX = 16  # DIS needs some pixels: smaller pictures are enlarged for it


class Motion:
    """Estimates the motion from frame to frame (OpenCV's DIS, Kroeger et al. 2016) and moves pictures by it.

    Sub-pixel moves of what stands still would soften it a little more with every frame, so the smallest are dropped;
    where nothing moves at all, the pictures are handed back untouched. Not for several threads.
    """

    def __init__(self) -> None:
        self._flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
        self._last: NDArray[np.uint8] | None = None
        self._grids: dict[tuple[int, int], NDArray[np.float32]] = {}

    def move(
        self, image: NDArray[np.uint8], painting: NDArray[np.uint8], source: NDArray[np.uint8]
    ) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """Move the last painting and its small source to where `image` has what they show.

        image, painting: RGB uint8 (h, w, 3); source: uint8 (ceil(h/4), ceil(w/4), 3). `image` is the frame after the
        one of the last call. Returns arrays of the same shapes, which may be the given ones; the first call after
        `reset` knows no motion yet.
        """
        height, width = image.shape[:2]
        small_height, small_width = source.shape[:2]
        luma = self._luma(image, small_width, small_height)
        last, self._last = self._last, luma
        if last is None or last.shape != luma.shape:
            return painting, source
        # From the new frame back to the last one: where each new pixel was.
        flow = self._flow.calc(luma, last, None)  # type: ignore[call-overload]
        if flow.shape[:2] != (small_height, small_width):
            ratio = small_width / flow.shape[1]
            flow = cv2.resize(flow, (small_width, small_height)) * np.float32(ratio)
        still = cv2.magnitude(flow[..., 0], flow[..., 1]) < STILL_PX / SCALE
        if still.all():
            return painting, source
        flow[still] = 0
        small = _sample(source, flow + self._grid(small_height, small_width))
        # The small picture covers 4 x its size, a little more than the frame where the frame is no multiple of 4.
        full = cv2.resize(flow, (small_width * SCALE, small_height * SCALE))[:height, :width]
        where = cv2.scaleAdd(np.ascontiguousarray(full), SCALE, self._grid(height, width)).astype(
            np.float32, copy=False
        )
        return _sample(painting, where), small

    def reset(self) -> None:
        """Forget the last frame."""
        self._last = None

    def _luma(self, image: NDArray[np.uint8], width: int, height: int) -> NDArray[np.uint8]:
        """Luma at a quarter of the size, uint8; the mean over each 4 x 4 pixels."""
        grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
        below, right = height * SCALE - grey.shape[0], width * SCALE - grey.shape[1]
        if below or right:
            grey = cv2.copyMakeBorder(grey, 0, below, 0, right, cv2.BORDER_REPLICATE)
        grow = -(-MIN_SIDE_PX // min(height, width))
        return np.asarray(cv2.resize(grey, (width * grow, height * grow), interpolation=cv2.INTER_AREA), np.uint8)

    def _grid(self, height: int, width: int) -> NDArray[np.float32]:
        """Positions (x, y) of every pixel, float32 (h, w, 2)."""
        if (height, width) not in self._grids:
            if len(self._grids) >= 2:
                self._grids.clear()
            y, x = np.mgrid[0:height, 0:width].astype(np.float32)
            self._grids[height, width] = np.ascontiguousarray(np.stack([x, y], 2))
        return self._grids[height, width]


def _sample(image: NDArray[np.uint8], where: NDArray[np.float32]) -> NDArray[np.uint8]:
    """`image` (h, w, 3) at the positions (x, y) of `where` (h, w, 2); outside, the edge is repeated."""
    sampled = cv2.remap(image, where, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)  # type: ignore[call-overload]
    return np.asarray(sampled, np.uint8)
