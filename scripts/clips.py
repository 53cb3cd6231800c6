"""Clips of a folder as frames of one size, for programs that measure on real video."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from engines.errors import InputError
from realtime.files import FileSource

CLIP_SUFFIXES = (".mp4", ".mov", ".mkv", ".webm", ".avi")

Image = NDArray[np.uint8]


def read_clip(clip: Path, size: tuple[int, int], frames: int) -> Iterator[Image]:
    """The first `frames` (0: all) pictures, their middle cut to the shape of `size` and scaled. Raises SourceError."""
    source = FileSource(str(clip))
    try:
        count = 0
        while (not frames or count < frames) and (frame := source.read()) is not None:
            yield cut_to(frame.image, size)
            count += 1
    finally:
        source.close()


def cut_to(image: Image, size: tuple[int, int]) -> Image:
    """The largest middle part of the shape of `size` (width, height), scaled to it: RGB uint8, C-contiguous."""
    height, width = image.shape[:2]
    scale = min(width / size[0], height / size[1])
    part_width, part_height = round(size[0] * scale), round(size[1] * scale)
    left, top = (width - part_width) // 2, (height - part_height) // 2
    part = image[top : top + part_height, left : left + part_width]
    way = cv2.INTER_AREA if scale > 1 else cv2.INTER_CUBIC
    return np.ascontiguousarray(cv2.resize(part, size, interpolation=way), np.uint8)


def find_clips(folder: Path) -> list[Path]:
    """The clips of a folder, by name. Raises InputError if there is none."""
    clips = sorted(path for path in folder.glob("*") if path.suffix.lower() in CLIP_SUFFIXES)
    if not clips:
        raise InputError(f"{folder} holds no clips; give a folder with {', '.join(CLIP_SUFFIXES)} files")
    return clips


def parse_size(text: str) -> tuple[int, int]:
    """ "384x216" -> (384, 216). Raises InputError."""
    width, _, height = text.lower().partition("x")
    if not (width.isdigit() and height.isdigit() and min(int(width), int(height)) >= 64):
        raise InputError(f"size is {text!r}; it must be WIDTHxHEIGHT, each at least 64, for example 384x384")
    return int(width), int(height)
