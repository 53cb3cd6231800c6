from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from engines.balance import MOST_BALANCE, Balancer, balance
from engines.nets import finish
from engines.recolour import MOST_MEMORY, palette_of, statistics


def picture(seed: int = 0, height: int = 120) -> NDArray[np.uint8]:
    """Colours that go together: the channels are mixtures of each other."""
    random = np.random.default_rng(seed)
    mixture = np.eye(3) + 0.5 * random.uniform(-1, 1, (3, 3))
    image = 128 + random.normal(0, 25, (height, 160, 3)) @ mixture + random.uniform(-20, 20, 3)
    return image.round().clip(0, 255).astype(np.uint8)


def palette(image: NDArray[np.uint8]) -> NDArray[np.float32]:
    return palette_of(*statistics(image, 1))


def test_a_painting_gets_the_palette_of_its_style() -> None:
    painting, style = picture(0), picture(1)
    balanced = Balancer().of(painting, palette(style), 1.0, 0.0)
    for ours, theirs, before in zip(*(statistics(image, 1) for image in (balanced, style, painting)), strict=True):
        assert np.abs(ours - theirs).max() < 0.25 * np.abs(before - theirs).max()


def test_the_styles_own_palette_changes_nothing() -> None:
    painting = picture()
    balanced = Balancer().of(painting, palette(painting[::4, ::4]), 1.0, 0.0)
    assert np.abs(balanced.astype(int) - painting).max() <= 1


def test_strength_0_changes_nothing_and_half_of_it_half() -> None:
    painting, wanted = picture(0), palette(picture(1))
    none, half, whole = (Balancer().of(painting, wanted, share, 0.0).astype(int) for share in (0.0, 0.5, 1.0))
    assert np.array_equal(none, painting)
    within = (whole > 0) & (whole < 255)
    assert np.abs(half - (none + whole) / 2)[within].max() <= 1


def test_a_plain_painting_does_not_become_one_of_its_noise() -> None:
    plain = np.random.default_rng(0).integers(126, 130, (120, 160, 3)).astype(np.uint8)
    wanted = palette(picture(1))
    matrix, offset = balance(*statistics(plain), wanted)
    assert np.abs(matrix).sum(1).max() == pytest.approx(MOST_BALANCE)
    assert matrix @ statistics(plain)[0] + offset == pytest.approx(wanted[:3], abs=1e-6)
    assert Balancer().of(plain, wanted, 1.0, 0.0).std() < 4 * MOST_BALANCE


def test_only_the_places_that_count_are_looked_at() -> None:
    left, right = picture(0), picture(2) // 2
    both = np.hstack([left, right])
    where = np.zeros((30, 80), bool)
    where[:, :40] = True
    wanted = palette(picture(1))
    ours = Balancer().of(both, wanted, 1.0, 0.0, where)
    assert np.array_equal(ours[:, :160], Balancer().of(left, wanted, 1.0, 0.0))
    nowhere = Balancer().of(both, wanted, 1.0, 0.0, np.zeros_like(where))
    assert np.array_equal(nowhere, Balancer().of(both, wanted, 1.0, 0.0))


def test_balances_of_tensors_are_the_same() -> None:
    painting, wanted = picture(3), palette(picture(4))
    image = torch.from_numpy(painting.transpose(2, 0, 1)[None] / 255).float()
    theirs = finish.balanced(image, torch.from_numpy(wanted)[None])[0].permute(1, 2, 0).numpy()
    matrix, offset = balance(*statistics(painting, 1), wanted)
    ours = (painting / 255 @ matrix.T + offset).clip(0, 1)
    assert np.abs(theirs - ours).max() < 2e-3


def test_a_balance_passes_the_gradient_on() -> None:
    image = torch.rand(2, 3, 16, 16, requires_grad=True)
    wanted = torch.from_numpy(np.stack([palette(picture(seed)) for seed in range(2)]))
    finish.balanced(image, wanted).sum().backward()
    assert image.grad is not None
    assert 0 < image.grad.abs().mean() <= MOST_BALANCE


def test_balances_change_slowly_and_at_once_with_the_scene() -> None:
    wanted = palette(picture(9))
    first, second, other = picture(0), picture(1), picture(2) // 3
    alone, smooth = Balancer(), Balancer()
    for image in (first, second):
        calm, jumping = smooth.of(image, wanted, 1.0, MOST_MEMORY).copy(), alone.of(image, wanted, 1.0, 0.0).copy()
    assert not np.array_equal(calm, jumping)
    assert np.array_equal(smooth.of(other, wanted, 1.0, MOST_MEMORY), alone.of(other, wanted, 1.0, 0.0))
    smooth.of(first, wanted, 1.0, MOST_MEMORY)
    smooth.reset()
    assert np.array_equal(smooth.of(second, wanted, 1.0, MOST_MEMORY), jumping)
