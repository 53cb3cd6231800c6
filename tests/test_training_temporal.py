"""ReCoNet's losses on cases that are worked by hand."""

from __future__ import annotations

import pytest
import torch

from engines.training import temporal, warping

SIDE = 8


def still(n: int = 1) -> tuple[torch.Tensor, torch.Tensor]:
    return warping.identity_grid(n, SIDE, SIDE), torch.ones(n, 1, SIDE, SIDE)


def shifted(px: int) -> torch.Tensor:
    """Every pixel was `px` columns further to the right."""
    return warping.identity_grid(1, SIDE, SIDE) + torch.tensor([2.0 * px / SIDE, 0.0])


def test_luminance_weighs_the_colours() -> None:
    image = torch.tensor([1.0, 0.5, 0.25])[None, :, None, None]
    assert temporal.luminance(image).item() == pytest.approx(0.2126 + 0.5 * 0.7152 + 0.25 * 0.0722)


def test_light_that_changes_alike_in_scene_and_painting_costs_nothing() -> None:
    frame, painted = torch.rand(1, 3, SIDE, SIDE), torch.rand(1, 3, SIDE, SIDE)
    grid, valid = still()
    args = (frame, frame + 0.1, grid, valid)
    assert temporal.output_temporal(painted, painted + 0.1, *args).item() == pytest.approx(0, abs=1e-9)
    # A painting that stands still misses the change of 0.1 in every channel.
    assert temporal.output_temporal(painted, painted, *args).item() == pytest.approx(0.01, rel=1e-3)


def test_a_change_of_one_channel_counts_by_its_luminance() -> None:
    frame, painted = torch.zeros(1, 3, SIDE, SIDE), torch.zeros(1, 3, SIDE, SIDE)
    brighter = frame.clone()
    brighter[:, 1] = 0.5  # green: 0.3576 of luminance
    found = temporal.output_temporal(painted, painted, frame, brighter, *still())
    assert found.item() == pytest.approx((0.5 * 0.7152) ** 2, rel=1e-3)


def test_paintings_are_compared_along_the_motion_where_it_is_valid() -> None:
    painted = torch.rand(1, 3, SIDE, SIDE)
    moved = torch.roll(painted, -2, dims=3)
    valid = torch.ones(1, 1, SIDE, SIDE)
    valid[..., -2:] = 0  # came in from outside
    frame = torch.zeros_like(painted)
    args = (frame, frame, shifted(2))
    assert temporal.output_temporal(painted, moved, *args, valid).item() == pytest.approx(0, abs=1e-8)
    assert temporal.output_temporal(painted, moved, *args, torch.ones_like(valid)).item() > 1e-3
    assert temporal.output_temporal(painted, moved, *args, 0 * valid).item() == 0


def test_features_are_compared_along_the_motion_at_their_own_size() -> None:
    features = torch.rand(1, 5, SIDE // 4, SIDE // 4)
    moved = torch.roll(features, -1, dims=3)  # 4 pixels are one feature
    valid = torch.ones(1, 1, SIDE, SIDE)
    valid[..., -4:] = 0
    assert temporal.feature_temporal(features, moved, shifted(4), valid).item() == pytest.approx(0, abs=1e-9)
    expected = (features[..., 0] - features[..., 1]).square().mean().item()
    assert temporal.feature_temporal(features, features, shifted(4), valid).item() == pytest.approx(expected, rel=1e-3)


def test_a_feature_with_one_pixel_that_is_not_valid_does_not_count() -> None:
    features = torch.zeros(1, 2, SIDE // 4, SIDE // 4)
    other = features.clone()
    other[..., 0, 0] = 3.0
    grid, valid = still()
    assert temporal.feature_temporal(features, other, grid, valid).item() == pytest.approx(9 / 4, rel=1e-3)
    valid[..., 1, 1] = 0
    assert temporal.feature_temporal(features, other, grid, valid).item() == 0


def test_both_pull_on_both_moments() -> None:
    one, other = (torch.rand(1, 3, SIDE, SIDE, requires_grad=True) for _ in range(2))
    frame = torch.rand(1, 3, SIDE, SIDE)
    loss = temporal.output_temporal(one, other, frame, frame, *still()) + temporal.feature_temporal(
        one, other, *still()
    )
    loss.backward()  # type: ignore[no-untyped-call]
    assert one.grad is not None and other.grad is not None
    assert one.grad.abs().sum() > 0 and other.grad.abs().sum() > 0
