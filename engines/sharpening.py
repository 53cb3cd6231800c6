"""Detail in closed form: a frame's fine detail is made about as strong as its style picture's before it is painted.

What `engines.recolour` is for colours. A network paints strokes where it sees detail, and how much of it there is
differs from camera to camera: of a soft frame it makes less paint than the style has, of a harsh one more. So the frame
is sharpened or softened (an unsharp mask) by one gain, measured on the frame as the network sees it, recoloured.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from engines.bands import FINE, STEPS_PX, quantiles, softened
from engines.pixels import ZERO, Picture, every
from engines.settling import Settling

# What is amplified is noise, too, and flickers. With 3 instead of 1.4 held-out paintings are no nearer to their styles,
# but change more from frame to frame by a sixth.
LEAST_GAIN, MOST_GAIN = 0.3, 1.4
FLOOR = 0.5 / 255  # mean strengths well below this are rounding
_CUT = 0.5  # relative change of the gain from which it is another scene


class Sharpener:
    """Sharpens the frames of one stream. Not for several threads."""

    def __init__(self) -> None:
        self._gain = Settling(lambda new, kept: float(np.abs(new / kept - 1).max()), _CUT)
        # New arrays would cost as much time as the arithmetic.
        self._soft, self._out = (np.empty((0, 0, 3), np.uint8) for _ in range(2))

    def see(self, frame: Picture) -> None:
        """Look at a frame, RGB uint8 (h, w, 3)."""
        if self._soft.shape != frame.shape:
            self._soft, self._out = np.empty_like(frame), np.empty_like(frame)
        softened(frame, FINE, self._soft)

    def places(self, frame: Picture) -> Picture:
        """Places of the fine band of the frame that was seen, around ZERO: uint8, a new array."""
        step = STEPS_PX[FINE]
        return np.asarray(cv2.addWeighted(every(frame, step), 1, every(self._soft, step), -1, ZERO), np.uint8)

    def of(self, frame: Picture, gain: Callable[[], float], strength: float, memory: float) -> Picture:
        """The frame that was seen, with its fine detail so many times as strong: RGB uint8, until the next call.

        gain: what `gain_to` tells. strength: 0..1, as much of it. memory: see `engines.settling`.
        """
        limited = self._gain.of(lambda: np.array([min(max(gain(), LEAST_GAIN), MOST_GAIN)]), memory)
        settled = 1 + strength * (float(limited[0]) - 1)
        cv2.addWeighted(frame, settled, self._soft, 1 - settled, 0, dst=self._out)
        return self._out

    def reset(self) -> None:
        """Forget the former frames."""
        self._gain.reset()


def gain_to(seen: Picture, colour_map: NDArray[np.float32], of_style: NDArray[np.float32]) -> float:
    """The gain that the fine detail of a frame needs, without a limit.

    seen: places of its fine band; colour_map: (12,) as `engines.recolour` gives it; of_style: the style's strengths,
    (BANDS, 3, LEVELS).
    """
    matrix = colour_map[:9].astype(np.float64).reshape(3, 3) * (255 / 2)
    around_zero = np.column_stack([matrix, ZERO - matrix.sum(1) * ZERO])
    own = quantiles(np.asarray(cv2.transform(seen, around_zero), np.uint8))
    return (float(of_style[FINE].mean()) + FLOOR) / (float(own.mean()) + FLOOR)
