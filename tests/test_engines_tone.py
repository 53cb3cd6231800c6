from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from engines.nets import finish
from engines.recolour import MOST_MEMORY
from engines.tone import STEEPEST, TONE_SHARE, TONES, Toner, curves, tones_of


def picture(seed: int = 0, low: int = 0, high: int = 256) -> NDArray[np.uint8]:
    random = np.random.default_rng(seed)
    return random.integers(low, high, (120, 160, 3)).astype(np.uint8)


def wanted(image: NDArray[np.uint8]) -> NDArray[np.float32]:
    return tones_of(image).astype(np.float32)


def test_tones_go_from_dark_to_light_and_tell_the_spread() -> None:
    tones = tones_of(picture(0, 51, 205))
    assert tones.shape == (3, TONES)
    assert (np.diff(tones) >= 0).all()
    assert tones[:, 0] == pytest.approx([0.2 + 0.6 * 0.5 / TONES] * 3, abs=0.02)
    assert tones[:, TONES // 2] == pytest.approx([0.5] * 3, abs=0.02)


def test_a_painting_comes_part_of_the_way_to_its_styles_tones() -> None:
    painting, goal = picture(0, 100, 160), wanted(picture(1, 80, 220))
    toned = Toner().of(painting, goal, 1.0, 0.0)
    expected = tones_of(painting) + TONE_SHARE * (goal - tones_of(painting))
    assert np.abs(tones_of(toned) - expected).max() < 0.03


def test_the_styles_own_tones_change_nothing() -> None:
    painting = picture()
    toned = Toner().of(painting, wanted(painting[::4, ::4]), 1.0, 0.0)
    assert np.abs(toned.astype(int) - painting).max() <= 1


def test_strength_0_changes_nothing() -> None:
    painting = picture(0, 100, 160)
    assert np.array_equal(Toner().of(painting, wanted(picture(1, 0, 60)), 0.0, 0.0), painting)


def test_curves_rise_and_are_not_steeper_than_allowed() -> None:
    own = tones_of(np.full((8, 8, 3), 90, np.uint8))
    own[1] = np.linspace(0.4, 0.5, TONES)
    goal = np.tile(np.linspace(0, 1, TONES, dtype=np.float32), (3, 1))
    levels = np.linspace(0, 1, 256)
    steps = np.diff(curves(own, goal, levels)) * 255
    assert steps.min() >= -1e-9 and steps.max() <= STEEPEST + 1e-9


def test_curves_of_tensors_are_the_same() -> None:
    painting = picture(3, 60, 200)
    goal = wanted(picture(4, 0, 255) // 2)
    image = torch.from_numpy(painting.transpose(2, 0, 1)[None] / 255).float()
    own = tones_of(painting[::2, ::2])
    assert torch.allclose(finish.tones(image)[0], torch.from_numpy(own).float(), atol=1e-6)
    toned = finish.toned(image, torch.from_numpy(goal)[None])[0].numpy()
    levels = np.arange(256) / 255
    table = curves(own, goal, levels)
    expected = np.stack([table[c][painting[..., c]] for c in range(3)])
    assert np.abs(toned - expected).max() < 1e-5


def test_the_curves_pass_the_gradient_on() -> None:
    image = torch.rand(2, 3, 16, 16, requires_grad=True)
    finish.toned(image, finish.tones(torch.rand(2, 3, 16, 16) * 0.5)).sum().backward()
    assert image.grad is not None
    assert 0 < image.grad.mean() <= STEEPEST


def test_curves_change_slowly_and_at_once_with_the_scene() -> None:
    goal = wanted(picture(9))
    first, second, other = picture(0, 100, 150), picture(1, 110, 160), picture(2, 0, 60)
    alone, smooth = Toner(), Toner()
    alone.of(first, goal, 1.0, 0.0)
    smooth.of(first, goal, 1.0, MOST_MEMORY)
    at_once, slowly = (toner.of(second, goal, 1.0, s).copy() for toner, s in ((alone, 0.0), (smooth, MOST_MEMORY)))
    assert np.abs(at_once.astype(int) - slowly).mean() > 2
    assert np.array_equal(smooth.of(other, goal, 1.0, MOST_MEMORY), Toner().of(other, goal, 1.0, MOST_MEMORY))
    smooth.of(first, goal, 1.0, MOST_MEMORY)
    smooth.reset()
    assert np.array_equal(smooth.of(second, goal, 1.0, MOST_MEMORY), at_once)
