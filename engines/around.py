"""What engines do around their graphs: working size, guide, memory; then tones, detail, and the frame's own size."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from engines.api import Look, check_image
from engines.bands import Detailer
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
        self._working, self._guide, self._memory = Working(), Guide(), Memory()
        self._toner, self._detailer = Toner(), Detailer()

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
        # After the memory, which is to remember what the network painted: this would be applied again and again.
        if look.strength > 0:
            tensors, numbers = look.style.tensors, (look.strength, look.smoothing)
            if "tones" in tensors:
                painting = self._toner.of(painting, tensors["tones"].reshape(3, -1), *numbers)
            if "bands" in tensors:
                painting = self._detailer.of(painting, tensors["bands"].reshape(-1), *numbers)
        # Always a new array: the caller owns its frame and may draw on it, and the memory must not see that.
        return self._working.finish(image, working, painting, look.strength)

    def reset(self) -> None:
        """Forget the last painting."""
        self._memory.reset()
        self._toner.reset()
        self._detailer.reset()
