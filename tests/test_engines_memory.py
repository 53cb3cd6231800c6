from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from engines.memory import STATISTICS, VALID, Memory, small_size


def scene(shift_px: int = 0) -> NDArray[np.uint8]:
    """A picture with much to follow, moved to the right by `shift_px`."""
    rows, columns = np.mgrid[0:96, 0:160].astype(np.float64)
    columns -= shift_px
    waves = np.sin(columns / 7) + np.cos(rows / 5) + np.sin((rows + columns) / 11)
    return np.repeat(np.clip(127 + 40 * waves, 0, 255).astype(np.uint8)[:, :, None], 3, 2)


def remember(memory: Memory, image: NDArray[np.uint8]) -> None:
    """As an engine would that paints a frame as it is."""
    memory.before(image, 1.0)
    statistics = np.zeros(STATISTICS, np.float32)
    statistics[VALID] = 1
    memory.after(image, np.ascontiguousarray(image[::4, ::4]), statistics)


@pytest.mark.parametrize(("size", "small"), [((64, 64), (16, 16)), ((65, 67), (17, 17)), ((361, 642), (91, 161))])
def test_small_sizes_are_rounded_up(size: tuple[int, int], small: tuple[int, int]) -> None:
    assert small_size(*size) == small


def test_nothing_is_remembered_at_first() -> None:
    painting, source, statistics = Memory().before(scene(), 1.0)
    assert painting.shape == (96, 160, 3)
    assert source.shape == (24, 40, 3)
    assert not statistics.any()


def test_what_stands_still_is_handed_back_as_it_was() -> None:
    memory = Memory()
    remember(memory, scene())
    painting, source, statistics = memory.before(scene(), 1.0)
    assert np.array_equal(painting, scene())
    assert np.array_equal(source, scene()[::4, ::4])
    assert statistics[VALID] == 1


def test_the_painting_moves_with_the_picture_from_the_second_frame_on() -> None:
    memory = Memory()
    remember(memory, scene())
    painting, _, _ = memory.before(scene(4), 1.0)
    inside = (slice(8, -8), slice(16, -16))
    moved = np.abs(painting[inside].astype(int) - scene(4)[inside]).mean()
    unmoved = np.abs(scene()[inside].astype(int) - scene(4)[inside]).mean()
    assert moved < 0.25 * unmoved


def test_reset_a_new_size_and_smoothing_0_forget() -> None:
    memory = Memory()
    remember(memory, scene())
    assert not memory.before(scene()[:80], 1.0)[2].any()
    remember(memory, scene())
    assert not memory.before(scene(), 0.0)[2].any()
    remember(memory, scene())
    memory.reset()
    assert not memory.before(scene(), 1.0)[2].any()
