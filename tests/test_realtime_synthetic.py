"""The synthetic scene: the same every time, moving, of any size."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest

from realtime.frames import Image
from realtime.synthetic import SyntheticSource, photo


def frames(count: int, size: tuple[int, int] = (96, 64)) -> list[Image]:
    source = SyntheticSource(size, frames=count)
    images = []
    while (frame := source.read()) is not None:
        images.append(frame.image)
    return images


def test_the_photo_is_shipped() -> None:
    assert photo().shape == (512, 512, 3)
    assert photo().dtype == np.uint8


def test_every_run_gives_the_same_frames() -> None:
    for one, other in zip(frames(5), frames(5), strict=True):
        np.testing.assert_array_equal(one, other)


def test_the_scene_moves_a_little_from_frame_to_frame() -> None:
    images = frames(31)
    for one, other in pairwise(images):
        assert 0 < np.abs(one.astype(int) - other).mean() < 25


@pytest.mark.parametrize("size", [(64, 64), (97, 65), (64, 200), (640, 360), (1280, 720)])
def test_frames_have_the_size_that_was_asked_for(size: tuple[int, int]) -> None:
    image = frames(1, size)[0]
    assert image.shape == (size[1], size[0], 3)
    assert image.flags.c_contiguous
    assert image.std() > 20


def test_times_are_exact_and_it_ends() -> None:
    source = SyntheticSource((64, 64), Fraction(30_000, 1001), frames=3)
    times = [frame.time for frame in iter(source.read, None)]
    assert times == [Fraction(1001 * number, 30_000) for number in range(3)]
    assert source.read() is None
    assert source.live is False
    assert source.info.frames == 3
    source.close()
