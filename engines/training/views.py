"""Views of pictures, drawn anew in every step: what was learned of one holds for more than the picture itself."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

WHOLE = 0.5  # share of the pictures that are seen as a whole
LEAST_SHARE = 0.75  # of a picture's side, that is seen of the others
TURNED = 0.5  # share of the style pictures that are turned, by a number of quarters that may be none
AS_THEY_ARE = 0.6  # share of them that keep their colours
INVERTED = 0.4  # of the others: those whose light and dark change places
SATURATION = 0.6, 1.2  # of the others' colours, of what it was
# R, G, B to Y, I, Q (NTSC, as in FCC 73.682).
_TO_YIQ = ((0.299, 0.587, 0.114), (0.5959, -0.2746, -0.3213), (0.2115, -0.5227, 0.3112))


def of_photos(images: Tensor) -> Tensor:
    """(n, 3, h, h) in 0..1 -> the same: parts of them, half of them mirrored"""
    return _framed(images, 0.0)


def of_styles(images: Tensor) -> Tensor:
    """(n, 3, h, h) in 0..1 -> the same: parts of them, mirrored, turned by quarters, some in other colours"""
    return _recoloured(_framed(images, TURNED))


def _framed(images: Tensor, turned: float) -> Tensor:
    """turned: share of the pictures that are turned by a random number of quarters."""
    n, _, height, width = images.shape
    share = torch.where(torch.rand(n) < WHOLE, 1.0, LEAST_SHARE + (1 - LEAST_SHARE) * torch.rand(n))
    centre = (torch.rand(n, 2) * 2 - 1) * (1 - share)[:, None]
    mirrored = torch.where(torch.rand(n) < 0.5, -1.0, 1.0)
    quarter = torch.randint(4, (n,)) * (torch.rand(n) < turned) * (math.pi / 2)
    cosine, sine = quarter.cos().round() * share, quarter.sin().round() * share
    rows = [
        torch.stack([mirrored * cosine, -sine, centre[:, 0]], 1),
        torch.stack([mirrored * sine, cosine, centre[:, 1]], 1),
    ]
    grid = F.affine_grid(torch.stack(rows, 1).to(images.device), [n, 1, height, width], align_corners=False)
    return F.grid_sample(images, grid, mode="bicubic", padding_mode="reflection", align_corners=False).clamp(0, 1)


def _recoloured(images: Tensor) -> Tensor:
    """Hues turned, colours paler or stronger, of some light and dark exchanged."""
    n = len(images)
    kept = torch.rand(n) < AS_THEY_ARE
    angle = torch.where(kept, 0.0, (torch.rand(n) * 2 - 1) * math.pi)
    strength = torch.where(kept, 1.0, SATURATION[0] + (SATURATION[1] - SATURATION[0]) * torch.rand(n))
    light = torch.where(~kept & (torch.rand(n) < INVERTED), -1.0, 1.0)
    turn = torch.zeros(n, 3, 3)
    turn[:, 0, 0] = light
    turn[:, 1, 1] = turn[:, 2, 2] = strength * angle.cos()
    turn[:, 1, 2], turn[:, 2, 1] = -strength * angle.sin(), strength * angle.sin()
    to = torch.tensor(_TO_YIQ)
    matrix = (torch.linalg.inv(to) @ turn @ to).to(images.device)  # (n, 3, 3)
    offset = ((1 - light) / 2).to(images.device)[:, None, None]  # white where light and dark are exchanged: 1 - y
    colours: Tensor = matrix @ images.flatten(2) + offset  # (n, 3, h h)
    return colours.reshape(images.shape).clamp(0, 1)
