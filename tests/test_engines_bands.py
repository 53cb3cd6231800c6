from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
from grain import fine_luma, picture
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
    FineDetailer,
    bands_of,
    curves,
    luma_of,
    softened,
)
from engines.nets import finish
from engines.recolour import MOST_MEMORY
from engines.spectrum import SPECTRUM, spectrum_of


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
    spectrum = spectrum_of(lines(12, 1)).astype(np.float32)
    told = torch.from_numpy(goal)[None], torch.from_numpy(spectrum)[None]
    theirs = finish.detailed(image, *told)[0].permute(1, 2, 0).numpy() * 255
    ours = Detailer().of(painting, goal, 1.0, 0.0, spectrum=spectrum)
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
    finish.detailed(image, goal, torch.ones(2, *SPECTRUM)).square().sum().backward()
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


def enlarged(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """By half, as a painting of its working size is."""
    return np.asarray(cv2.resize(image, None, fx=1.5, fy=1.5, interpolation=cv2.INTER_CUBIC), np.uint8)


def finely(painting: NDArray[np.uint8], goal: NDArray[np.float32], *numbers: float) -> NDArray[np.uint8]:
    changed = painting.copy()
    FineDetailer().of(changed, goal[FINE], *numbers)
    return changed


def grey(sigma: float, seed: int = 0) -> NDArray[np.uint8]:
    """The grain of all colours is one."""
    return np.repeat(picture(sigma, seed)[..., 1:2], 3, 2)


def test_an_enlarged_painting_gets_back_its_fine_detail() -> None:
    painting, goal = enlarged(grey(8)), wanted(grey(8, 1))
    away = [
        np.abs(fine_luma(image) - WANTED_SHARE * luma_of(goal[FINE])[0]).mean()
        for image in (painting, finely(painting, goal, 1.0, 0.0))
    ]
    assert away[1] < 0.3 * away[0]


def test_all_colours_of_an_enlarged_painting_change_by_as_much() -> None:
    painting, goal = enlarged(picture(6)) // 2 + 60, wanted(picture(9, 1))
    change = finely(painting, goal, 1.0, 0.0).astype(int) - painting
    assert np.abs(change).max() > 5 and (change == change[..., :1]).all()
    assert np.array_equal(finely(painting, goal, 0.0, 0.0), painting)


def test_the_luma_of_equal_colours_is_as_strong_as_they_are() -> None:
    strengths = np.repeat(np.linspace(0.01, 0.2, len(LEVELS), dtype=np.float32)[None], 3, 0)
    assert luma_of(strengths) == pytest.approx(strengths[:1])


def test_fine_detail_changes_slowly_and_at_once_with_the_scene() -> None:
    goal = wanted(picture(9, 5))
    first, second, other = (enlarged(one) for one in (picture(6), picture(7, 1), picture(20, 2)))
    smooth = FineDetailer()

    def next_one(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        changed = image.copy()
        smooth.of(changed, goal[FINE], 1.0, MOST_MEMORY)
        return changed

    next_one(first)
    assert not np.array_equal(next_one(second), finely(second, goal, 1.0, 0.0))
    assert np.array_equal(next_one(other), finely(other, goal, 1.0, 0.0))
    next_one(first)
    smooth.reset()
    assert np.array_equal(next_one(second), finely(second, goal, 1.0, 0.0))


def test_before_it_is_enlarged_a_painting_is_swept_once() -> None:
    painting, goal = picture(6), wanted(picture(12, 1))
    once, twice = (Detailer().of(painting, goal, 1.0, 0.0, to_enlarge=one).copy() for one in (True, False))
    left, less = (np.abs(bands_of(image) - WANTED_SHARE * goal).mean() for image in (once, twice))
    assert less < left < np.abs(bands_of(painting) - WANTED_SHARE * goal).mean()
