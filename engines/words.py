"""Styles from words: a search in a library of pictures and a mix of the nearest, as a start. It generates nothing.

An encoder puts words and pictures into one space (CLIP: Radford et al. 2021, arXiv 2103.00020, sec. 2.3); the pictures
of a library that lie nearest to the words are mixed by their likeness.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from io import BytesIO
from pathlib import Path
from typing import Protocol, cast

import numpy as np
from numpy.typing import NDArray

from engines.artworks import load_artworks
from engines.bundle import Bundle
from engines.caches import cache_folder
from engines.collection import pictures_in
from engines.errors import EngineError, StyleError
from engines.paths import is_file, may_be_folder
from engines.pictures import decode_picture, read_picture_file
from engines.registry import missing_package
from engines.styles import Style, mix, whole, write_beside

WORDS = "text:"  # what a style that is told in words begins with
MOST_MATCHES = 3
LOGIT_SCALE = 100.0  # CLIP's own: what likeness is multiplied by before the softmax
LEAST_SHARE = 0.08  # a picture with less would not be seen in the mix

Vector = NDArray[np.float32]

_log = logging.getLogger(__name__)


class TextEncoder(Protocol):
    """Puts words and pictures into one space. Not for several threads.

    name: of what it computes with; vectors of encoders of one name can be compared.
    """

    name: str

    def of_text(self, words: str) -> Vector:
        """A unit vector (d,). Raises EngineError."""
        ...

    def of_picture(self, image: NDArray[np.uint8]) -> Vector:
        """RGB uint8 (h, w, 3) -> a unit vector (d,). Raises EngineError."""
        ...


@dataclass(frozen=True, slots=True)
class Match:
    """A picture of the library. likeness: cosine of the angle to the words, -1..1. share: of it in the mix, 0..1."""

    name: str
    likeness: float
    share: float


def open_text_encoder(threads: int | None = None, tell: Callable[[str], None] | None = None) -> TextEncoder:
    """The installed encoder; tell: as for `engines.clip`. Raises EngineError: none (with the pip line), no weights."""
    try:
        return cast(TextEncoder, import_module("engines.clip").Clip(threads=threads, tell=tell))
    except ModuleNotFoundError as error:
        raise missing_package(error, "text") from error


def words_of(text: str) -> str | None:
    """The words of a style told in words, None for any other. Raises StyleError: no words."""
    if not text.lower().startswith(WORDS):
        return None
    words = " ".join(text[len(WORDS) :].split())
    if not words:
        raise StyleError(f'{WORDS} needs words behind it, for example "{WORDS}stormy sea in thick oil paint"')
    return words


def matches(wanted: Vector, library: Mapping[str, Vector], most: int = MOST_MATCHES) -> tuple[Match, ...]:
    """The nearest of the library, the nearest first, with their shares: a softmax of their likeness, as CLIP's own.

    wanted, and the library's: unit vectors (d,). A share below LEAST_SHARE is none; the shares of those told sum to 1.
    Raises StyleError for an empty library.
    """
    if not library:
        raise StyleError("the library of pictures is empty; give a folder of pictures with --text-library")
    likeness = {name: float(vector @ wanted) for name, vector in library.items()}
    nearest = sorted(likeness, key=lambda name: (-likeness[name], name))[:most]
    weights = np.exp(LOGIT_SCALE * (np.array([likeness[name] for name in nearest]) - likeness[nearest[0]]))
    weights /= weights.sum()
    weights[weights < LEAST_SHARE] = 0  # never the first, which has a share of at least 1 / most
    shares = weights / weights.sum()
    return tuple(
        Match(name, likeness[name], float(share)) for name, share in zip(nearest, shares, strict=True) if share
    )


def style_of_words(
    words: str,
    bundle: Bundle,
    encoded: Callable[[Path], Style],
    *,
    library: Path | None = None,
    encoder: TextEncoder | None = None,
    tell: Callable[[str], None] | None = None,
    threads: int | None = None,
) -> Style:
    """The style nearest to the words: a mix of pictures of the library, and a line about which with which shares.

    It knows its parts (`engines.styles.parts_of`) only where all of them are named styles of the bundle.
    encoded: makes the style of a picture file. library: a folder of pictures; None: the artworks that come with the
    program, those of the bundle's named styles alone where it takes no other pictures. encoder: None opens the
    installed one. Raises EngineError (the encoder), StyleError (the library), BundleError.
    """
    pictures = _library(bundle, library)
    encoder = open_text_encoder(threads, tell) if encoder is None else encoder
    vectors = {name: _vector_of(path, encoder) for name, path in pictures.items()}
    found = matches(encoder.of_text(words), vectors)
    if tell is not None:
        told = ", ".join(f"{match.name} {match.share:.0%}" for match in found)
        where = "the artworks" if library is None else str(library)
        tell(f'"{words}" was searched for, not generated: a mix of the nearest of {len(pictures)} of {where}: {told}')
    styles = [
        bundle.style(match.name) if library is None and match.name in bundle.styles else encoded(pictures[match.name])
        for match in found
    ]
    mixed = mix(styles, [match.share for match in found])
    if library is not None or not all(match.name in bundle.styles for match in found):
        # Nobody could load its parts by their names, as presets and sessions do.
        mixed = whole(mixed)
    return replace(mixed, name=words, title=words)


def _library(bundle: Bundle, folder: Path | None) -> dict[str, Path]:
    """Name and file of each picture."""
    if bundle.takes == "one":
        raise StyleError(f"{bundle.name} paints {', '.join(bundle.styles)} alone; words need a model that takes more")
    if folder is None:
        works = {work.name: work.path for work in load_artworks()}
        return {name: path for name, path in works.items() if bundle.takes == "any" or name in bundle.styles}
    if not may_be_folder(folder):
        raise StyleError(f"{folder} is no folder; --text-library wants a folder of pictures")
    return {path.name: path for path in pictures_in(folder)}


def _vector_of(path: Path, encoder: TextEncoder) -> Vector:
    """A picture's vector, kept in the cache by the encoder's name and the file's content."""
    data = read_picture_file(path)
    content = hashlib.sha256(encoder.name.encode() + b"\0" + data).hexdigest()[:32]
    kept = cache_folder() / "text" / f"{content}.npy"
    if is_file(kept):
        try:
            return np.asarray(np.load(kept, allow_pickle=False), np.float32)
        except (OSError, ValueError, EOFError) as error:
            _log.info("looking at %s anew: %s", path.name, error)
    vector = encoder.of_picture(decode_picture(data, str(path)))
    try:
        kept.parent.mkdir(parents=True, exist_ok=True)
        _save(vector, kept)
    except OSError as error:
        _log.warning("%s is not cached: %s cannot be written (%s)", path.name, kept.parent, error.strerror)
    return vector


def unit(vector: Sequence[float] | NDArray[np.floating]) -> Vector:
    """Scaled to length 1: float32 (d,). Raises EngineError for one that has none."""
    flat = np.asarray(vector, np.float64).ravel()
    length = float(np.linalg.norm(flat))
    if not (np.isfinite(length) and length > 0):
        raise EngineError("the text encoder gave a vector without a direction; its weights may be damaged")
    return (flat / length).astype(np.float32)


def _save(vector: Vector, path: Path) -> None:
    buffer = BytesIO()
    np.save(buffer, vector, allow_pickle=False)
    write_beside(path, buffer.getvalue())
