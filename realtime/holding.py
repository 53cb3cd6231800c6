"""If painting fails while a camera runs, the last painting goes on; the raw camera is never shown in its place."""

from __future__ import annotations

import time
from collections.abc import Callable

from engines.api import Engine, Look
from engines.errors import EngineError
from engines.regions import Mask
from realtime.frames import Image
from realtime.sinks import slate

AGAIN_AFTER_S = 1.0


class Holding(Engine):
    """An engine that gives its last painting again while the engine inside fails, and tries that every second.

    An engine that has never painted anything is not held: its error is raised. It takes the engine over.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        tell: Callable[[str], object] = lambda line: None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        """tell: called with a line when painting fails, and when it works again. clock: in seconds."""
        self.name, self.provider = engine.name, engine.provider
        self._engine, self._tell, self._clock = engine, tell, clock
        self._last: Image | None = None
        self._failed_s: float | None = None  # when it was tried last

    def stylise(self, image: Image, look: Look, mask: Mask | None = None) -> Image:
        """Paint one frame, or give the last painting; see `engines.api.Engine.stylise`.

        A frame of another size than the last painting's gets a slate.
        """
        if self._failed_s is not None and self._clock() - self._failed_s < AGAIN_AFTER_S:
            return self._held(image)
        try:
            painting = self._engine.stylise(image, look, mask)
        except EngineError as error:
            if self._last is None:
                raise
            if self._failed_s is None:
                self._tell(f"{error}; the last painting goes on")
            self._failed_s = self._clock()
            return self._held(image)
        if self._failed_s is not None:
            self._tell("painting goes on")
            self._failed_s = None
        self._last = painting
        return painting

    def session(self) -> Holding:
        """Another stream, held by itself; see `engines.api.Engine.session`."""
        return Holding(self._engine.session(), tell=self._tell, clock=self._clock)

    def reset(self) -> None:
        self._engine.reset()

    def close(self) -> None:
        self._engine.close()

    def _held(self, image: Image) -> Image:
        if self._last is None or self._last.shape != image.shape:
            return slate(image.shape[0], image.shape[1], "no painting")
        return self._last.copy()
