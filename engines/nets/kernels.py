"""The parts of the paper under its names: SAE, CGM, SKG and GS, and the dynamic convolution that they are for.

Xu, Long, Nie, "Learning Dynamic Style Kernels for Artistic Style Transfer", CVPR 2023 (2304.00414); the exact gate and
the numbers of taps and groups are choices of this project.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engines.nets.blocks import full
from engines.nets.config import StyleKernelConfig


class StyleAlignmentEncoding(nn.Module):
    """SAE: attention of the frame's places (queries) over the style's tokens (keys), both normalised."""

    def __init__(self, width: int, key_width: int) -> None:
        super().__init__()
        self.query = nn.Conv2d(width, key_width, 1)
        self.scale = key_width**-0.5

    def forward(self, normalised: Tensor, keys: Tensor) -> Tensor:
        """Normalised features (n, c, h, w), keys (n, d, tokens) -> attention (n, h w, tokens), rows sum to 1."""
        queries = self.query(normalised).flatten(2).transpose(1, 2)  # (n, h w, d)
        return torch.softmax(full(queries @ (keys * self.scale)), dim=2)  # (n, h w, tokens)


class ContentGatingModulation(nn.Module):
    """CGM: a threshold learned from the content masks weakly related style places out of the attention.

    threshold = sigmoid(W content) / tokens. The largest weight of a row is at least 1 / tokens, so a row is never
    emptied; what is left is scaled back to a sum of 1.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.threshold = nn.Conv2d(width, 1, 1)

    def forward(self, attention: Tensor, normalised: Tensor) -> Tensor:
        """attention (n, h w, tokens), content (n, c, h, w) -> gated attention (n, h w, tokens), rows sum to 1."""
        # In half precision the largest weight of a row and its threshold may become one number, and the row empty.
        gate = torch.sigmoid(full(self.threshold(normalised))).flatten(2).transpose(1, 2)  # (n, h w, 1)
        kept = F.relu(attention - gate / attention.shape[2])
        return kept / (kept.sum(2, keepdim=True) + 1e-8)


@dataclass(frozen=True, slots=True)
class Kernels:
    """What SKG predicts for every place: separable kernels for 1/8 and 1/4, and a bias at 1/8.

    vertical8, horizontal8: (n, taps, groups8, h/8, w/8); both4: (n, directions x taps x groups4, h/4, w/4), see
    `StyleKernelGeneration.split4`; bias8: (n, c8, h/8, w/8).
    """

    vertical8: Tensor
    horizontal8: Tensor
    both4: Tensor
    bias8: Tensor

    def applied8(self, x: Tensor) -> Tensor:
        """Shuffled features at 1/8 (n, c8, h/8, w/8), convolved with these kernels, and the bias."""
        return dynamic_convolution(x, self.vertical8, self.horizontal8) + self.bias8


class StyleKernelGeneration(nn.Module):
    """SKG: content, aligned style and the global style hint become separable kernels and a bias for every place."""

    def __init__(self, config: StyleKernelConfig) -> None:
        super().__init__()
        self.taps8, self.taps4 = config.kernel_size, config.kernel_size4
        self.groups8, self.groups4 = config.groups8, config.groups4
        self.directions4 = 1 if self.taps4 == 1 else 2  # one tap needs no second direction
        self.width = config.widths[2]
        self.hidden = nn.Conv2d(2 * self.width, config.hidden_width, 1)
        self.kernels = nn.Conv2d(config.hidden_width, 2 * self.taps8 * self.groups8 + self.width, 1)
        self.channels4 = self.directions4 * self.taps4 * self.groups4
        self.kernels4 = nn.Conv2d(config.hidden_width, self.channels4, 1)
        parts = (
            (self.kernels, self.groups8, self.taps8, 2),
            (self.kernels4, self.groups4, self.taps4, self.directions4),
        )
        for layer, groups, taps, directions in parts:
            # Kernels start as the identity: the centre tap is 1.
            assert layer.bias is not None
            with torch.no_grad():
                layer.weight.mul_(0.2)
                layer.bias.zero_()
                for direction in range(directions):
                    centre = (direction * taps + taps // 2) * groups
                    layer.bias[centre : centre + groups] = 1.0

    def forward(self, normalised: Tensor, aligned: Tensor, hint: Tensor) -> Kernels:
        """normalised, aligned (n, c8, h/8, w/8), hint (n, hidden) -> Kernels"""
        n, _, h, w = normalised.shape
        hidden = F.relu(self.hidden(torch.cat([normalised, aligned], 1)) + hint[:, :, None, None])
        size = self.taps8 * self.groups8
        vertical8, horizontal8, bias8 = self.kernels(hidden).split([size, size, self.width], 1)
        return Kernels(
            vertical8.reshape(n, self.taps8, self.groups8, h, w),
            horizontal8.reshape(n, self.taps8, self.groups8, h, w),
            F.interpolate(self.kernels4(hidden), scale_factor=2.0, mode="bilinear", align_corners=False),
            bias8,
        )

    def split4(self, both4: Tensor) -> tuple[Tensor, Tensor | None]:
        """`Kernels.both4` at any size (n, k, h, w) -> vertical, horizontal, each (n, taps, groups4, h, w)

        The latter is None where a kernel at 1/4 is a single gain.
        """
        n, _, h, w = both4.shape
        parts = both4.reshape(n, self.directions4, self.taps4, self.groups4, h, w)
        return parts[:, 0], parts[:, 1] if self.directions4 == 2 else None


class GroupedShuffle(nn.Module):
    """GS: channels are seen as `groups` rows and read by columns, so that neighbours come from different groups."""

    def __init__(self, channels: int, groups: int) -> None:
        super().__init__()
        if channels % groups:
            raise ValueError(f"{channels} channels cannot be shuffled in {groups} groups; take a divisor")
        self.groups = groups

    def forward(self, x: Tensor) -> Tensor:
        """(n, c, h, w) -> (n, c, h, w): channel g * (c / groups) + i moves to i * groups + g"""
        return F.channel_shuffle(x, self.groups)


def dynamic_convolution(x: Tensor, vertical: Tensor, horizontal: Tensor | None) -> Tensor:
    """Convolve every place with its own separable kernel; outside the picture the edge is repeated.

    x: (n, c, h, w). vertical, horizontal: (n, taps, groups, h, w), applied in this order (None: left out); channel j
    uses the kernel of group j % groups, which makes a kernel a broadcast over blocks of channels. Returns (n, c, h, w).
    """
    n, c, h, w = x.shape
    groups = vertical.shape[2]
    y = x.reshape(n, c // groups, groups, h, w)
    y = _along(y, vertical, 3)
    return (y if horizontal is None else _along(y, horizontal, 4)).reshape(n, c, h, w)


def _along(x: Tensor, kernels: Tensor, axis: int) -> Tensor:
    """One direction of `dynamic_convolution`: x (n, blocks, groups, h, w), kernels (n, taps, groups, h, w)."""
    n, blocks, groups, h, w = x.shape
    taps, length = kernels.shape[1], x.shape[axis]
    if taps == 1:
        return x * kernels[:, None, 0]
    reach = taps // 2
    pad = (0, 0, reach, reach) if axis == 3 else (reach, reach, 0, 0)
    padded = F.pad(x.reshape(n, blocks * groups, h, w), pad, mode="replicate")
    padded = padded.reshape(n, blocks, groups, *padded.shape[2:])
    y = padded.narrow(axis, 0, length) * kernels[:, None, 0]
    for k in range(1, taps):
        y = y + padded.narrow(axis, k, length) * kernels[:, None, k]
    return y
