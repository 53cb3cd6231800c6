"""Style-kernel networks without one of their parts: to measure what the part is worth. Not for release."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engines.errors import InputError
from engines.nets.config import StyleKernelConfig
from engines.nets.kernels import (
    ContentGatingModulation,
    GroupedShuffle,
    Kernels,
    StyleAlignmentEncoding,
    StyleKernelGeneration,
)
from engines.nets.style_kernel import StyleKernelNet


class MeanStyle(StyleAlignmentEncoding):
    """Instead of SAE: every place attends to all of the style alike, so the aligned feature is its mean."""

    def forward(self, normalised: Tensor, keys: Tensor) -> Tensor:
        """As `StyleAlignmentEncoding.forward`, but each weight is 1 / tokens."""
        n, _, h, w = normalised.shape
        return normalised.new_full((n, h * w, keys.shape[2]), 1 / keys.shape[2])


class NoGate(ContentGatingModulation):
    """Instead of CGM: the attention as it is."""

    def forward(self, attention: Tensor, normalised: Tensor) -> Tensor:
        """attention (n, h w, tokens), as it came"""
        return attention


class SharedKernels(StyleKernelGeneration):
    """Instead of SKG: one kernel and one bias for the whole frame, the mean of those of its places."""

    def forward(self, normalised: Tensor, aligned: Tensor, hint: Tensor) -> Kernels:
        """As `StyleKernelGeneration.forward`, the same at every place."""
        own = super().forward(normalised, aligned, hint)
        return Kernels(*(_everywhere_mean(getattr(own, field.name)) for field in fields(own)))


@dataclass(frozen=True, slots=True)
class FullKernels(Kernels):
    """Kernels that are not separable: vertical8 (n, taps * taps, groups8, h/8, w/8), row by row; no horizontal8."""

    def applied8(self, x: Tensor) -> Tensor:
        """As `Kernels.applied8`."""
        return full_convolution(x, self.vertical8) + self.bias8


class FullKernelGeneration(StyleKernelGeneration):
    """Instead of SKG: taps x taps weights for every place and group at 1/8, not two separable rows of taps."""

    def __init__(self, config: StyleKernelConfig) -> None:
        super().__init__(config)
        places = self.taps8**2
        self.kernels = nn.Conv2d(config.hidden_width, places * self.groups8 + self.width, 1)
        assert self.kernels.bias is not None
        with torch.no_grad():  # the identity again
            self.kernels.weight.mul_(0.2)
            self.kernels.bias.zero_()
            centre = (places // 2) * self.groups8
            self.kernels.bias[centre : centre + self.groups8] = 1.0

    def forward(self, normalised: Tensor, aligned: Tensor, hint: Tensor) -> Kernels:
        """As `StyleKernelGeneration.forward`."""
        n, _, h, w = normalised.shape
        hidden = F.relu(self.hidden(torch.cat([normalised, aligned], 1)) + hint[:, :, None, None])
        places = self.taps8**2
        full8, bias8 = self.kernels(hidden).split([places * self.groups8, self.width], 1)
        both4 = F.interpolate(self.kernels4(hidden), scale_factor=2.0, mode="bilinear", align_corners=False)
        return FullKernels(full8.reshape(n, places, self.groups8, h, w), full8[:, :0], both4, bias8)


def full_convolution(x: Tensor, kernels: Tensor) -> Tensor:
    """`engines.nets.kernels.dynamic_convolution` with kernels (n, taps * taps, groups, h, w), row by row."""
    n, c, h, w = x.shape
    groups = kernels.shape[2]
    taps = round(kernels.shape[1] ** 0.5)
    reach = taps // 2
    padded = F.pad(x, (reach, reach, reach, reach), mode="replicate")
    y = torch.zeros_like(x).reshape(n, c // groups, groups, h, w)
    for place in range(taps * taps):
        row, column = divmod(place, taps)
        moved = padded[:, :, row : row + h, column : column + w].reshape(n, c // groups, groups, h, w)
        y = y + moved * kernels[:, None, place]
    return y.reshape(n, c, h, w)


def _everywhere_mean(maps: Tensor) -> Tensor:
    return maps.mean((-2, -1), keepdim=True).expand_as(maps)


def _without_sae(net: StyleKernelNet) -> None:
    net.sae = MeanStyle(net.config.widths[2], net.config.key_width)


def _without_cgm(net: StyleKernelNet) -> None:
    net.cgm = NoGate(net.config.widths[2])


def _without_gs(net: StyleKernelNet) -> None:
    net.gs4, net.gs8 = (GroupedShuffle(channels, 1) for channels in net.config.widths[1:])


def _shared(net: StyleKernelNet) -> None:
    net.skg = SharedKernels(net.config)


def _full(net: StyleKernelNet) -> None:
    net.skg = FullKernelGeneration(net.config)


PARTS: dict[str, Callable[[StyleKernelNet], None]] = {
    "sae": _without_sae,
    "cgm": _without_cgm,
    "gs": _without_gs,
    "places": _shared,
    "separability": _full,
}


def remove(net: nn.Module, part: str) -> None:
    """Take a part of PARTS out of an untrained network, which is changed. Raises InputError.

    "places" leaves one kernel for the whole frame, "separability" brings full 2-D kernels at 1/8; the others take out
    the paper's module of that name.
    """
    if not isinstance(net, StyleKernelNet):
        raise InputError(f"only style-kernel networks can do without {part!r}; take live or studio")
    if part not in PARTS:
        raise InputError(f"no part {part!r} of a style-kernel network; known: {', '.join(PARTS)}")
    PARTS[part](net)
