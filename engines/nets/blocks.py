"""Building bricks that every network shares: steady resampling, style modulation, instance normalisation."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# Weights of bilinear x2 interpolation: [phase, low-resolution tap, high-resolution tap of a 3-tap filter].
# High-resolution sample 2i+r is 0.25 x[i-1] + 0.75 x[i] for r = 0 and 0.75 x[i] + 0.25 x[i+1] for r = 1.
_UP = torch.tensor(
    [
        [[0.75, 0.25, 0.0], [0.25, 0.75, 0.75], [0.0, 0.0, 0.25]],
        [[0.25, 0.0, 0.0], [0.75, 0.75, 0.25], [0.0, 0.25, 0.75]],
    ]
)
HALVES = (torch.float16, torch.bfloat16)
_BOX = torch.tensor([[0.5, 0.0, 0.0], [0.5, 0.5, 0.0], [0.0, 0.5, 0.5], [0.0, 0.0, 0.5]])


def instance_norm(x: Tensor, eps: float = 1e-5) -> Tensor:
    """Zero mean and unit deviation per sample and channel, without learned parameters (Ulyanov et al. 2016)."""
    return like(F.instance_norm(full(x), eps=eps), x)


def full(x: Tensor) -> Tensor:
    """`x` in fp32 where it is in half precision: for sums over a whole frame, which leave its range."""
    return x.float() if x.dtype in HALVES else x


def like(x: Tensor, other: Tensor) -> Tensor:
    """`x` in the precision of `other`; nothing is put into a graph where they are the same."""
    return x if x.dtype == other.dtype else x.to(other.dtype)


class UpConv(nn.Module):
    """Bilinear x2 and a 3x3 convolution, computed as one low-resolution convolution and a pixel-shuffle.

    The two are the same linear map, so the weight of the 3x3 kernel (out, in, 3, 3) is folded into four phase kernels
    (4 out, in, 3, 3). No grid can come out of it: every phase is bound to the same smooth interpolation.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        conv = nn.Conv2d(inputs, outputs, 3)
        self.weight = nn.Parameter(conv.weight.detach().clone())
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.register_buffer("phases", _UP.clone(), persistent=False)
        self.phases: Tensor

    def folded(self) -> tuple[Tensor, Tensor]:
        """Weight (4 out, in, 3, 3) and bias (4 out,) of the convolution before the pixel-shuffle."""
        weight = torch.einsum("aiy,bjx,ocyx->oabcij", self.phases, self.phases, self.weight)
        outputs, inputs = self.weight.shape[:2]
        return weight.reshape(4 * outputs, inputs, 3, 3), self.bias.repeat_interleave(4)

    def before_shuffle(self, x: Tensor, gain: float = 1.0, offset: float = 0.0, padding: int = 1) -> Tensor:
        """(n, in, h, w) -> (n, 4 out, h, w), channel 4 o + 2 i + j for output o at the odd or even row i, column j

        What comes out is scaled by `gain` and moved by `offset`, both folded into the weights. padding: 0 where x has
        one place more at each side already.
        """
        weight, bias = self.folded()
        return F.conv2d(x, gain * weight, gain * bias + offset, padding=padding)

    def forward(self, x: Tensor) -> Tensor:
        """(n, in, h, w) -> (n, out, 2h, 2w)"""
        return F.pixel_shuffle(self.before_shuffle(x), 2)


class DownConv(nn.Module):
    """A 3x3 convolution and a 2x2 mean, as one 4x4 convolution of stride 2.

    Averaging after the filter keeps what moves by less than the stride from jumping (anti-aliased down-sampling,
    Zhang 2019, "Making Convolutional Networks Shift-Invariant Again").
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        conv = nn.Conv2d(inputs, outputs, 3)
        self.weight = nn.Parameter(conv.weight.detach().clone())
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.register_buffer("box", _BOX.clone(), persistent=False)
        self.box: Tensor

    def folded(self) -> tuple[Tensor, Tensor]:
        """Weight (out, in, 4, 4) and bias (out,) of the strided convolution."""
        return torch.einsum("iy,jx,ocyx->ocij", self.box, self.box, self.weight), self.bias

    def forward(self, x: Tensor) -> Tensor:
        """(n, in, h, w) with even h, w -> (n, out, h/2, w/2)"""
        weight, bias = self.folded()
        return F.conv2d(x, weight, bias, stride=2, padding=1)


@dataclass(frozen=True, slots=True)
class Parted:
    """The modulation vectors (n, total) of two styles; share (n, 1, h/4, w/4) in 0..1: where the first one holds."""

    first: Tensor
    second: Tensor
    share: Tensor


def share_at(x: Tensor, modulation: Parted) -> Tensor:
    """Where the first style holds, for the places of x (n, c, h, w): (n, 1, h, w)"""
    return F.interpolate(modulation.share, x.shape[2:], mode="bilinear", align_corners=False)


def modulation_at(x: Tensor, modulation: Tensor | Parted, start: int) -> Tensor:
    """The numbers for x (n, c, h, w) that begin at `start`, to be broadcast over it: one style's, or place by place."""
    here = slice(start, start + x.shape[1])
    if isinstance(modulation, Tensor):
        return modulation[:, here, None, None]
    share = share_at(x, modulation)
    first, second = modulation.first[:, here, None, None], modulation.second[:, here, None, None]
    return second + share * (first - second)


class Modulation(nn.Module):
    """Scale and shift per channel, taken from the style's modulation vector (Dumoulin et al. 2016, without the norm).

    `start` is where this layer's 2 x channels numbers begin in the vector.
    """

    def __init__(self, channels: int, start: int) -> None:
        super().__init__()
        self.channels, self.start = channels, start

    def forward(self, x: Tensor, modulation: Tensor | Parted) -> Tensor:
        """x (n, c, h, w), modulation (n, total) -> (n, c, h, w)"""
        scale = modulation_at(x, modulation, self.start)
        return x * (1 + scale) + modulation_at(x, modulation, self.start + self.channels)


class Gain(nn.Module):
    """A factor per channel, taken from the style's modulation vector from `start` on; 1 where that is 0."""

    def __init__(self, channels: int, start: int) -> None:
        super().__init__()
        self.channels, self.start = channels, start

    def forward(self, x: Tensor, modulation: Tensor | Parted) -> Tensor:
        """x (n, c, h, w), modulation (n, total) -> (n, c, h, w)"""
        return x * (1 + modulation_at(x, modulation, self.start))


class FilterBank(nn.Module):
    """x + W relu(conv(x)): a bank of filters that all styles share, mixed by a matrix W of the style's own.

    That gives each style a convolution of its own within what the bank spans, at the price of a matrix product: the
    convolution's weights stay constants, which is what runtimes are fast with. W is in the style's modulation vector
    from `start` on, row by row, on top of what is the same for all styles.
    """

    def __init__(self, channels: int, width: int, start: int) -> None:
        super().__init__()
        self.channels, self.width, self.start = channels, width, start
        self.conv = nn.Conv2d(channels, width, 3, padding=1)
        self.mix = nn.Parameter(torch.zeros(channels, width))

    def forward(self, x: Tensor, modulation: Tensor | Parted) -> Tensor:
        """x (n, c, h, w), modulation (n, total) -> (n, c, h, w)"""
        filtered = F.relu(self.conv(x)).flatten(2)  # (n, width, h w)
        if isinstance(modulation, Tensor):
            return x + (self._matrix(modulation) @ filtered).reshape(x.shape)
        first, second = (
            (self._matrix(vector) @ filtered).reshape(x.shape) for vector in (modulation.first, modulation.second)
        )
        return x + second + share_at(x, modulation) * (first - second)

    def _matrix(self, modulation: Tensor) -> Tensor:
        """(n, total) -> (n, c, width)"""
        own = modulation[:, self.start : self.start + self.channels * self.width]
        return self.mix + own.reshape(-1, self.channels, self.width)


class ResidualBlock(nn.Module):
    """x + conv(relu(conv(x))), its inner features modulated by the style where `start` is given.

    Outside the picture the edge is repeated: with zeros there a network sees where the edge is, and paints a frame.
    """

    def __init__(self, channels: int, start: int | None = None) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1, padding_mode="replicate")
        self.second = nn.Conv2d(channels, channels, 3, padding=1, padding_mode="replicate")
        self.modulation = None if start is None else Modulation(channels, start)
        nn.init.zeros_(self.second.bias)  # type: ignore[arg-type]
        with torch.no_grad():
            self.second.weight.mul_(0.3)

    def forward(self, x: Tensor, modulation: Tensor | None = None) -> Tensor:
        """(n, c, h, w) -> (n, c, h, w)"""
        inner = self.first(x)
        if self.modulation is not None:
            assert modulation is not None
            inner = self.modulation(inner, modulation)
        return x + self.second(F.relu(inner))  # type: ignore[no-any-return]
