from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from engines.bands import BANDS, LEAST_GAIN, MOST_GAIN, WANTED_SHARE, Detailer, bands_of, blurred, gains
from engines.nets import finish


def picture(grain: float, seed: int = 0) -> NDArray[np.uint8]:
    """Slopes with grain of this deviation, RGB uint8 (120, 160, 3)."""
    random = np.random.default_rng(seed)
    coarse = random.integers(70, 186, (4, 5, 3), dtype=np.uint8)
    smooth = cv2.resize(coarse, (160, 120), interpolation=cv2.INTER_CUBIC).astype(float)
    return np.clip(smooth + random.normal(0, grain, smooth.shape), 0, 255).astype(np.uint8)


def wanted(image: NDArray[np.uint8]) -> NDArray[np.float32]:
    return bands_of(image).astype(np.float32)


def test_more_grain_is_a_stronger_first_band() -> None:
    weak, strong = bands_of(picture(3)), bands_of(picture(12))
    assert weak.shape == (BANDS,)
    assert 3 < strong[0] / weak[0] < 4.5
    # Grain blurred is in the second band alone.
    soft = bands_of(blurred(picture(12))[0])
    assert soft[0] < 0.3 * strong[0] and soft[1] > 0.5 * strong[1]


def test_a_soft_painting_gets_its_styles_detail() -> None:
    painting, goal = picture(6), wanted(picture(10, 1))
    before, after = bands_of(painting), bands_of(Detailer().of(painting, goal, 1.0, 0.0))
    assert after == pytest.approx(goal, rel=0.08)
    assert before[0] < 0.7 * goal[0]


def test_a_harsh_painting_is_softened() -> None:
    goal = wanted(picture(8, 1))
    assert bands_of(Detailer().of(picture(11), goal, 1.0, 0.0)) == pytest.approx(WANTED_SHARE * goal, rel=0.12)


def test_gains_have_bounds() -> None:
    nothing, much = np.zeros(BANDS), np.ones(BANDS)
    assert (gains(nothing, much.astype(np.float32)) == MOST_GAIN).all()
    assert (gains(much, nothing.astype(np.float32)) == LEAST_GAIN).all()
    assert gains(nothing, nothing.astype(np.float32)) == pytest.approx(1)


def test_strength_0_changes_nothing() -> None:
    painting = picture(8)
    assert np.abs(Detailer().of(painting, wanted(picture(2)), 0.0, 0.0).astype(int) - painting).max() <= 1


def test_what_is_flat_stays_so() -> None:
    for level in (0, 90, 255):
        flat = np.full((80, 100, 3), level, np.uint8)
        assert np.abs(Detailer().of(flat, wanted(picture(12)), 1.0, 0.0).astype(int) - level).max() <= 1


def test_tensors_get_the_same() -> None:
    painting, goal = picture(6), wanted(picture(10, 1))
    image = torch.from_numpy(painting.transpose(2, 0, 1)[None] / 255).float()
    assert finish.bands(image)[0].numpy() == pytest.approx(bands_of(painting), rel=0.03)
    theirs = finish.detailed(image, torch.from_numpy(goal)[None])[0].permute(1, 2, 0).numpy() * 255
    ours = Detailer().of(painting, goal, 1.0, 0.0)
    assert np.abs(theirs - ours).max() < 5 and np.abs(theirs - ours).mean() < 0.8  # bytes, blurred twice


def test_the_gains_pass_the_gradient_on() -> None:
    image = torch.rand(2, 3, 24, 24, requires_grad=True)
    finish.detailed(image, torch.tensor([[0.3, 0.2], [0.0, 0.0]])).square().sum().backward()
    assert image.grad is not None and (image.grad.abs().sum((1, 2, 3)) > 0).all()


def test_gains_change_slowly_and_at_once_with_the_scene() -> None:
    goal = wanted(picture(9, 5))
    first, second, other = picture(6), picture(7, 1), picture(20, 2)
    alone, smooth = Detailer(), Detailer()
    alone.of(first, goal, 1.0, 0.0)
    smooth.of(first, goal, 1.0, 1.0)
    at_once, slowly = (detailer.of(second, goal, 1.0, s).copy() for detailer, s in ((alone, 0.0), (smooth, 1.0)))
    assert bands_of(slowly)[0] > 1.05 * bands_of(at_once)[0]
    assert np.array_equal(smooth.of(other, goal, 1.0, 1.0), Detailer().of(other, goal, 1.0, 1.0))
    smooth.of(first, goal, 1.0, 1.0)
    smooth.reset()
    assert np.array_equal(smooth.of(second, goal, 1.0, 1.0), at_once)
