"""Picture files: read safely (the header is judged before anything is decoded), as sRGB; shrink, thumbnail."""

from __future__ import annotations

import io
import os
import struct
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import av
import av.error
import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms, ImageOps

from engines.api import MIN_SIDE_PX
from engines.errors import StyleError
from engines.styles import THUMBNAIL_SIDE_PX

MIN_PICTURE_SIDE_PX = 16
MAX_PICTURE_SIDE_PX = 16_384
MAX_PICTURE_PX = 64_000_000
MAX_PICTURE_FILE_BYTES = 256 * 2**20
FORMATS = "PNG, JPEG, WebP, BMP, TIFF or GIF"
_DECODED = ("PNG", "JPEG", "WEBP", "BMP", "TIFF", "GIF")
_TIFF = (b"II*\0", b"MM\0*")
_ONE_STDERR = threading.Lock()
# Start of frame: baseline, extended and progressive, which FFmpeg knows; not the arithmetic and lossless kinds.
_HUFFMAN_JPEG = (0xC0, 0xC1, 0xC2)


def load_picture(path: Path) -> NDArray[np.uint8]:
    """Read a picture file, upright (EXIF orientation applied), in sRGB (its colour profile applied), on white where it
    is transparent.

    Returns RGB uint8 (height, width, 3), C-contiguous. Raises StyleError: missing, empty, truncated, damaged, not a
    picture, smaller than 16 or larger than 16,384 pixels a side, more than 64 megapixels (known before decoding).
    """
    return decode_picture(read_picture_file(path), str(path))


def load_photo(path: Path) -> tuple[NDArray[np.uint8], NDArray[np.uint8] | None]:
    """Read a picture file that shall be painted: each side must have what engines paint, 64 pixels.

    Returns what `load_picture` does, and how opaque it is: uint8 (height, width), 0 clear, 255 opaque; None if it is
    all opaque. Raises StyleError.
    """
    return _decoded(read_picture_file(path), str(path), MIN_SIDE_PX)


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
    return _decoded(data, where, MIN_PICTURE_SIDE_PX)[0]


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


def _decoded(data: bytes, where: str, least_px: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8] | None]:
    """The picture on white, and its opacity; see `load_photo`. least_px: that a side must have."""
    try:
        width, height, complete = _header(data)
    except (struct.error, IndexError, ValueError, KeyError) as error:
        raise StyleError(f"{where} is not a picture that can be read; give {FORMATS}") from error
    if min(width, height) < least_px or max(width, height) > MAX_PICTURE_SIDE_PX:
        raise StyleError(f"{where} is {width}x{height}; each side must be {least_px} to {MAX_PICTURE_SIDE_PX} pixels")
    if width * height > MAX_PICTURE_PX:
        raise StyleError(f"{where} is {width}x{height}; a picture may have {MAX_PICTURE_PX:,} pixels at most")
    if not complete:
        raise StyleError(f"{where} is truncated: its end is missing; get the whole file")
    if data.startswith(b"\xff\xd8") and _is_damaged_jpeg(data):
        raise StyleError(f"{where} is damaged: a part of it cannot be decoded; get the file again")
    try:
        with _quiet(data), Image.open(io.BytesIO(data), formats=_DECODED) as image:
            if image.width * image.height != width * height:
                raise ValueError("the size in the header is another one than that of the picture")
            colours, opacity = _layers(image)
    except Exception as error:  # decoders of damaged files raise anything
        raise StyleError(f"{where} cannot be decoded; it is damaged or of an unusual kind: give {FORMATS}") from error
    if opacity is None:
        return colours, None
    clear = 255 - opacity[:, :, None].astype(np.uint16)
    return ((colours * (255 - clear) + 255 * clear + 127) // 255).astype(np.uint8), opacity


@contextmanager
def _quiet(data: bytes) -> Iterator[None]:
    """Keep decoders from speaking of metadata, which is not read here, and of damage, which the error tells."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if not data.startswith(_TIFF):
            yield
            return
        # libtiff writes to the process's stderr, and can be kept from it only there.
        with _ONE_STDERR:
            try:
                kept = os.dup(2)
            except OSError:  # there is none
                yield
                return
            nothing = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nothing, 2)
            os.close(nothing)
            try:
                yield
            finally:
                os.dup2(kept, 2)
                os.close(kept)


def _layers(image: Image.Image) -> tuple[NDArray[np.uint8], NDArray[np.uint8] | None]:
    """Colours, RGB uint8 in sRGB, and opacity (None: all opaque) of a picture, upright. Raises what Pillow does."""
    image.load()
    profile = image.info.get("icc_profile")
    image = _upright(image)
    if image.mode.startswith("I;16"):
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    elif image.mode in ("I", "F"):
        raise ValueError("numbers of 32 bits have no white of their own")
    opacity = None
    if image.has_transparency_data:
        # Grey stays grey, so that its profile fits.
        image = image.convert("LA" if image.mode in ("L", "LA") else "RGBA")
        opacity = np.array(image.getchannel("A"), np.uint8)
        image = image.convert("L" if image.mode == "LA" else "RGB")
    if image.mode in ("1", "P"):
        image = image.convert("RGB")
    colours = np.array(_in_srgb(image, profile), np.uint8)
    return colours, None if opacity is None or opacity.min() == 255 else opacity


def _upright(image: Image.Image) -> Image.Image:
    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # metadata that is damaged raises anything, and means nothing
        return image


def _in_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """The picture as RGB, its colours in sRGB. A profile that is damaged or of other channels means nothing."""
    if profile:
        try:
            own, srgb = ImageCms.getOpenProfile(io.BytesIO(profile)), ImageCms.createProfile("sRGB")
            converted = ImageCms.profileToProfile(image, own, srgb, outputMode="RGB")
        except (ImageCms.PyCMSError, OSError):
            converted = None
        if converted is not None:
            return converted
    return image.convert("RGB")


def _is_damaged_jpeg(data: bytes) -> bool:
    """Whether a scan cannot be decoded to its end: libjpeg goes on with grey there, and tells nobody but stderr."""
    if _jpeg_kind(data) not in _HUFFMAN_JPEG:
        return False
    decoder = av.CodecContext.create("mjpeg", "r")
    decoder.thread_count = 1
    decoder.options = {"err_detect": "explode"}
    try:
        decoder.decode(av.Packet(data))
    except av.error.InvalidDataError:
        return True
    except av.error.FFmpegError:  # rare pixel formats, which FFmpeg cannot hold
        return False
    return False


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
    if data.startswith(_TIFF):
        return _tiff_header(data)
    raise ValueError("unknown picture format")


def _jpeg_header(data: bytes) -> tuple[int, int, bool]:
    """A whole file has an end marker behind its first scan."""
    _, width, height, scan_at = _jpeg_frame(data)
    return width, height, data.rfind(b"\xff\xd9") > scan_at


def _jpeg_kind(data: bytes) -> int:
    """The marker of the frame header."""
    return _jpeg_frame(data)[0]


def _jpeg_frame(data: bytes) -> tuple[int, int, int, int]:
    """Walk the segments to the frame header and the scan: the header's marker, width and height, the scan's place."""
    at, kind, size = 2, 0, (0, 0)
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
            kind, size = marker, (width, height)
        if marker == 0xDA:
            return kind, *size, at
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
