"""Where the style pictures of a training run come from: DATA/style, or pictures and named works that were asked for."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from engines.artworks import find_artwork, load_artworks
from engines.errors import InputError
from engines.training.data import pictures_of


def find(kind: Literal["any", "one", "many"], asked: Sequence[str], data: Path) -> Path | list[Path]:
    """The folder or the files, in their order, that a method of this kind (see `Recipe.styles`) learns from.

    asked: files, folders and names of `engines.artworks`; a table of "many" is of all of these where nothing was asked
    for. Raises InputError: too few or too many, or no picture there; StyleError: no work of that name.
    """
    if kind == "any":
        if asked:
            raise InputError("--style-pictures is for johnson, reconet and cin; this method learns from DATA/style")
        return data / "style"
    if kind == "many" and not asked:
        return [work.path for work in load_artworks()]
    files = [path for text in asked for path in _files(text)]
    if kind == "one" and len(files) != 1:
        raise InputError(f"this method learns one style, not {len(files)}; give --style-pictures PICTURE")
    return files


def _files(text: str) -> list[Path]:
    path = Path(text)
    if path.is_dir():
        found = pictures_of(path)
        if not found:
            raise InputError(f"{path} has no pictures; it should hold .jpg, .png or .webp files")
        return found
    return [path] if path.is_file() else [find_artwork(text, load_artworks()).path]
