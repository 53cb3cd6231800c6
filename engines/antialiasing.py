"""Staircases: what slanting edges show of the pixels they were painted in, once a painting is enlarged.

The network paints pixels of the working size (`engines.working`), and the curves of detail make what is in them as
strong as in a style picture. So the painting's luma is diffused along its edges, and not across them, by one explicit
step of the flow of Tschumperlé and Deriche 2005, "Vector-valued image regularization with PDEs", sec. 3: the trace of
the Hessian times a tensor. The tensor is that of the direction in which luma changes least, and the less of it there
is the less the directions around agree. Of a row of pixels, a column and the two diagonals, only those next to that
direction are looked along: what is in between is made of them, so that an edge at any slope stays as sharp as it was.
"""

from __future__ import annotations

import cv2
import numpy as np

from engines.pixels import ZERO, Picture, Plane, added_to_all, slopes

STEP = 0.5  # of the second derivative along an edge: in a row, a pixel becomes the mean of its two neighbours
# Directions are those of the luma at half of its sides: there the stairs themselves are no edges any more.
AROUND_PX = 3  # side of the square over which they are averaged
FLAT = 1.0  # square of the slope (steps of 255 per pixel) below which there is no edge to speak of
# Both neighbours of all pixels, in a luma with a margin of one: in their row, their column, and on both diagonals.
_FIRST, _MIDDLE, _LAST = slice(0, -2), slice(1, -1), slice(2, None)
_NEIGHBOURS = (
    ((_MIDDLE, _FIRST), (_MIDDLE, _LAST)),
    ((_FIRST, _MIDDLE), (_LAST, _MIDDLE)),
    ((_FIRST, _FIRST), (_LAST, _LAST)),
    ((_FIRST, _LAST), (_LAST, _FIRST)),
)


class Antialiaser:
    """Smooths one stream's paintings along their edges. Not for several threads."""

    def __init__(self) -> None:
        # New arrays would cost more time than the arithmetic.
        self._luma = self._around = self._half = np.empty((0, 0), np.uint8)
        self._wide = self._weight = self._bend = self._sum = np.empty((0, 0), np.float32)
        self._planes = np.empty((6, 0, 0), np.float32)
        self._changes = self._out = np.empty((0, 0, 3), np.uint8)

    def of(self, painting: Picture, strength: float) -> Picture:
        """RGB uint8 (h, w, 3), sides from 2 px -> the same, good until the next call.

        strength: of the painting, 0..1: as much of the change.
        """
        height, width = painting.shape[:2]
        if self._out.shape != painting.shape:
            self._luma, self._half = np.empty((height, width), np.uint8), np.empty((height // 2, width // 2), np.uint8)
            self._around, self._wide = (np.empty((height + 2, width + 2), kind) for kind in (np.uint8, np.float32))
            self._weight, self._bend, self._sum = np.empty((3, height, width), np.float32)
            self._planes = np.empty((6, *self._half.shape), np.float32)
            self._changes, self._out = np.empty_like(painting), np.empty_like(painting)
        cv2.cvtColor(painting, cv2.COLOR_RGB2GRAY, dst=self._luma)  # (h, w)
        cv2.resize(self._luma, (width // 2, height // 2), dst=self._half, interpolation=cv2.INTER_LINEAR)
        cv2.copyMakeBorder(self._luma, 1, 1, 1, 1, cv2.BORDER_REPLICATE, dst=self._around)
        np.copyto(self._wide, self._around)
        self._sum.fill(ZERO)
        for small, (one, other) in zip(self._along_edges(strength * STEP), _NEIGHBOURS, strict=True):
            cv2.resize(small, (width, height), dst=self._weight, interpolation=cv2.INTER_LINEAR)
            cv2.add(self._wide[one], self._wide[other], dst=self._bend)
            cv2.scaleAdd(self._wide[_MIDDLE, _MIDDLE], -2, self._bend, dst=self._bend)
            cv2.accumulateProduct(self._weight, self._bend, self._sum)
        cv2.addWeighted(self._sum, 1, self._sum, 0, 0, dst=self._luma, dtype=cv2.CV_8U)  # around ZERO
        added_to_all(painting, self._luma, self._changes, self._out)
        return self._out

    def _along_edges(self, step: float) -> tuple[Plane, Plane, Plane, Plane]:
        """How much of each second difference belongs to the edges' direction: float32 (h / 2, w / 2) each."""
        across, down, xx, xy, yy, share = self._planes  # each is another thing as soon as it is not needed any more
        slopes(self._half, (across, down))
        for one, other, mean in ((across, down, xy), (across, across, xx), (down, down, yy)):
            np.multiply(one, other, out=share)
            cv2.blur(share, (AROUND_PX, AROUND_PX), dst=mean, borderType=cv2.BORDER_REPLICATE)
        # The larger eigenvalue of this tensor (xx, xy; xy, yy) times the identity, less the tensor, over its trace: the
        # direction of the smaller one, times how much they differ.
        apart, trace = np.subtract(xx, yy, out=across), np.add(xx, yy, out=down)
        xy *= 2
        spread = cv2.magnitude(apart, xy, magnitude=xx)  # of the eigenvalues
        np.divide(step / 2, np.add(trace, FLAT, out=share), out=share)
        along_row, along_column = np.subtract(spread, apart, out=yy), np.add(spread, apart, out=apart)
        xy *= share  # as much of the mixed derivative is taken away
        diagonal = np.abs(xy, out=down)
        for along in (along_row, along_column):
            np.multiply(along, share, out=along)
            # Twice the mixed derivative is a diagonal's second difference less those of row and column.
            np.subtract(along, diagonal, out=along)
            np.maximum(along, 0, out=along)
        rising = np.maximum(xy, 0, out=share)
        falling = np.subtract(rising, xy, out=xy)
        return along_row, along_column, falling, rising
