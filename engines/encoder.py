"""From what a user calls a style (a name, a style file, a picture, a folder of pictures, words) to a Style; cached."""

from __future__ import annotations

import hashlib
import logging
import re
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engines.bundle import Bundle, near
from engines.caches import cache_folder
from engines.collection import contents_key, pictures_in, pooled
from engines.errors import EngineError, StyleError, first_line
from engines.paths import expanded, is_file, is_folder, is_there, readable_name
from engines.pictures import FORMATS, decode_picture, read_picture_file, shrink, thumbnail_of
from engines.registry import missing_package
from engines.styles import STYLE_FILE_SUFFIX, Style, check_finite, load_style, save_style
from engines.words import style_of_words, words_of

LONGEST_STYLE_SIDE_PX = 1024
# Goes into the names of kept styles: another one where the same files come to be read as other pixels.
_READ_AS = b"sRGB on white"
_MANY = 8  # pictures of a folder from which on the wait is told beforehand

_log = logging.getLogger(__name__)

Tell = Callable[[str], None]


class StyleEncoder:
    """Runs a dynamic bundle's style graph on pictures, on the CPU: it is paid once per picture.

    Raises EngineError (ONNX Runtime missing or failing), BundleError (a baked bundle).
    """

    def __init__(self, bundle: Bundle, *, threads: int | None = None) -> None:
        try:
            from engines.ort import CPU, open_session  # noqa: PLC0415 (ONNX Runtime is an extra)
        except ModuleNotFoundError as error:
            raise missing_package(error, "cpu") from error
        self._bundle = bundle
        self._session = open_session(bundle.style_graph, CPU, threads=threads)

    def encode(self, picture: NDArray[np.uint8], name: str, *, source: str = "") -> Style:
        """The style of a picture, RGB uint8 (height, width, 3), sides from 16 px; larger than 1024 px is shrunk.

        Raises StyleError (the picture), EngineError (the graph failed).
        """
        if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3 or min(picture.shape[:2]) < 16:
            raise StyleError(f"a style picture is {picture.dtype} {picture.shape}; it must be uint8 RGB from 16 px")
        small = np.ascontiguousarray(shrink(picture, LONGEST_STYLE_SIDE_PX))
        names = [entry.name for entry in self._session.get_outputs()]
        try:
            arrays = self._session.run(names, {"picture": small})
        except Exception as error:
            raise EngineError(f"the style graph failed: {first_line(error)}") from error
        style = Style(
            name=name,
            tensors={key.removeprefix("style."): array for key, array in zip(names, arrays, strict=True)},
            thumbnail=thumbnail_of(picture),
            bundle_id=self._bundle.id,
            title=name,
            source=source,
        )
        check_finite(style, f"the style of {name!r}")
        return style


class Encoded:
    """The styles of picture files and of folders of them, kept in the cache by their contents. Opens the encoder late.

    Not for several threads. All methods raise StyleError (a file), EngineError, BundleError (takes no pictures).
    """

    def __init__(self, bundle: Bundle, *, threads: int | None = None, tell: Tell | None = None) -> None:
        self._bundle = bundle
        self._threads = threads
        self._tell = tell or (lambda line: None)
        self._encoder: StyleEncoder | None = None

    def picture(self, path: Path) -> Style:
        """The style of one picture file."""
        start_s = time.perf_counter()
        style, fresh = self._picture(path, read_picture_file(path))
        if fresh:
            self._tell(f"encoded {path.name} as a style in {time.perf_counter() - start_s:.2f} s")
        return style

    def folder(self, path: Path) -> Style:
        """One style of all pictures of a folder; see `engines.collection`."""
        pictures = pictures_in(path)
        label = _label(path.resolve().name, "collection")
        source = f"{len(pictures)} pictures of {readable_name(path.resolve().name)}"
        # The files are read twice: hundreds of them are more than should lie in memory at once.
        hashes = [_content(read_picture_file(picture)) for picture in pictures]
        kept = self._kept(f"collection-{contents_key(hashes)}")
        style = self._from_cache(kept)
        if style is not None:
            return replace(style, name=label, title=label, source=source)
        start_s = time.perf_counter()
        waiting = sum(not is_file(self._kept(content)) for content in hashes)
        if waiting >= _MANY:
            self._tell(f"encoding {waiting} pictures of {path} ...")
        styles = [self._picture(picture, read_picture_file(picture))[0] for picture in pictures]
        style = pooled(styles, label, source=source)
        self._save(style, kept)
        self._tell(f"made one style of {len(pictures)} pictures of {path} in {time.perf_counter() - start_s:.2f} s")
        return style

    def _picture(self, path: Path, data: bytes) -> tuple[Style, bool]:
        """The style, and whether it was encoded just now."""
        label, source = _label(path.stem, "picture"), readable_name(path.name)
        kept = self._kept(_content(data))
        style = self._from_cache(kept)
        if style is not None:
            return replace(style, name=label, title=label, source=source), False
        picture = decode_picture(data, str(path))
        if self._encoder is None:
            self._encoder = StyleEncoder(self._bundle, threads=self._threads)
        style = self._encoder.encode(picture, label, source=source)
        self._save(style, kept)
        return style, True

    def _kept(self, content: str) -> Path:
        return cache_folder() / "styles" / f"{self._bundle.id}-{content}{STYLE_FILE_SUFFIX}"

    def _from_cache(self, kept: Path) -> Style | None:
        if not is_file(kept):
            return None
        try:
            style = load_style(kept)
            self._bundle.check_style(style)
        except StyleError as error:
            _log.info("encoding anew: %s", error)
            return None
        return style

    def _save(self, style: Style, kept: Path) -> None:
        try:
            kept.parent.mkdir(parents=True, exist_ok=True)
            save_style(style, kept)
        except OSError as error:
            # The style is there all the same; only the next start has to encode it again.
            _log.warning("the style is not cached: %s cannot be written (%s)", kept.parent, error.strerror)


def resolve_style(
    text: str,
    bundle: Bundle,
    *,
    threads: int | None = None,
    tell: Tell | None = None,
    library: Path | None = None,
) -> Style:
    """A style by what the user typed: a name of the bundle's styles, a style file, a picture, a folder of pictures, or
    words ("text:stormy sea in thick oil paint").

    Pictures are encoded once and kept in the cache by their content. tell: called with a line for the user when a
    picture was encoded, and with what words were answered by. library: of the pictures that words are looked up in;
    None: the named artworks. Raises StyleError (unknown: near names told; unusable file), EngineError, BundleError.
    """
    encoded = Encoded(bundle, threads=threads, tell=tell)
    words = words_of(text)
    if words is not None:
        return style_of_words(words, bundle, encoded.picture, library=library, tell=tell, threads=threads)
    by_lower = {name.lower(): name for name in bundle.styles}
    if text.lower() in by_lower:
        return bundle.style(by_lower[text.lower()])
    if not text.strip():
        # No path is the folder that the program runs in, and nobody means that by nothing.
        raise StyleError(f"the style's name is empty; {near(text, bundle.styles)}")
    path = expanded(text)
    if not is_there(path):
        if path.suffix or len(path.parts) > 1:
            raise StyleError(
                f"{text} does not exist; give a style name, a style file, a picture ({FORMATS}) or a folder of pictures"
            )
        more = {"any": " (a picture file is a style, too)", "one": f" ({bundle.name} paints no other)"}
        raise StyleError(f"no style {text!r}; {near(text, bundle.styles)}{more.get(bundle.takes, '')}")
    if is_folder(path):
        return encoded.folder(path)
    if path.suffix.lower() == STYLE_FILE_SUFFIX:
        style = load_style(path)
        bundle.check_style(style)
        return style
    return encoded.picture(path)


def _content(data: bytes) -> str:
    return hashlib.sha256(_READ_AS + data).hexdigest()[:32]


def _label(text: str, otherwise: str) -> str:
    return re.sub(r"\s+", " ", readable_name(text)).strip() or otherwise
