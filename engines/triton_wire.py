"""What a Triton engine and its server say to each other: names, dtypes and shapes of the tensors, both ways.

Every array has a leading axis of 1: Triton's batches are made of requests, and a request is one frame of one sequence.
Numbers are float64, so that a server paints to the last bit what this machine would have painted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines.api import RANGES, Look
from engines.bundle import BACKGROUND_PREFIX, STYLE_PREFIX
from engines.errors import InputError, StyleError
from engines.styles import Style, check_finite

MODEL = "brushcast"  # the frame model's usual name in a repository

FRAME, PAINTED = "FRAME", "PAINTED"  # RGB uint8 (1, height, width, 3)
COMPUTES = "COMPUTES"  # text (1, 1), for those who ask: the server's engine and provider, as read back from it
MASK = "MASK"  # float32 (1, ceil(height/4), ceil(width/4)), for a look with a background
# Text (1, 1): a style of the server's bundle by its name; or what the tensors in the same request are called.
# BACKGROUND may also be empty: none any more.
STYLE, BACKGROUND = "STYLE", "BACKGROUND"
# Text (1, 1), whenever it is told: the id of the bundle that the styles' tensors are of. Another one is refused.
BUNDLE = "BUNDLE"
# Numbers of a look, (1, 1): float64, but the whole ones int32. One that is not told has its default.
NUMBERS = {name.upper(): name for name in RANGES}
WHOLE = frozenset({"KERNEL_INTERVAL"})
START, END, CORRID = "START", "END", "CORRID"  # what Triton's scheduler adds, (1, 1): int32, int32, uint64
# Keys of the parameters in config.pbtxt.
BUNDLE_ID, ENGINE, PROVIDER, THREADS = "bundle", "engine", "provider", "threads"
LEAST_GOODBYE_PX = 64  # a last frame with a smaller side is not painted, but comes back as it is: a goodbye

Tensors = Mapping[str, NDArray[Any]]


def numbers_of(look: Look) -> dict[str, NDArray[Any]]:
    """A look's numbers as tensors."""
    return {
        name: np.full((1, 1), getattr(look, field), np.int32 if name in WHOLE else np.float64)
        for name, field in NUMBERS.items()
    }


def tensors_of(style: Style, *, background: bool = False) -> dict[str, NDArray[Any]]:
    """A style as tensors: its name, and all it consists of."""
    prefix = (BACKGROUND_PREFIX if background else "") + STYLE_PREFIX
    told: dict[str, NDArray[Any]] = {f"{prefix}{name}": array[None] for name, array in style.tensors.items()}
    told[BACKGROUND if background else STYLE] = text(style.name)
    return told


def text(value: str) -> NDArray[np.object_]:
    """A text as a tensor."""
    return np.array([[value.encode()]], np.object_)


def look_of(tensors: Tensors, style: Style, background: Style | None) -> Look:
    """The look that a request's numbers tell, with styles that are known by now. Raises InputError."""
    numbers: dict[str, Any] = {}
    for name, field in NUMBERS.items():
        if name in tensors:
            array = tensors[name]
            if array.size != 1:
                raise InputError(f"{name} is {array.dtype} {array.shape}; it must be one number")
            numbers[field] = array.item()
    return Look(style, background=background, **numbers)


def style_in(
    tensors: Tensors, known: Callable[[str], Style], bundle_id: str, *, background: bool = False
) -> Style | None:
    """The style that a request brings: its tensors, or `known` by its name; None: it brings none.

    An empty name of a background is none, too. Raises InputError (a name that is no text), StyleError.
    """
    prefix = (BACKGROUND_PREFIX if background else "") + STYLE_PREFIX
    name = text_of(tensors.get(BACKGROUND if background else STYLE))
    brought = {
        key.removeprefix(prefix): np.array(array[0], np.float32)  # a copy: a request's memory does not last
        for key, array in tensors.items()
        if key.startswith(prefix) and array.ndim > 0 and array.shape[0] == 1
    }
    if not brought:
        return known(name) if name else None
    style = Style(name or "unnamed", brought, np.zeros((1, 1, 3), np.uint8), bundle_id)
    check_finite(style, f"style {style.name!r}")
    return style


def text_of(array: NDArray[Any] | None) -> str | None:
    """A text tensor's text. Raises InputError."""
    if array is None:
        return None
    try:
        (value,) = array.ravel().tolist()
        return str(value.decode() if isinstance(value, bytes) else value)
    except ValueError as error:  # several, or no UTF-8
        raise InputError(f"a name is {array.dtype} {array.shape}; it must be one text in UTF-8") from error


def frame_in(tensors: Tensors) -> NDArray[np.uint8]:
    """A request's frame, uint8 (height, width, 3). Raises InputError."""
    frame = tensors.get(FRAME)
    if frame is None or frame.dtype != np.uint8 or frame.ndim != 4 or frame.shape[0] != 1 or frame.shape[3] != 3:
        got = "missing" if frame is None else f"{frame.dtype} {frame.shape}"
        raise InputError(f"{FRAME} is {got}; it must be uint8 (1, height, width, 3)")
    return np.asarray(frame[0], np.uint8)


def need_styles(tensors: Tensors, style: Style | None) -> Style:
    """The style, if there is one by now. Raises StyleError."""
    if style is None:
        told = ", ".join(sorted(tensors))
        raise StyleError(f"a sequence begins with a style, by {STYLE} or {STYLE_PREFIX}* tensors; this one has {told}")
    return style
