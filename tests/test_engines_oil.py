from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from engines.oil import OilPainter
from engines.pixels import Picture


def stripes(degrees: float, noise: float, size: int = 96) -> Picture:
    """Soft stripes of that direction, as if the canvas showed."""
    y, x = np.mgrid[:size, :size] - size / 2
    across = x * np.sin(np.radians(degrees)) - y * np.cos(np.radians(degrees))
    grain = np.random.default_rng(0).normal(0, noise, (size, size, 3))
    return np.rint((128 + 70 * np.sin(across / 3))[..., None] + grain).clip(0, 255).astype(np.uint8)


def inner(image: Picture) -> NDArray[np.float64]:
    return image[16:-16, 16:-16].astype(float)


@pytest.mark.parametrize("degrees", [0, 25, 45, 90, 120, 170])
def test_grain_goes_and_what_lies_along_the_strokes_stays(degrees: float) -> None:
    clean, grainy = (inner(stripes(degrees, noise)) for noise in (0, 12))
    drawn, clean_drawn = (inner(OilPainter().of(stripes(degrees, noise), 1.0)) for noise in (12, 0))
    assert np.abs(drawn - clean).mean() < 0.5 * np.abs(grainy - clean).mean()
    # Between pixels it is interpolated, which softens: of a stripe of 19 pixels a little.
    assert clean_drawn.std() > 0.93 * clean.std()


def test_strokes_are_the_longer_the_more_oil_there_is() -> None:
    """A colour reaches as far along the edges as the strokes do."""
    image = stripes(0, 0)
    image[:, 46:50, 2] = cv2.add(image[:, 46:50, 2], 60)
    reached = []
    for amount in (0.1, 0.4, 0.7, 1.0):
        change = inner(OilPainter().of(image, amount))[..., 2] - inner(OilPainter().of(stripes(0, 0), amount))[..., 2]
        share, places = change.clip(0).sum(0), np.arange(change.shape[1]) - 31.5
        reached.append(float(np.sqrt((share * places**2).sum() / share.sum())))
    assert reached == sorted(reached) and reached[0] < 1.5 and reached[-1] > 2.5, reached


def test_colours_run_along_the_edges_of_light_and_dark() -> None:
    image = stripes(0, 0)
    image[:, 48:, 0] = cv2.add(image[:, 48:, 0], 40)  # red on one half, hardly another luma
    red = OilPainter().of(image, 1.0)[44:52, 40:56, 0].astype(int)
    assert np.abs(np.diff(red, axis=1)).max() < 20  # no edge of 40 any more
    assert np.ptp(OilPainter().of(image, 1.0)[:, 20, 0].astype(int)) > 120  # across, nothing ran


def test_corners_are_left_more_than_edges() -> None:
    """Soft fields of a chequered ground, as large as the stripes: they would run into each other."""
    y, x = np.mgrid[:96, :96] / 3
    chequered = np.rint(128 + 70 * np.sin(x) * np.sin(y))[..., None].repeat(3, 2).astype(np.uint8)
    assert inner(OilPainter().of(chequered, 1.0)).std() > 0.9 * inner(chequered).std()


def test_without_oil_it_is_the_painting_itself() -> None:
    image = stripes(30, 12)
    assert OilPainter().of(image, 0.0) is image


def test_plain_pictures_stay_as_they_are() -> None:
    for colour in ((0, 0, 0), (255, 255, 255), (7, 130, 201)):
        image = np.full((40, 56, 3), colour, np.uint8)
        np.testing.assert_array_equal(OilPainter().of(image, 1.0), image)


def test_other_sizes_follow_and_frames_are_left_alone() -> None:
    one = OilPainter()
    for shape in ((2, 2), (64, 96), (65, 33), (2, 300)):
        image = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
        before = image.copy()
        after = one.of(image, 0.7)
        np.testing.assert_array_equal(after, OilPainter().of(image, 0.7))
        np.testing.assert_array_equal(image, before)
        assert after.shape == image.shape
