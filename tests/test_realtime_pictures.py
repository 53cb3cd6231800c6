"""Pictures that are written: formats, places that do not work, and the layout of sheets."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from engines.errors import SinkError
from engines.pictures import load_photo, load_picture
from realtime.pictures import Tile, check_picture_name, save_picture, sheet

PICTURE = np.full((40, 56, 3), (200, 100, 50), np.uint8)


@pytest.mark.parametrize(("suffix", "tolerance"), [(".png", 0), (".PNG", 0), (".bmp", 0), (".jpg", 4), (".webp", 6)])
def test_what_is_written_can_be_read(tmp_path: Path, suffix: str, tolerance: int) -> None:
    save_picture(PICTURE, tmp_path / f"a{suffix}")
    np.testing.assert_allclose(load_picture(tmp_path / f"a{suffix}").astype(int), PICTURE, atol=tolerance)


def test_places_that_do_not_work_are_told(tmp_path: Path) -> None:
    for name, words in {"a.xyz": "must end in", "a": "must end in", "none/a.png": "cannot be written"}.items():
        with pytest.raises(SinkError, match=words):
            save_picture(PICTURE, tmp_path / name)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["a.png", "a.JPG", "a.webp", "a.bmp", "a.tiff"])
def test_names_that_can_be_written_pass_before_the_work(name: str) -> None:
    check_picture_name(Path(name))


@pytest.mark.parametrize("name", ["a.xyz", "a", ".png", "a.pgm", "a.mp4"])
def test_names_that_cannot_be_written_are_told_before_the_work(name: str) -> None:
    with pytest.raises(SinkError, match="is no picture file name; it must end in"):
        check_picture_name(Path(name))


@pytest.mark.parametrize("suffix", [".pgm", ".pbm"])
def test_formats_without_colours_are_told_by_us_alone(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], suffix: str
) -> None:
    with pytest.raises(SinkError, match="is no picture file name"):
        save_picture(PICTURE, tmp_path / f"a{suffix}")
    assert capfd.readouterr().err == ""


def clear(size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """A picture on white that grows more opaque to the right, and how opaque it is."""
    opacity = np.tile(np.linspace(0, 255, size[1]).astype(np.uint8), (size[0], 1))
    share = opacity[:, :, None] / 255
    return np.rint(share * (200, 100, 50) + 255 * (1 - share)).astype(np.uint8), opacity


@pytest.mark.parametrize(("suffix", "tolerance"), [(".png", 1), (".tiff", 1), (".tif", 1), (".webp", 12)])
def test_clear_pictures_stay_clear_and_look_the_same_on_white(tmp_path: Path, suffix: str, tolerance: int) -> None:
    picture, opacity = clear((64, 80))
    save_picture(picture, tmp_path / f"a{suffix}", opacity)
    read, clearness = load_photo(tmp_path / f"a{suffix}")
    np.testing.assert_array_equal(clearness, opacity)
    np.testing.assert_allclose(read.astype(int), picture, atol=tolerance)


def test_colours_at_a_clear_edge_are_the_painting_s_own(tmp_path: Path) -> None:
    picture, opacity = clear((64, 80))
    save_picture(picture, tmp_path / "a.png", opacity)
    with Image.open(tmp_path / "a.png") as file:
        colours = np.asarray(file)[:, 40:, :3].astype(int)
    # No white is left in them, as it would be of the picture on white: on a dark page it would be a halo.
    np.testing.assert_allclose(colours, np.broadcast_to((200, 100, 50), colours.shape), atol=2)


def test_formats_that_cannot_be_clear_are_white(tmp_path: Path) -> None:
    picture, opacity = clear((64, 80))
    save_picture(picture, tmp_path / "a.bmp", opacity)
    np.testing.assert_array_equal(load_picture(tmp_path / "a.bmp"), picture)


def test_a_sheet_holds_every_tile_once() -> None:
    colours = [(250, 0, 0), (0, 250, 0), (0, 0, 250), (250, 250, 0), (0, 250, 250)]
    tiles = [Tile(np.full((60, 80, 3), colour, np.uint8), "x") for colour in colours]
    page = sheet(tiles, columns=3)
    for colour in colours:
        assert (page == colour).all(axis=2).sum() == 60 * 80
    assert page.shape == (2 * (60 + 30) + 8, 3 * 88 + 8, 3)


def test_an_inset_lies_inside_its_tile() -> None:
    tile = Tile(np.zeros((100, 100, 3), np.uint8), "x", np.full((30, 90, 3), 77, np.uint8))
    page = sheet([tile])
    part = page[8:108, 8:108]
    assert (part[:60] == 0).all()
    assert (part == 77).all(axis=2).sum() > 200
