"""What is measured of a stream's paintings, and is not to jump from one to the next.

How much of what was measured before still counts is told by `memory`, a share in 0..1: 0 looks at this painting alone,
1 does not look at it at all, as long as there was one before.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]
Made = TypeVar("Made")


class Settling:
    """Numbers that follow those of one stream's paintings slowly, and at once where they tell of another scene.

    away: how far new numbers are from the former ones; from `cut` on it is another scene. Not for several threads.
    """

    def __init__(self, away: Callable[[Numbers, Numbers], float], cut: float) -> None:
        self._away, self._cut = away, cut
        self._kept: Numbers | None = None
        self.anew = True  # the last numbers follow nothing: the first ones, or another scene

    def of(self, measure: Callable[[], Numbers], memory: float) -> Numbers:
        """The numbers to go by, of the shape of those that `measure` tells of this painting."""
        if self._kept is not None and memory == 1:
            self.anew = False
            return self._kept
        numbers = measure()
        self.anew = self._kept is None or memory == 0 or self._away(numbers, self._kept) >= self._cut
        if self._kept is not None and not self.anew:
            numbers = numbers + memory * (self._kept - numbers)
        self._kept = numbers
        return numbers

    def reset(self) -> None:
        """Forget the former paintings."""
        self._kept = None


class Latest(Generic[Made]):
    """What was made last, as long as it would be made of the same numbers again. Not for several threads."""

    def __init__(self, make: Callable[..., Made]) -> None:
        self._make = make
        self._of: tuple[Any, ...] = ()

    def of(self, *numbers: Any) -> Made:
        """What `make` makes of these, arrays or not."""
        if not self._of or not all(map(np.array_equal, numbers, self._of)):
            self._made, self._of = self._make(*numbers), tuple(map(np.array, numbers))
        return self._made
