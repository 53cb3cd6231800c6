"""Pictures that are written: one painting as a file, and sheets of several with their names."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import PIL.Image

from engines.errors import SinkError
from engines.styles import write_beside
from realtime.frames import Image

QUALITY = 95  # of JPEG and WebP
_WITH_OPACITY = {".png": "PNG", ".webp": "WEBP", ".tif": "TIFF", ".tiff": "TIFF"}
_COLOURLESS = (".pgm", ".pbm")  # which OpenCV tells on stderr, too
_PAPER = (250, 248, 244)
_INK = (40, 40, 40)
_GAP_PX, _LABEL_PX = 8, 22


@dataclass(frozen=True, slots=True)
class Tile:
    """One picture of a sheet: RGB uint8; inset: a small picture in its lower right corner; label: ASCII letters."""

    picture: Image
    label: str
    inset: Image | None = None


def is_picture_name(path: Path) -> bool:
    """Whether `save_picture` knows the format of the name's end."""
    if path.suffix.lower() in ("", *_COLOURLESS) or not cv2.haveImageWriter(f"x{path.suffix}"):
        return False
    try:
        # Some formats are known, and cannot be written by every build.
        return bool(cv2.imencode(path.suffix.lower(), np.zeros((64, 64, 3), np.uint8))[0])
    except cv2.error:
        return False


def check_picture_name(path: Path) -> None:
    """Raise SinkError unless `save_picture` knows the format of the name's end: asked before the work, not after it."""
    if not is_picture_name(path):
        raise SinkError(f"{path} is no picture file name; it must end in .png, .jpg, .webp, .bmp or .tiff")


def save_picture(picture: Image, path: Path, opacity: Image | None = None) -> None:
    """Write RGB uint8 `picture` in the format of the name's end; beside it first, then renamed. Raises SinkError.

    opacity: uint8 (height, width) of a picture that was read on white; formats that can hold it do, so that the file
    looks like `picture` on white; in the others it stands on white.
    """
    check_picture_name(path)
    suffix = path.suffix.lower()
    if opacity is not None and suffix in _WITH_OPACITY:
        data = _encoded_clear(picture, opacity, _WITH_OPACITY[suffix])
    else:
        data = _encoded(picture, path)
    try:
        write_beside(path, data)
    except OSError as error:
        raise SinkError(f"{path} cannot be written: {error.strerror or error}") from error


def _encoded(picture: Image, path: Path) -> bytes:
    settings = [cv2.IMWRITE_JPEG_QUALITY, QUALITY, cv2.IMWRITE_WEBP_QUALITY, QUALITY]
    suffix = path.suffix.lower()
    try:
        good, data = cv2.imencode(
            suffix,
            cv2.cvtColor(picture, cv2.COLOR_RGB2BGR),
            settings[:2] if suffix in (".jpg", ".jpeg") else settings[2:] if suffix == ".webp" else [],
        )
    except cv2.error:  # larger than the format holds, say
        good = False
    if not good:
        raise SinkError(f"{path} cannot be encoded; choose another format, for example .png")
    return bytes(data)


def _encoded_clear(picture: Image, opacity: Image, kind: str) -> bytes:
    """Encoded with the colours that look like `picture` once they are laid on white with their opacity."""
    share = opacity[:, :, None].astype(np.float32) / 255
    colours = np.clip(np.rint(255 - (255.0 - picture) / np.maximum(share, 1 / 255)), 0, 255).astype(np.uint8)
    file = io.BytesIO()
    PIL.Image.fromarray(np.dstack([colours, opacity])).save(file, kind, quality=QUALITY)
    return file.getvalue()


def sheet(tiles: Sequence[Tile], columns: int | None = None) -> Image:
    """Lay tiles of one size out in a grid, labels below. Returns RGB uint8."""
    columns = columns or min(len(tiles), max(1, math.ceil(math.sqrt(len(tiles) * 1.3))))
    rows = math.ceil(len(tiles) / columns)
    height, width = tiles[0].picture.shape[:2]
    step_x, step_y = width + _GAP_PX, height + _LABEL_PX + _GAP_PX
    page = np.full((rows * step_y + _GAP_PX, columns * step_x + _GAP_PX, 3), _PAPER, np.uint8)
    for number, tile in enumerate(tiles):
        row, column = divmod(number, columns)
        top, left = _GAP_PX + row * step_y, _GAP_PX + column * step_x
        page[top : top + height, left : left + width] = tile.picture
        if tile.inset is not None:
            _inset(page[top : top + height, left : left + width], tile.inset)
        place = (left + 2, top + height + _LABEL_PX - 7)
        cv2.putText(page, tile.label, place, cv2.FONT_HERSHEY_SIMPLEX, 0.45, _INK, 1, cv2.LINE_AA)
    return page


def _inset(place: Image, picture: Image) -> None:
    """Draw `picture` at a quarter of the tile's height into its lower right corner, with a white edge."""
    height, width = place.shape[:2]
    scale = min(height / 4 / picture.shape[0], width / 3 / picture.shape[1])
    size = (max(1, round(picture.shape[1] * scale)), max(1, round(picture.shape[0] * scale)))
    small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    top, left = height - size[1] - 4, width - size[0] - 4
    place[top - 2 : top + size[1] + 2, left - 2 : left + size[0] + 2] = 255
    place[top : top + size[1], left : left + size[0]] = small
