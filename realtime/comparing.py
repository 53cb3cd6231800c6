"""Several models that paint the same pictures: who can paint the style that is asked for, and how fast each is."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines.api import Engine, Look
from engines.artworks import Artwork, load_artworks
from engines.bundle import Bundle, near
from engines.description import Description
from engines.encoder import resolve_style
from engines.errors import BrushcastError, InputError, StyleError
from engines.paths import expanded, is_folder, is_there
from engines.pictures import load_picture
from engines.styles import STYLE_FILE_SUFFIX, Style, load_style
from engines.words import words_of
from realtime.frames import Image

RUN_FRAMES = 4  # of one run: a whole number of the usual kernel interval
_PAN_PX = 2


class UnpaintableError(StyleError):
    """A model cannot paint the style that is asked for, though nothing is wrong with it; the message says why."""


@dataclass(frozen=True, slots=True)
class Asked:
    """The style that all shall paint in.

    text: as the user typed it. name: of a named style, None for anything else. path: of the picture, folder or style
    file; for a named style its artwork, where there is one. picture: RGB uint8, of a picture file or an artwork.
    style: out of a style file.
    """

    text: str
    name: str | None = None
    path: Path | None = None
    picture: Image | None = None
    style: Style | None = None

    @property
    def word(self) -> str:
        """What it is called in captions."""
        return self.name or (self.path.stem if self.path else "") or self.text


@dataclass(frozen=True, slots=True)
class Contestant:
    """A model that paints: its label, what it is, its engine and look. own: the style is its own, not the asked one."""

    label: str
    told: Description
    engine: Engine
    look: Look
    own: bool


@dataclass(frozen=True, slots=True)
class Figures:
    """How fast a contestant is: the median of its runs, in ms a frame."""

    contestant: Contestant
    ms: float

    @property
    def rate(self) -> float:
        """Frames per second."""
        return 1000 / self.ms

    def as_json(self) -> dict[str, Any]:
        who = self.contestant
        return {
            **who.told.as_json(),
            "label": who.label,
            "style": who.look.style.name,
            "own_style": who.own,
            "frames_per_second": round(self.rate, 3),
            "ms_a_frame": round(self.ms, 3),
            "engine": who.engine.name,
            "provider": who.engine.provider,
        }


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A model that does not paint, and why."""

    label: str
    why: str


def asked_style(text: str | None, bundles: Sequence[Bundle]) -> Asked:
    """What the user means by a style; None: the first named one. Its file is read, so that a bad one is told at once.

    Names are those of any of the models' styles, and of the artworks that come with the program. Raises StyleError: a
    name that nobody knows (near names told), a file that cannot be used.
    """
    works = {work.name: work for work in _artworks()}
    names = dict.fromkeys(name for bundle in bundles for name in bundle.styles if bundle.takes != "one")
    names |= dict.fromkeys(works)
    own = dict.fromkeys(name for bundle in bundles for name in bundle.styles)
    if text is None:
        text = next(iter([*names, *own]), None)
        if text is None:
            raise StyleError("these models have no styles of their own; give a picture with --style")
    for name in (*names, *own):
        if name.lower() == text.lower():
            work = works.get(name)
            return Asked(text, name) if work is None else Asked(text, name, work.path, work.picture())
    if words_of(text) is not None:
        return Asked(text)
    path = expanded(text)
    if is_folder(path):
        return Asked(text, path=path)
    if path.suffix.lower() == STYLE_FILE_SUFFIX:
        return Asked(text, path=path, style=load_style(path))
    if is_there(path) or path.suffix or len(path.parts) > 1:
        return Asked(text, path=path, picture=load_picture(path))
    too = " (a picture file is a style, too)" if any(bundle.takes == "any" for bundle in bundles) else ""
    raise StyleError(f"no style {text!r}; {near(text, [*(names | own)])}{too}")


def style_for(
    bundle: Bundle, asked: Asked, *, threads: int | None = None, tell: Callable[[str], None] | None = None
) -> tuple[Style, bool]:
    """The style that a model paints in, and whether it is its own in place of the asked one.

    Raises UnpaintableError: the model has no such style; StyleError, EngineError: the style itself cannot be had.
    """
    by_lower = {name.lower(): name for name in bundle.styles}
    known = by_lower.get((asked.name or "").lower())
    if known is not None:
        return bundle.style(known), False
    if bundle.takes == "one":
        if not bundle.styles:
            raise UnpaintableError("its one style is not in its folder")
        return bundle.style(bundle.styles[0]), True
    if asked.style is not None:
        if asked.style.bundle_id != bundle.id:
            raise UnpaintableError(f"{asked.text} was made by another model")
        bundle.check_style(asked.style)
        return asked.style, False
    if bundle.takes == "many":
        raise UnpaintableError(f"{asked.word} is not one of the {len(bundle.styles)} named styles that it knows")
    if asked.name is not None and asked.path is None:
        raise UnpaintableError(f"{asked.name} is not among its styles, and no picture of it came with this program")
    text = asked.text if asked.name is None else str(asked.path)
    return resolve_style(text, bundle, threads=threads, tell=tell), False


def shown_style(asked: Asked, contestants: Sequence[Contestant]) -> Image:
    """The picture of the style; where there is none, the thumbnail of a style that was made of it."""
    if asked.picture is not None:
        return asked.picture
    # Whoever paints the asked style knows it better than who paints its own.
    return min(contestants, key=lambda one: one.own).look.style.thumbnail


def labels_of(asked: Sequence[str], bundles: Sequence[Bundle]) -> list[str]:
    """A name for each model that no other one has. Raises InputError: a model is given twice."""
    folders = [bundle.folder.resolve() for bundle in bundles]
    for place, folder in enumerate(folders):
        if folder in folders[:place]:
            raise InputError(f"{asked[place]} is given twice; give every model once")
    for names in ([bundle.name for bundle in bundles], [folder.name for folder in folders]):
        if len(set(names)) == len(names):
            return names
    return list(asked)


def panned(picture: Image, frames: int = RUN_FRAMES) -> list[Image]:
    """The picture as a camera sees it that moves a little from frame to frame: a standing one would be too easy."""
    return [np.ascontiguousarray(np.roll(picture, _PAN_PX * index, axis=1)) for index in range(frames)]


def first_paintings(
    contestants: Sequence[Contestant], image: Image, told: Callable[[int], object] = lambda frames: None
) -> tuple[list[tuple[Contestant, NDArray[np.uint8]]], list[LeftOut]]:
    """One frame painted by each, as the first of a stream; and who cannot paint it. Engines stay the caller's."""
    painted, left_out = [], []
    for one in contestants:
        one.engine.reset()
        try:
            painted.append((one, one.engine.stylise(image, one.look)))
        except BrushcastError as error:
            left_out.append(LeftOut(one.label, str(error)))
        told(1)
    return painted, left_out


def measured(
    contestants: Sequence[Contestant],
    images: Sequence[Image],
    rounds: int,
    told: Callable[[int], object] = lambda frames: None,
) -> list[Figures]:
    """The median time of a frame over `rounds` runs, in which all take turns: what slows the machine slows all.

    images: of one size; one run is all of them, painted one after the other. A run of each before warms up and is not
    counted. told: called with numbers of frames that are done. Raises EngineError.
    """
    took: list[list[float]] = [[] for _ in contestants]
    for index in range(rounds + 1):
        for one, times in zip(contestants, took, strict=True):
            begin = time.perf_counter()
            for image in images:
                one.engine.stylise(image, one.look)
            if index:
                times.append((time.perf_counter() - begin) / len(images))
            told(len(images))
    return [Figures(one, 1000 * statistics.median(times)) for one, times in zip(contestants, took, strict=True)]


def _artworks() -> tuple[Artwork, ...]:
    """None where they did not come along: then only the models' own names are known."""
    try:
        return load_artworks()
    except StyleError:
        return ()
