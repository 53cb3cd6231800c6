"""Dumoulin, Shlens, Kudlur, "A Learned Representation for Artistic Style", ICLR 2017 (1610.07629).

N styles in one network that share all convolutions: a style is only the scale and shift of every instance
normalisation (sec. 2.2, conditional instance normalisation, eq. 5). Mixing two styles is mixing their vectors
(sec. 3.4), and a style that was not trained is found by fitting a vector alone (sec. 3.3, `engines.training.fit`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from engines.errors import StyleError
from engines.nets.transform import TransformConfig, TransformNet, TransformPainter


@dataclass(frozen=True, slots=True)
class CinConfig(TransformConfig):
    """Sizes of one network. styles: how many it knows, by number from 0."""

    styles: int = 16


class CinNet(TransformPainter):
    """The style transfer network of sec. 2.2: one set of convolutions, a table of vectors."""

    style_tensors: ClassVar[tuple[str, ...]] = ("modulation",)

    def __init__(self, config: CinConfig) -> None:
        super().__init__()
        self.config = config
        self.net = TransformNet(config)
        # All start alike: what makes a style is learned.
        self.table = nn.Parameter(torch.zeros(config.styles, self.net.modulation_size))

    def see_style(self, picture: Tensor) -> dict[str, Tensor]:
        """Nothing: styles are known by their numbers. Give `encode_seen` an "index"."""
        return {}

    def encode_seen(self, seen: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """seen: "index" (n,), whole numbers of known styles -> modulation (n, m). Raises StyleError: none is given."""
        if "index" not in seen:
            raise StyleError(f"this network knows {self.config.styles} styles by their numbers; fit a new one to it")
        return {"modulation": self.table[seen["index"].long()]}

    def encode_style(self, picture: Tensor) -> dict[str, Tensor]:
        """Raises StyleError: no picture tells this network a style."""
        return self.encode_seen(self.see_style(picture))

    def mean_style(self) -> dict[str, Tensor]:
        """The mean of all known styles, modulation (1, m): where the fit of a new one starts."""
        return {"modulation": self.table.mean(0, keepdim=True)}
