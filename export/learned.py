"""The styles that a network has learned by name: what a bundle of it brings along, since no picture can tell them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engines.artworks import described, load_artworks
from engines.errors import InputError
from engines.nets.cin import CinNet
from engines.pictures import load_picture, thumbnail_of
from engines.styles import Style
from export.eager import Tensors, table_of
from export.source import Source


def learned_tensors(source: Source) -> dict[str, Tensors]:
    """The tensors of all styles that a network has learned, by their names; of a single one there are none."""
    if isinstance(source.net, CinNet):
        return table_of(source.net, source.styles)
    return {name: {} for name in source.styles}


def learned_styles(source: Source, bundle_id: str, pictures: Sequence[Path] = ()) -> list[Style]:
    """The same as styles of a bundle. pictures: files that were learned from and do not come with the program.

    Raises InputError: the picture of a style is not found, or the names are not known.
    """
    if not source.styles:
        raise InputError("the checkpoint does not tell which styles it has learned; train it with this version")
    works = {work.name: work for work in load_artworks()}
    files = {path.stem: path for path in pictures}
    found = []
    for name, tensors in learned_tensors(source).items():
        if name in files:
            found.append(_style(name, tensors, load_picture(files[name]), bundle_id))
        elif name in works:
            found.append(described(_style(name, tensors, works[name].picture(), bundle_id), works[name]))
        else:
            raise InputError(f"the picture of the style {name!r} is not found; give it with --pictures")
    return found


def _style(name: str, tensors: Tensors, picture: NDArray[np.uint8], bundle_id: str) -> Style:
    return Style(name, dict(tensors), thumbnail_of(picture), bundle_id, title=name)
