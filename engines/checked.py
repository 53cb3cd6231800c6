"""What every back end asks of a look before it paints: can this bundle paint it at all?"""

from __future__ import annotations

from engines.api import Look
from engines.bundle import NO_BACKGROUND, Bundle
from engines.errors import EngineError
from engines.styles import Style


class CheckedStyles:
    """The styles of one stream's looks; those of the last look are known, and cost nothing."""

    def __init__(self, bundle: Bundle) -> None:
        self._bundle = bundle
        self._known: tuple[Style | None, ...] = ()

    def check(self, look: Look) -> None:
        """Raise EngineError (a background for a bundle of one style), StyleError (a style of another bundle)."""
        if look.behind is not None and self._bundle.regions is None:
            raise EngineError(f"{self._bundle.name} {NO_BACKGROUND}")
        for style in (look.style, look.behind):
            if style is not None and all(style is not known for known in self._known):
                self._bundle.check_style(style)
        self._known = (look.style, look.behind)
