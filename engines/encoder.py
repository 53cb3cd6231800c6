"""From what a user calls a style (a name, a style file, any picture) to a Style; encoded pictures are cached."""

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
from engines.errors import EngineError, StyleError
from engines.pictures import FORMATS, decode_picture, read_picture_file, shrink, thumbnail_of
from engines.registry import missing_package
from engines.styles import STYLE_FILE_SUFFIX, Style, check_finite, load_style, save_style

LONGEST_STYLE_SIDE_PX = 1024

_log = logging.getLogger(__name__)


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
            raise EngineError(f"the style graph failed: {str(error).partition(chr(10))[0][:300]}") from error
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


def resolve_style(
    text: str, bundle: Bundle, *, threads: int | None = None, tell: Callable[[str], None] | None = None
) -> Style:
    """A style by what the user typed: a name of the bundle's styles, a style file, or a picture file.

    A picture is encoded once and kept in the cache by its content. tell: called with a line for the user when a
    picture was encoded. Raises StyleError (unknown: near names told; unusable file), EngineError, BundleError.
    """
    by_lower = {name.lower(): name for name in bundle.styles}
    if text.lower() in by_lower:
        return bundle.style(by_lower[text.lower()])
    path = Path(text).expanduser()
    if not path.exists():
        if path.suffix or len(path.parts) > 1:
            raise StyleError(f"{text} does not exist; give a style name, a style file or a picture ({FORMATS})")
        raise StyleError(f"no style {text!r}; {near(text, bundle.styles)} (a picture file is a style, too)")
    if path.suffix.lower() == STYLE_FILE_SUFFIX:
        style = load_style(path)
        bundle.check_style(style)
        return style
    return _encoded(path, bundle, threads, tell)


def _encoded(path: Path, bundle: Bundle, threads: int | None, tell: Callable[[str], None] | None) -> Style:
    data = read_picture_file(path)
    content = hashlib.sha256(data).hexdigest()[:32]
    label = re.sub(r"\s+", " ", path.stem).strip() or "picture"
    kept = cache_folder() / "styles" / f"{bundle.id}-{content}{STYLE_FILE_SUFFIX}"
    if kept.is_file():
        try:
            style = load_style(kept)
            bundle.check_style(style)
        except StyleError as error:
            _log.info("encoding anew: %s", error)
        else:
            return replace(style, name=label, title=label, source=path.name)
    start_s = time.perf_counter()
    picture = decode_picture(data, str(path))
    style = StyleEncoder(bundle, threads=threads).encode(picture, label, source=path.name)
    if tell is not None:
        tell(f"encoded {path.name} as a style in {time.perf_counter() - start_s:.2f} s")
    try:
        kept.parent.mkdir(parents=True, exist_ok=True)
        save_style(style, kept)
    except OSError as error:
        # The style is there all the same; only the next start has to encode it again.
        _log.warning("the style is not cached: %s cannot be written (%s)", kept.parent, error.strerror)
    return style
