"""Moves what was painted along with the picture: a fast estimate of the motion between two frames, and the warp."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

SCALE = 4  # the motion is estimated on a picture of a quarter of each side
STILL_PX = 0.35  # motion below this, in pixels of the full frame, is noise of the estimate and taken as none
# Paintings are moved by whole pixels: as steady as sampling between them, and three times as fast. Mixed with the new
# painting, which lies up to half a pixel beside it, a moved one softens it: so much is put back where something moved.
# Fed back with at most MOST_MEMORY of `engines.nets.frame_graph` it stays under 1 everywhere: nothing builds up.
SHARPEN = 0.6
# The preset's 2 stops at a quarter of the small picture and leaves a third more flicker. Half the preset's iterations
# and no variational refinement leave a thirtieth more, in half the time.
FINEST_LEVEL, DESCENT_STEPS, REFINEMENT_STEPS = 1, 6, 0
MOSTLY = 0.7  # share of the frame
MIN_SIDE_PX = 16  # DIS needs some pixels: smaller pictures are enlarged for it


class Motion:
    """Estimates the motion from frame to frame (OpenCV's DIS, Kroeger et al. 2016). Not for several threads.

    Sub-pixel moves of what stands still would soften it a little more with every frame, so the smallest are dropped.
    """

    def __init__(self) -> None:
        self._flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
        self._flow.setFinestScale(FINEST_LEVEL)
        self._flow.setGradientDescentIterations(DESCENT_STEPS)
        self._flow.setVariationalRefinementIterations(REFINEMENT_STEPS)
        self._last: NDArray[np.uint8] | None = None

    def to(self, small: NDArray[np.uint8]) -> NDArray[np.float32] | None:
        """The motion since the last call: where each pixel of `small` was.

        small: the frame at 1/SCALE of its sides, RGB uint8 (h, w, 3). Returns pixels of it, float32 (h, w, 2), x and
        y; None where nothing moves at all, at the first call, after `reset` and where the size is another one.
        """
        height, width = small.shape[:2]
        luma = np.asarray(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY), np.uint8)
        grow = -(-MIN_SIDE_PX // min(height, width))
        if grow > 1:
            luma = np.asarray(cv2.resize(luma, (width * grow, height * grow)), np.uint8)
        last, self._last = self._last, luma
        if last is None or last.shape != luma.shape:
            return None
        # From the new frame back to the last one.
        flow = np.asarray(self._flow.calc(luma, last, None), np.float32)  # type: ignore[call-overload]
        if grow > 1:
            flow = np.asarray(cv2.resize(flow, (width, height)), np.float32) / np.float32(grow)
        still = cv2.magnitude(flow[..., 0], flow[..., 1]) < STILL_PX / SCALE
        if still.all():
            return None
        flow[still] = 0
        return flow

    def reset(self) -> None:
        """Forget the last frame."""
        self._last = None


class Carrier:
    """Moves paintings of one size. What it gives is overwritten by the next call: new arrays cost time of their own."""

    def __init__(self, height: int, width: int) -> None:
        """height, width: of the paintings, in px."""
        small_height, small_width = -(-height // SCALE), -(-width // SCALE)
        self.shape = (height, width, 3)
        self._where = np.empty((small_height * SCALE, small_width * SCALE, 2), np.float32)
        self._mask = np.empty(self._where.shape[:2], np.uint8)
        self._moved, self._soft, self._whole = (np.empty(self.shape, np.uint8) for _ in range(3))

    def carry(self, painting: NDArray[np.uint8], flow: NDArray[np.float32]) -> NDArray[np.uint8]:
        """`painting` RGB uint8 (h, w, 3), moved by `flow`, as `Motion.to` gives it: (ceil(h/4), ceil(w/4), 2)."""
        height, width = painting.shape[:2]
        moves = (flow != 0).any(2).astype(np.uint8)
        # Only the part in which anything moves, and one small pixel around it, is touched: a still camera costs little.
        left, top, wide, high = cv2.boundingRect(moves)
        left, top, right, bottom = max(left - 1, 0), max(top - 1, 0), left + wide + 1, top + high + 1
        if wide * high > MOSTLY * moves.size:  # then all of it, which spares two copies
            left, top, (bottom, right) = 0, 0, moves.shape
        part = (slice(top, bottom), slice(left, right))
        where = flow[part] * SCALE + np.array([left * SCALE, top * SCALE], np.float32)
        wide, high = where.shape[1] * SCALE, where.shape[0] * SCALE
        # Beyond the frame's edge where its sides are no multiples of 4: cut off again.
        rows, columns = min(high, height - top * SCALE), min(wide, width - left * SCALE)
        here = (slice(rows), slice(columns))
        cv2.resize(where, (wide, high), dst=self._where[:high, :wide])
        moved, soft = self._moved[here], self._soft[here]
        how = cv2.INTER_NEAREST | cv2.WARP_RELATIVE_MAP
        cv2.remap(painting, self._where[here], None, how, dst=moved, borderMode=cv2.BORDER_REPLICATE)  # type: ignore[call-overload]
        cv2.GaussianBlur(moved, (3, 3), 0, dst=soft)
        cv2.addWeighted(moved, 1 + SHARPEN, soft, -SHARPEN, 0, dst=soft)
        if moves[part].all():  # nothing to leave as it was
            moved, self._moved, self._soft = soft, self._soft, self._moved
        else:
            cv2.resize(moves[part], (wide, high), dst=self._mask[:high, :wide], interpolation=cv2.INTER_NEAREST)
            cv2.copyTo(soft, self._mask[here], moved)
        if moved.shape == self.shape:
            return self._moved
        np.copyto(self._whole, painting)
        self._whole[top * SCALE : top * SCALE + rows, left * SCALE : left * SCALE + columns] = moved
        return self._whole


def sample(image: NDArray[np.uint8], flow: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Fetch every pixel (x, y) from (x, y) + `flow` (h, w, 2) of `image` (h, w, 3); outside, the edge is repeated."""
    how = cv2.INTER_LINEAR | cv2.WARP_RELATIVE_MAP
    sampled = cv2.remap(image, flow, None, how, borderMode=cv2.BORDER_REPLICATE)  # type: ignore[call-overload]
    return np.asarray(sampled, np.uint8)
