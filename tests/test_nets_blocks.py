from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from engines.nets.blocks import DownConv, UpConv


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def test_up_conv_is_bilinear_then_convolution() -> None:
    up = UpConv(3, 5)
    x = torch.randn(2, 3, 6, 7)
    wide = F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)
    expected = F.conv2d(wide, up.weight, up.bias, padding=1)
    inner = (slice(None), slice(None), slice(2, -2), slice(2, -2))  # the padding differs at the rim
    torch.testing.assert_close(up(x)[inner], expected[inner])


def test_down_conv_is_convolution_then_mean() -> None:
    down = DownConv(3, 5)
    x = torch.randn(2, 3, 8, 12)
    expected = F.avg_pool2d(F.conv2d(x, down.weight, down.bias, padding=1), 2)
    inner = (slice(None), slice(None), slice(1, -1), slice(1, -1))
    torch.testing.assert_close(down(x)[inner], expected[inner])
