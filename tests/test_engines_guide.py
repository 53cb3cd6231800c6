from __future__ import annotations

import numpy as np
import pytest

from engines.guide import GUIDE_SIDE_PX, Guide, guide_size


@pytest.mark.parametrize("size", [(360, 640), (720, 1280), (2160, 3840), (640, 360), (333, 1001)])
def test_a_large_frames_guide_has_its_shape_and_a_fixed_area(size: tuple[int, int]) -> None:
    height, width = guide_size(*size)
    assert height % 8 == width % 8 == 0
    assert height * width == pytest.approx(GUIDE_SIDE_PX**2, rel=0.05)
    assert width / height == pytest.approx(size[1] / size[0], rel=0.05)


@pytest.mark.parametrize("size", [(64, 64), (64, 200), (101, 147), (160, 160)])
def test_a_small_frames_guide_is_as_large_as_the_frame(size: tuple[int, int]) -> None:
    for guide, frame in zip(guide_size(*size), size, strict=True):
        assert guide % 8 == 0 and guide >= 64
        assert abs(guide - frame) <= 4


def test_a_broader_brush_has_a_smaller_guide() -> None:
    fine, usual, broad = (guide_size(720, 1280, stroke) for stroke in (0.5, 1.0, 2.0))
    assert usual == guide_size(720, 1280)
    assert fine[1] == pytest.approx(2 * usual[1], rel=0.05) and broad[1] == pytest.approx(usual[1] / 2, rel=0.05)


def test_a_long_narrow_frame_has_a_guide_of_64_px_at_least() -> None:
    assert guide_size(64, 8000)[0] == 64


def test_a_guide_is_the_frame_averaged_down() -> None:
    image = np.random.default_rng(0).integers(0, 256, (360, 640, 3), dtype=np.uint8)
    guide = Guide()
    made = guide.of(image).copy()
    assert made.shape == (*guide_size(360, 640), 3) and made.dtype == np.uint8
    assert np.abs(made.mean((0, 1)) - image.mean((0, 1))).max() < 0.6
    assert made.std() < 0.6 * image.std()  # noise of neighbours cancels
    assert np.array_equal(guide.of(np.full((720, 1280, 3), 7, np.uint8)), np.full((*guide_size(720, 1280), 3), 7))
