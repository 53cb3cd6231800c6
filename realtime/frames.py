"""What travels through the loop: a frame of a video, its painting, and what is known of the video as a whole."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Frame:
    """One picture of a video, as it came.

    image: RGB uint8 (height, width, 3), C-contiguous, in display orientation. Nobody writes to it.
    index: counts what the source delivered, from 0.
    time: exact presentation time in seconds, from the start of the video.
    captured_s: `time.perf_counter()` at the moment the picture was there (paced files: at which it was due).
    read_s: seconds that reading and decoding it took; of a camera, the wait for it is in it.
    duration: seconds it stays on the screen, None if not known.
    shot: counts stretches without a break; a seek, a restart or a reopened camera begins a new one, and what was
        remembered of the one before is void. (A number, not a flag on one frame: that frame may be dropped.)
    """

    image: Image
    index: int
    time: Fraction
    captured_s: float
    read_s: float = 0.0
    duration: Fraction | None = None
    shot: int = 0


@dataclass(frozen=True, slots=True)
class Painted:
    """A painted frame on its way to the sink.

    image: RGB uint8, the shape of `frame.image`. taken_s and done_s: `time.perf_counter()` when painting began
    and ended. split: show the source in the left half (a wish for the viewer; `image` itself is all painted).
    """

    frame: Frame
    image: Image
    taken_s: float
    done_s: float
    split: bool = False


@dataclass(frozen=True, slots=True)
class Colour:
    """How a video's numbers mean colours: the code points of ITU-T H.273 (2 = not said), range 1 limited, 2 full."""

    matrix: int = 2
    range: int = 0
    primaries: int = 2
    transfer: int = 2


@dataclass(frozen=True, slots=True)
class VideoInfo:
    """What is known of a video before its first frame.

    width_px, height_px: of the frames as delivered (after rotation). rate: frames per second, None if not known.
    time_base: presentation times are multiples of it. frames: how many will come (an estimate), None if not known.
    pixel_aspect: width of a pixel over its height.
    """

    name: str
    width_px: int
    height_px: int
    rate: Fraction | None
    time_base: Fraction
    frames: int | None = None
    colour: Colour = Colour()
    pixel_aspect: Fraction = Fraction(1)
