"""Oil: strokes drawn out along the painting's edges, as a brush full of paint leaves them.

What the network paints is as fine as a pixel. Averaged along the direction in which its luma changes least, and not
across it, it becomes strokes that follow the forms: line integral convolution (Cabral and Leedom 1993, "Imaging vector
fields using line integral convolution", sec. 4) of the painting itself, along the directions of its smoothed structure
tensor, as Kyprianidis and Döllner 2008 take them ("Image abstraction by structure adaptive filtering"). The curves of
detail (`engines.bands`) follow, and make the strokes as crisp as their style. The more oil there is, the less of a
large frame's own fine detail comes back (`engines.working`): it would scratch the strokes.

The less the directions around a pixel agree, the shorter its stroke: eyes and mouths keep their corners. The lines are
not traced. Passes of a pixel and what lies a step before and behind it, each shorter than the one before, bend as lines
do, and need no more than the direction at the pixel itself.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from engines.antialiasing import FLAT
from engines.pixels import Picture, slopes

PASSES_PX = (4.8, 3.2, 1.6)  # steps of the passes, with all of the oil and where all directions agree
# Directions are those of the luma at half of its sides, averaged by a Gaussian of so many taps, such a deviation.
SMOOTH_TAPS, SMOOTH_PX = 9, 1.5
_LEAST = 1e-6  # so that nothing is divided by 0 where there is no direction


class OilPainter:
    """Draws out the strokes of one stream's paintings. Not for several threads."""

    def __init__(self) -> None:
        # New arrays would cost as much time as the arithmetic.
        self._luma = self._half = np.empty((0, 0), np.uint8)
        self._here = self._tangents = self._where = np.empty((0, 0), np.float32)
        self._parts = np.empty((3, 0, 0), np.float32)
        self._out = np.empty((0, 0, 3), np.uint8)
        self._four = np.empty((3, 0, 0, 4), np.uint8)

    def of(self, painting: Picture, amount: float) -> Picture:
        """RGB uint8 (h, w, 3), sides from 2 px -> the same, good until the next call; amount 0 gives `painting` itself.

        amount: 0..1, of the steps' length.
        """
        if amount == 0:
            return painting
        height, width = painting.shape[:2]
        if self._out.shape != painting.shape:
            self._luma, self._half = np.empty((height, width), np.uint8), np.empty((height // 2, width // 2), np.uint8)
            # Across, and below it down, as two are one array for OpenCV.
            self._here = np.concatenate(np.meshgrid(np.arange(width), np.arange(height))).astype(np.float32)
            self._tangents, self._where = np.empty((2, 2 * height, width), np.float32)
            self._parts = np.empty((3, height, width), np.float32)
            self._out = np.empty_like(painting)
            self._four = np.empty((3, height, width, 4), np.uint8)
        cv2.cvtColor(painting, cv2.COLOR_RGB2GRAY, dst=self._luma)  # (h, w)
        cv2.resize(self._luma, (width // 2, height // 2), dst=self._half, interpolation=cv2.INTER_LINEAR)
        self._point(self._half)
        # A fourth channel, of which nothing is used: OpenCV moves four bytes in half of the time of three.
        drawn, one, other = self._four
        cv2.cvtColor(painting, cv2.COLOR_RGB2RGBA, dst=drawn)
        for step in PASSES_PX:
            for place, way in ((one, step * amount), (other, -step * amount)):
                cv2.addWeighted(self._here, 1, self._tangents, way, 0, dst=self._where)
                x, y = self._where[:height], self._where[height:]
                cv2.remap(drawn, x, y, cv2.INTER_LINEAR, dst=place, borderMode=cv2.BORDER_REPLICATE)
            cv2.addWeighted(one, 0.5, other, 0.5, 0, dst=one)
            cv2.addWeighted(drawn, 0.5, one, 0.5, 0, dst=drawn)
        cv2.cvtColor(drawn, cv2.COLOR_RGBA2RGB, dst=self._out)
        return self._out

    def _point(self, luma: NDArray[np.uint8]) -> None:
        """Luma at half of its sides, uint8 (h / 2, w / 2) -> the tangents: across and down (2 h, w)

        They are as long as the directions agree, 0..1.
        """
        x, y = slopes(luma)
        # The gradient's direction, as a vector at twice its angle: opposite directions are the same one.
        parts = (x * x - y * y, 2 * x * y, x * x + y * y)
        taps, (height, width) = (SMOOTH_TAPS, SMOOTH_TAPS), self._luma.shape
        for part, wide in zip(parts, self._parts, strict=True):
            mean = cv2.GaussianBlur(part, taps, SMOOTH_PX, borderType=cv2.BORDER_REPLICATE)
            cv2.resize(mean, (width, height), dst=wide, interpolation=cv2.INTER_LINEAR)
        cosine, sine, agreed = self._parts  # (h, w) each
        across, down = self._tangents.reshape(2, height, width)
        length = cv2.magnitude(cosine, sine, magnitude=down)
        agreed += FLAT
        np.divide(length, agreed, out=agreed)
        cosine /= np.add(length, _LEAST, out=down)
        # Half of the angle, and a quarter turn from the gradient to the edge.
        for share, root in ((0.5, down), (-0.5, across)):  # cosine and sine of half of the angle
            cv2.addWeighted(cosine, share, cosine, 0, 0.5, dst=root)
            np.sqrt(np.maximum(root, 0, out=root), out=root)  # rounded, it may be less than nothing
            np.multiply(root, agreed, out=root)
        np.copysign(across, -sine, out=across)
