from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from engines.halos import HaloRemover
from engines.memory import quartered, small_size
from engines.pixels import Picture

SIZE, RADIUS = 256, 60


def distance(size: int = SIZE) -> NDArray[np.float64]:
    """From the edge of a disc in the middle, in pixels; less than 0 inside."""
    y, x = np.mgrid[:size, :size] - size / 2 + 0.5
    return np.asarray(np.hypot(x, y) - RADIUS, np.float64)


def disc() -> Picture:
    """A dark disc on light ground."""
    light = np.clip(distance() + 0.5, 0, 1)[..., None]
    return np.rint((50, 60, 80) + light * (120, 100, 60)).astype(np.uint8)


def rim(height: float = 40.0) -> NDArray[np.float64]:
    """What a network paints around it: (SIZE, SIZE, 1)"""
    return np.asarray(height * np.exp(-(((distance() - 8) / 5) ** 2))[..., None] * (distance()[..., None] > 0))


def small(frame: Picture) -> Picture:
    return quartered(frame, np.empty((*small_size(*frame.shape[:2]), 3), np.uint8))


def removed(painting: Picture, frame: Picture, strength: float = 1.0) -> Picture:
    return HaloRemover().of(painting, small(frame), strength)


def around_the_disc(image: NDArray[np.generic]) -> float:
    """Luma of the rim's place above that of the ground farther away."""
    far = distance()
    return float(image[(far > 5) & (far < 12)].mean()) - float(image[far > 45].mean())


@pytest.mark.parametrize("height", [40.0, -40.0])
def test_rims_go_and_the_edge_stays(height: float) -> None:
    frame = disc()
    painting = np.rint(frame + rim(height)).astype(np.uint8)
    after = removed(painting, frame)
    assert abs(around_the_disc(painting)) > 25
    assert abs(around_the_disc(after)) < 0.6 * abs(around_the_disc(painting))
    inside, outside = (after[place].mean() for place in (distance() < -3, distance() > 3))
    assert outside - inside > 0.85 * (frame[distance() > 3].mean() - frame[distance() < -3].mean())


def test_strokes_and_what_is_far_from_an_edge_stay() -> None:
    frame = disc()
    strokes = np.random.default_rng(0).normal(0, 12, (SIZE, SIZE, 1))
    waves = 15 * np.sin(np.arange(SIZE) / 5)[:, None, None]
    painting = np.rint(np.clip(frame + strokes + waves + rim(), 0, 255)).astype(np.uint8)
    after = removed(painting, frame)
    far = distance() > 45
    np.testing.assert_array_equal(after[far], painting[far])
    near = np.abs(distance()) < 15
    before, left = (
        (image - cv2.blur(image, (5, 5)))[near].std() for image in (painting.astype(float), after.astype(float))
    )
    assert left > 0.95 * before


def test_a_painting_in_other_colours_is_still_one() -> None:
    """Its own colours are a function of the frame's."""
    frame = disc()
    painting = 255 - frame[..., ::-1] // 2
    after = removed(painting, frame).astype(int)
    assert np.abs(after - painting).max() <= 2


def test_colours_change_by_as_much_as_luma() -> None:
    frame = disc()
    painting = np.rint(frame + rim()).astype(np.uint8)
    change = removed(painting, frame).astype(int) - painting
    assert np.abs(change).max() > 15 and (change == change[..., :1]).all()


@pytest.mark.parametrize("strength", [0.0, 0.5])
def test_what_is_left_of_the_frame_has_no_halos(strength: float) -> None:
    frame = disc()
    painting = np.rint(frame + rim()).astype(np.uint8)
    mixed = cv2.addWeighted(frame, 1 - strength, painting, strength, 0)
    whole = removed(painting, frame).astype(float) - painting
    part = removed(mixed, frame, strength).astype(float) - mixed
    assert np.abs(part - strength * whole).max() <= 2
    assert strength > 0 or not part.any()


def test_other_sizes_follow() -> None:
    one = HaloRemover()
    for shape in ((8, 8), (64, 96), (65, 33), (9, 300)):
        frame, painting = np.random.default_rng(0).integers(0, 256, (2, *shape, 3), dtype=np.uint8)
        before = painting.copy()
        after = one.of(painting, small(frame), 1.0)
        np.testing.assert_array_equal(after, removed(painting, frame))
        np.testing.assert_array_equal(painting, before)
        assert after.shape == painting.shape
