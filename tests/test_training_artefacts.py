from __future__ import annotations

import math

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from engines.training.artefacts import border_mark, grid_energy

Image = NDArray[np.uint8]


def scenery(seed: int = 0, side: int = 256) -> Image:
    """Noise whose spectrum falls like a photo's."""
    random = np.random.default_rng(seed)
    across, down = np.fft.fftfreq(side)[None, :], np.fft.fftfreq(side)[:, None]
    falling = np.maximum(np.hypot(across, down), 1 / side) ** -1.6
    planes = [np.fft.ifft2(np.fft.fft2(random.normal(size=(side, side))) * falling).real for _ in range(3)]
    picture = np.stack(planes, axis=-1)
    return np.clip(128 + 40 * picture / picture.std(), 0, 255).astype(np.uint8)


def with_grid(image: Image, period: int, height: int = 6) -> Image:
    lines = np.zeros(image.shape[0], np.int64)
    lines[::period] = height
    planted = image.astype(np.int64) + lines[:, None, None] + lines[None, :, None]
    return np.clip(planted, 0, 255).astype(np.uint8)


@pytest.mark.parametrize("period", [2, 4, 8])
def test_a_planted_grid_is_found(period: int) -> None:
    plain = scenery()
    assert grid_energy(with_grid(plain, period)) > 5 * grid_energy(plain)


def test_a_grid_in_one_corner_is_found() -> None:
    plain, gridded = scenery(), with_grid(scenery(), 4, 20)
    plain[64:192, 64:192] = gridded[64:192, 64:192]
    assert grid_energy(plain) > 3 * grid_energy(scenery())


def test_noise_scenery_and_other_periods_have_no_grid() -> None:
    noise = np.random.default_rng(3).integers(0, 256, (256, 256, 3), dtype=np.uint8)
    for image in (noise, scenery(1), scenery(2), with_grid(scenery(1), 7), np.full((256, 256, 3), 90, np.uint8)):
        assert grid_energy(image) == pytest.approx(1, abs=0.25)


def test_sides_that_are_no_multiple_of_the_grid_and_small_ones() -> None:
    large = np.ascontiguousarray(with_grid(scenery(side=320), 4)[:301, :275])
    assert grid_energy(large) > 5
    assert math.isnan(grid_energy(large[:64, :64]))


def test_a_planted_frame_is_found() -> None:
    plain = scenery()
    framed = plain.copy()
    inside = plain[4:-4, 4:-4].copy()
    framed[:] = (framed * 0.5).astype(np.uint8)
    framed[4:-4, 4:-4] = inside
    assert border_mark(framed).colour > 40
    assert border_mark(plain).colour < 10
    blurred = cv2.GaussianBlur(plain, (0, 0), 3)
    blurred[4:-4, 4:-4] = inside
    assert border_mark(blurred).gradient > 3 * border_mark(plain).gradient


def test_a_flat_picture_has_no_border() -> None:
    mark = border_mark(np.full((64, 80, 3), (10, 200, 30), np.uint8))
    assert (mark.colour, mark.gradient) == (0, 0)
