"""What an engine does around its graph: working size, guide, memory before it; tones, the frame's own size after it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from engines.api import Look, check_image
from engines.errors import EngineError
from engines.guide import Guide
from engines.memory import Memory
from engines.tone import Toner
from engines.working import Working

Picture: TypeAlias = NDArray[np.uint8]
# Painting, small source and statistics: of the last frame as a graph takes them, of this one as it gives them.
Remembered: TypeAlias = tuple[Picture, Picture, NDArray[np.float32]]
# working frame (h, w, 3), guide (gh, gw, 3), memory -> the graph's answers; raises EngineError
Graph: TypeAlias = Callable[[Picture, Picture, Remembered], Remembered]


class Around:
    """Paints the frames of one stream with a graph. Not for several threads."""

    def __init__(self) -> None:
        self._working, self._guide, self._memory, self._toner = Working(), Guide(), Memory(), Toner()

    def paint(self, image: Picture, look: Look, graph: Graph) -> Picture:
        """See `engines.api.Engine.stylise`, whose work this is. What `graph` gives is read until the next call."""
        check_image(image)
        image = np.ascontiguousarray(image)
        working = self._working.of(image, look.render_scale)
        guide = self._guide.of(working, look.stroke)
        try:
            painting, source, statistics = graph(working, guide, self._memory.before(working, look.smoothing))
        except EngineError:
            self.reset()
            raise
        self._memory.after(painting, source, statistics)
        # After the memory, which is to remember what the network painted: curves would be applied again and again.
        tones = look.style.tensors.get("tones")
        if tones is not None:
            painting = self._toner.of(painting, tones.reshape(3, -1), look.strength, look.smoothing)
        # Always a new array: the caller owns its frame and may draw on it, and the memory must not see that.
        return self._working.finish(image, working, painting, look.strength)

    def reset(self) -> None:
        """Forget the last painting."""
        self._memory.reset()
        self._toner.reset()
