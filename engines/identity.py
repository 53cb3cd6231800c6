"""An engine that copies its input: for tests, and to measure the loop alone."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from engines.api import Engine, Look, check_image, closed_error
from engines.bundle import Bundle
from engines.errors import EngineError
from engines.regions import Mask


class IdentityEngine(Engine):
    """Returns a copy of every frame; checks frames and styles as the painting engines do.

    Raises EngineError: a provider other than the CPU, where copies are made.
    """

    name = "identity"
    provider = "none"

    def __init__(
        self, bundle: Bundle | None = None, *, threads: int | None = None, provider: str | None = None
    ) -> None:
        del threads  # taken as all engines take them; there is nothing to compute
        if provider not in (None, "cpu"):
            raise EngineError(
                f"the identity engine computes nothing, so that it has no provider {provider!r}; leave it out"
            )
        self._bundle = bundle
        self._closed = False
        self._parent: IdentityEngine | None = None

    def stylise(self, image: NDArray[np.uint8], look: Look, mask: Mask | None = None) -> NDArray[np.uint8]:
        """A copy of `image`. Raises InputError, StyleError (a style of another bundle), EngineError (closed)."""
        self._check_open()
        check_image(image)
        if self._bundle is not None:
            self._bundle.check_style(look.style)
        return image.copy()

    def session(self) -> IdentityEngine:
        """Another stream; see `engines.api.Engine.session`."""
        self._check_open()
        other = IdentityEngine(self._bundle)
        other._parent = self._parent or self
        return other

    def reset(self) -> None:
        """Nothing is remembered."""

    def close(self) -> None:
        self._closed = True

    def _check_open(self) -> None:
        if self._closed or (self._parent is not None and self._parent._closed):
            raise closed_error(self.name)
