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

from engines.nets.transform import TransformConfig, TransformNet


@dataclass(frozen=True, slots=True)
class JohnsonConfig(TransformConfig):
    """Sizes of one network; five residual blocks as in the paper's supplement."""


class JohnsonNet(nn.Module):
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

    def paint_and_features(
        self, image: Tensor, style: Mapping[str, Tensor], guide_size: tuple[int, int] | None = None
    ) -> tuple[Tensor, Tensor]:
        """As `forward`, and the features after the residual blocks (n, c4, h/4, w/4)."""
        return self.net(image, self.modulation.expand(len(image), -1))  # type: ignore[no-any-return]

    def forward(self, image: Tensor, style: Mapping[str, Tensor], guide_size: tuple[int, int] | None = None) -> Tensor:
        """Frame (n, 3, h, w) in 0..1 of any size from 16 px -> painting of the same size in 0..1.

        style: empty. guide_size: not used; all of this network works at the frame's own size.
        """
        return self.paint_and_features(image, style)[0]
