"""Gao, Gu, Zhang, Yu, "ReCoNet: Real-time Coherent Video Style Transfer Network", ACCV 2018 (1807.01197).

One style in one network, as Johnson's, with four residual blocks (sec. 3.2), and trained to be steady: its encoder's
features and its paintings have to follow the motion of the scene (`engines.training.temporal`). Nothing is kept from
frame to frame. In the paper the encoder ends after the residual blocks; so do the features that are told here.
"""

from __future__ import annotations

from dataclasses import dataclass

from engines.nets.johnson import JohnsonNet
from engines.nets.transform import TransformConfig


@dataclass(frozen=True, slots=True)
class ReconetConfig(TransformConfig):
    """Sizes of one network; four residual blocks as in sec. 3.2, narrower than the paper's 48, 96, 192."""

    blocks: int = 4


class ReconetNet(JohnsonNet):
    """The network of sec. 3.2, for one style. Its losses are what is new in the paper."""
