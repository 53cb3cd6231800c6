from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageCms

from engines.errors import StyleError
from engines.pictures import load_photo, load_picture, shrink, thumbnail_of

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


def test_photos_are_at_least_what_engines_paint(tmp_path: Path) -> None:
    path = tmp_path / "picture.png"
    path.write_bytes(encoded(".png"))
    with pytest.raises(StyleError, match="64x40; each side must be 64 to 16384"):
        load_photo(path)
    Image.new("RGB", (64, 64), (1, 2, 3)).save(path)
    assert load_photo(path)[0].shape == (64, 64, 3)


def profile(primaries: tuple[tuple[float, float, float], ...]) -> bytes:
    """An ICC profile with these colorants (XYZ of red, green and blue, for D50) and the tone curve of sRGB."""

    def s15(*values: float) -> bytes:
        return b"".join(struct.pack(">i", round(value * 65536)) for value in values)

    def tag(kind: bytes, body: bytes) -> bytes:
        return kind + bytes(4) + body

    told = b"another space\0"
    curve = tag(b"para", struct.pack(">HH", 3, 0) + s15(2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045))
    tags = {b"wtpt": tag(b"XYZ ", s15(0.9642, 1.0, 0.8249))}
    tags[b"desc"] = tag(b"desc", struct.pack(">I", len(told)) + told + bytes(78))
    for name, colorant in zip((b"r", b"g", b"b"), primaries, strict=True):
        tags |= {name + b"XYZ": tag(b"XYZ ", s15(*colorant)), name + b"TRC": curve}
    at, table, bodies = 128 + 4 + 12 * len(tags), struct.pack(">I", len(tags)), b""
    for name, body in tags.items():
        table += name + struct.pack(">II", at + len(bodies), len(body))
        bodies += body + bytes(-len(body) % 4)
    head = struct.pack(">I", at + len(bodies)) + b"lcms" + bytes.fromhex("02400000") + b"mntrRGB XYZ " + bytes(12)
    head += b"acsp" + bytes(28) + s15(0.9642, 1.0, 0.8249) + bytes(48)
    return head + table + bodies


# The colorants of Display P3.
WIDE = profile(((0.5151, 0.2412, -0.0011), (0.2919, 0.6922, 0.0419), (0.1572, 0.0666, 0.7841)))


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".tiff"])
def test_colours_of_other_spaces_become_those_of_srgb(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"picture{suffix}"
    Image.new("RGB", (32, 32), (120, 160, 110)).save(path, icc_profile=WIDE)
    # Display P3 is wider: the same numbers mean a stronger green.
    np.testing.assert_allclose(load_picture(path)[8, 8].astype(int), (108, 161, 105), atol=3)


def test_srgb_profiles_change_nothing(tmp_path: Path) -> None:
    path = tmp_path / "picture.png"
    own = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    Image.fromarray(picture()).save(path, icc_profile=own)
    np.testing.assert_array_equal(load_picture(path), picture())


@pytest.mark.parametrize("mode", ["L", "LA", "CMYK", "P", "1"])
@pytest.mark.parametrize("told", [WIDE, b"no profile at all"])
def test_profiles_that_do_not_fit_mean_nothing(tmp_path: Path, mode: str, told: bytes) -> None:
    path = tmp_path / "picture.tiff"
    made = Image.new("RGB", (32, 32), (255, 255, 255)).convert("L" if mode == "LA" else mode).convert(mode)
    made.save(path, icc_profile=told)
    np.testing.assert_allclose(load_picture(path)[8, 8].astype(int), (255, 255, 255), atol=1)


def test_16_bits_of_grey_are_read_as_8(tmp_path: Path) -> None:
    path = tmp_path / "picture.png"
    Image.fromarray(np.full((32, 32), 0x7FFF, np.uint16)).save(path)
    assert (load_picture(path) == 0x7F).all()


def clear_picture(mode: str) -> Image.Image:
    """Left half clear with magenta (of palettes: one entry) hidden in it, right half blue: opaque, of RGBA half so."""
    made = Image.new("RGB", (80, 64), (255, 0, 255))
    made.paste((0, 0, 255), (40, 0, 80, 64))
    if mode == "P":
        return made.quantize(2)
    opacity = Image.new("L", made.size, 0)
    opacity.paste(128, (40, 0, 80, 64))
    made.putalpha(opacity)
    return made.convert(mode)


@pytest.mark.parametrize(("mode", "suffix"), [("RGBA", ".png"), ("RGBA", ".webp"), ("RGBA", ".tiff"), ("P", ".png")])
def test_what_is_clear_is_white_and_hides_no_colours(tmp_path: Path, mode: str, suffix: str) -> None:
    path = tmp_path / f"picture{suffix}"
    made = clear_picture(mode)
    options = {"transparency": made.getpixel((0, 0))} if mode == "P" else {"lossless": True}
    made.save(path, **options)
    on_white, opacity = load_photo(path)
    assert opacity is not None
    assert (on_white[:, :40] == 255).all()
    expected = ((0, 0, 255), 255) if mode == "P" else ((127, 127, 255), 128)
    np.testing.assert_array_equal(on_white[5, 70], expected[0])
    assert (opacity[5, 5], opacity[5, 70]) == (0, expected[1])
    np.testing.assert_array_equal(load_picture(path), on_white)


def test_all_opaque_pictures_are_not_transparent(tmp_path: Path) -> None:
    path = tmp_path / "picture.png"
    Image.new("RGBA", (64, 64), (9, 8, 7, 255)).save(path)
    on_white, opacity = load_photo(path)
    assert opacity is None
    assert (on_white == (9, 8, 7)).all()


def noisy(kind: str, **options: object) -> bytearray:
    file = io.BytesIO()
    noise = np.random.default_rng(3).integers(0, 256, (96, 128, 3), dtype=np.uint8)
    Image.fromarray(noise).save(file, kind, **options)
    return bytearray(file.getvalue())


@pytest.mark.parametrize("kind", ["JPEG", "progressive JPEG", "PNG", "TIFF", "compressed TIFF"])
def test_damage_in_the_middle_is_told_in_an_error_alone(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], kind: str
) -> None:
    options = {"progressive JPEG": {"progressive": True}, "compressed TIFF": {"compression": "tiff_adobe_deflate"}}
    data = noisy(kind.rpartition(" ")[2], **options.get(kind, {}))
    middle = len(data) // 2
    if kind == "TIFF":  # its directory comes first: what is missing is pixels
        del data[middle:]
    else:
        data[middle : middle + 300] = bytes(300)
    path = tmp_path / "picture"
    path.write_bytes(data)
    with pytest.raises(StyleError, match="damaged"):
        load_picture(path)
    told = capfd.readouterr()
    assert (told.out, told.err) == ("", "")


def test_a_jpeg_that_ends_early_with_an_end_marker_is_damaged(tmp_path: Path) -> None:
    data = noisy("JPEG")
    path = tmp_path / "picture.jpg"
    path.write_bytes(data[: len(data) // 2] + b"\xff\xd9")
    with pytest.raises(StyleError, match="damaged"):
        load_picture(path)


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK", "YCbCr"])
@pytest.mark.parametrize("subsampling", [0, 1, 2])
@pytest.mark.parametrize("progressive", [False, True])
def test_whole_jpegs_of_all_kinds_are_read(tmp_path: Path, mode: str, subsampling: int, progressive: bool) -> None:
    path = tmp_path / "picture.jpg"
    made = Image.fromarray(picture()).convert(mode)
    made.save(path, quality=90, subsampling=subsampling, progressive=progressive, restart_marker_blocks=3)
    with path.open("ab") as file:
        file.write(b"what cameras leave behind a picture")
    expected = np.asarray(Image.fromarray(picture()).convert("L" if mode == "L" else "RGB").convert("RGB"))
    assert np.abs(load_picture(path).astype(int) - expected).mean() < 12


def test_strange_metadata_is_not_spoken_of(tmp_path: Path) -> None:
    file = io.BytesIO()
    Image.fromarray(picture()).save(file, "JPEG", exif=b"Exif\0\0II*\0\x08\0\0\0\x09\0" + b"\x12\x01" * 9)
    path = tmp_path / "picture.jpg"
    path.write_bytes(file.getvalue())
    assert load_picture(path).shape == (*SIZE, 3)


def test_shrinking_keeps_the_shape_of_the_picture() -> None:
    assert shrink(picture(), 64) is not None
    assert shrink(picture(), 64).shape == (40, 64, 3)
    assert shrink(picture(), 32).shape == (20, 32, 3)
    assert thumbnail_of(np.zeros((3000, 400, 3), np.uint8)).shape == (128, 17, 3)
