"""The border to PyAV: its errors, rationals, rotations and colours in our terms. Works with PyAV 15 to 19."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fractions import Fraction
from typing import Any

import av
import av.error
import cv2
import numpy as np
from av.stream import Disposition
from av.video.reformatter import VideoReformatter

from realtime.frames import Colour, Image

LIMITED, FULL = 1, 2
# A damaged packet now and then is skipped, as players do; a file of nothing else is refused.
MAX_DAMAGED_IN_A_ROW = 100
_NOT_SAID = 2
_RGB = 0
# ITU-T H.273 matrix coefficients -> swscale's own numbers (SWS_CS_*); all others are treated as BT.601.
_SWSCALE = {1: 1, 4: 4, 5: 5, 6: 5, 7: 7, 9: 9, 10: 9}

# What opening, reading and writing through PyAV raises. (av.error.FFmpegError is the base of all of PyAV's own.)
ERRORS = (av.error.FFmpegError, OSError, ValueError)


def reason(error: BaseException) -> str:
    """FFmpeg's words for an error, without PyAV's decoration."""
    words = getattr(error, "strerror", None) or str(error)
    return str(words).strip().splitlines()[0] if str(words).strip() else type(error).__name__


def exact(value: Any) -> Fraction | None:
    """A rational of PyAV as a Fraction: up to 18 it gives Fraction, from 19 on AVRational. None and 0/0 give None."""
    if value is None or not value.denominator:
        return None
    return Fraction(value.numerator, value.denominator)


def video_of(container: Any) -> Any:
    """The first stream of moving pictures of an opened file; None if there is none, or only the cover of a song."""
    streams = container.streams.video
    return next((stream for stream in streams if not stream.disposition & Disposition.attached_pic), None)


def start_of(container: Any) -> Fraction:
    """What time 0 of playing is in an opened file's own times, in seconds.

    Transport streams, and the lists of them (HLS), start their clock anywhere; other files mean the times that they
    tell.
    """
    if container.format.name not in ("mpegts", "mpeg", "hls"):
        return Fraction(0)
    return Fraction(container.start_time or 0, av.time_base)


def decoded(packets: Iterable[Any]) -> Iterator[Any]:
    """The frames of packets of one stream. Raises what ERRORS names: MAX_DAMAGED_IN_A_ROW packets gave no frame."""
    damaged = 0
    for packet in packets:
        try:
            frames = packet.decode()
        except ERRORS:
            damaged += 1
            if damaged >= MAX_DAMAGED_IN_A_ROW:
                raise
            continue
        for frame in frames:
            damaged = 0
            yield frame


def colour_of(frame: av.VideoFrame, context: Any) -> Colour:
    """What a decoded frame says of its colours. A "yuvj" pixel format means full range."""
    full = frame.format.name.startswith("yuvj")
    return Colour(
        matrix=int(frame.colorspace),
        range=FULL if full else int(frame.color_range),
        primaries=int(context.color_primaries),
        transfer=int(context.color_trc),
    )


def swscale_matrix(colour: Colour, height_px: int) -> int:
    """The matrix between RGB and YCbCr, in swscale's numbers; untagged video is BT.709 from 720 lines on."""
    if colour.matrix in (_NOT_SAID, _RGB):
        return 1 if height_px >= 720 else 5
    return _SWSCALE.get(colour.matrix, 5)


def to_rgb(reformatter: VideoReformatter, frame: av.VideoFrame, colour: Colour, matrix: int) -> av.VideoFrame:
    """Convert a decoded frame to full-range RGB. matrix: see `swscale_matrix`; colour: its range counts."""
    return reformatter.reformat(
        frame,
        format="rgb24",
        src_colorspace=matrix,
        dst_colorspace=_other(matrix),
        src_color_range=colour.range or LIMITED,
        dst_color_range=FULL,
    )


def from_rgb(
    reformatter: VideoReformatter, frame: av.VideoFrame, pixel_format: str, colour: Colour, matrix: int
) -> av.VideoFrame:
    """Convert full-range RGB to a YCbCr format: the reverse of `to_rgb`."""
    return reformatter.reformat(
        frame,
        format=pixel_format,
        src_colorspace=_other(matrix),
        dst_colorspace=matrix,
        src_color_range=FULL,
        dst_color_range=colour.range or LIMITED,
    )


def _other(matrix: int) -> int:
    """A matrix for the RGB side, where it has no meaning: PyAV 15 forgets matrix and range if both sides are equal."""
    return 1 if matrix != 1 else 5


def display_matrix(frame: av.VideoFrame) -> tuple[int, int, int, int]:
    """How to turn a decoded frame for display.

    Returns the signs (a, b, c, d) of x' = a x + c y, y' = b x + d y, where y points down.
    """
    for kind, data in _side_data(frame):
        if kind == "DISPLAYMATRIX":
            a, b, _, c, d, *_ = np.frombuffer(bytes(data), np.int32)[:9] / 65536.0
            if abs(a) + abs(d) >= abs(b) + abs(c):
                return (1 if a >= 0 else -1, 0, 0, 1 if d >= 0 else -1)
            return (0, 1 if b >= 0 else -1, 1 if c >= 0 else -1, 0)
    return (1, 0, 0, 1)


def turned(image: Image, matrix: tuple[int, int, int, int]) -> Image:
    """Turn and flip as `display_matrix` says: quarter turns and mirrorings only."""
    a, b, c, d = matrix
    if a == 0:
        image = np.asarray(cv2.transpose(image), np.uint8)
        a, d = c, b
    if a < 0 and d < 0:
        return np.asarray(cv2.flip(image, -1), np.uint8)
    if a < 0 or d < 0:
        return np.asarray(cv2.flip(image, 1 if a < 0 else 0), np.uint8)
    return image


def _side_data(frame: av.VideoFrame) -> list[tuple[str, Any]]:
    """Pairs of kind and data. PyAV up to 18 iterates over the data, 19 over the kinds."""
    container: Any = frame.side_data
    items = [container[key] for key in range(len(container))]
    return [(item.type.name, item) for item in items]
