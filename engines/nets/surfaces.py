"""Video surfaces as hardware decoders and encoders have them (NV12), for tensors: what a frame is that stays on a GPU.

NV12: luma (n, H, W) and, at half of both sides, chroma (n, H/2, W/2, 2), Cb before Cr; uint8 in limited range.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from engines.surface import MATRICES

_BLACK, _LUMA, _CHROMA = 16.0, 219.0, 224.0


def rgb(luma: Tensor, chroma: Tensor, matrix: str) -> Tensor:
    """NV12 -> RGB uint8 (n, H, W, 3); matrix: of `engines.surface.MATRICES`"""
    red_share, blue_share = MATRICES[matrix]
    y = (luma.float() - _BLACK) * (255 / _LUMA)  # (n, H, W)
    colours = (chroma.permute(0, 3, 1, 2).float() - 128) * (255 / _CHROMA)
    colours = F.interpolate(colours, scale_factor=2.0, mode="bilinear", align_corners=False)
    cb, cr = colours.unbind(1)
    red, blue = y + 2 * (1 - red_share) * cr, y + 2 * (1 - blue_share) * cb
    green = (y - red_share * red - blue_share * blue) / (1 - red_share - blue_share)
    return torch.stack([red, green, blue], 3).round().clamp(0, 255).to(torch.uint8)


def surfaces(image: Tensor, matrix: str) -> tuple[Tensor, Tensor]:
    """RGB uint8 (n, H, W, 3) -> NV12"""
    red_share, blue_share = MATRICES[matrix]
    red, green, blue = image.float().unbind(3)
    y = red_share * red + (1 - red_share - blue_share) * green + blue_share * blue
    colours = torch.stack([(blue - y) / (2 * (1 - blue_share)), (red - y) / (2 * (1 - red_share))], 1)  # (n, 2, H, W)
    chroma = F.avg_pool2d(colours, 2) * (_CHROMA / 255) + 128
    luma = y * (_LUMA / 255) + _BLACK
    chroma = chroma.permute(0, 2, 3, 1).contiguous()
    return tuple(part.round().clamp(0, 255).to(torch.uint8) for part in (luma, chroma))  # type: ignore[return-value]
