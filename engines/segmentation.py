"""Where the person is: a mask from a small network, steady over time, to paint person and background apart.

The network (scripts/convert_segmenter.py says where it is from) was made for one or few people near the camera, as in a
video call. What fills a picture without people, an animal or an object, it may take for one.
"""

from __future__ import annotations

from math import sqrt
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from engines.api import check_image
from engines.errors import EngineError, InputError
from engines.memory import small_size
from engines.ort import CPU, open_session, provider_name

GRAPH = Path(__file__).parent / "segmenter.onnx"
# The network sees the frame in the frame's own shape, on about so many pixels. Stretched to the square that it was
# made for, or with bars beside the frame, it takes more of the background for people, and takes twice the time. There
# is no truth to compare with but the mean of all ways tried, from which masks of 97 photos and video frames cut to 16:9
# differ by 0.026 in the own shape, by 0.040 stretched and by 0.031 with a quarter less pixels; of six that came as
# 16:9, by 0.02 in the own shape and by 0.11 with bars. Upright ones are as good stretched.
PIXELS = 256 * 144
MULTIPLE_PX = 16  # the network halves its sides four times
MIN_SIDE_PX = 64
DEFAULT_INTERVAL = 3
# Pixels are the network's here, and shares are of one run. With a run for every frame of eight clips of people, this
# leaves a tenth to seven tenths of what flickers where they talk or sign, and lags by 0.15 % of the frame's area.
SLOW = 0.35  # share of what it sees now, where little changed
PLACE_PX = 5
MOVED = (0.08, 0.35)  # change of a place from which something moves, and from which it is followed at once
DECIDED = (0.2, 0.8)  # below and above it is a matter of background and person: no haze of a second style
SOFT_PX = 1.0  # deviation of the blur
# Mean difference (0..1) of two frames from which they are different scenes, and so many pixels of a row and a column
# are compared. From one frame of twenty clips to the next it is at most 0.17, from clip to clip mostly 0.2 and more.
CUT, _LOOKED_AT = 0.18, 32

Image = NDArray[np.uint8]
Mask = NDArray[np.float32]


class Segmenter:
    """Masks of one stream, frame by frame. Not for several threads.

    threads: of one operator; one, since the painter needs the others. provider: as in `engines.ort.OrtEngine`.
    interval: frames from one run of the network to the next, at least 1; between them the last mask holds.
    Raises InputError (interval), EngineError: unknown or missing provider, or the graph cannot be loaded on it.
    """

    def __init__(self, *, threads: int = 1, provider: str | None = None, interval: int = DEFAULT_INTERVAL) -> None:
        if interval < 1:
            raise InputError(f"interval is {interval}; it must be at least 1")
        self.provider = provider_name(provider)
        self._threads, self._interval = threads, interval
        self._shape = (0, 0)  # of the frames
        self._sides = network_size(360, 640)
        self._session: Any = self._open()
        self._closed = False
        self._kept: Mask | None = None
        self._mask: Mask | None = None
        self._age = 0
        self._last = np.zeros((0, 0, 3), np.int16)  # some pixels of the last frame

    def mask(self, image: Image) -> Mask:
        """How much of a person each place of the frame is: float32 (ceil(h/4), ceil(w/4)), 0..1, 1 = person.

        image: RGB uint8 (h, w, 3), sides as `engines.api.check_image` wants them. Not changed.
        The caller owns the mask. A change of size and a cut start anew. Raises InputError (image), EngineError (closed,
        or the network failed).
        """
        if self._closed:
            raise EngineError("the segmenter is closed; open a new one")
        check_image(image)
        if self._shape != image.shape[:2]:
            self._resize(*image.shape[:2])
        if self._is_cut(image):
            self.reset()
        if self._mask is None or self._age >= self._interval:
            self._kept = steadied(self._seen(image), self._kept)
            self._mask = finished(self._kept, *small_size(*self._shape))
            self._age = 0
        self._age += 1
        return self._mask.copy()

    def reset(self) -> None:
        """Forget: the next frame is the first one, as it must be after a cut."""
        self._kept = self._mask = None
        self._age = 0

    def close(self) -> None:
        """Free the network. May be called twice; `mask` afterwards raises EngineError."""
        self._closed = True
        self._session = None

    def _is_cut(self, image: Image) -> bool:
        """Whether it shows another scene than the last frame."""
        height, width = image.shape[:2]
        last, self._last = self._last, image[:: -(-height // _LOOKED_AT), :: -(-width // _LOOKED_AT)].astype(np.int16)
        return last.shape == self._last.shape and float(np.abs(self._last - last).mean()) >= 255 * CUT

    def _resize(self, height: int, width: int) -> None:
        self.reset()
        self._shape = (height, width)
        sides = network_size(height, width)
        if sides != self._sides:
            self._sides = sides
            # As `engines.ort` does: only the CPU takes free sizes well.
            if self.provider != CPU:
                self._session = self._open()

    def _open(self) -> Any:
        height, width = self._sides
        fixed = None if self.provider == CPU else {"height": height, "width": width}
        return open_session(GRAPH, self.provider, threads=self._threads, fixed=fixed)

    def _seen(self, image: Image) -> Mask:
        """What the network sees in `image`: float32, 0..1, of the network's sides."""
        try:
            return np.asarray(self._session.run(None, {"frame": shrunk(image, *self._sides)})[0], np.float32)
        except Exception as error:
            raise EngineError(f"ONNX Runtime ({self.provider}) failed on {GRAPH.name}: {error}") from error


def network_size(height: int, width: int) -> tuple[int, int]:
    """Height and width of what the network sees of a frame: about PIXELS in the frame's shape, multiples it accepts.

    Frames of more than 9:1 are stretched.
    """
    scale = sqrt(PIXELS / (height * width))
    rows, columns = (
        min(max(round(side * scale / MULTIPLE_PX) * MULTIPLE_PX, MIN_SIDE_PX), PIXELS // MIN_SIDE_PX)
        for side in (height, width)
    )
    return rows, columns


def shrunk(image: Image, rows: int, columns: int) -> Image:
    """`image`, RGB uint8 (h, w, 3), at (rows, columns, 3)."""
    height, width = image.shape[:2]
    # The mean over whole blocks of pixels first is three times as fast as the mean over parts of pixels. What is over
    # at the sides is left out, half on each: less than half of a pixel of the network.
    block = min(height // rows, width // columns)
    if block > 1:
        down, across = height // block, width // block
        top, left = (height - down * block) // 2, (width - across * block) // 2
        whole = image[top : top + down * block, left : left + across * block]
        image = np.asarray(cv2.resize(whole, (across, down), interpolation=cv2.INTER_AREA), np.uint8)
    way = cv2.INTER_AREA if block else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(image, (columns, rows), interpolation=way), np.uint8)


def steadied(seen: Mask, kept: Mask | None) -> Mask:
    """What to keep of what the network sees now, `seen`, and of what was kept so far; all float32 (rows, columns).

    Where the two differ little it goes to `seen` slowly, where they differ much at once.
    """
    if kept is None:
        return seen
    change = seen - kept
    # Told by the change with its sign over a place: the noise of an edge goes to and fro and cancels out in it, what
    # moves on does not.
    moved = np.abs(cv2.blur(change, (PLACE_PX, PLACE_PX), borderType=cv2.BORDER_REPLICATE))
    return np.asarray(kept + (SLOW + (1 - SLOW) * _eased(moved, *MOVED)) * change, np.float32)


def finished(kept: Mask, rows: int, columns: int) -> Mask:
    """The mask that is given out, (rows, columns): decided where the network nearly is, and soft at its edge."""
    mask = cv2.GaussianBlur(_eased(kept, *DECIDED), (5, 5), SOFT_PX, borderType=cv2.BORDER_REPLICATE)
    smaller = rows * columns < mask.size
    way = cv2.INTER_AREA if smaller else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(mask, (columns, rows), interpolation=way), np.float32).clip(0, 1)


def _eased(values: Mask, low: float, high: float) -> Mask:
    """0 up to `low`, 1 from `high`, and a smooth step between."""
    share = ((values - np.float32(low)) / np.float32(high - low)).clip(0, 1)
    return np.asarray(share * share * (3 - 2 * share), np.float32)
