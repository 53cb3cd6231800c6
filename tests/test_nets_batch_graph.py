"""What is folded once and for all computes what it did."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from engines.nets.batch_graph import FoldedDown, folded
from engines.nets.blocks import DownConv
from engines.nets.config import StyleKernelConfig
from engines.nets.style_kernel import StyleKernelNet, build
from engines.nets.transform import step_down, step_up


@pytest.fixture
def net(tiny_style_kernels: StyleKernelConfig) -> StyleKernelNet:
    return build(tiny_style_kernels, seed=2).eval()


def test_a_folded_network_paints_what_it_did(net: StyleKernelNet) -> None:
    frame, picture = (torch.rand(1, 3, 40, 48, generator=torch.Generator().manual_seed(seed)) for seed in (0, 1))
    once = folded(net)
    with torch.no_grad():
        code = net.encode_style(picture)
        torch.testing.assert_close(once(frame, code), net(frame, code))
    assert not any(parameter.requires_grad for parameter in once.parameters())


def test_folded_layers_are_used_in_every_way_that_layers_are(net: StyleKernelNet) -> None:
    once = folded(net)
    up: tuple[Any, Any] = net.decoder.up1, once.decoder.up1
    down: list[Any] = [
        next(layer for layer in of.modules() if isinstance(layer, DownConv | FoldedDown)) for of in (net, once)
    ]
    with torch.no_grad():
        x = torch.rand(1, up[0].weight.shape[1], 6, 8)
        torch.testing.assert_close(*(step_up(layer, x) for layer in up))
        torch.testing.assert_close(*(layer.before_shuffle(x, 2.0, 0.5) for layer in up))
        x = torch.rand(1, down[0].weight.shape[1], 6, 8)
        torch.testing.assert_close(*(step_down(layer, x) for layer in down))
