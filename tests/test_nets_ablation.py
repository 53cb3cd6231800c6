"""Networks without a part: the part is gone, the rest still paints and learns."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from engines.errors import InputError
from engines.nets.ablation import PARTS, full_convolution, remove
from engines.nets.kernels import dynamic_convolution
from engines.nets.style_kernel import StyleKernelNet, build

SIDE = 32


def net_without(part: str) -> StyleKernelNet:
    net = build("live", 0)
    with torch.random.fork_rng():
        torch.manual_seed(1)
        remove(net, part)
        for layer in (net.skg.kernels, net.skg.kernels4):  # untrained kernels hardly differ from place to place
            layer.weight.data.normal_(0, 0.05)
    return net


def picture(seed: int) -> Tensor:
    return torch.rand(1, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("part", PARTS)
def test_it_still_paints_and_learns(part: str) -> None:
    net = net_without(part)
    painted = net(picture(0), net.encode_style(picture(1)))
    assert painted.shape == (1, 3, SIDE, SIDE)
    painted.mean().backward()
    assert net.skg.kernels.weight.grad is not None
    assert net.skg.kernels.weight.grad.abs().sum() > 0


def test_without_sae_every_place_sees_the_mean_of_the_style() -> None:
    net = net_without("sae")
    attention = net.sae(torch.randn(1, net.config.widths[2], 2, 3), torch.randn(1, net.config.key_width, 5))
    assert torch.equal(attention, torch.full((1, 6, 5), 0.2))


def test_without_cgm_the_attention_stays() -> None:
    net = net_without("cgm")
    attention = torch.softmax(torch.randn(1, 6, 5), 2)
    assert net.cgm(attention, torch.randn(1, net.config.widths[2], 2, 3)) is attention


def test_without_gs_channels_keep_their_order() -> None:
    net = net_without("gs")
    features = torch.randn(1, net.config.widths[2], 2, 3)
    assert torch.equal(net.gs8(features), features)


def test_shared_kernels_are_the_same_at_every_place() -> None:
    net = net_without("places")
    width, hidden = net.config.widths[2], net.config.hidden_width
    kernels = net.skg(torch.randn(1, width, 4, 6), torch.randn(1, width, 4, 6), torch.randn(1, hidden))
    for told in (kernels.vertical8, kernels.horizontal8, kernels.both4, kernels.bias8):
        assert torch.equal(told, told[..., :1, :1].expand_as(told))


def test_full_kernels_can_be_what_separable_ones_are() -> None:
    x = torch.randn(2, 8, 5, 7)
    vertical, horizontal = torch.randn(2, 2, 3, 4, 1, 1).expand(2, 2, 3, 4, 5, 7)
    full = (vertical[:, :, None] * horizontal[:, None]).reshape(2, 9, 4, 5, 7)
    torch.testing.assert_close(full_convolution(x, full), dynamic_convolution(x, vertical, horizontal))


def test_full_kernels_start_as_the_identity() -> None:
    net = build("live", 0)
    remove(net, "separability")
    width = net.config.widths[2]
    net.skg.kernels.weight.data.zero_()
    kernels = net.skg(torch.randn(1, width, 4, 6), torch.randn(1, width, 4, 6), torch.zeros(1, net.config.hidden_width))
    features = torch.randn(1, width, 4, 6)
    torch.testing.assert_close(kernels.applied8(features), features)


def test_an_unknown_part_is_refused() -> None:
    with pytest.raises(InputError, match=r"no part 'gas' .* known: sae, cgm, gs, places, separability"):
        remove(build("live", 0), "gas")


def test_another_network_is_refused() -> None:
    with pytest.raises(InputError, match="only style-kernel networks can do without 'gs'; take live or studio"):
        remove(nn.Identity(), "gs")
