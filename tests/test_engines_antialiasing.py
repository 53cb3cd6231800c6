from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from engines.antialiasing import Antialiaser
from engines.pixels import Picture


def edge(degrees: float, size: int = 96) -> Picture:
    """Dark and light on both sides of a straight line through the middle, as it is painted pixel by pixel: stairs."""
    y, x = np.mgrid[:size, :size] - size / 2 + 0.5
    light = x * np.sin(np.radians(degrees)) > y * np.cos(np.radians(degrees))
    return np.rint(60 + 120 * light[..., None] * (1.0, 0.9, 0.8)).astype(np.uint8)


def inner(image: Picture) -> NDArray[np.float64]:
    return image[16:-16, 16:-16].astype(float)


def roughness(image: Picture, degrees: float) -> float:
    """How much it varies along lines of that direction, between its pixels."""
    size = image.shape[0]
    turn = cv2.getRotationMatrix2D((size / 2 - 0.5, size / 2 - 0.5), degrees, 1)
    upright = cv2.warpAffine(image.astype(np.float32), turn, (size, size), flags=cv2.INTER_CUBIC)
    return float(upright[24:-24, 24:-24].std(1).mean())


@pytest.mark.parametrize("degrees", [20, 35, 70, 110, 155])
def test_stairs_become_a_slope(degrees: float) -> None:
    stairs = edge(degrees)
    assert roughness(Antialiaser().of(stairs, 1.0), degrees) < 0.7 * roughness(stairs, degrees)


@pytest.mark.parametrize("degrees", [0, 90])
def test_straight_edges_stay_as_sharp_as_they_are(degrees: float) -> None:
    image = edge(degrees)
    np.testing.assert_array_equal(inner(Antialiaser().of(image, 1.0)), inner(image))


def test_what_alternates_along_an_edge_is_levelled() -> None:
    """The two phases of a pixel-shuffle, say."""
    image = edge(90)
    image[::2, 46:50] += 12
    assert np.abs(np.diff(inner(image), axis=0)).max() == 12
    after = inner(Antialiaser().of(image, 0.5))  # half of the step: a quarter of each neighbour
    assert np.abs(np.diff(after, axis=0)).max() <= 3


def test_corners_and_dots_are_left_more_than_lines() -> None:
    image = np.full((64, 64, 3), 90, np.uint8)
    cv2.circle(image, (32, 32), 2, (190, 190, 190), -1)
    after = Antialiaser().of(image, 1.0)
    assert after[32, 32].min() > 170  # still there
    assert after[32, 32 + 8].tolist() == [90, 90, 90]


def test_colours_change_by_as_much_as_luma() -> None:
    image = edge(33)
    change = Antialiaser().of(image, 1.0).astype(int) - image
    assert np.abs(change).max() > 10 and (change == change[..., :1]).all()


@pytest.mark.parametrize("strength", [0.0, 0.3])
def test_as_much_as_of_the_painting(strength: float) -> None:
    image = edge(33)
    whole, part = (Antialiaser().of(image, share).astype(float) - image for share in (1.0, strength))
    assert np.abs(part - strength * whole).max() <= 1


def test_other_sizes_follow() -> None:
    one = Antialiaser()
    for shape in ((2, 2), (64, 96), (65, 33), (2, 300)):
        image = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
        before = image.copy()
        after = one.of(image, 1.0)
        np.testing.assert_array_equal(after, Antialiaser().of(image, 1.0))
        np.testing.assert_array_equal(image, before)
        assert after.shape == image.shape
