"""What is painted in what: held-out photos in held-out style pictures or in the named artworks, which few-style
networks know; or pictures that training sees, to choose by."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from engines.artworks import Artwork, find_artwork
from engines.training.data import square
from engines.training.evaluation import HeldOut

HELD_OUT, NAMED, TRAINING = "held-out", "named", "training"


class Pictures(Protocol):
    """Photos and style pictures by their names, as squares of one size.

    styles: all that there are: a painting's style picture is looked for among them, whichever it is painted in.
    """

    photos: list[str]
    styles: list[str]

    def picture(self, name: str) -> NDArray[np.uint8]:
        """RGB uint8 (side, side, 3): the middle square. Raises StyleError for a picture that cannot be read."""
        ...


class NamedStyles:
    """The held-out photos, and artworks as style pictures, by their names."""

    def __init__(self, held_out: HeldOut, works: Sequence[Artwork], side: int) -> None:
        self.photos = held_out.photos
        self.styles = [work.name for work in works]
        self._held_out, self._works, self._side = held_out, tuple(works), side

    def picture(self, name: str) -> NDArray[np.uint8]:
        if name in self.photos:
            return self._held_out.picture(name)
        return square(find_artwork(name, self._works).picture(), self._side)
