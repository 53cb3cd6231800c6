"""Bytes of pictures, taken and changed as fast as can be done."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]
Plane = NDArray[np.float32]
ZERO = 128  # what a difference of bytes is told around, in bytes itself: it is cut off at half of the range
_SIGN = np.uint8(0x80)  # the bit by which a byte around ZERO and a signed byte differ


def every(picture: Picture, step_px: int) -> Picture:
    """picture[::step_px, ::step_px] of uint8 (h, w, 3) or (h, w), sides up to 32,767 px: a new array of its own.

    OpenCV takes a third of the time that NumPy needs to copy three bytes here and there.
    """
    size = -(-picture.shape[1] // step_px), -(-picture.shape[0] // step_px)
    to_source = np.array([[step_px, 0, 0], [0, step_px, 0]], np.float32)
    flags = cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP
    return np.asarray(cv2.warpAffine(picture, to_source, size, flags=flags), np.uint8)


def slopes(picture: Picture, out: tuple[Plane, Plane] | None = None) -> tuple[Plane, Plane]:
    """uint8 (h, w) -> how much it rises from pixel to pixel across and down, by Sobel's filters: float32 (h, w) each

    out: to put them into; None: into new arrays.
    """
    across, down = (
        cv2.Sobel(
            picture, cv2.CV_32F, k, 1 - k, None if out is None else out[1 - k],
            ksize=3, scale=1 / 8, borderType=cv2.BORDER_REPLICATE,
        )
        for k in (1, 0)
    )  # fmt: skip
    return np.asarray(across, np.float32), np.asarray(down, np.float32)


def looked_up(picture: Picture, tables: Picture, out: Picture) -> None:
    """Every byte of RGB uint8 (h, w, 3) changed by its colour's table, uint8 (3, 256); into `out`, of the same shape.

    Colour by colour, which takes OpenCV less time than a table for all three of them at once.
    """
    planes = cv2.split(picture)
    for plane, table in zip(planes, tables, strict=True):
        cv2.LUT(plane, table, dst=plane)
    cv2.merge(planes, out)


def taken_away(picture: Picture, other: Picture, room: Picture, out: Picture) -> None:
    """`picture` - `other`, uint8 of one shape, around ZERO; into `out`, of that shape, which may be one of the two.

    room: of that shape, overwritten; neither of the two. Signed bytes are taken away from one another, cut off at their
    range, in half of the time of OpenCV's weighted sums.
    """
    np.bitwise_xor(picture, _SIGN, out=room)
    np.bitwise_xor(other, _SIGN, out=out)
    cv2.subtract(room.view(np.int8), out.view(np.int8), dst=out.view(np.int8))
    np.bitwise_xor(out, _SIGN, out=out)


def added(picture: Picture, change: Picture, room: Picture, out: Picture) -> None:
    """`picture` and what it is to be changed by, around ZERO, uint8 of one shape; into `out`, as in `taken_away`.

    room: it may be `change`.
    """
    np.bitwise_xor(change, _SIGN, out=room)
    np.bitwise_xor(picture, _SIGN, out=out)
    cv2.add(out.view(np.int8), room.view(np.int8), dst=out.view(np.int8))
    np.bitwise_xor(out, _SIGN, out=out)


def added_to_all(picture: Picture, change: Picture, room: Picture, out: Picture) -> None:
    """RGB uint8 (h, w, 3) and what all of its colours are to be changed by, uint8 (h, w) around ZERO; into `out`.

    room: of the shape of `picture`, overwritten. `out` may be `picture`.
    """
    cv2.cvtColor(change, cv2.COLOR_GRAY2RGB, dst=room)
    added(picture, room, room, out)
