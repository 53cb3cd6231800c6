from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from engines.memory import Memory, small_size


def scene(shift_px: int = 0) -> NDArray[np.uint8]:
    """A picture with much to follow, moved to the right by `shift_px`."""
    rows, columns = np.mgrid[0:96, 0:160].astype(np.float64)
    columns -= shift_px
    waves = np.sin(columns / 7) + np.cos(rows / 5) + np.sin((rows + columns) / 11)
    return np.repeat(np.clip(127 + 40 * waves, 0, 255).astype(np.uint8)[:, :, None], 3, 2)


def remember(memory: Memory, image: NDArray[np.uint8]) -> None:
    """As an engine would that paints a frame as it is."""
    memory.before(image, 1.0)
    memory.after(image, np.ascontiguousarray(small_of(image)))


def small_of(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The mean over each 4 x 4 pixels."""
    height, width = image.shape[:2]
    means = image.reshape(height // 4, 4, width // 4, 4, 3).mean((1, 3))
    return np.rint(means).astype(np.uint8)


@pytest.mark.parametrize(("size", "small"), [((64, 64), (16, 16)), ((65, 67), (17, 17)), ((361, 642), (91, 161))])
def test_small_sizes_are_rounded_up(size: tuple[int, int], small: tuple[int, int]) -> None:
    assert small_size(*size) == small
    assert Memory().before(np.full((*size, 3), 7, np.uint8), 1.0).small.shape == (*small, 3)


def test_nothing_is_remembered_at_first() -> None:
    recalled = Memory().before(scene(), 1.0)
    assert recalled.painting.shape == (96, 160, 3)
    assert recalled.source.shape == recalled.small.shape == (24, 40, 3)
    assert not recalled.holds and recalled.flow is None


def test_the_small_frame_is_the_mean_over_4_by_4_pixels_and_repeats_the_edge() -> None:
    frame = np.random.default_rng(0).integers(0, 256, (96, 160, 3), dtype=np.uint8)
    assert np.abs(Memory().before(frame, 1.0).small.astype(int) - small_of(frame)).max() <= 1
    cut = Memory().before(np.ascontiguousarray(frame[:93, :157]), 1.0).small
    edge = np.pad(frame[:93, :157], ((0, 3), (0, 3), (0, 0)), mode="edge")
    assert np.abs(cut.astype(int) - small_of(edge)).max() <= 1


def test_what_stands_still_is_handed_back_as_it_was() -> None:
    memory = Memory()
    remember(memory, scene())
    recalled = memory.before(scene(), 1.0)
    assert np.array_equal(recalled.painting, scene())
    assert np.array_equal(recalled.source, recalled.small)
    assert recalled.holds and recalled.change == 0 and recalled.flow is None


def test_the_painting_moves_with_the_picture_from_the_second_frame_on() -> None:
    memory = Memory()
    remember(memory, scene())
    recalled = memory.before(scene(4), 1.0)
    inside = (slice(8, -8), slice(16, -16))
    moved = np.abs(recalled.painting[inside].astype(int) - scene(4)[inside]).mean()
    unmoved = np.abs(scene()[inside].astype(int) - scene(4)[inside]).mean()
    assert moved < 0.25 * unmoved
    assert recalled.holds and recalled.flow is not None


def test_another_scene_does_not_hold() -> None:
    memory = Memory()
    remember(memory, scene())
    recalled = memory.before(255 - scene() // 2, 1.0)
    assert recalled.change > 0.12 and not recalled.holds


def test_reset_a_new_size_and_smoothing_0_forget() -> None:
    memory = Memory()
    remember(memory, scene())
    assert not memory.before(scene()[:80], 1.0).holds
    remember(memory, scene())
    assert not memory.before(scene(), 0.0).holds
    remember(memory, scene())
    memory.reset()
    assert not memory.before(scene(), 1.0).holds
