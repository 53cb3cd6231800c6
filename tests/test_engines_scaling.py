from __future__ import annotations

import numpy as np
import pytest

from engines.scaling import Shrinker, scaled_size


@pytest.mark.parametrize("size", [(180, 320), (120, 320), (101, 147), (64, 64)])
def test_a_smaller_picture_is_averaged_down(size: tuple[int, int]) -> None:
    image = np.random.default_rng(0).integers(0, 256, (360, 640, 3), dtype=np.uint8)
    small = Shrinker().to(image, size)
    assert small.shape == (*size, 3) and small.dtype == np.uint8
    assert np.abs(small.mean((0, 1)) - image.mean((0, 1))).max() < 1
    assert small.std() < 0.6 * image.std()  # noise of neighbours cancels


def test_a_stream_may_change_its_size() -> None:
    shrinker = Shrinker()
    for side in (300, 200, 300):
        assert np.array_equal(shrinker.to(np.full((side, side, 3), 7, np.uint8), (90, 100)), np.full((90, 100, 3), 7))
        assert np.array_equal(shrinker.to(np.full((side, side, 3), 9, np.uint8), (64, 64)), np.full((64, 64, 3), 9))


def test_sizes_are_multiples_and_not_too_small() -> None:
    assert scaled_size(360, 640, 0.75, multiple=8, least=64) == (272, 480)
    assert scaled_size(360, 640, 0.1, multiple=8, least=64) == (64, 64)
    assert scaled_size(99, 199, 1.0, multiple=2, least=2) == (100, 200)
