from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from engines.chroma import with_colours_of


def soft(seed: int) -> NDArray[np.uint8]:
    """Colours far from the ends of the range, so that nothing is cut off."""
    coarse = np.random.default_rng(seed).integers(100, 156, (6, 8, 3), dtype=np.uint8)
    return np.asarray(cv2.resize(coarse, (80, 60), interpolation=cv2.INTER_LINEAR), np.uint8)


def parts(image: NDArray[np.uint8]) -> NDArray[np.float64]:
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2YCrCb), np.float64)


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_luma_is_the_painting_s_and_chroma_lies_between(share: float) -> None:
    image, painting = soft(0), soft(1)
    before = image.copy(), painting.copy()
    mixed = parts(with_colours_of(image, painting, share))
    ours, theirs = parts(painting), parts(image)
    assert np.abs(mixed[..., 0] - ours[..., 0]).max() <= 2
    assert np.abs(mixed[..., 1:] - (ours + share * (theirs - ours))[..., 1:]).max() <= 3
    assert np.array_equal(image, before[0]) and np.array_equal(painting, before[1])


def test_share_0_is_the_painting_itself() -> None:
    painting = soft(1)
    assert with_colours_of(soft(0), painting, 0.0) is painting
