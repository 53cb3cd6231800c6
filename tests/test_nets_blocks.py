from __future__ import annotations

import torch
from torch.nn import functional as F

from engines.nets.blocks import DownConv, FilterBank, Parted, UpConv


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


def test_a_filter_bank_is_a_convolution_of_each_styles_own() -> None:
    bank = FilterBank(3, 5, start=2)
    with torch.no_grad():
        bank.mix.normal_()
    x, vectors = torch.randn(2, 3, 6, 7), torch.randn(2, 2 + 3 * 5 + 4)
    filtered = F.relu(F.conv2d(x, bank.conv.weight, bank.conv.bias, padding=1))
    for n in range(2):
        matrix = bank.mix + vectors[n, 2:17].reshape(3, 5)
        expected = x[n : n + 1] + F.conv2d(filtered[n : n + 1], matrix[:, :, None, None])
        torch.testing.assert_close(bank(x, vectors)[n : n + 1], expected)


def test_a_filter_bank_of_two_styles_is_each_where_it_holds() -> None:
    bank = FilterBank(3, 5, start=0)
    x, first, second = torch.randn(1, 3, 4, 8), torch.randn(1, 15), torch.randn(1, 15)
    share = torch.cat([torch.ones(1, 1, 4, 4), torch.zeros(1, 1, 4, 4)], 3)
    both = bank(x, Parted(first, second, share))
    torch.testing.assert_close(both[..., :4], bank(x, first)[..., :4])
    torch.testing.assert_close(both[..., 4:], bank(x, second)[..., 4:])
