"""The works behind the named styles: pictures in the public domain that come with the program, and what they are."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engines.bundle import RELEASED, near
from engines.errors import StyleError
from engines.pictures import load_picture
from engines.styles import Style

FOLDER = RELEASED / "artworks"
CATALOGUE = "artworks.toml"


@dataclass(frozen=True, slots=True)
class Artwork:
    """One work: the texts of its table in the catalogue.

    name: what a user types, [a-z0-9-]. painter_years: "born–died". year: when it was made, as text ("c. 1832").
    look: stroke, line and palette in a few words. source: where the picture's file was taken from.
    path: its picture, a JPEG with its long side at most 512 pixels.
    """

    name: str
    title: str
    painter: str
    painter_years: str
    year: str
    look: str
    source: str
    licence: str
    licence_reason: str
    path: Path

    def picture(self) -> NDArray[np.uint8]:
        """RGB uint8 (height, width, 3). Raises StyleError."""
        return load_picture(self.path)


def load_artworks(folder: Path = FOLDER) -> tuple[Artwork, ...]:
    """All works of a catalogue, in its order. Raises StyleError: no catalogue, or one that lacks something."""
    catalogue = folder / CATALOGUE
    try:
        tables = tomllib.loads(catalogue.read_text(encoding="utf-8"))
        works = tuple(Artwork(name=name, path=folder / f"{name}.jpg", **table) for name, table in tables.items())
    except OSError as error:
        raise StyleError(f"{catalogue} cannot be read ({error.strerror}); it lists the works of its folder") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, TypeError) as error:
        raise StyleError(f"{catalogue} is not a catalogue of works: {error}; see the one that is released") from error
    if lacking := [work.name for work in works if not work.path.is_file()]:
        raise StyleError(f"{folder} lacks the pictures of {', '.join(lacking)}; each work needs its NAME.jpg")
    return works


def described(style: Style, work: Artwork) -> Style:
    """A work's style with all that is known of the work."""
    return replace(
        style,
        title=work.title,
        painter=work.painter,
        year=work.year,
        source=work.source,
        licence=f"{work.licence} ({work.licence_reason})",
        extra={**style.extra, "painter_years": work.painter_years, "look": work.look},
    )


def find_artwork(name: str, works: tuple[Artwork, ...]) -> Artwork:
    """The work of that name. Raises StyleError (near names told)."""
    for work in works:
        if work.name == name:
            return work
    raise StyleError(f"no artwork {name!r}; {near(name, [work.name for work in works])}")
