"""Where things lie: the padding of frames and guides, and how guidance is spread from a guide's places to a frame's."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

MULTIPLE_PX = 8  # the frame side works down to 1/8
MARGIN_PX = 8  # real picture repeated around the frame, so that zero padding inside never draws a frame


def spread_guidance(guidance: Tensor, frame_size: tuple[int, int]) -> Tensor:
    """Guidance of a padded guide -> for every place at 1/4 of the padded frame, by bilinear interpolation.

    (n, c, gh/4 + 4, gw/4 + 4) -> (n, c, h/4, w/4), gh and gw the guide's sides, which need no padding; h and w those of
    the padded frame. frame_size: height and width in px before the padding. Two matrix products: exact for every pair
    of sizes, and the margin comes along.
    """
    return spread_by(guidance, *spreading(guidance, frame_size))


def spreading(guidance: Tensor, frame_size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """The two matrices of `spread_guidance` for guidance of these rows and columns: (h/4, rows) and (w/4, columns)."""
    rows, columns = guidance.shape[2:]
    return _interpolation(rows, frame_size[0], guidance), _interpolation(columns, frame_size[1], guidance)


def spread_by(guidance: Tensor, down: Tensor, across: Tensor) -> Tensor:
    """`spread_guidance` by its matrices."""
    n, c, rows, columns = guidance.shape
    wide = guidance.reshape(n * c * rows, columns) @ across.T
    return (down @ wide.reshape(n * c, rows, -1)).reshape(n, c, down.shape[0], across.shape[0])


def _interpolation(cells: int, frame_px: int, like: Tensor) -> Tensor:
    """The matrix (frame's cells, guide's cells) of linear interpolation along one side, cells of 4 px, both padded."""
    guide_px = 4 * cells - 2 * MARGIN_PX
    count = _padded_cells(frame_px)
    centres = 4 * torch.arange(count, dtype=like.dtype, device=like.device) + (2 - MARGIN_PX)  # px of the frame
    places = (centres * (guide_px / frame_px) + (MARGIN_PX - 2)) / 4  # cells of the guide
    places = places.clamp(0, cells - 1)
    return F.relu(1 - (places[:, None] - torch.arange(cells, dtype=like.dtype, device=like.device)).abs())


def padded_places(frame_px: int, cells: int, device: torch.device | None = None) -> Tensor:
    """For each cell of 4 px of a padded frame the one of `cells` cells without the padding, the edge repeated."""
    return (torch.arange(_padded_cells(frame_px), device=device) - MARGIN_PX // 4).clamp(0, cells - 1)


def _padded_cells(frame_px: int) -> int:
    return (frame_px + (-frame_px % MULTIPLE_PX) + 2 * MARGIN_PX) // 4


def pad_frame(image: Tensor) -> Tensor:
    """Repeat the edge: MARGIN_PX all around and up to the next multiple of MULTIPLE_PX below and right."""
    height, width = image.shape[2:]
    below, right = -height % MULTIPLE_PX, -width % MULTIPLE_PX
    return F.pad(image, (MARGIN_PX, MARGIN_PX + right, MARGIN_PX, MARGIN_PX + below), mode="replicate")
