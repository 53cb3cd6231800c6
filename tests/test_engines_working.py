from __future__ import annotations

from math import sqrt

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from engines.working import DETAIL, Working, working_size

SIZES = [(360, 640), (720, 1280), (1080, 1920), (2160, 3840)]


def scene(height: int, width: int, seed: int = 0) -> NDArray[np.uint8]:
    """Slopes with grain, RGB uint8 (height, width, 3)."""
    coarse = np.random.default_rng(seed).integers(40, 216, (5, 7, 3), dtype=np.uint8)
    smooth = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC).astype(float)
    grain = np.random.default_rng(seed + 1).normal(0, 12, smooth.shape)
    return np.clip(smooth + grain, 0, 255).astype(np.uint8)


def test_the_working_size_grows_slower_than_the_frame() -> None:
    areas = [rows * columns for rows, columns in (working_size(*size) for size in SIZES)]
    shares = [area / (height * width) for area, (height, width) in zip(areas, SIZES, strict=True)]
    assert areas == sorted(areas)
    assert shares == sorted(shares, reverse=True) and shares[0] < 0.6 and shares[-1] < 0.35


@pytest.mark.parametrize("size", [*SIZES, (1280, 720), (333, 1001)])
def test_the_working_size_has_the_frames_shape(size: tuple[int, int]) -> None:
    height, width = working_size(*size)
    assert height % 8 == width % 8 == 0
    assert width / height == pytest.approx(size[1] / size[0], rel=0.03)


@pytest.mark.parametrize("size", [(64, 64), (101, 147), (384, 384)])
def test_a_small_frame_is_painted_at_its_own_size(size: tuple[int, int]) -> None:
    assert working_size(*size) == size


@pytest.mark.parametrize("size", [*SIZES, (16_384, 16_384), (64, 16_384)])
def test_the_render_scale_goes_up_to_the_frames_own_size(size: tuple[int, int]) -> None:
    assert working_size(*size, 16.0) == size
    half, usual = working_size(*size, 0.5), working_size(*size)
    assert half[0] <= usual[0] <= size[0] and half[1] <= usual[1] <= size[1]
    if size in SIZES:
        assert sqrt(half[0] * half[1]) == pytest.approx(0.5 * sqrt(usual[0] * usual[1]), rel=0.05)


def test_a_small_frame_passes_as_it_is() -> None:
    image, working = scene(100, 120), Working()
    assert working.of(image, 1.0) is image
    painting = scene(100, 120, 5)
    finished = working.finish(image, image, painting, 1.0)
    assert np.array_equal(finished, painting) and not np.shares_memory(finished, painting)


@pytest.mark.parametrize("strength", [0.0, 0.3, 0.7, 1.0])
def test_an_untouched_frame_loses_only_detail(strength: float) -> None:
    image, working = scene(720, 1280), Working()
    small = working.of(image, 1.0)
    assert small.shape == (*working_size(720, 1280), 3)
    finished = working.finish(image, small, small, strength)
    assert finished.shape == image.shape and not np.shares_memory(finished, image)
    rough = cv2.resize(small, (1280, 720), interpolation=cv2.INTER_CUBIC).astype(float)
    expected = rough + (1 - strength * (1 - DETAIL)) * (image - rough)
    assert np.abs(finished - expected).max() <= (0 if strength == 0 else 3)
    assert np.abs((finished - expected).mean()) < 0.5


def test_a_painting_comes_back_large_with_the_frames_detail() -> None:
    image, working = scene(720, 1280), Working()
    small = working.of(image, 1.0)
    painting = 255 - small
    finished = working.finish(image, small, painting, 1.0).astype(float)
    rough = 255 - cv2.resize(small, (1280, 720), interpolation=cv2.INTER_CUBIC).astype(float)
    detail = image - (255 - rough)
    assert np.abs(finished - rough).mean() < np.abs(detail).mean()
    assert np.corrcoef((finished - rough).ravel(), detail.ravel())[0, 1] > 0.95


def test_black_and_white_stay_so() -> None:
    image, working = np.full((720, 1280, 3), 128, np.uint8), Working()
    small = working.of(image, 1.0)
    for level in (0, 255):
        painting = np.full_like(small, level)
        assert np.abs(working.finish(image, small, painting, 1.0).astype(int) - level).max() <= 1
