"""Huang & Belongie, "Arbitrary Style Transfer in Real-time with Adaptive Instance Normalization", ICCV 2017.

1703.06868. A frozen VGG encoder, its features' channel statistics replaced by the style's (sec. 5, eq. 8), and a
decoder that is trained to turn them back into a picture (sec. 6). For a CPU the encoder stops at relu3_1 instead of
relu4_1, and the decoder mirrors it without its layers at full size.

Beside relu3_1 the features have relu1_1, averaged to the same places: the frozen encoder was trained to find edges, and
lost colours on the way. What is linear in its relu3_1 tells 53 % of the variance of 4x4 pixels' colours, relu1_1 all.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engines.nets import style_kernel
from engines.nets.blocks import UpConv, full, instance_norm, like
from engines.nets.coders import channel_moments
from engines.nets.guidance import MARGIN_PX, pad_frame, padded_places
from engines.nets.settings import Settings
from engines.nets.transform import step_up
from engines.nets.vgg import VggEncoder

LEVELS = 3  # of VGG: up to relu3_1, at 1/4 of the frame
# Style pictures are seen at the size at which paintings are compared with them in training: seen smaller, their
# statistics are those of finer textures than a frame's.
STYLE_SIDE_PX = 384


@dataclass(frozen=True, slots=True)
class AdainConfig(Settings):
    """Sizes of the decoder: channels at 1/4 and 1/2 of the frame."""

    widths: tuple[int, int] = (104, 64)


class AdainNet(nn.Module):
    """Encoder, AdaIN and decoder of the paper's figure 2. Only the decoder is trained."""

    style_tensors: ClassVar[tuple[str, ...]] = ("mean", "deviation")

    def __init__(self, config: AdainConfig) -> None:
        super().__init__()
        self.config = config
        self.vgg = VggEncoder(LEVELS)
        c4, c2 = config.widths
        # Neither normalisation (sec. 7.1: it would take the style away) nor zeros outside the picture.
        width = self.vgg.widths[0] + self.vgg.widths[-1]  # v: 320
        self.conv4 = nn.Conv2d(width, c4, 3, padding=1, padding_mode="replicate")
        self.up2 = UpConv(c4, c2)
        self.conv2 = nn.Conv2d(c2, c2, 3, padding=1, padding_mode="replicate")
        self.up1 = UpConv(c2, 3)

    def see_style(self, picture: Tensor) -> dict[str, Tensor]:
        """picture (n, 3, h, w) in 0..1, any size -> mean (n, v) and deviation (n, v) of the features' channels"""
        seen = self._features(style_kernel.resized(picture, STYLE_SIDE_PX))
        mean, deviation = channel_moments(full(seen)).chunk(2, 1)
        return {"mean": mean, "deviation": deviation}

    def encode_seen(self, seen: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """What `see_style` saw, as it is: nothing of a style is trained."""
        return {name: seen[name] for name in self.style_tensors}

    def encode_style(self, picture: Tensor) -> dict[str, Tensor]:
        """picture (n, 3, h, w) in 0..1, any size -> mean (n, v), deviation (n, v)"""
        return self.encode_seen(self.see_style(picture))

    def decode(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """(n, v, h/4, w/4) -> painting (n, 3, h, w) in 0..1, the decoder's first features (n, c4, h/4, w/4)"""
        inner = F.relu(self.conv4(features))
        x = F.relu(step_up(self.up2, inner))  # (n, c2, h/2, w/2)
        x = F.relu(self.conv2(x))
        return torch.sigmoid(step_up(self.up1, x)), inner

    def paint_and_features(
        self,
        image: Tensor,
        style: Mapping[str, Tensor],
        guide_size: tuple[int, int] | None = None,
        strength: Tensor | float = 1.0,
    ) -> tuple[Tensor, Tensor]:
        """As `forward`, and the decoder's first features (n, c4, h/4, w/4); the encoder's are not trained."""
        content = self._features(pad_frame(image))
        adapted = adain(content, style["mean"], style["deviation"])
        painted, inner = self.decode(content + strength * (adapted - content))
        return unpadded(painted, image.shape[2:], 1), unpadded(inner, image.shape[2:], 4)

    def _features(self, image: Tensor) -> Tensor:
        """A padded frame (n, 3, h, w) in 0..1, sides multiples of 4 -> relu1_1 and relu3_1 (n, v, h/4, w/4)

        With the encoder's own zeros around the picture, in its first layers alone too, a frame was painted around it.
        """
        levels = self.vgg(image, endless_from="conv1_1")
        return torch.cat([F.avg_pool2d(levels[0], 4), levels[-1]], 1)

    def forward(
        self,
        image: Tensor,
        style: Mapping[str, Tensor],
        guide_size: tuple[int, int] | None = None,
        strength: Tensor | float = 1.0,
    ) -> Tensor:
        """Frame (n, 3, h, w) in 0..1 of any size from 16 px -> painting of the same size in 0..1.

        style: mean and deviation (n, v), or (1, v) for all. guide_size: not used; all of this network works at the
        frame's own size. strength: 0 decodes the frame's own features, 1 the style's statistics (sec. 7.2, eq. 14).
        """
        return self.paint_and_features(image, style, guide_size, strength)[0]

    def paint(self, image: Tensor, style: Mapping[str, Tensor], strength: Tensor) -> Tensor:
        """See `engines.nets.plain_graph.PlainNet`. The features are mixed, as in the paper.

        What is decoded of the frame's own features is not quite the frame: it fades to that over the last quarter.
        """
        painted: Tensor = self(image, style, strength=strength)
        return image + (4 * strength).clamp(max=1) * (painted - image)

    def paint_parted(
        self, image: Tensor, style: Mapping[str, Tensor], behind: Mapping[str, Tensor], share: Tensor
    ) -> Tensor:
        """See `engines.nets.plain_graph.PlainNet`: spatial control (sec. 7.2), AdaIN in either region by itself."""
        padded = pad_frame(image)
        content = self._features(padded)
        places = (padded_places(side, cells) for side, cells in zip(image.shape[2:], share.shape[2:], strict=True))
        rows, columns = places
        here = share[:, :, rows][..., columns]  # (n, 1, h/4, w/4) of the padded frame, as the features are
        adapted = adain_within(content, style["mean"], style["deviation"], here)
        other = adain_within(content, behind["mean"], behind["deviation"], 1 - here)
        return unpadded(self.decode(other + here * (adapted - other))[0], image.shape[2:], 1)


def unpadded(x: Tensor, size: tuple[int, ...], step: int) -> Tensor:
    """The part of x (n, c, ...) at 1/`step` of a frame padded by `pad_frame` that is the frame, `size` in px."""
    start = MARGIN_PX // step
    height, width = (-(-side // step) for side in size)
    return x[:, :, start : start + height, start : start + width]


def adain(content: Tensor, mean: Tensor, deviation: Tensor) -> Tensor:
    """Features (n, c, h, w) with the style's mean and deviation (n, c) of every channel (eq. 8)."""
    return instance_norm(content) * deviation[:, :, None, None] + mean[:, :, None, None]


def adain_within(content: Tensor, mean: Tensor, deviation: Tensor, share: Tensor) -> Tensor:
    """`adain` whose statistics of the content are those of a region, share (n, 1, h, w) in 0..1; it holds everywhere.

    Where the region is next to nothing, what it is made of hardly matters: nothing is divided by zero.
    """
    x, weight = full(content), full(share)
    total = weight.sum((2, 3), keepdim=True) + 1e-3
    own = (weight * x).sum((2, 3), keepdim=True) / total
    variance = (weight * (x - own).square()).sum((2, 3), keepdim=True) / total
    normalised = (x - own) * torch.rsqrt(variance + 1e-5)
    return like(normalised * full(deviation)[:, :, None, None] + full(mean)[:, :, None, None], content)
