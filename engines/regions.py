"""Regions: two styles in one frame, mixed where a mask says. The share is 1 where the look's own style holds.

What the network is told is mixed, not what it paints, so there is one painting without a seam; only tones, and
strengths that differ, are blended afterwards.
"""

from __future__ import annotations

from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from engines.errors import InputError
from engines.guide import MARGIN_CELLS
from engines.memory import small_size

Mask: TypeAlias = NDArray[np.float32]
_HALF = 0.5  # share from which a place counts to the look's own style


def check_mask(mask: Mask | None, height: int, width: int) -> Mask:
    """The mask of a frame with a background, row by row in memory.

    Raises InputError unless it is float32 (ceil(h/4), ceil(w/4)).
    """
    size = small_size(height, width)
    if mask is None:
        raise InputError("a look with a background needs a mask; open the engine with engines.regional")
    if mask.dtype != np.float32 or mask.shape != size:
        raise InputError(
            f"a mask is {mask.dtype} {mask.shape}; of a frame of {width}x{height} it must be float32 {size}"
        )
    return np.ascontiguousarray(mask)  # what runs graphs reads its memory as it lies


def sized(mask: Mask, height: int, width: int) -> Mask:
    """A mask for another size of the same frame, height and width in cells or pixels."""
    if mask.shape == (height, width):
        return mask
    return np.asarray(cv2.resize(mask, (width, height), interpolation=cv2.INTER_LINEAR), np.float32)


def mixed_guidance(ours: Mask, theirs: Mask, mask: Mask) -> Mask:
    """Guidance (1, c, rows, columns) of both styles, mixed place by place, margin and all; a new array."""
    rows, columns = ours.shape[2:]
    inside = sized(mask, rows - 2 * MARGIN_CELLS, columns - 2 * MARGIN_CELLS)
    share = np.pad(inside, MARGIN_CELLS, mode="edge")
    return np.asarray(theirs + share * (ours - theirs), np.float32)


def blended(ours: NDArray[np.uint8], theirs: NDArray[np.uint8], share: Mask) -> NDArray[np.uint8]:
    """RGB uint8 (h, w, 3) twice, mixed by a share of the first (h, w); a new array."""
    return np.asarray(cv2.blendLinear(ours, theirs, share, 1 - share), np.uint8)


def belongs(mask: Mask) -> NDArray[np.bool_]:
    """Which places count to the look's own style."""
    return mask >= _HALF
