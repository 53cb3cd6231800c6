"""Picture files: read safely (the header is judged before anything is decoded), shrink, thumbnail."""

from __future__ import annotations

import struct
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from engines.errors import StyleError
from engines.styles import THUMBNAIL_SIDE_PX

MIN_PICTURE_SIDE_PX = 16
MAX_PICTURE_SIDE_PX = 16_384
MAX_PICTURE_PX = 64_000_000
MAX_PICTURE_FILE_BYTES = 256 * 2**20
FORMATS = "PNG, JPEG, WebP, BMP, TIFF or GIF"


def load_picture(path: Path) -> NDArray[np.uint8]:
    """Read a picture file, upright (EXIF orientation applied).

    Returns RGB uint8 (height, width, 3), C-contiguous. Raises StyleError: missing, empty, truncated, not a picture,
    smaller than 16 or larger than 16,384 pixels a side, more than 64 megapixels (known before decoding).
    """
    return decode_picture(read_picture_file(path), str(path))


def read_picture_file(path: Path) -> bytes:
    """The bytes of a picture file. Raises StyleError: missing, a folder, unreadable, empty, too large."""
    try:
        size = path.stat().st_size
        if size > MAX_PICTURE_FILE_BYTES:
            raise StyleError(f"{path} has {size:,} bytes; a picture may have {MAX_PICTURE_FILE_BYTES:,}")
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise StyleError(f"{path} does not exist; give a picture file ({FORMATS})") from error
    except OSError as error:
        raise StyleError(f"{path} cannot be read ({error.strerror}); give a picture file ({FORMATS})") from error
    if not data:
        raise StyleError(f"{path} is empty; give a picture file ({FORMATS})")
    return data


def decode_picture(data: bytes, where: str) -> NDArray[np.uint8]:
    """Decode a picture file's bytes; see `load_picture`. where: names the picture in an error."""
    try:
        width, height, complete = _header(data)
    except (struct.error, IndexError, ValueError, KeyError) as error:
        raise StyleError(f"{where} is not a picture that can be read; give {FORMATS}") from error
    if min(width, height) < MIN_PICTURE_SIDE_PX or max(width, height) > MAX_PICTURE_SIDE_PX:
        raise StyleError(
            f"{where} is {width}x{height}; each side must be {MIN_PICTURE_SIDE_PX} to {MAX_PICTURE_SIDE_PX} pixels"
        )
    if width * height > MAX_PICTURE_PX:
        raise StyleError(f"{where} is {width}x{height}; a picture may have {MAX_PICTURE_PX:,} pixels at most")
    if not complete:
        # Decoders paint the missing part grey and only print a warning.
        raise StyleError(f"{where} is truncated: its end is missing; get the whole file")
    try:
        bgr = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error as error:
        raise StyleError(f"{where} cannot be decoded; it is damaged or of an unusual kind") from error
    if bgr is None:
        raise StyleError(f"{where} cannot be decoded; it is damaged or of an unusual kind: give {FORMATS}")
    return np.ascontiguousarray(bgr[:, :, ::-1], np.uint8)


def shrink(picture: NDArray[np.uint8], longest_px: int) -> NDArray[np.uint8]:
    """The picture with its longer side at most `longest_px`, averaged over areas; itself if it is small enough."""
    height, width = picture.shape[:2]
    scale = longest_px / max(height, width)
    if scale >= 1.0:
        return picture
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)


def thumbnail_of(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """RGB uint8, at most 128 pixels a side."""
    return np.ascontiguousarray(shrink(picture, THUMBNAIL_SIDE_PX))


def _header(data: bytes) -> tuple[int, int, bool]:
    """Width, height and whether the file's end is there, from the container alone.

    Raises ValueError, KeyError, IndexError or struct.error if it is none of the known formats.
    """
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        width, height = struct.unpack(">II", data[16:24])
        return width, height, b"IEND" in data[-64:] or b"\0\0\0\0IEND" in data
    if data.startswith(b"\xff\xd8\xff"):
        return _jpeg_header(data)
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        width, height = _webp_size(data)
        return width, height, len(data) >= struct.unpack("<I", data[4:8])[0] + 8 - 1
    if data.startswith(b"BM"):
        width, height = struct.unpack("<ii", data[18:26])
        return width, abs(height), len(data) >= struct.unpack("<I", data[2:6])[0]
    if data[:6] in (b"GIF87a", b"GIF89a"):
        width, height = struct.unpack("<HH", data[6:10])
        return width, height, b"\x3b" in data[-16:]
    if data[:4] in (b"II*\0", b"MM\0*"):
        return _tiff_header(data)
    raise ValueError("unknown picture format")


def _jpeg_header(data: bytes) -> tuple[int, int, bool]:
    """Walk the segments to the frame header, then to the scan; a whole file has an end marker behind the scan."""
    at, size = 2, (0, 0)
    while True:
        if data[at] != 0xFF:
            raise ValueError("no JPEG marker")
        marker = data[at + 1]
        if marker == 0xFF:  # a fill byte
            at += 1
            continue
        (length,) = struct.unpack(">H", data[at + 2 : at + 4])
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack(">HH", data[at + 5 : at + 9])
            size = (width, height)
        if marker == 0xDA:
            return *size, data.rfind(b"\xff\xd9") > at
        at += 2 + length


def _webp_size(data: bytes) -> tuple[int, int]:
    kind = data[12:16]
    if kind == b"VP8X":
        return 1 + int.from_bytes(data[24:27], "little"), 1 + int.from_bytes(data[27:30], "little")
    if kind == b"VP8L":
        bits = int.from_bytes(data[21:25], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    if kind == b"VP8 ":
        width, height = struct.unpack("<HH", data[26:30])
        return width & 0x3FFF, height & 0x3FFF
    raise ValueError("unknown WebP chunk")


def _tiff_header(data: bytes) -> tuple[int, int, bool]:
    """Read ImageWidth (256) and ImageLength (257) of the first directory; where its strips end is not followed."""
    order = "<" if data[:2] == b"II" else ">"
    (first,) = struct.unpack(f"{order}I", data[4:8])
    (count,) = struct.unpack(f"{order}H", data[first : first + 2])
    sizes: dict[int, int] = {}
    for index in range(count):
        at = first + 2 + 12 * index
        tag, kind = struct.unpack(f"{order}HH", data[at : at + 4])
        if tag in (256, 257):
            form, length = {3: ("H", 2), 4: ("I", 4)}[kind]
            (sizes[tag],) = struct.unpack(f"{order}{form}", data[at + 8 : at + 8 + length])
    return sizes[256], sizes[257], True
