from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
from grain import picture
from numpy.typing import NDArray

from engines.bands import (
    BANDS,
    COARSE,
    FINE,
    LEVELS,
    OVERSHOOT,
    STEEPEST,
    WANTED_SHARE,
    Detailer,
    bands_of,
    curves,
    softened,
)
from engines.nets import finish
from engines.recolour import MOST_MEMORY


def wanted(image: NDArray[np.uint8]) -> NDArray[np.float32]:
    return bands_of(image).astype(np.float32)


def lines(apart: int, seed: int = 0) -> NDArray[np.uint8]:
    """Bright lines on slopes, every so many pixels, RGB uint8 (120, 160, 3)."""
    image = picture(2, seed)
    image[::apart] = np.minimum(image[::apart].astype(int) + 60, 255)
    return image


def test_more_grain_is_a_stronger_fine_band() -> None:
    weak, strong = bands_of(picture(3)), bands_of(picture(12))
    assert weak.shape == (BANDS, 3, len(LEVELS))
    assert (np.diff(strong, axis=2) > 0).all()
    assert 3 < strong[FINE].mean() / weak[FINE].mean() < 4.5
    # Grain blurred is in the coarse band alone.
    soft = bands_of(cv2.GaussianBlur(picture(12), (0, 0), 1.5))
    assert soft[FINE].mean() < 0.15 * strong[FINE].mean() and soft[COARSE].mean() > 0.25 * strong[COARSE].mean()


def test_a_colour_s_detail_is_its_own() -> None:
    painting = picture(4)
    painting[..., 1] = picture(12)[..., 1]
    fine = bands_of(painting)[FINE].mean(1)
    assert fine[1] > 2.5 * fine[[0, 2]].max()


def test_a_soft_painting_gets_its_styles_detail() -> None:
    painting, goal = picture(6), wanted(picture(10, 1))
    before, after = bands_of(painting), bands_of(Detailer().of(painting, goal, 1.0, 0.0))
    # The weakest strengths are one or two bytes: half a byte is what rounding them may cost.
    assert (before < 0.75 * goal).all() and (after > 0.85 * WANTED_SHARE * goal - 0.5 / 255).all()
    assert np.abs(after - WANTED_SHARE * goal).mean() < 0.15 * np.abs(before - WANTED_SHARE * goal).mean()


def test_a_harsh_painting_is_softened() -> None:
    goal = wanted(picture(8, 1))
    before, after = bands_of(picture(13)), bands_of(Detailer().of(picture(13), goal, 1.0, 0.0))
    assert (before.mean(2) > 1.4 * goal.mean(2)).all() and (after.mean(2) < 1.05 * goal.mean(2)).all()
    assert (after.mean(2) > 0.6 * goal.mean(2)).all()


def test_detail_lies_in_lines_where_the_styles_does() -> None:
    """As much of the one as of the other, and yet they look different."""
    goal = wanted(lines(12, 1))
    painting = picture(9)
    before, after = bands_of(painting)[FINE], bands_of(Detailer().of(painting, goal, 1.0, 0.0))[FINE]

    def spread(band: NDArray[np.float64]) -> float:
        return float((band[:, -1] / band[:, 1]).mean())

    assert spread(before) < 4 < spread(goal[FINE]) and spread(after) > 1.5 * spread(before)


def test_curves_have_bounds() -> None:
    nothing, much = np.zeros((3, len(LEVELS))), np.full((3, len(LEVELS)), 0.2)
    levels = np.linspace(0, 0.5, 11)
    assert curves(much, nothing.astype(np.float32), levels).max() <= STEEPEST * 0.3
    assert (np.diff(curves(nothing, much.astype(np.float32), levels)) <= STEEPEST * 0.05 + 1e-9).all()
    same = np.cumsum(np.full((3, len(LEVELS)), 0.02), 1)
    kept = 1 + OVERSHOOT * (WANTED_SHARE - 1)  # where the style's own are there, as much as is wanted of them is
    assert curves(same, same.astype(np.float32), levels) == pytest.approx(np.stack([kept * levels] * 3))


def test_strength_0_changes_nothing() -> None:
    painting = picture(8)
    assert np.array_equal(Detailer().of(painting, wanted(picture(2)), 0.0, 0.0), painting)


def test_what_is_flat_stays_so() -> None:
    for level in (0, 90, 255):
        flat = np.full((80, 100, 3), level, np.uint8)
        assert np.array_equal(Detailer().of(flat, wanted(picture(12)), 1.0, 0.0), flat)


@pytest.mark.parametrize("size", [(16, 16), (17, 33), (121, 90)])
def test_any_size_keeps_its_size(size: tuple[int, int]) -> None:
    painting = np.ascontiguousarray(cv2.resize(picture(8), size[::-1]))
    assert Detailer().of(painting, wanted(picture(4)), 1.0, 0.5).shape == (*size, 3)


def test_tensors_get_the_same() -> None:
    painting, goal = picture(6), wanted(lines(12, 1))
    image = torch.from_numpy(painting.transpose(2, 0, 1)[None] / 255).float()
    assert np.abs(finish.bands(image)[0].numpy() - bands_of(painting)).max() < 0.5 / 255
    theirs = finish.detailed(image, torch.from_numpy(goal)[None])[0].permute(1, 2, 0).numpy() * 255
    ours = Detailer().of(painting, goal, 1.0, 0.0)
    assert np.abs(theirs - ours).mean() < 0.8 and np.abs(theirs - ours).max() < 12  # bytes, in between too


@pytest.mark.parametrize("which", [FINE, COARSE])
def test_tensors_of_bytes_are_blurred_the_same(which: int) -> None:
    image = picture(12)[:121, :90]
    ours = np.empty_like(image)
    softened(image, which, ours)
    theirs = finish.softened(torch.from_numpy(image.transpose(2, 0, 1)[None]).float(), which)
    assert np.array_equal((theirs[0] + 0.5).floor().permute(1, 2, 0).numpy(), ours)


def test_the_curves_pass_the_gradient_on() -> None:
    image = torch.rand(2, 3, 24, 24, requires_grad=True)
    goal = torch.stack([torch.full((BANDS, 3, len(LEVELS)), 0.1).cumsum(2), torch.zeros(BANDS, 3, len(LEVELS))])
    finish.detailed(image, goal).square().sum().backward()
    assert image.grad is not None and (image.grad.abs().sum((1, 2, 3)) > 0).all()


def test_curves_change_slowly_and_at_once_with_the_scene() -> None:
    goal = wanted(picture(9, 5))
    first, second, other = picture(6), picture(7, 1), picture(20, 2)
    alone, smooth = Detailer(), Detailer()
    alone.of(first, goal, 1.0, 0.0)
    smooth.of(first, goal, 1.0, MOST_MEMORY)
    at_once, slowly = (
        detailer.of(second, goal, 1.0, s).copy() for detailer, s in ((alone, 0.0), (smooth, MOST_MEMORY))
    )
    assert bands_of(slowly)[FINE].mean() > 1.05 * bands_of(at_once)[FINE].mean()
    assert np.array_equal(smooth.of(other, goal, 1.0, MOST_MEMORY), Detailer().of(other, goal, 1.0, MOST_MEMORY))
    smooth.of(first, goal, 1.0, MOST_MEMORY)
    smooth.reset()
    assert np.array_equal(smooth.of(second, goal, 1.0, MOST_MEMORY), at_once)
