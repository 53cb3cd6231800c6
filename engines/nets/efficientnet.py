"""EfficientNet-Lite0 (Tan & Le 2019, 1905.11946, without squeeze-and-excitation) up to 1/16 of the picture, frozen.

The pretrained network that looks at style pictures for `ghiasi`. Its batch normalisations are folded into the
convolutions when the published weights are read (`engines.training.pretrained`).
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

STEM_WIDTH = 32
# Of each stage: blocks, kernel, stride of the first block, expansion, outputs. The last two of the paper's seven stages
# are left out: the first five hold a sixth of the weights, and end where Ghiasi et al. cut Inception (1/16).
STAGES = ((1, 3, 1, 1, 16), (2, 3, 2, 6, 24), (2, 5, 2, 6, 40), (3, 3, 2, 6, 80), (3, 5, 1, 6, 112))
# (x - 127) / 128 for pixels 0..255, as the published weights want it.
_MEAN, _UNIT = 127 / 255, 255 / 128


class InvertedBottleneck(nn.Module):
    """1x1 expansion, depthwise convolution, 1x1 projection (Sandler et al. 2018); a sum where the shape stays."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        inner = inputs * expansion
        self.expand = nn.Conv2d(inputs, inner, 1) if expansion > 1 else None
        self.depthwise = nn.Conv2d(inner, inner, kernel, stride, groups=inner)
        self.project = nn.Conv2d(inner, outputs, 1)
        self.skips = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        """(n, inputs, h, w) -> (n, outputs, h/stride, w/stride)"""
        wide = x if self.expand is None else F.relu6(self.expand(x))
        y: Tensor = self.project(F.relu6(self.depthwise(_padded(wide, self.depthwise))))
        return x + y if self.skips else y


class EfficientNetLite(nn.Module):
    """Frozen features of pictures; a new one has random weights. `widths` are the channels of the five stages."""

    def __init__(self) -> None:
        super().__init__()
        self.widths = tuple(stage[-1] for stage in STAGES)
        self.stem = nn.Conv2d(3, STEM_WIDTH, 3, 2)
        self.stages = nn.ModuleList()
        inputs = STEM_WIDTH
        for count, kernel, stride, expansion, outputs in STAGES:
            blocks = []
            for i in range(count):
                blocks.append(InvertedBottleneck(inputs, outputs, kernel, stride if i == 0 else 1, expansion))
                inputs = outputs
            self.stages.append(nn.Sequential(*blocks))
        self.requires_grad_(False)

    def forward(self, picture: Tensor) -> list[Tensor]:
        """(n, 3, h, w) in 0..1, sides multiples of 16 -> one map of each stage, at 1/2, 1/4, 1/8, 1/16 and 1/16"""
        x = (picture - _MEAN) * _UNIT
        x = F.relu6(self.stem(_padded(x, self.stem)))
        maps = []
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        return maps


def _padded(x: Tensor, conv: nn.Conv2d) -> Tensor:
    """TensorFlow's padding, which the weights were trained with: with a stride of 2 one more below and right."""
    total = int(conv.kernel_size[0] - conv.stride[0])
    before = total // 2
    return F.pad(x, (before, total - before, before, total - before))
