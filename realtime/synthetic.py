"""The synthetic scene: a camera that wanders over a public-domain photo while a ball rolls through the picture.

The photo is NASA's portrait of the astronaut Eileen Collins (public domain). For machines without a camera.
"""

from __future__ import annotations

import math
import time
from fractions import Fraction
from importlib.resources import files

import cv2
import numpy as np

from realtime.frames import Frame, Image, VideoInfo
from realtime.sources import Source

DEFAULT_SIZE = (640, 360)
DEFAULT_RATE = Fraction(30)
_ENLARGED = 4
_BALL_COLOURS = ((222, 60, 49), (247, 242, 225), (38, 92, 160), (247, 242, 225), (240, 180, 40), (247, 242, 225))


def photo() -> Image:
    """The photo: RGB uint8 (512, 512, 3)."""
    data = np.frombuffer((files("realtime") / "assets" / "astronaut.jpg").read_bytes(), np.uint8)
    picture = cv2.imdecode(data, cv2.IMREAD_COLOR)
    assert picture is not None
    return np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), np.uint8)


class SyntheticSource(Source):
    """The scene, as fast as it is read; frame `n` is always the same picture.

    size: (width, height) in pixels. frames: how many; None: without end.
    """

    live = False

    def __init__(
        self, size: tuple[int, int] | None = None, rate: Fraction = DEFAULT_RATE, frames: int | None = None
    ) -> None:
        width, height = size or DEFAULT_SIZE
        self._size = (width, height)
        self._index = 0
        self._frames = frames
        # Enlarged once: cutting whole pixels out of it moves smoothly enough, and costs half of warping.
        self._photo = np.asarray(
            cv2.resize(photo(), None, fx=_ENLARGED, fy=_ENLARGED, interpolation=cv2.INTER_CUBIC), np.uint8
        )
        self.info = VideoInfo("the synthetic scene", width, height, rate, 1 / rate, frames)

    def read(self) -> Frame | None:
        if self._frames is not None and self._index >= self._frames:
            return None
        begin = time.perf_counter()
        assert self.info.rate is not None
        image = self._draw(float(self._index / self.info.rate))
        now = time.perf_counter()
        step = 1 / self.info.rate
        frame = Frame(image, self._index, self._index * step, now, now - begin, step)
        self._index += 1
        return frame

    def close(self) -> None:
        """Nothing to free."""

    def _draw(self, t: float) -> Image:
        width, height = self._size
        side = self._photo.shape[0]
        # The largest part of the photo that has the frame's shape, seen through a slowly breathing zoom.
        zoom = 1.25 + 0.2 * math.sin(0.35 * t)
        scale = max(width, height) / side * zoom
        seen_x, seen_y = width / scale, height / scale
        centre_x = side / 2 + (side - seen_x) / 2 * 0.95 * math.sin(0.41 * t - 0.1)
        # The face is in the upper third: stay near it, inside the photo.
        centre_y = side * (0.33 + 0.12 * math.sin(0.29 * t - 0.9))
        centre_y = min(max(centre_y, seen_y / 2), side - seen_y / 2)
        left, right = round(centre_x - seen_x / 2), round(centre_x + seen_x / 2)
        top, bottom = round(centre_y - seen_y / 2), round(centre_y + seen_y / 2)
        part = self._photo[max(0, top) : bottom, max(0, left) : right]
        image = np.asarray(cv2.resize(part, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)
        self._draw_ball(image, t)
        return image

    def _draw_ball(self, image: Image, t: float) -> None:
        height, width = image.shape[:2]
        radius = max(4, height // 9)
        phase = (t / 5.0) % 2.0
        part = phase if phase < 1 else 2 - phase
        x = round(radius + (width - 2 * radius) * part)
        y = round(height - radius - 0.45 * height * abs(math.sin(2.2 * t)))
        turn = math.degrees(part * (width - 2 * radius) / radius)
        slice_deg = 360 / len(_BALL_COLOURS)
        for number, colour in enumerate(_BALL_COLOURS):
            begin = turn + number * slice_deg
            cv2.ellipse(image, (x, y), (radius, radius), 0, begin, begin + slice_deg, colour, -1, cv2.LINE_AA)
        cv2.circle(image, (x, y), radius, (60, 50, 45), max(1, radius // 20), cv2.LINE_AA)
