"""What an engine remembers between two frames of one stream, and how it is carried along with the picture."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

import cv2
import numpy as np
from numpy.typing import NDArray

from engines.motion import SCALE, Carrier, Motion, sample

# Mean difference of the whole small frame (0..1), after motion, from which it is another scene and the memory is void.
CUT = 0.12


def small_size(height: int, width: int) -> tuple[int, int]:
    """Height and width of the small source frame: a quarter, rounded up."""
    return -(-height // SCALE), -(-width // SCALE)


def quartered(image: NDArray[np.uint8], out: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """RGB uint8 (h, w, 3) -> the mean over each 4 x 4 pixels, RGB uint8 (*small_size(h, w), 3); into `out`.

    Beyond the edge, where sides are no multiples of 4, the last pixels are repeated.
    """
    height, width = out.shape[:2]
    below, right = height * SCALE - image.shape[0], width * SCALE - image.shape[1]
    if below or right:
        image = np.asarray(cv2.copyMakeBorder(image, 0, below, 0, right, cv2.BORDER_REPLICATE), np.uint8)
    cv2.resize(image, (width, height), dst=out, interpolation=cv2.INTER_AREA)
    return out


@dataclass(frozen=True, slots=True)
class Recalled:
    """The memory, moved to where the new frame has what it shows. The arrays stay as they are until the next call.

    painting: RGB uint8 (h, w, 3); small: the new frame and source: the last one as it is remembered, both RGB uint8
    (ceil(h/4), ceil(w/4), 3). flow: as `Motion.to` gives it. change: mean difference of small and source, 0..1, or
    infinite where nothing is remembered; then painting and source mean nothing.
    """

    painting: NDArray[np.uint8]
    small: NDArray[np.uint8]
    source: NDArray[np.uint8]
    flow: NDArray[np.float32] | None
    change: float

    @property
    def holds(self) -> bool:
        """Whether it is still the same scene."""
        return self.change < CUT


class Memory:
    """The last painting and the small source frame it belongs to, moved by an estimated motion.

    An engine calls `before` with the new frame and gives its graph's answers to `after`. A new frame size, or
    smoothing 0, starts anew. Not for several threads.
    """

    def __init__(self) -> None:
        self._motion = Motion()
        self._keeps = True
        self._last: tuple[NDArray[np.uint8], NDArray[np.uint8]] | None = None
        self._carrier = Carrier(0, 0)
        self._small, self._nothing = (np.empty((0, 0, 3), np.uint8) for _ in range(2))

    def before(self, image: NDArray[np.uint8], smoothing: float) -> Recalled:
        """What is remembered for `image`, RGB uint8 (h, w, 3)."""
        if self._nothing.shape != image.shape:
            self.reset()
            self._nothing = np.zeros_like(image)
            self._small = np.zeros((*small_size(*image.shape[:2]), 3), np.uint8)
            self._carrier = Carrier(*image.shape[:2])
        self._keeps = smoothing > 0.0
        if not self._keeps:
            self.reset()
        small = quartered(image, self._small)
        # The estimate has to have seen this frame to know how the next one moved.
        flow = self._motion.to(small) if self._keeps else None
        if self._last is None:
            return Recalled(self._nothing, small, small, None, inf)
        painting, source = self._last
        if flow is not None:
            painting, source = self._carrier.carry(painting, flow), sample(source, flow)
        return Recalled(painting, small, source, flow, cv2.norm(small, source, cv2.NORM_L1) / (255 * small.size))

    def after(self, painting: NDArray[np.uint8], source: NDArray[np.uint8]) -> None:
        """Remember a graph's answers; the arrays are read again at the next `before`, not copied."""
        if self._keeps:
            self._last = (painting, source)

    def reset(self) -> None:
        """Forget: the next frame is painted as the first one."""
        self._last = None
        self._motion.reset()
