"""Two moments of one scene, and how the one came out of the other: made from photos, or taken from real clips."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from engines.training import warping

MOTION_MARGIN_PX = 16


class Moments(NamedTuple):
    """now, after: (n, 3, h, w) in 0..1. grid: (n, h, w, 2) in -1..1, where each pixel of `after` was in `now`.

    valid: (n, 1, h, w), 1 where that is inside and can be seen in both.
    """

    now: Tensor
    after: Tensor
    grid: Tensor
    valid: Tensor


def two_moments(large: Tensor, crop: int) -> Moments:
    """A photo's crop, the same a moment later (moved, noisy), the grid between them, and where it is valid.

    large: (n, 3, crop + 2 margins, the same) -> moments of (n, 3, crop, crop)
    """
    m, side = MOTION_MARGIN_PX, crop + 2 * MOTION_MARGIN_PX
    grid = warping.random_motion(len(large), side, side, device=large.device)
    after = warping.sensor_noise(warping.warp(large, grid, "bicubic").clamp(0, 1))[:, :, m:-m, m:-m]
    now = warping.sensor_noise(large)[:, :, m:-m, m:-m]
    grid = grid[:, m:-m, m:-m] * (side / crop)
    return Moments(now, after, grid, warping.inside(grid))
