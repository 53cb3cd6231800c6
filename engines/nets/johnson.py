"""Johnson, Alahi, Fei-Fei, "Perceptual Losses for Real-Time Style Transfer and Super-Resolution", ECCV 2016.

1603.08155. A feed-forward network learns one style (sec. 3.1): the style is in its weights, so nothing is computed of
a picture. With instance normalisation, as in Ulyanov et al. 2016 (1607.08022).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from engines.nets.transform import TransformConfig, TransformNet, TransformPainter


@dataclass(frozen=True, slots=True)
class JohnsonConfig(TransformConfig):
    """Sizes of one network; five residual blocks as in the paper's supplement."""


class JohnsonNet(TransformPainter):
    """The image transformation network of sec. 3.1, for one style."""

    style_tensors: ClassVar[tuple[str, ...]] = ()

    def __init__(self, config: TransformConfig) -> None:
        super().__init__()
        self.config = config
        self.net = TransformNet(config)
        self.modulation = nn.Parameter(torch.zeros(self.net.modulation_size))

    def see_style(self, picture: Tensor) -> dict[str, Tensor]:
        """Nothing: the network has its style already."""
        return {}

    def encode_seen(self, seen: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Nothing, whatever was seen."""
        return {}

    def encode_style(self, picture: Tensor) -> dict[str, Tensor]:
        """Nothing, of whatever picture."""
        return {}

    def modulation_of(self, style: Mapping[str, Tensor]) -> Tensor:
        """Its own, (1, m), whatever the style."""
        return self.modulation[None]
