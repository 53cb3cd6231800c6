"""An engine that copies its input: for tests, and to measure the loop alone."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from engines.api import Engine, Look, check_image
from engines.bundle import Bundle
from engines.errors import EngineError
from engines.regions import Mask


class IdentityEngine(Engine):
    """Returns a copy of every frame; checks frames and styles as the painting engines do."""

    name = "identity"
    provider = "none"

    def __init__(
        self, bundle: Bundle | None = None, *, threads: int | None = None, provider: str | None = None
    ) -> None:
        del threads, provider  # taken as all engines take them; there is nothing to compute
        self._bundle = bundle
        self._closed = False

    def stylise(self, image: NDArray[np.uint8], look: Look, mask: Mask | None = None) -> NDArray[np.uint8]:
        """A copy of `image`. Raises InputError, StyleError (a style of another bundle), EngineError (closed)."""
        if self._closed:
            raise EngineError("the identity engine is closed; open a new one")
        check_image(image)
        if self._bundle is not None:
            self._bundle.check_style(look.style)
        return image.copy()

    def reset(self) -> None:
        """Nothing is remembered."""

    def close(self) -> None:
        self._closed = True
