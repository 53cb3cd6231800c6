"""ReCoNet's temporal losses (Gao et al. 2018, 1807.01197, sec. 3.3): what is seen twice is painted alike twice.

Both take two moments of a scene, a frame and the next, and how the one came out of the other: `grid` (n, h, w, 2) in
-1..1, where each pixel of the next frame was in the frame before (as in `engines.training.warping`), and `valid`
(n, 1, h, w), 1 where that is so and can be seen in both. What is masked out does not count: sums are divided by the
number of valid places, where the paper divides by all of them.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from engines.training.warping import warp

EPS = 1e-5
RELATIVE_LUMINANCE = (0.2126, 0.7152, 0.0722)  # Y of XYZ, from R, G, B


def luminance(image: Tensor) -> Tensor:
    """Relative luminance Y of (n, 3, h, w) -> (n, 1, h, w), of the values as they are (the paper's own way)."""
    return (image * image.new_tensor(RELATIVE_LUMINANCE)[:, None, None]).sum(1, keepdim=True)


def feature_temporal(features: Tensor, next_features: Tensor, grid: Tensor, valid: Tensor) -> Tensor:
    """Mean squared difference of the next frame's features and the moved features of the frame (n, c, h', w').

    grid and valid are brought to the features' size: a feature counts where all of its pixels are valid.
    """
    size = features.shape[2:]
    small_grid = F.interpolate(grid.permute(0, 3, 1, 2), size, mode="area").permute(0, 2, 3, 1)
    small_valid = (F.interpolate(valid, size, mode="area") > 1 - 1e-3).to(features.dtype)
    return _masked_mean((next_features - warp(features, small_grid)).square(), small_valid)


def output_temporal(
    painted: Tensor, next_painted: Tensor, frame: Tensor, next_frame: Tensor, grid: Tensor, valid: Tensor
) -> Tensor:
    """The luminance-aware loss of two paintings and their frames, (n, 3, h, w) in 0..1 each.

    A painting may change along the motion by what the scene's light changes: every channel of
    O' - W(O) is held against the relative luminance of I' - W(I).
    """
    change = next_painted - warp(painted, grid, "bicubic")
    light = luminance(next_frame - warp(frame, grid, "bicubic"))
    return _masked_mean((change - light).square(), valid)


def _masked_mean(values: Tensor, valid: Tensor) -> Tensor:
    return (values * valid).sum() / (valid.sum() * values.shape[1] + EPS)
