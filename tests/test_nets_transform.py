"""The transformation network: what a vector of zeros, a style in a part of the frame and an edge do."""

from __future__ import annotations

import pytest
import torch

from engines.nets.blocks import Parted
from engines.nets.transform import Normalisation, TransformConfig, TransformNet


def test_normalisation_takes_scale_and_shift_from_its_place_in_the_vector() -> None:
    x = 3 + 2 * torch.randn(2, 4, 16, 16)
    vector = torch.zeros(2, 20)
    vector[:, 5:9], vector[:, 9:13] = 1.0, 7.0  # scales less 1, then shifts
    y = Normalisation(4, 5)(x, vector)
    torch.testing.assert_close(y.mean((2, 3)), torch.full((2, 4), 7.0))
    torch.testing.assert_close(y.std((2, 3), correction=0), torch.full((2, 4), 2.0), atol=1e-3, rtol=0)


def test_statistics_of_half_precision_are_taken_in_full() -> None:
    x = torch.full((1, 1, 256, 256), 100.0)
    x[:, :, ::2] = 104.0  # the sum of all is far beyond fp16
    y = Normalisation(1, 0)(x.half(), torch.zeros(1, 2).half())
    assert y.dtype == torch.float16
    torch.testing.assert_close(y[0, 0, 0, 0].item(), 1.0, atol=1e-2, rtol=0)


@pytest.mark.parametrize("normalise_output", [False, True])
def test_a_vector_has_two_numbers_for_every_normalised_channel(normalise_output: bool) -> None:
    net = TransformNet(TransformConfig((4, 6), 2, normalise_output))
    assert net.modulation_size == 2 * (4 + 6 + 2 * 2 * 6 + 4 + (3 if normalise_output else 0))


def test_two_styles_share_a_frame() -> None:
    net = TransformNet(TransformConfig((4, 6), 1, True)).eval()
    one, other = torch.randn(2, 1, net.modulation_size).unbind()
    frame, share = torch.rand(1, 3, 32, 32), torch.ones(1, 1, 8, 8)
    with torch.no_grad():
        torch.testing.assert_close(net(frame, Parted(one, other, share))[0], net(frame, one)[0])
        torch.testing.assert_close(net(frame, Parted(one, other, 0 * share))[0], net(frame, other)[0])


def test_no_frame_is_drawn_around_a_plain_picture() -> None:
    net = TransformNet(TransformConfig((8, 12), 2)).eval()
    with torch.no_grad():
        painted = net(torch.full((1, 3, 64, 64), 0.4), torch.zeros(1, net.modulation_size))[0]
    assert (painted - painted.mean((2, 3), keepdim=True)).abs().max() < 1e-3
