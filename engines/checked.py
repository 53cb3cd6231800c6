"""What every back end asks of a look before it paints: can this bundle paint it at all?"""

from __future__ import annotations

from engines.api import Look
from engines.bundle import Bundle
from engines.errors import EngineError
from engines.styles import Style


class CheckedStyles:
    """The styles of one stream's looks; those of the last look are known, and cost nothing."""

    def __init__(self, bundle: Bundle) -> None:
        self._bundle = bundle
        self._known: tuple[Style | None, ...] = ()

    def check(self, look: Look) -> None:
        """Raise EngineError (a background for a baked bundle), StyleError (a style of another bundle)."""
        if look.behind is not None and self._bundle.form == "baked":
            raise EngineError(f"{self._bundle.name} is baked: it has no other style for a background")
        for style in (look.style, look.behind):
            if style is not None and all(style is not known for known in self._known):
                self._bundle.check_style(style)
        self._known = (look.style, look.behind)
