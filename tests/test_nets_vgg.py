"""VGG as an encoder of frames: what lies beyond a frame's margin."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from engines.nets.vgg import VggEncoder


@torch.no_grad()
def test_an_endless_picture_shows_less_of_its_edge() -> None:
    encoder = VggEncoder(4)
    for conv in encoder.vgg.convs.values():  # as strong at every depth
        assert isinstance(conv, torch.nn.Conv2d)
        torch.nn.init.kaiming_normal_(conv.weight)
    picture = F.interpolate(torch.rand(1, 3, 6, 6), size=(64, 64), mode="bicubic").clamp(0, 1)

    def seen(margin: int, endless_from: str | None) -> Tensor:
        padded = F.pad(picture, (margin,) * 4, mode="replicate")
        deepest = encoder(padded, endless_from=endless_from)[-1]
        return deepest[:, :, margin // 8 : margin // 8 + 8, margin // 8 : margin // 8 + 8]

    far = seen(64, None)  # the zeros are out of reach
    off = [float((seen(8, start) - far).abs().mean()) for start in (None, "conv2_2", "conv1_1")]
    assert 0 < off[2] < off[1] < 0.8 * off[0]
