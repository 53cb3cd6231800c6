"""What engines do around their graphs: working size, guide, memory; then tones, detail, and the frame's own size."""

from __future__ import annotations

from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from engines.api import Look, check_image
from engines.bands import Detailer
from engines.chroma import with_colours_of
from engines.errors import EngineError
from engines.guide import Guide, guide_size
from engines.memory import Memory, Recalled
from engines.recolour import Recolourer
from engines.renewal import Guided, Renewal
from engines.tone import Toner
from engines.working import Working

Picture: TypeAlias = NDArray[np.uint8]


class Graphs(Protocol):
    """The two graphs of a model, with a style and a strength; see `engines.nets.frame_graph`. Raise EngineError."""

    def guide(self, guide: Picture, colour_map: NDArray[np.float32]) -> NDArray[np.float32]:
        """Guidance for a guide (gh, gw, 3), good until the next call."""
        ...

    def paint(self, working: Picture, guided: Guided, recalled: Recalled, smoothing: float) -> tuple[Picture, Picture]:
        """Paint a working frame (h, w, 3): painting and next small source, good until the call after the next."""
        ...


class Around:
    """Paints the frames of one stream with a model's graphs. Not for several threads."""

    def __init__(self) -> None:
        self._working, self._guide = Working(), Guide()
        self._memory, self._renewal = Memory(), Renewal()
        self._recolourer = Recolourer()
        self._toner, self._detailer = Toner(), Detailer()

    def paint(self, image: Picture, look: Look, graphs: Graphs) -> Picture:
        """See `engines.api.Engine.stylise`, whose work this is."""
        check_image(image)
        image = np.ascontiguousarray(image)
        working = self._working.of(image, look.render_scale)
        recalled = self._memory.before(working, look.smoothing)

        def ask(hold: float) -> Guided:
            guide = self._guide.of(working, look.stroke)
            colour_map = self._recolourer.of(guide, look.style.tensors["palette"], hold)
            return Guided(graphs.guide(guide, colour_map), colour_map)

        try:
            size = guide_size(working.shape[0], working.shape[1], look.stroke)
            guided = self._renewal.of(size, look, recalled, ask)
            smoothing = look.smoothing if recalled.holds else 0.0
            painting, source = graphs.paint(working, guided, recalled, smoothing)
        except EngineError:
            self.reset()
            raise
        self._memory.after(painting, source)
        # After the memory, which is to remember what the network painted: this would be applied again and again.
        if look.strength > 0:
            tensors, numbers = look.style.tensors, (look.strength, look.smoothing)
            if "tones" in tensors:
                painting = self._toner.of(painting, tensors["tones"].reshape(3, -1), *numbers)
            if "bands" in tensors:
                painting = self._detailer.of(painting, tensors["bands"].reshape(-1), *numbers)
        # Always a new array: the caller owns its frame and may draw on it, and the memory must not see that.
        return with_colours_of(
            image, self._working.finish(image, working, painting, look.strength), look.strength and look.keep_colours
        )

    def reset(self) -> None:
        """Forget the last painting."""
        self._memory.reset()
        self._renewal.reset()
        self._toner.reset()
        self._detailer.reset()
