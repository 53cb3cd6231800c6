"""Tuning trains a copy of a network on for one picture."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from engines.errors import EngineError
from engines.nets import style_kernel
from engines.nets.config import StyleKernelConfig
from engines.nets.vgg import Vgg16
from engines.training import tune
from engines.training.features import LossNetwork


@pytest.fixture(autouse=True)
def small(narrow_vgg: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tune, "WAY", replace(tune.WAY, crop_px=96))  # the smallest that `grid` sees


@pytest.fixture
def net(tiny_style_kernels: StyleKernelConfig) -> style_kernel.StyleKernelNet:
    return style_kernel.build(tiny_style_kernels, 0)


PHOTOS = torch.randint(0, 256, (3, 3, 136, 136), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))


def test_the_frame_side_and_the_style_learn_and_the_given_network_stays(net: style_kernel.StyleKernelNet) -> None:
    before = {name: value.clone() for name, value in net.state_dict().items()}
    told: list[dict[str, float]] = []
    picture, network = torch.rand(1, 3, 48, 48) ** 2, LossNetwork(Vgg16())
    random = torch.get_rng_state()
    tuned, style = tune.tune(net, picture, PHOTOS, 30, network=network, tell=told.append)
    assert torch.equal(torch.get_rng_state(), random)
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert all(p.grad is None for p in net.parameters())
    texture = tuned.state_dict().pop("texture")
    assert texture.shape == (1, net.config.widths[1], tune.TEXTURE, tune.TEXTURE)
    assert not tuned.config.halos
    after = tuned.state_dict().items()
    moved = {name.split(".")[0] for name, value in after if name in before and not torch.equal(value, before[name])}
    assert moved >= {"encoder", "decoder", "skg"} and not moved & {"vgg", "style_encoder"}
    start = net.encode_style(picture)
    same = {name for name in start if torch.equal(style[name], start[name])}
    assert same == set(style_kernel.MEASURED_TENSORS)
    assert all(term.keys() == tune.WAY.weights.keys() for term in told) and len(told) == 30
    assert sum(one["style"] for one in told[-8:]) < sum(one["style"] for one in told[:8])
    weights = [p for name, p in tuned.named_parameters() if name.startswith("decoder.")]
    assert all(torch.equal(value, value.half().float()) for value in (*weights, style["modulation"]))


def test_the_same_seed_gives_the_same_network(net: style_kernel.StyleKernelNet) -> None:
    picture, network = torch.rand(1, 3, 48, 48), LossNetwork(Vgg16())
    one, other, third = (
        tune.tune(net, picture, PHOTOS, 2, network=network, seed=seed)[1]["modulation"] for seed in (3, 3, 4)
    )
    assert torch.equal(one, other) and not torch.equal(one, third)


def test_a_style_that_is_far_off_weighs_less(net: style_kernel.StyleKernelNet, monkeypatch: pytest.MonkeyPatch) -> None:
    """What losses of style weigh falls with how far the network is from the style before the first step."""
    picture, network = torch.rand(1, 3, 48, 48) ** 2, LossNetwork(Vgg16())

    def style(usual: float) -> float:
        monkeypatch.setattr(tune, "USUAL_STYLE", usual)
        told: list[dict[str, float]] = []
        tune.tune(net, picture, PHOTOS, 20, network=network, tell=told.append)
        return sum(one["style"] for one in told[-8:])

    assert style(1e-6) > style(1e6)


def test_numbers_that_are_none_are_told(net: style_kernel.StyleKernelNet) -> None:
    with torch.no_grad():
        net.decoder.conv4.weight[0, 0, 0, 0] = float("nan")
    with pytest.raises(EngineError, match="no numbers in fp16; take another seed or picture"):
        tune.tune(net, torch.rand(1, 3, 48, 48), PHOTOS, 1, network=LossNetwork(Vgg16()))
