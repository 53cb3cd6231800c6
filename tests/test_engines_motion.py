"""Motion: what is painted moves along with the picture; what stands still is not touched."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from engines.motion import Motion


def texture(height: int, width: int, seed: int = 0) -> NDArray[np.uint8]:
    noise = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    smooth = cv2.GaussianBlur(noise, (0, 0), 6).astype(np.float32)
    return np.clip((smooth - smooth.mean()) * 6 + 128, 0, 255).astype(np.uint8)


def small_of(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    size = (-(-image.shape[1] // 4), -(-image.shape[0] // 4))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)


@pytest.mark.parametrize("size", [(180, 320), (181, 322)])
def test_a_pan_moves_the_painting_along(size: tuple[int, int]) -> None:
    world = texture(size[0], size[1] + 40)
    before, after = world[:, 12 : 12 + size[1]], world[:, 20 : 20 + size[1]]  # the picture moves 8 px to the left
    before, after = np.ascontiguousarray(before), np.ascontiguousarray(after)
    motion = Motion()
    motion.move(before, before, small_of(before))
    moved, small = motion.move(after, before, small_of(before))
    inner = (slice(16, -16), slice(16, -24))
    assert moved.shape == before.shape and moved.dtype == np.uint8 and small.shape == small_of(before).shape
    error = np.abs(moved[inner].astype(int) - after[inner]).mean()
    assert error < 0.2 * np.abs(before[inner].astype(int) - after[inner]).mean()
    small_error = np.abs(small.astype(int) - small_of(after))[4:-4, 4:-6].mean()
    assert small_error < 0.3 * np.abs(small_of(before).astype(int) - small_of(after))[4:-4, 4:-6].mean()


def test_what_stands_still_is_handed_back_untouched() -> None:
    image, painting = texture(120, 160), texture(120, 160, 1)
    source = small_of(image)
    motion = Motion()
    motion.move(image, painting, source)
    noisy = np.clip(image.astype(int) + np.random.default_rng(2).integers(-3, 4, image.shape), 0, 255).astype(np.uint8)
    moved, small = motion.move(noisy, painting, source)
    assert moved is painting and small is source


def test_the_first_frame_and_the_first_after_a_reset_do_not_move() -> None:
    world = texture(120, 200)
    left, right = np.ascontiguousarray(world[:, :160]), np.ascontiguousarray(world[:, 20:180])
    motion = Motion()
    assert motion.move(left, left, small_of(left))[0] is left
    motion.reset()
    assert motion.move(right, left, small_of(left))[0] is left


@pytest.mark.parametrize("size", [(64, 64), (67, 65), (64, 300)])
def test_small_and_odd_sizes(size: tuple[int, int]) -> None:
    first, second = texture(*size), texture(*size, 1)
    motion = Motion()
    motion.move(first, first, small_of(first))
    moved, small = motion.move(second, first, small_of(first))
    assert moved.shape == first.shape and small.shape == small_of(first).shape


def test_only_the_part_that_moves_is_touched() -> None:
    before = texture(360, 480)
    after = before.copy()
    after[120:240, 160:280] = before[120:240, 166:286]  # a patch moves 6 px to the left, the rest stands still
    painting = texture(360, 480, 5)
    motion = Motion()
    motion.move(before, painting, small_of(before))
    moved, _ = motion.move(after, painting, small_of(before))
    assert np.array_equal(moved[:40], painting[:40]) and np.array_equal(moved[:, -80:], painting[:, -80:])
    inner = (slice(160, 200), slice(200, 240))
    shifted = painting[160:200, 206:246].astype(int)
    assert np.abs(moved[inner] - shifted).mean() < 0.5 * np.abs(painting[inner].astype(int) - shifted).mean()
