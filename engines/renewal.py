"""When the guide is looked at anew: every few frames, and at once where what it told no longer holds.

What a guide tells (style kernels, colour map) changes slowly. Between two looks it is moved along with the picture,
which keeps paintings as steady as a look at every frame does; without an estimate of the motion it is not kept.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from engines.api import Look
from engines.guide import MARGIN_CELLS
from engines.memory import Recalled
from engines.recolour import MOST_MEMORY
from engines.styles import Style

# Mean difference of the small frames, after motion (0..1), from which kernels are computed anew at once.
CHANGE = 0.04


@dataclass(frozen=True, slots=True)
class Guided:
    """What is known of a frame from its guide, or from that of a frame before it, moved.

    guidance: float32 (1, c, gh/4 + 4, gw/4 + 4), as `engines.nets.frame_graph.GuideGraph` gives it, mixed where there
    are two styles; colour_map: float32 (12,), see `engines.recolour`; background_map: the same of the background.
    """

    guidance: NDArray[np.float32]
    colour_map: NDArray[np.float32]
    background_map: NDArray[np.float32] | None = None


# Where there is no guide. No graph reads it.
UNGUIDED = Guided(np.zeros((1, 0, 0, 0), np.float32), np.zeros(12, np.float32))

# How much of the last colour statistics is to be kept, 0..1 -> what the guide tells; raises EngineError
Ask: TypeAlias = Callable[[float], Guided]


class Renewal:
    """What the guide of one stream told, as long as it holds. Not for several threads."""

    def __init__(self) -> None:
        self._kept: Guided | None = None
        self._styles: tuple[Style | None, Style | None] = (None, None)
        self._size = (0, 0)
        self._age = 0  # frames
        self.hold = 0.0  # share of what was measured before that still counts: all of it, as long as the guide is kept
        self._mover = _Mover()

    def of(self, size: tuple[int, int], look: Look, recalled: Recalled, ask: Ask) -> Guided:
        """What holds for a frame: `ask` is called where it is time, else the last answers are moved by the motion.

        size: height and width of the guide. The arrays are good until the next call.
        """
        kept = self.kept(size, look, recalled)
        return self.took(ask(self.hold), size, look) if kept is None else kept

    def kept(self, size: tuple[int, int], look: Look, recalled: Recalled) -> Guided | None:
        """What is kept, moved, as long as it holds for a frame; None where the guide is to be asked: then `took`."""
        self._age += 1
        kept = self._kept
        if (
            kept is not None
            and self._age < look.kernel_interval
            and look.smoothing > 0
            and look.style is self._styles[0]
            and look.behind is self._styles[1]
            and size == self._size
            and recalled.change < CHANGE
        ):
            if recalled.flow is not None:
                self._kept = kept = replace(kept, guidance=self._mover.moved(kept.guidance, recalled.flow))
            self.hold = 1.0
            return kept
        known = kept is not None and recalled.holds
        self.hold = (MOST_MEMORY * look.smoothing) ** self._age if known else 0.0
        return None

    def took(self, told: Guided, size: tuple[int, int], look: Look) -> Guided:
        """Keep what the guide told of a frame."""
        self._kept = told
        self._styles, self._size, self._age = (look.style, look.behind), size, 0
        return told

    def reset(self) -> None:
        """Forget everything."""
        self._kept = None


class _Mover:
    """Moves guidance by a motion; what it gives is overwritten by the call after the next."""

    def __init__(self) -> None:
        self._shape = (0, 0, 0, 0)
        self._turn = 0

    def moved(self, guidance: NDArray[np.float32], flow: NDArray[np.float32]) -> NDArray[np.float32]:
        """guidance (1, c, rows, columns), flow (h, w, 2) in pixels of its own -> guidance of the same shape."""
        _, channels, rows, columns = guidance.shape
        if guidance.shape != self._shape:
            self._shape = guidance.shape
            self._made = tuple(np.empty(guidance.shape, np.float32) for _ in range(2))
            self._where = np.empty((channels, rows, columns, 2), np.float32)
            self._here = np.stack(np.meshgrid(np.arange(columns), np.arange(rows)), 2).astype(np.float32)
            self._starts = (np.arange(channels, dtype=np.float32) * rows)[:, None, None]
        across, down = columns - 2 * MARGIN_CELLS, rows - 2 * MARGIN_CELLS
        cells = cv2.resize(flow, (across, down), interpolation=cv2.INTER_AREA)
        cells *= np.array([across / flow.shape[1], down / flow.shape[0]], np.float32)
        margin = ((MARGIN_CELLS, MARGIN_CELLS), (MARGIN_CELLS, MARGIN_CELLS), (0, 0))
        where = np.pad(cells, margin, mode="edge") + self._here
        # All channels as one tall picture, moved by one call; so rows must not reach into the next channel.
        np.clip(where[..., 1], 0, rows - 1, out=where[..., 1])
        self._where[..., 0] = where[..., 0]
        np.add(where[..., 1], self._starts, out=self._where[..., 1])
        self._turn = 1 - self._turn
        made = self._made[self._turn]
        tall, there = (channels * rows, columns), self._where.reshape(channels * rows, columns, 2)
        border = cv2.BORDER_REPLICATE
        cv2.remap(guidance.reshape(tall), there, None, cv2.INTER_LINEAR, dst=made.reshape(tall), borderMode=border)  # type: ignore[call-overload]
        return made
