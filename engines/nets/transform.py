"""The image transformation network that Johnson, CIN, Ghiasi and ReCoNet share: steps down, residual blocks, steps up.

It is the one of Johnson et al. 2016 (supplement, table 1) with what was found out about it since: instance instead of
batch normalisation (Ulyanov et al. 2016), no zero padding anywhere and no transposed convolutions (Odena et al.
2016, Dumoulin et al. 2016 appendix), anti-aliased steps down (Zhang 2019). The scale and shift of every normalisation
come from outside, as one vector: of one style, of a table of styles, or predicted from a picture. For a CPU the first
step down comes first of all: nothing but the last step up touches pixels at full size.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engines.nets.blocks import DownConv, Modulation, Parted, UpConv, instance_norm
from engines.nets.settings import Settings


@dataclass(frozen=True, slots=True)
class TransformConfig(Settings):
    """Sizes of one transformation network.

    widths: channels at 1/2 and 1/4 of the frame. blocks: residual blocks at 1/4. normalise_output: whether the painting
    itself is normalised before it is squeezed into 0..1, so that a style's vector sets its colours directly; it was not
    in Johnson et al. 2016.
    """

    widths: tuple[int, int] = (32, 64)
    blocks: int = 5
    normalise_output: bool = True


class Normalisation(nn.Module):
    """Instance normalisation, then a scale and a shift per channel out of a vector (Dumoulin et al. 2016, eq. 5).

    The vector holds the scale less 1, so that zeros change nothing; its numbers for this layer begin at `start`.
    """

    def __init__(self, channels: int, start: int) -> None:
        super().__init__()
        self.scale_and_shift = Modulation(channels, start)

    def forward(self, x: Tensor, modulation: Tensor | Parted) -> Tensor:
        """x (n, c, h, w), modulation (n, m) -> (n, c, h, w); the statistics are in fp32"""
        return self.scale_and_shift(instance_norm(x), modulation)  # type: ignore[no-any-return]


class NormalisedBlock(nn.Module):
    """x + norm(conv(relu(norm(conv(x))))), without a ReLU after the sum; outside the picture the edge is repeated."""

    def __init__(self, channels: int, start: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1, padding_mode="replicate", bias=False)
        self.second = nn.Conv2d(channels, channels, 3, padding=1, padding_mode="replicate", bias=False)
        self.norm1, self.norm2 = Normalisation(channels, start), Normalisation(channels, start + 2 * channels)

    def forward(self, x: Tensor, modulation: Tensor | Parted) -> Tensor:
        """(n, c, h, w), (n, m) -> (n, c, h, w)"""
        inner = F.relu(self.norm1(self.first(x), modulation))
        return x + self.norm2(self.second(inner), modulation)  # type: ignore[no-any-return]


class TransformNet(nn.Module):
    """Frame and modulation vector to painting. `modulation_size` is the vector's length."""

    def __init__(self, config: TransformConfig) -> None:
        super().__init__()
        c2, c4 = config.widths
        starts = [0]

        def start(channels: int, norms: int = 1) -> int:
            starts.append(starts[-1] + 2 * channels * norms)
            return starts[-2]

        self.stem = nn.Conv2d(3, c2, 6, stride=2, padding=2, padding_mode="replicate")
        self.norm2 = Normalisation(c2, start(c2))
        self.down = DownConv(c2, c4)
        self.norm4 = Normalisation(c4, start(c4))
        self.blocks = nn.ModuleList(NormalisedBlock(c4, start(c4, 2)) for _ in range(config.blocks))
        self.up2 = UpConv(c4, c2)
        self.norm_up = Normalisation(c2, start(c2))
        self.up1 = UpConv(c2, 3)
        self.norm_out = Normalisation(3, start(3)) if config.normalise_output else None
        self.modulation_size = starts[-1]

    def encode(self, image: Tensor, modulation: Tensor | Parted) -> Tensor:
        """image (n, 3, h, w) in -1..1, sides multiples of 4, (n, m) -> features after the blocks (n, c4, h/4, w/4)"""
        x = F.relu(self.norm2(self.stem(image), modulation))
        x = F.relu(self.norm4(step_down(self.down, x), modulation))
        for block in self.blocks:
            x = block(x, modulation)
        return x

    def decode(self, features: Tensor, modulation: Tensor | Parted) -> Tensor:
        """(n, c4, h/4, w/4), (n, m) -> painting (n, 3, h, w) in 0..1"""
        x = F.relu(self.norm_up(step_up(self.up2, features), modulation))
        x = step_up(self.up1, x)
        if self.norm_out is not None:
            x = self.norm_out(x, modulation)
        return torch.sigmoid(x)  # the papers' scaled tanh is the same function

    def forward(self, image: Tensor, modulation: Tensor | Parted) -> tuple[Tensor, Tensor]:
        """Frame (n, 3, h, w) in 0..1 of any size, (n, m) -> painting of that size in 0..1, features at 1/4 of it"""
        height, width = image.shape[2:]
        whole = F.pad(image, (0, -width % 4, 0, -height % 4), mode="replicate")
        features = self.encode(2 * whole - 1, modulation)
        return self.decode(features, modulation)[:, :, :height, :width], features


class TransformPainter(nn.Module):
    """A network around a `TransformNet`: what the methods that share it have in common."""

    net: TransformNet

    def modulation_of(self, style: Mapping[str, Tensor]) -> Tensor:
        """The style's vector (n, m) or (1, m)."""
        return style["modulation"]

    def paint_and_features(
        self, image: Tensor, style: Mapping[str, Tensor], guide_size: tuple[int, int] | None = None
    ) -> tuple[Tensor, Tensor]:
        """As `forward`, and the features after the residual blocks (n, c4, ceil(h/4), ceil(w/4))."""
        return self.net(image, self.modulation_of(style))  # type: ignore[no-any-return]

    def forward(self, image: Tensor, style: Mapping[str, Tensor], guide_size: tuple[int, int] | None = None) -> Tensor:
        """Frame (n, 3, h, w) in 0..1 of any size from 16 px -> painting of the same size in 0..1.

        style: what `encode_style` gives. guide_size: not used; all of this network works at the frame's own size.
        """
        return self.paint_and_features(image, style)[0]

    def paint(self, image: Tensor, style: Mapping[str, Tensor], strength: Tensor) -> Tensor:
        """See `engines.nets.plain_graph.PlainNet`."""
        painted: Tensor = self(image, style)
        return image + strength * (painted - image)

    def paint_parted(
        self, image: Tensor, style: Mapping[str, Tensor], behind: Mapping[str, Tensor], share: Tensor
    ) -> Tensor:
        """See `engines.nets.plain_graph.PlainNet`: every normalisation's scale and shift are mixed place by place."""
        parted = Parted(self.modulation_of(style), self.modulation_of(behind), share)
        return self.net(image, parted)[0]  # type: ignore[no-any-return]


def step_down(layer: DownConv, x: Tensor) -> Tensor:
    """The layer with the edge repeated outside the picture: zeros there would draw a frame, and instance normalisation
    would draw it strongest where the picture is plain."""
    weight, bias = layer.folded()
    return F.conv2d(F.pad(x, (1, 1, 1, 1), mode="replicate"), weight, bias, stride=2)


def step_up(layer: UpConv, x: Tensor) -> Tensor:
    """The layer with the edge repeated outside the picture; see `step_down`."""
    return F.pixel_shuffle(layer.before_shuffle(F.pad(x, (1, 1, 1, 1), mode="replicate"), padding=0), 2)
