from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from engines.training.palette import lab, projected_quantiles, quantile_distance

Image = NDArray[np.uint8]


def noise(seed: int, side: int = 48) -> Image:
    return np.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype=np.uint8)


def palette_distance(painting: Image, style: Image) -> float:
    return quantile_distance(projected_quantiles(painting), projected_quantiles(style))


def test_a_palette_is_at_no_distance_from_itself_wherever_its_colours_stand() -> None:
    picture = noise(1)
    assert palette_distance(picture, picture) == 0
    shuffled = np.random.default_rng(2).permutation(picture.reshape(-1, 3)).reshape(picture.shape)
    assert palette_distance(shuffled, picture) == pytest.approx(0, abs=1e-4)
    # The same colours, four times as many of each.
    assert palette_distance(np.tile(picture, (2, 2, 1)), picture) == pytest.approx(0, abs=0.3)


def test_a_shift_is_told_as_half_its_length() -> None:
    dark, light = np.full((16, 16, 3), 100, np.uint8), np.full((16, 24, 3), 140, np.uint8)
    shift = float(np.linalg.norm(lab(light)[0, 0] - lab(dark)[0, 0]))
    assert shift == pytest.approx(15.7, abs=0.5)
    # The mean of |cos| over the sphere is 1/2; over 32 directions it is about that.
    assert palette_distance(dark, light) == pytest.approx(shift / 2, rel=0.15)
    assert palette_distance(dark, light) == pytest.approx(palette_distance(light, dark))


def test_colours_count_that_have_the_same_mean() -> None:
    red_and_cyan = np.zeros((16, 16, 3), np.uint8)
    red_and_cyan[:8] = (255, 0, 0)
    red_and_cyan[8:] = (0, 255, 255)
    grey = np.full((16, 16, 3), 128, np.uint8)
    assert palette_distance(red_and_cyan, grey) > 10


def test_lab_has_its_usual_ranges() -> None:
    found = lab(np.array([[[255, 255, 255], [0, 0, 0], [255, 0, 0]]], np.uint8))[0]
    np.testing.assert_allclose(found, [[100, 0, 0], [0, 0, 0], [53.24, 80.09, 67.20]], atol=0.1)
