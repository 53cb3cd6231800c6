from __future__ import annotations

import pytest
import torch
from torch import nn

from engines.nets.vgg import Vgg19
from engines.training.features import LossNetwork
from engines.training.winograd import LEAST_CHANNELS, WinogradConv, quicken


@pytest.mark.parametrize(("height", "width"), [(14, 14), (9, 16), (1, 2)])
def test_it_is_the_convolution_and_so_is_its_gradient(height: int, width: int) -> None:
    conv = nn.Conv2d(5, 7, 3, padding=1).requires_grad_(requires_grad=False)
    images = torch.randn(2, 5, height, width).to(memory_format=torch.channels_last)
    one, other = images.clone().requires_grad_(), images.clone().requires_grad_()
    wanted, out = conv(one), WinogradConv(conv)(other)
    asked = torch.randn_like(wanted)
    wanted.backward(asked)
    out.backward(asked)
    assert out.is_contiguous(memory_format=torch.channels_last)
    assert torch.allclose(out, wanted, atol=1e-5)
    assert one.grad is not None and other.grad is not None
    assert torch.allclose(other.grad, one.grad, atol=1e-5)


def test_wide_layers_of_a_loss_network_are_replaced_and_features_stay() -> None:
    network = LossNetwork(Vgg19()).to(memory_format=torch.channels_last)
    images = torch.rand(1, 3, 40, 56)
    with torch.no_grad():
        before = network(images)
        quicken(network)
        after = network(images)
    replaced = {name for name, conv in network.vgg.convs.items() if isinstance(conv, WinogradConv)}
    assert replaced == {"conv3_2", "conv3_3", "conv3_4", "conv4_1", "conv4_2", "conv4_3", "conv4_4", "conv5_1"}
    for name, value in before.items():
        assert (after[name] - value).norm() < 1e-5 * value.norm(), name
    assert set(network.state_dict()) == set(LossNetwork(Vgg19()).state_dict())


def test_what_learns_strides_or_is_narrow_stays() -> None:
    width = LEAST_CHANNELS
    network = nn.Sequential(
        nn.Conv2d(width, width, 3, padding=1),
        nn.Conv2d(width, width, 3, padding=1, stride=2).requires_grad_(requires_grad=False),
        nn.Conv2d(width, width - 1, 3, padding=1).requires_grad_(requires_grad=False),
        nn.Conv2d(width, width, 1).requires_grad_(requires_grad=False),
    )
    quicken(network)
    assert not any(isinstance(layer, WinogradConv) for layer in network)
