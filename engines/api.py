"""The few public names of the engines: what an engine is, and what it is asked to paint."""

from __future__ import annotations

import math
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

from engines.errors import EngineError, InputError
from engines.styles import Style

MIN_SIDE_PX = 64
MAX_SIDE_PX = 16_384
MAX_THREADS = 256
DEFAULT_STRENGTH, DEFAULT_SMOOTHING, DEFAULT_STROKE, DEFAULT_RENDER_SCALE = 1.0, 0.9, 1.0, 1.0
DEFAULT_KERNEL_INTERVAL = 2
# What each number of a look may be.
RANGES = {
    "strength": (0.0, 1.0),
    "smoothing": (0.0, 1.0),
    "stroke": (0.5, 2.0),
    "render_scale": (0.25, 16.0),
    "kernel_interval": (1, 8),
    "keep_colours": (0.0, 1.0),
    "oil": (0.0, 1.0),
    "background_strength": (0.0, 1.0),
}


@dataclass(frozen=True, slots=True)
class Look:
    """What the painting of one frame shall look like. Immutable: a change of look is a new object.

    style: tensors of the style picture, made by the same bundle that paints.
    strength: 0 leaves the frame as it is, 1 paints it fully.
    smoothing: 0 paints every frame by itself, 1 holds as much of the last painting as agrees with the picture.
    stroke: size of the strokes relative to the frame, 0.5..2; finer strokes take more time (`engines.guide`).
    render_scale: size at which the frame is painted, relative to the usual one (`engines.working`), 0.25..16; never
        more than its own, which 16 always reaches.
    kernel_interval: frames from one computation of the style kernels to the next (`engines.renewal`), 1..8; with
        smoothing 0 they are computed for every frame.
    keep_colours: share of the frame's own colours that the painting keeps, 0..1 (`engines.chroma`).
    oil: how far the strokes are drawn out along edges, 0..1 (`engines.oil`).
    background: the style of what is behind the people in the frame (`engines.regions`), with a strength of its own,
        0..1; None: that of the rest.
    Raises InputError for a number outside its range (NaN too).
    """

    style: Style
    strength: float = DEFAULT_STRENGTH
    smoothing: float = DEFAULT_SMOOTHING
    stroke: float = DEFAULT_STROKE
    render_scale: float = DEFAULT_RENDER_SCALE
    kernel_interval: int = DEFAULT_KERNEL_INTERVAL
    keep_colours: float = 0.0
    oil: float = 0.0
    background: Style | None = None
    background_strength: float = 1.0

    @property
    def behind(self) -> Style | None:
        """The style of what is behind people; None where all is painted alike, and nobody need be found."""
        if self.background is None and self.background_strength < 1:
            return self.style
        return self.background

    def __post_init__(self) -> None:
        for name, (least, most) in RANGES.items():
            value = getattr(self, name)
            if not (math.isfinite(value) and least <= value <= most):
                told = name.replace("_", "-")
                raise InputError(f"{told} is {value:g}; it must be a number from {least:g} to {most:g}")
        if self.kernel_interval != int(self.kernel_interval):
            raise InputError(f"kernel-interval is {self.kernel_interval:g}; it must be a whole number of frames")


class Engine(Protocol):
    """Paints frames, one after the other; remembers the last one, so one engine serves one stream.

    name: the engine's registry name ("ort", "torch", "identity").
    provider: what really computes, as read back after creation ("CPUExecutionProvider", "cpu", ...).

    One engine object is for one thread at a time; those that `session` gives may each be used in a thread of its own.
    """

    name: str
    provider: str

    def stylise(
        self, image: NDArray[np.uint8], look: Look, mask: NDArray[np.float32] | None = None
    ) -> NDArray[np.uint8]:
        """Paint one frame.

        image: RGB uint8 (height, width, 3), C-contiguous, sides MIN_SIDE_PX..MAX_SIDE_PX. Not changed.
        mask: for a look with a background: float32 (ceil(height/4), ceil(width/4)), 1 where the look's style holds and
        0 where its background does; not read otherwise.
        Returns RGB uint8 of the same shape; the caller owns it (it is not written again by the engine).
        A change of size between two frames is as a `reset`. Raises InputError (image, mask), StyleError (a style of
        another bundle), EngineError (the back end failed).
        """
        ...

    def session(self) -> Engine:
        """Another stream of the same back end: a memory of its own; weights, graphs and device shared.

        Its owner closes it, which closes nothing else. Once the engine that was opened is closed, every session of it,
        and those made from its sessions, raise EngineError. Raises EngineError: closed.
        """
        ...

    def reset(self) -> None:
        """Forget the last painting: the next frame is painted as the first one."""
        ...

    def close(self) -> None:
        """Free what the engine holds. May be called twice; `stylise` and `session` afterwards raise EngineError."""
        ...

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def closed_error(name: str) -> EngineError:
    """What engine `name` raises once it, or the engine that it is a session of, is closed."""
    return EngineError(f"the {name} engine is closed; open a new one")


def check_threads(threads: int | None) -> None:
    """Raise EngineError unless a back end can have so many CPU threads; None leaves the choice to it.

    Every one has a stack and an arena of its own, and is started without a way back: far too many stop the machine.
    """
    if threads is not None and not 1 <= threads <= MAX_THREADS:
        raise EngineError(f"threads is {threads}; it must be at least 1, and {MAX_THREADS} at most")


def check_image(image: NDArray[np.uint8]) -> None:
    """Raise InputError unless `image` is RGB uint8 (height, width, 3) with sides MIN_SIDE_PX..MAX_SIDE_PX."""
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        raise InputError(f"a frame is {image.dtype} {image.shape}; it must be uint8 (height, width, 3)")
    height, width = image.shape[:2]
    if min(height, width) < MIN_SIDE_PX or max(height, width) > MAX_SIDE_PX:
        raise InputError(f"a frame is {width}x{height}; each side must be {MIN_SIDE_PX} to {MAX_SIDE_PX} pixels")
