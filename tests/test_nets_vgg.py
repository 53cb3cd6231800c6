"""VGG as an encoder of frames: what lies beyond a frame's margin."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from engines.nets.vgg import VggEncoder


@torch.no_grad()
def test_an_endless_picture_shows_less_of_its_edge() -> None:
    torch.manual_seed(0)
    encoder = VggEncoder(4)
    for conv in encoder.vgg.convs.values():  # as strong at every depth
        assert isinstance(conv, torch.nn.Conv2d)
        torch.nn.init.kaiming_normal_(conv.weight)
    picture = F.interpolate(torch.rand(1, 3, 6, 6), size=(64, 64), mode="bicubic").clamp(0, 1)

    def seen(margin: int, *, endless: bool) -> Tensor:
        padded = F.pad(picture, (margin,) * 4, mode="replicate")
        deepest = encoder(padded, endless=endless)[-1]
        return deepest[:, :, margin // 8 : margin // 8 + 8, margin // 8 : margin // 8 + 8]

    far = seen(64, endless=False)  # the zeros are out of reach
    off = {endless: float((seen(8, endless=endless) - far).abs().mean()) for endless in (False, True)}
    assert 0 < off[True] < 0.8 * off[False]
