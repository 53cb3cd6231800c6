"""Halos: the light and dark rims that a network paints around whatever stands out from its ground.

They are broader than a stroke, and nothing in the frame is like them. So near the frame's edges the coarse part of a
painting's luma, what is left of it at a quarter of the sides, is made as the frame tells it: around every place a
linear function of the frame's colours, the one that comes nearest to the painting there, which has the frame's edges
and nothing beside them. This is the guided filter (He, Sun and Tang 2010, "Guided image filtering", sec. 3, with a
guide in colour), on small pictures as in its fast form (He and Sun 2015, "Fast guided filter"). What is finer, the
strokes, stays as it was painted, and so does the ground that is far from any edge.

It comes after the curves of detail (`engines.bands`): these would make what they find without halos as strong as with
them, and more of it flickers.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from engines.bands import LUMA
from engines.memory import quartered
from engines.motion import SCALE
from engines.pixels import ZERO, Picture, Plane, added_to_all, slopes

AROUND_PX = 7  # side of the squares in which a painting is fitted by its frame, in pixels of an eighth of the sides
# In pixels of a quarter of the sides:
NEAR_PX = 7  # side of the squares around an edge: as far from it there are halos
SOFT_PX = 5  # side of the squares over which the border of these is averaged
EDGE = 60.0  # slope (steps of 255 per pixel) of an edge whose halos are taken away entirely
# Square of the deviation (steps of 255) from which on a frame's colours count; with less of it the fit becomes smooth.
RIDGE = 60.0


class HaloRemover:
    """Takes the halos off one stream's paintings. Not for several threads."""

    def __init__(self) -> None:
        # New arrays would cost as much time as the arithmetic.
        self._small, self._room, self._out = (np.empty((0, 0, 3), np.uint8) for _ in range(3))
        self._wide = np.empty((0, 0), np.uint8)

    def of(self, painting: Picture, small: Picture, strength: float) -> Picture:
        """RGB uint8 (h, w, 3), sides from 5 px -> the same, until the next call.

        small: its frame, as `engines.memory.quartered` makes it smaller. strength: of the painting, 0..1; the rest of
        it is the frame, which has no halos.
        """
        height, width = painting.shape[:2]
        if self._out.shape != painting.shape:
            self._small, self._room, self._out = np.empty_like(small), np.empty_like(painting), np.empty_like(painting)
            self._wide = np.empty((SCALE * small.shape[0], SCALE * small.shape[1]), np.uint8)
        painted = _luma(quartered(painting, self._small)) - np.float32(1 - strength) * _luma(small)  # (h / 4, w / 4)
        change = _near_edges(small) * (_fitted(painted, small) - painted)
        told = cv2.addWeighted(change, 1, change, 0, ZERO, dtype=cv2.CV_8U)
        cv2.resize(told, self._wide.shape[::-1], dst=self._wide, interpolation=cv2.INTER_LINEAR)
        added_to_all(painting, self._wide[:height, :width], self._room, self._out)
        return self._out


def _luma(picture: Picture) -> Plane:
    """RGB uint8 (h, w, 3) -> float32 (h, w) in 0..255"""
    return np.asarray(cv2.transform(picture.astype(np.float32), np.array([LUMA], np.float32)), np.float32)


def _near_edges(picture: Picture) -> Plane:
    """RGB uint8 (h, w, 3) -> how near an edge is, 0..1: float32 (h, w)"""
    slope = cv2.magnitude(*slopes(np.asarray(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), np.uint8)))
    near = cv2.dilate(slope, np.ones((NEAR_PX, NEAR_PX), np.uint8))
    near = cv2.blur(near, (SOFT_PX, SOFT_PX), borderType=cv2.BORDER_REPLICATE)
    return np.asarray(np.minimum(near / np.float32(EDGE), 1), np.float32)


def _fitted(painted: Plane, guide: Picture) -> Plane:
    """float32 (h, w) and RGB uint8 (h, w, 3) -> what of the first is, around every place, a linear function of the
    second: float32 (h, w)"""
    colours = cv2.split(guide.astype(np.float32))
    size = guide.shape[1] // 2, guide.shape[0] // 2
    # What the function is changes slowly, so half of the sides is enough to find it.
    p, r, g, b = (_resized(np.asarray(plane, np.float32), size) for plane in (painted, *colours))  # (h / 2, w / 2)
    mean, mean_r, mean_g, mean_b = (_mean(plane) for plane in (p, r, g, b))
    rr, gg, bb = (_mean(a * a) - m * m + np.float32(RIDGE) for a, m in ((r, mean_r), (g, mean_g), (b, mean_b)))
    rg, rb, gb = _mean(r * g) - mean_r * mean_g, _mean(r * b) - mean_r * mean_b, _mean(g * b) - mean_g * mean_b
    with_r, with_g, with_b = (_mean(a * p) - m * mean for a, m in ((r, mean_r), (g, mean_g), (b, mean_b)))
    # The covariance's adjugate, which is symmetric as it is, over its determinant.
    one, two, three = gg * bb - gb * gb, rb * gb - rg * bb, rg * gb - rb * gg
    four, five, six = rr * bb - rb * rb, rg * rb - rr * gb, rr * gg - rg * rg
    determinant = rr * one + rg * two + rb * three
    of_r = (one * with_r + two * with_g + three * with_b) / determinant
    of_g = (two * with_r + four * with_g + five * with_b) / determinant
    of_b = (three * with_r + five * with_g + six * with_b) / determinant
    offset = mean - of_r * mean_r - of_g * mean_g - of_b * mean_b
    slopes_and_offset = [_resized(_mean(plane), painted.shape[::-1]) for plane in (of_r, of_g, of_b, offset)]
    fitted = slopes_and_offset[3]
    for slope, colour in zip(slopes_and_offset, colours, strict=False):
        fitted += slope * colour
    return fitted


def _mean(plane: Plane) -> Plane:
    """float32 (h, w) -> the mean around every place, the same"""
    return np.asarray(cv2.blur(plane, (AROUND_PX, AROUND_PX), borderType=cv2.BORDER_REPLICATE), np.float32)


def _resized(plane: Plane, size: Sequence[int]) -> Plane:
    """float32 (h, w) and a width and a height -> float32 of that size"""
    return np.asarray(cv2.resize(plane, tuple(size), interpolation=cv2.INTER_LINEAR), np.float32)
