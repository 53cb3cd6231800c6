"""An engine for frames with people: where they are is seen by a segmentation network, while a look asks for it."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from engines.api import Engine, Look
from engines.later import Later
from engines.regions import Mask


class Masks(Protocol):
    """What tells where people are; see `engines.segmentation.Segmenter`."""

    def mask(self, image: NDArray[np.uint8]) -> Mask: ...

    def reset(self) -> None: ...

    def close(self) -> None: ...


class Regional(Engine):
    """Gives an engine the masks that looks with a background need. It takes over engine and masks, and closes both."""

    def __init__(self, engine: Engine, masks: Later[Masks]) -> None:
        self.name, self.provider = engine.name, engine.provider
        self._engine, self._masks = engine, masks
        self._behind = False  # whether the last frame had a background

    def stylise(self, image: NDArray[np.uint8], look: Look, mask: Mask | None = None) -> NDArray[np.uint8]:
        """Paint one frame; see `engines.api.Engine.stylise`. mask: instead of the one that would be found."""
        behind = look.behind is not None
        if behind and mask is None:
            if not self._behind:
                self._masks.get().reset()  # what was seen then is long gone
            mask = self._masks.get().mask(image)
        self._behind = behind
        painting = self._engine.stylise(image, look, mask)
        self.provider = self._engine.provider  # what regions need is opened late, and may tell more
        return painting

    def session(self) -> Regional:
        """Another stream; see `engines.api.Engine.session`. It finds people by itself."""
        return Regional(self._engine.session(), self._masks.again())

    def reset(self) -> None:
        """Forget the last painting."""
        self._behind = False
        self._engine.reset()

    def close(self) -> None:
        self._masks.drop(lambda masks: masks.close())
        self._engine.close()
