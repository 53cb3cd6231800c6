"""Synthetic motion: a photo and the same photo a moment later, with the exact motion between the two."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor


def identity_grid(n: int, h: int, w: int, device: torch.device | str = "cpu") -> Tensor:
    """Sampling grid (n, h, w, 2) in -1..1 (align_corners=False) that leaves a picture as it is."""
    y = (torch.arange(h, device=device) + 0.5) * 2 / h - 1
    x = (torch.arange(w, device=device) + 0.5) * 2 / w - 1
    grid = torch.stack([x[None, :].expand(h, w), y[:, None].expand(h, w)], 2)
    return grid.expand(n, h, w, 2)


def random_motion(n: int, h: int, w: int, reach_px: float = 6.0, device: torch.device | str = "cpu") -> Tensor:
    """Sampling grids (n, h, w, 2): a shift, a small turn and zoom, and a smooth bending, up to about `reach_px`.

    A third of the samples stand still: there all that changes is the noise of the camera.
    """
    unit = torch.tensor([2 / w, 2 / h], device=device)  # one pixel
    grid = identity_grid(n, h, w, device)
    shift = (torch.rand(n, 1, 1, 2, device=device) * 2 - 1) * reach_px
    turn = (torch.rand(n, 1, 1, device=device) * 2 - 1) * math.radians(2.0)
    zoom = 1 + (torch.rand(n, 1, 1, device=device) * 2 - 1) * 0.03
    x, y = grid[..., 0] * zoom, grid[..., 1] * zoom
    turned = torch.stack([x - turn * y, y + turn * x], 3)
    bend = F.interpolate(torch.randn(n, 2, 4, 4, device=device), size=(h, w), mode="bicubic", align_corners=False)
    moved = turned + (shift + bend.permute(0, 2, 3, 1) * reach_px * 0.2) * unit
    still = (torch.rand(n, 1, 1, 1, device=device) < 1 / 3).float()
    return still * grid + (1 - still) * moved


def warp(image: Tensor, grid: Tensor, mode: str = "bilinear") -> Tensor:
    """Sample `image` (n, c, h, w) at `grid` (n, h, w, 2); outside, the edge is repeated."""
    return F.grid_sample(image, grid, mode=mode, padding_mode="border", align_corners=False)


def inside(grid: Tensor) -> Tensor:
    """1 where the grid stays inside the picture, else 0: (n, 1, h, w)."""
    return (grid.abs().amax(3, keepdim=True) <= 1).float().permute(0, 3, 1, 2)


def sensor_noise(image: Tensor, most: float = 0.02) -> Tensor:
    """Camera noise: Gaussian, its deviation drawn per sample up to `most`, and a small change of light."""
    n = image.shape[0]
    strength = torch.rand(n, 1, 1, 1, device=image.device) * most
    light = 1 + (torch.rand(n, 1, 1, 1, device=image.device) * 2 - 1) * 0.02
    return (image * light + torch.randn_like(image) * strength).clamp(0, 1)
