"""Ghiasi, Lee, Kudlur, Dumoulin, Shlens, "Exploring the structure of a real-time, arbitrary neural artistic stylization
network", BMVC 2017 (1705.06830).

A style prediction network looks at any picture and tells the scales and shifts of a network with conditional
instance normalisation (sec. 2.2). In the paper it is Inception-v3 up to Mixed-6e, averaged over the picture, then a
bottleneck of 100 and a linear layer. Here it is EfficientNet-Lite0 up to the same 1/16, and it stays frozen: to make up
for that, means and deviations of all five stages are told instead of the deepest means alone, through one hidden layer
more.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from engines.nets import style_kernel
from engines.nets.blocks import full
from engines.nets.coders import channel_moments
from engines.nets.efficientnet import EfficientNetLite
from engines.nets.transform import TransformConfig, TransformNet, TransformPainter


@dataclass(frozen=True, slots=True)
class GhiasiConfig(TransformConfig):
    """Sizes of one network. hidden, bottleneck: widths of the layers between what is seen and the style's vector."""

    hidden: int = 256
    bottleneck: int = 100


class GhiasiNet(TransformPainter):
    """The style prediction network and the style transfer network of sec. 2."""

    style_tensors: ClassVar[tuple[str, ...]] = ("modulation",)

    def __init__(self, config: GhiasiConfig) -> None:
        super().__init__()
        self.config = config
        self.net = TransformNet(config)
        self.predictor = EfficientNetLite()
        seen = 2 * sum(self.predictor.widths)
        self.head = nn.Sequential(
            nn.LayerNorm(seen),
            nn.Linear(seen, config.hidden),
            nn.ReLU(),
            nn.Linear(config.hidden, config.bottleneck),
            nn.Linear(config.bottleneck, self.net.modulation_size),
        )
        last = self.head[-1]
        assert isinstance(last, nn.Linear)
        with torch.no_grad():  # all styles start near the plain normalisation
            last.weight.mul_(0.1)
            last.bias.zero_()

    def see_style(self, picture: Tensor) -> dict[str, Tensor]:
        """picture (n, 3, h, w) in 0..1, any size -> moments (n, 2 x the predictor's widths); none of it is trained."""
        maps = self.predictor(style_kernel.resized(picture, style_kernel.STYLE_SIDE_PX))
        return {"moments": torch.cat([channel_moments(full(x)) for x in maps], 1)}

    def encode_seen(self, seen: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """What `see_style` saw -> modulation (n, m)"""
        return {"modulation": self.head(seen["moments"])}

    def encode_style(self, picture: Tensor) -> dict[str, Tensor]:
        """picture (n, 3, h, w) in 0..1, any size -> modulation (n, m)"""
        return self.encode_seen(self.see_style(picture))
