"""Synthetic motion: what stands still stays, and what moves moves as the grid says."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from engines.training import warping

SIDE = 32


def displacement_px(grid: Tensor) -> Tensor:
    """(n, h, w, 2) grid -> how far each pixel is fetched from, (n, h, w), in pixels."""
    n, h, w, _ = grid.shape
    moved = (grid - warping.identity_grid(n, h, w)) * torch.tensor([w / 2, h / 2])
    return moved.square().sum(dim=3).sqrt()


@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
def test_identity_grid_leaves_a_picture_as_it_is(mode: str) -> None:
    image = torch.rand(2, 3, 12, 17)
    moved = warping.warp(image, warping.identity_grid(2, 12, 17), mode)
    torch.testing.assert_close(moved, image, atol=1e-5, rtol=0)


@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
def test_a_shift_by_whole_pixels_is_exact(mode: str) -> None:
    image = torch.rand(1, 3, 12, 16)
    grid = warping.identity_grid(1, 12, 16) + torch.tensor([3 * 2 / 16, -2 * 2 / 12])  # from 3 px right, 2 px above
    moved = warping.warp(image, grid, mode)
    torch.testing.assert_close(moved[:, :, 2:, :-3], image[:, :, :-2, 3:], atol=1e-5, rtol=0)


def test_outside_the_edge_is_repeated() -> None:
    image = torch.rand(1, 1, 4, 8)
    grid = warping.identity_grid(1, 4, 8) + torch.tensor([100.0, 0.0])
    torch.testing.assert_close(warping.warp(image, grid), image[..., -1:].expand(1, 1, 4, 8))


def test_random_motion_stays_within_reach() -> None:
    reach = 3.0
    grids = warping.random_motion(300, SIDE, SIDE, reach)
    assert grids.shape == (300, SIDE, SIDE, 2)
    moved = displacement_px(grids)
    # Corners turn by 2 degrees and zoom by 3 %; the bending's deviation is a fifth of the reach.
    corner = SIDE / 2 * math.sqrt(2) * (math.radians(2) + 0.03)
    assert moved.max() < reach * math.sqrt(2) + corner + 5 * 0.2 * reach
    assert moved.mean(dim=(1, 2)).max() > reach


def test_random_motion_is_smooth() -> None:
    grids = warping.random_motion(50, SIDE, SIDE, 3.0) * SIDE / 2
    for axis in (1, 2):
        steps = grids.diff(dim=axis)
        assert steps.norm(dim=3).min() > 0.3  # nothing is folded over
        assert steps.norm(dim=3).max() < 2


def test_a_third_stands_still() -> None:
    grids = warping.random_motion(600, 8, 8)
    still = (displacement_px(grids) < 1e-4).all(dim=2).all(dim=1)
    assert float(still.float().mean()) == pytest.approx(1 / 3, abs=0.06)
    assert (displacement_px(grids[~still]).mean(dim=(1, 2)) > 0.05).all()


def test_random_motion_differs_from_sample_to_sample() -> None:
    torch.manual_seed(1)
    first = warping.random_motion(4, 8, 8)
    torch.manual_seed(1)
    assert torch.equal(warping.random_motion(4, 8, 8), first)
    assert not torch.equal(warping.random_motion(4, 8, 8), first)


def test_inside_marks_what_the_grid_fetches_from_the_picture() -> None:
    grid = warping.identity_grid(2, 4, 8).clone()
    assert torch.equal(warping.inside(grid), torch.ones(2, 1, 4, 8))
    grid[1] += torch.tensor([2 * 2 / 8, 0.0])  # two pixels further right: the last two columns are outside
    expected = torch.ones(2, 1, 4, 8)
    expected[1, :, :, -2:] = 0
    assert torch.equal(warping.inside(grid), expected)
    assert not warping.inside(grid + torch.tensor([0.0, -2.1])).any()


def test_sensor_noise_stays_within_its_bounds() -> None:
    image = torch.full((200, 3, 16, 16), 0.5)
    noisy = warping.sensor_noise(image, most=0.02)
    level, deviation = noisy.mean(dim=(1, 2, 3)), noisy.std(dim=(1, 2, 3))
    assert (level - 0.5).abs().max() < 0.5 * 0.02 + 4 * 0.02 / math.sqrt(3 * 256)
    assert deviation.max() < 0.02 * 1.15
    assert deviation.min() < 0.004  # some samples have hardly any
    assert deviation.mean() == pytest.approx(0.01, abs=0.002)


def test_sensor_noise_keeps_the_range() -> None:
    image = torch.rand(4, 3, 16, 16).round()
    noisy = warping.sensor_noise(image, most=0.5)
    assert noisy.min() >= 0 and noisy.max() <= 1
    assert not torch.equal(noisy, image)


def test_no_noise_is_a_change_of_light_alone() -> None:
    image = torch.rand(4, 3, 8, 8) * 0.9 + 0.05
    ratio = warping.sensor_noise(image, most=0.0) / image
    torch.testing.assert_close(ratio, ratio[:, :1, :1, :1].expand_as(ratio))
    assert (ratio - 1).abs().max() <= 0.02 + 1e-5
