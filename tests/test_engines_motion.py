"""Motion: what is painted moves along with the picture; what stands still is not touched."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from engines.motion import Carrier, Motion, sample


def texture(height: int, width: int, seed: int = 0) -> NDArray[np.uint8]:
    noise = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    smooth = cv2.GaussianBlur(noise, (0, 0), 6).astype(np.float32)
    return np.clip((smooth - smooth.mean()) * 6 + 128, 0, 255).astype(np.uint8)


def small_of(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    size = (-(-image.shape[1] // 4), -(-image.shape[0] // 4))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)


def moved_by(before: NDArray[np.uint8], after: NDArray[np.uint8], painting: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A painting of the frame `before`, where `after` has what it shows."""
    motion = Motion()
    assert motion.to(small_of(before)) is None
    flow = motion.to(small_of(after))
    assert flow is not None
    return Carrier(*painting.shape[:2]).carry(painting, flow)


@pytest.mark.parametrize("size", [(180, 320), (181, 322)])
def test_a_pan_moves_the_painting_along(size: tuple[int, int]) -> None:
    world = texture(size[0], size[1] + 40)
    before, after = world[:, 12 : 12 + size[1]], world[:, 20 : 20 + size[1]]  # the picture moves 8 px to the left
    before, after = np.ascontiguousarray(before), np.ascontiguousarray(after)
    motion = Motion()
    assert motion.to(small_of(before)) is None
    flow = motion.to(small_of(after))
    assert flow is not None and flow.shape == (*small_of(after).shape[:2], 2) and flow.dtype == np.float32
    moved, small = Carrier(*size).carry(before, flow), sample(small_of(before), flow)
    inner = (slice(16, -16), slice(16, -24))
    assert moved.shape == before.shape and moved.dtype == np.uint8 and small.shape == small_of(before).shape
    error = np.abs(moved[inner].astype(int) - after[inner]).mean()
    assert error < 0.2 * np.abs(before[inner].astype(int) - after[inner]).mean()
    small_error = np.abs(small.astype(int) - small_of(after))[4:-4, 4:-6].mean()
    assert small_error < 0.3 * np.abs(small_of(before).astype(int) - small_of(after))[4:-4, 4:-6].mean()


def test_what_stands_still_does_not_move() -> None:
    image = texture(120, 160)
    motion = Motion()
    motion.to(small_of(image))
    noisy = np.clip(image.astype(int) + np.random.default_rng(2).integers(-3, 4, image.shape), 0, 255).astype(np.uint8)
    assert motion.to(small_of(noisy)) is None


def test_the_first_frame_the_first_after_a_reset_and_of_another_size_do_not_move() -> None:
    world = small_of(texture(120, 200))
    left, right = np.ascontiguousarray(world[:, :40]), np.ascontiguousarray(world[:, 5:45])
    motion = Motion()
    assert motion.to(left) is None
    motion.reset()
    assert motion.to(right) is None
    assert motion.to(world) is None


@pytest.mark.parametrize("size", [(64, 64), (67, 65), (64, 300)])
def test_small_and_odd_sizes(size: tuple[int, int]) -> None:
    first, second = texture(*size), texture(*size, 1)
    assert moved_by(first, second, first).shape == first.shape


def test_only_the_part_that_moves_is_touched() -> None:
    before = texture(360, 480)
    after = before.copy()
    after[120:240, 160:280] = before[120:240, 166:286]  # a patch moves 6 px to the left, the rest stands still
    painting = texture(360, 480, 5)
    moved = moved_by(before, after, painting)
    assert np.array_equal(moved[:40], painting[:40]) and np.array_equal(moved[:, -80:], painting[:, -80:])
    inner = (slice(160, 200), slice(200, 240))
    shifted = painting[160:200, 206:246].astype(int)
    assert np.abs(moved[inner] - shifted).mean() < 0.5 * np.abs(painting[inner].astype(int) - shifted).mean()
