"""Real pictures, which come with Brushcast, as frames of a moving camera, to compare exports and calibrate on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from engines.artworks import load_artworks
from engines.bundle import RELEASED
from engines.errors import InputError
from engines.paths import may_be_folder
from engines.pictures import load_picture

Image = NDArray[np.uint8]
STEP_PX = 2  # from frame to frame
_MARGIN_PX = 16
# A photograph, and paintings that look like filmed scenes: sea, streets, faces, dark rooms.
_PHOTO = RELEASED.parents[1] / "realtime" / "assets" / "astronaut.jpg"
_PICTURES = ("fighting-temeraire", "boulevard-montmartre", "school-of-athens", "night-cafe", "young-hare")
_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp")


def moving(picture: Image, height: int, width: int, index: int) -> Image:
    """Frame `index` of a pan over a picture: RGB uint8 (height, width, 3), 2 px further to the right for each frame."""
    rows, columns = picture.shape[:2]
    room = _MARGIN_PX
    scale = max((height + room) / rows, (width + room) / columns)
    size = (max(width + room, round(columns * scale)), max(height + room, round(rows * scale)))
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    large = np.asarray(cv2.resize(picture, size, interpolation=method), np.uint8)
    top = (large.shape[0] - height) // 2
    left = STEP_PX * index % (large.shape[1] - width + 1)
    return np.ascontiguousarray(large[top : top + height, left : left + width])


@lru_cache(maxsize=1)
def pictures() -> tuple[Image, ...]:
    """The pictures that come with Brushcast, RGB uint8; the photograph first."""
    works = {work.name: work for work in load_artworks()}
    return (load_picture(_PHOTO), *(works[name].picture() for name in _PICTURES))


def everything() -> tuple[Image, ...]:
    """The photograph and all works that come with Brushcast, RGB uint8."""
    return (load_picture(_PHOTO), *(work.picture() for work in load_artworks()))


def frames_of(folder: Path | None) -> Sequence[Image]:
    """The pictures of a folder, sorted by name, or those that come along. Raises InputError: none, or not readable."""
    if folder is None:
        return pictures()
    if not may_be_folder(folder):
        raise InputError(f"{folder} is no folder; give one with pictures")
    try:
        found = [path for path in sorted(folder.iterdir()) if path.suffix.lower() in _SUFFIXES]
    except OSError as error:
        raise InputError(f"{folder} cannot be read ({error.strerror}); give another folder") from error
    if not found:
        raise InputError(f"{folder} has no pictures; give a folder with some ({', '.join(_SUFFIXES)})")
    return [load_picture(path) for path in found]


def panned(found: Sequence[Image], height: int, width: int, each: int) -> Iterator[Image]:
    """`each` frames of this size of every picture, far enough from one another to differ."""
    for picture in found:
        for index in range(each):
            yield moving(picture, height, width, 3 * index)
