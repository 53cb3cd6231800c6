from __future__ import annotations

import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from engines.errors import StyleError
from engines.pictures import load_picture, shrink, thumbnail_of

SIZE = (40, 64)


def picture() -> NDArray[np.uint8]:
    """RGB: red grows to the right, green downwards."""
    rows, columns = np.mgrid[0 : SIZE[0], 0 : SIZE[1]]
    return np.stack([columns * 3, rows * 5, np.full(SIZE, 77)], 2).astype(np.uint8)


def encoded(suffix: str) -> bytes:
    return bytes(cv2.imencode(suffix, picture()[:, :, ::-1])[1])


@pytest.mark.parametrize(("suffix", "tolerance"), [(".png", 0), (".bmp", 0), (".tiff", 0), (".webp", 12), (".jpg", 12)])
def test_formats_are_read_as_rgb(tmp_path: Path, suffix: str, tolerance: int) -> None:
    path = tmp_path / f"picture{suffix}"
    path.write_bytes(encoded(suffix))
    read = load_picture(path)
    assert read.dtype == np.uint8
    assert read.flags.c_contiguous
    assert np.abs(read.astype(int) - picture()).mean() <= tolerance


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".webp", ".jpg"])
def test_truncated_files_are_refused(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"picture{suffix}"
    data = encoded(suffix)
    for kept in (len(data) * 2 // 3, 40, 20, 3):
        path.write_bytes(data[:kept])
        with pytest.raises(StyleError, match=r"truncated|not a picture|cannot be decoded"):
            load_picture(path)


def test_files_that_are_no_pictures(tmp_path: Path) -> None:
    path = tmp_path / "picture.png"
    with pytest.raises(StyleError, match="does not exist"):
        load_picture(path)
    path.write_bytes(b"")
    with pytest.raises(StyleError, match="is empty"):
        load_picture(path)
    path.write_bytes(b"hello, I am a text\n" * 20)
    with pytest.raises(StyleError, match="not a picture"):
        load_picture(path)
    with pytest.raises(StyleError, match="cannot be read"):
        load_picture(tmp_path)


def png_that_claims(width: int, height: int) -> bytes:
    """A small PNG file of black pixels of the claimed size: highly compressed, as a bomb is."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    body = zlib.compress(bytes(100_000))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("size", "told"),
    [
        ((1, 1), "1x1; each side must be 16 to 16384"),
        ((20_000, 300), "20000x300; each side"),
        ((300, 20_000), "300x20000; each side"),
        ((16_000, 16_000), "16000x16000; a picture may have"),
        ((2**31 - 1, 2**31 - 1), "each side"),
    ],
)
def test_sizes_are_judged_before_decoding(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: tuple[int, int], told: str
) -> None:
    path = tmp_path / "picture.png"
    path.write_bytes(png_that_claims(*size))
    monkeypatch.setattr("cv2.imdecode", lambda *_: pytest.fail("was decoded"))
    with pytest.raises(StyleError, match=told):
        load_picture(path)


def test_the_camera_s_orientation_is_applied(tmp_path: Path) -> None:
    turned = b"Exif\0\0II*\0\x08\0\0\0\x01\0" + struct.pack("<HHIHH", 0x0112, 3, 1, 6, 0) + b"\0\0\0\0"
    data = encoded(".jpg")
    path = tmp_path / "picture.jpg"
    path.write_bytes(data[:2] + b"\xff\xe1" + struct.pack(">H", len(turned) + 2) + turned + data[2:])
    read = load_picture(path)
    assert read.shape == (SIZE[1], SIZE[0], 3)
    # Turned clockwise: what grew to the right now grows downwards.
    assert np.abs(read.astype(int) - np.rot90(picture(), -1)).mean() < 12


def test_shrinking_keeps_the_shape_of_the_picture() -> None:
    assert shrink(picture(), 64) is not None
    assert shrink(picture(), 64).shape == (40, 64, 3)
    assert shrink(picture(), 32).shape == (20, 32, 3)
    assert thumbnail_of(np.zeros((3000, 400, 3), np.uint8)).shape == (128, 17, 3)
