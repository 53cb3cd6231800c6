"""Move styles apart without training: what they tell the frame side, further from the mean of all styles.

A network that is trained on the mean of many pictures' losses paints each of them somewhat like the mean style:
statistics of paintings differ from style to style by less than those of the style pictures do.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from engines.nets.style_kernel import StyleKernelNet

TOLD = ("modulation", "hint")  # tensors of a style that are linear in its code, by the layers that give them


@torch.no_grad()
def move_apart(net: StyleKernelNet, pictures: Iterable[Tensor], factor: float) -> None:
    """Change the layers of `TOLD`, so that each style's numbers are `factor` times as far from their mean as they were.

    pictures: style pictures (n, 3, h, w) in 0..1, batch by batch; the mean is that of theirs.
    """
    styles = [net.encode_style(batch) for batch in pictures]
    for name in TOLD:
        layer = getattr(net.style_encoder, name)
        mean = torch.cat([style[name] for style in styles]).mean(0)
        layer.weight.mul_(factor)
        layer.bias.copy_(mean + factor * (layer.bias - mean))
