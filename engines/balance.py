"""Balance: the colours of a painting moved to its style picture's palette, after the tones.

The frame had that palette before the network saw it (`engines.recolour`), but what is painted drifts from it, and tones
are matched channel by channel, which says nothing of how the channels go together. So the same map in closed form is
made once more, from what was painted; between two Gaussians it is the optimal one.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from engines.recolour import statistics, transport
from engines.settling import Latest, Numbers, Settling
from engines.tone import STEP_PX

# Of the matrix's rows, their sums without signs: a painting without contrast is not to become one of its noise.
MOST_BALANCE = 6.0
_CUT = 0.1  # difference of the means, 0..1, from which it is another scene


class Balancer:
    """Balances the paintings of one stream, by maps that change slowly. Not for several threads."""

    def __init__(self) -> None:
        # The mean in the first row, the covariance in the others.
        self._own = Settling(lambda own, kept: float(np.abs(own[0] - kept[0]).max()), _CUT)
        self._map = Latest(_byte_map)
        self._balanced = np.empty((0, 0, 3), np.uint8)

    def of(
        self,
        painting: NDArray[np.uint8],
        palette: NDArray[np.float32],
        strength: float,
        memory: float,
        where: NDArray[np.bool_] | None = None,
    ) -> NDArray[np.uint8]:
        """RGB uint8 (h, w, 3) and a style's palette (12,) -> RGB uint8 (h, w, 3), until the next call.

        strength: of the painting, 0..1: as much of the map. memory: see `engines.settling`. where:
        (ceil(h/4), ceil(w/4)), the places whose colours are to be the style's; None: all. The map holds everywhere.
        """
        own = self._own.of(lambda: np.vstack(statistics(painting, STEP_PX, where)), memory)  # (4, 3)
        if self._balanced.shape != painting.shape:
            self._balanced = np.empty_like(painting)
        cv2.transform(painting, self._map.of(own, palette, strength), dst=self._balanced)
        return self._balanced

    def reset(self) -> None:
        """Forget the former paintings."""
        self._own.reset()


def _byte_map(own: Numbers, palette: NDArray[np.float32], strength: float) -> Numbers:
    """Matrix and offset for bytes, (3, 4); own: (4, 3), the mean and the covariance."""
    matrix, offset = balance(own[0], own[1:], palette)
    return np.column_stack([np.eye(3) + strength * (matrix - np.eye(3)), 255 * strength * offset])


def balance(mean: Numbers, covariance: Numbers, palette: NDArray[np.float32]) -> tuple[Numbers, Numbers]:
    """Matrix (3, 3) and offset (3,) for colours 0..1 of this mean (3,) and covariance (3, 3), to a palette (12,).

    `engines.nets.finish.balanced` is the same for tensors.
    """
    numbers = palette.astype(np.float64).ravel()
    matrix, _ = transport(mean, covariance, numbers[:3], numbers[3:].reshape(3, 3))
    most = float(np.abs(matrix).sum(1).max())
    if most > MOST_BALANCE:
        matrix = np.eye(3) + (MOST_BALANCE - 1) / (most - 1) * (matrix - np.eye(3))
    return matrix, numbers[:3] - matrix @ mean
