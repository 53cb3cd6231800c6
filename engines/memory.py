"""What an engine remembers between two frames of one stream, and how it is carried along with the picture."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from engines.motion import Motion

STATISTICS = 16
VALID = 12  # the place in the statistics that says whether the memory holds anything


def small_size(height: int, width: int) -> tuple[int, int]:
    """Height and width of the small source frame: a quarter, rounded up."""
    return -(-height // 4), -(-width // 4)


class Memory:
    """The last painting, the small source frame it belongs to, and colour statistics; moved by an estimated motion.

    An engine calls `before` with the new frame, feeds the three arrays to its graph, and gives the graph's answers to
    `after`. A new frame size, or smoothing 0, starts anew. Not for several threads.
    """

    def __init__(self) -> None:
        self._motion = Motion()
        self._size = (0, 0)
        self._keeps = True
        self._last: tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.float32]] | None = None
        self._nothing: tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.float32]] | None = None

    def before(
        self, image: NDArray[np.uint8], smoothing: float
    ) -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.float32]]:
        """The memory to feed for `image`: painting (h, w, 3), small source (h/4, w/4, 3) uint8, statistics (16,).

        The arrays stay as they are until the next call.
        """
        height, width = image.shape[:2]
        if self._size != (height, width) or self._nothing is None:
            self.reset()
            self._size = (height, width)
            small = small_size(height, width)
            self._nothing = (
                np.zeros((height, width, 3), np.uint8),
                np.zeros((*small, 3), np.uint8),
                np.zeros(STATISTICS, np.float32),
            )
        self._keeps = smoothing > 0.0
        if not self._keeps:
            self.reset()
        if self._last is None:
            if self._keeps:
                # The estimate has to have seen this frame to know how the next one moved.
                self._motion.move(image, self._nothing[0], self._nothing[1])
            return self._nothing
        painting, source, statistics = self._last
        moved_painting, moved_source = self._motion.move(image, painting, source)
        return np.ascontiguousarray(moved_painting), np.ascontiguousarray(moved_source), statistics

    def after(self, painting: NDArray[np.uint8], source: NDArray[np.uint8], statistics: NDArray[np.float32]) -> None:
        """Remember a graph's answers; the arrays are read again at the next `before`, not copied."""
        if self._keeps:
            self._last = (painting, source, statistics)

    def reset(self) -> None:
        """Forget: the next frame is painted as the first one."""
        self._last = None
        self._motion.reset()
