"""Pages: every picture whole at its place, captions beside it and never over it, for any count and shape."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from engines.errors import InputError
from realtime.side_by_side import LEAST_CELL_PX, PAPER, Caption, Page, Room

SHEET = Room(3000, 8000, 300_000)
VIDEO = Room(1920, 1080, 10**7, even=True)
LINES = ("its own style: naruto-whirlpools", "46.5 frames/s", "1.82 M parameters, 12.0 MB")


def captions(count: int) -> list[Caption]:
    return [Caption(f"adain-steady-{index}", LINES[index % 2 :]) for index in range(count)]


def coloured(count: int, shape: tuple[int, int]) -> list[np.ndarray]:
    """Pictures of one colour each, none of them like paper or ink."""
    return [np.full((shape[1], shape[0], 3), (250 - 15 * index, 0, 15 * index), np.uint8) for index in range(count)]


@pytest.mark.parametrize("shape", [(640, 360), (360, 640), (512, 512), (1920, 400), (64, 64), (3840, 2160)])
@pytest.mark.parametrize("room", [SHEET, VIDEO])
def test_all_counts_and_shapes_fit_and_stay_whole(shape: tuple[int, int], room: Room) -> None:
    for count in (4, 9, 14):  # two to twelve models, with photo and style
        page = Page(captions(count), shape, room)
        filled = page.filled(coloured(count, page.box(0)[2:]))
        assert filled.shape == (page.height_px, page.width_px, 3)
        assert page.width_px <= room.width and page.height_px <= room.height
        wide, high = page.box(0)[2:]
        assert wide <= shape[0] and high <= shape[1]
        assert wide / high == pytest.approx(shape[0] / shape[1], rel=0.05)
        covered = np.zeros(filled.shape[:2], bool)
        for place, picture in enumerate(coloured(count, page.box(0)[2:])):
            left, top, width, height = page.box(place)
            assert (filled[top : top + height, left : left + width] == picture).all()  # no letter over it
            assert not covered[top : top + height, left : left + width].any()
            covered[top : top + height, left : left + width] = True
        assert (filled[~covered] < 120).any()  # captions are there
        if room.even:
            assert page.width_px % 2 == page.height_px % 2 == 0


def test_letters_stay_inside_their_cell_and_the_page() -> None:
    long = Caption("a-name-without-any-end-" * 6, ("words " * 30, "x" * 200))
    page = Page([long, Caption("b")], (100, 300), SHEET)
    filled = page.filled(coloured(2, page.box(0)[2:]))
    for edge in (filled[:4], filled[-4:], filled[:, :4], filled[:, -4:]):
        assert (edge == PAPER).all()
    left, top, width, height = page.box(1)
    between = (left - (LEAST_CELL_PX - width) // 2) - 6
    assert (filled[top + height :, between - 4 : between] == PAPER).all()


def test_captions_are_drawn_in_ascii() -> None:
    plain = Page([Caption("Cezanne ?")], (200, 100), SHEET).filled(coloured(1, (200, 100)))
    accents = Page([Caption("Cézanne 画")], (200, 100), SHEET).filled(coloured(1, (200, 100)))
    np.testing.assert_array_equal(plain, accents)


def test_pictures_are_scaled_to_their_place_and_others_put_on_paper() -> None:
    page = Page(captions(3), (400, 200), SHEET)
    large = np.full((800, 1600, 3), (9, 99, 9), np.uint8)
    tall = page.fitted(np.full((900, 300, 3), (200, 9, 9), np.uint8))
    assert tall.shape == (200, 400, 3)
    assert (tall[100, 200] == (200, 9, 9)).all()
    assert (tall[100, 20] == PAPER).all()
    page.filled([large, tall, large])
    filled = page.filled([large, tall, large])  # a page can be filled again
    left, top, width, height = page.box(2)
    assert (filled[top : top + height, left : left + width] == (9, 99, 9)).all()
    small = page.fitted(np.full((5, 10, 3), 77, np.uint8))
    assert (small == 77).all()


def test_more_than_is_legible_is_refused() -> None:
    with pytest.raises(InputError, match=r"60 pictures of 640x360 do not fit legibly into 1920x1080"):
        Page(captions(60), (640, 360), VIDEO)


def test_pictures_are_no_larger_than_asked() -> None:
    page = Page(captions(2), (4000, 3000), Room(3000, 3000, 90_000))
    *_, width, height = page.box(0)
    assert width * height == pytest.approx(90_000, rel=0.02)
    assert cv2.imencode(".png", page.filled(coloured(2, page.box(0)[2:])))[0]
