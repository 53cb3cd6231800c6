"""Fitting a style moves the style alone."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from engines.nets import style_kernel
from engines.nets.cin import CinConfig, CinNet
from engines.nets.config import StyleKernelConfig
from engines.nets.johnson import JohnsonConfig, JohnsonNet
from engines.nets.vgg import Vgg16
from engines.training import fit
from engines.training.features import LossNetwork


@pytest.fixture(autouse=True)
def small(narrow_vgg: None, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PLAIN", "KERNELS"):
        monkeypatch.setattr(fit, name, replace(getattr(fit, name), crop_px=32))


def test_only_the_new_styles_vector_is_fitted() -> None:
    net = CinNet(CinConfig(widths=(4, 6), blocks=1, styles=3))
    torch.nn.init.normal_(net.table, std=0.3)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    told: list[float] = []
    picture, photos = torch.rand(1, 3, 48, 48), torch.rand(4, 3, 72, 72)
    style = fit.fit_style(net, picture, photos, 60, network=LossNetwork(Vgg16()), tell=told.append)
    assert style["modulation"].shape == (1, net.net.modulation_size) and not style["modulation"].requires_grad
    assert not torch.equal(style["modulation"], net.mean_style()["modulation"])
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert all(p.grad is None for p in net.parameters())
    assert len(told) == 60 and sum(told[-10:]) < 0.9 * sum(told[:10])


def test_what_is_seen_or_measured_of_a_picture_is_not_fitted(tiny_style_kernels: StyleKernelConfig) -> None:
    net = style_kernel.build(tiny_style_kernels, 0)
    picture = torch.rand(1, 3, 48, 48)
    with torch.no_grad():
        start = net.encode_style(picture)
    style = fit.fit_style(net, picture, torch.rand(2, 3, 72, 72), 2, network=LossNetwork(Vgg16()))
    same = {name for name in start if torch.equal(style[name], start[name])}
    assert same == {*style_kernel.MEASURED_TENSORS, "keys", "values"}


def test_a_style_kernels_style_comes_nearer_by_all_that_the_training_weighs(
    tiny_style_kernels: StyleKernelConfig,
) -> None:
    net, network = style_kernel.build(tiny_style_kernels, 0), LossNetwork(Vgg16())
    told: list[float] = []
    picture, photos = torch.rand(1, 3, 48, 48) ** 2, torch.rand(2, 3, 72, 72)
    style = fit.fit_style(net, picture, photos, 40, network=network, tell=told.append)
    assert sum(told[-8:]) < sum(told[:8])
    assert all(p.grad is None for p in net.parameters())
    start, others = fit.start_of(net, picture), torch.rand(3, 3, 72, 72)
    before, after, again = fit.losses_of(net, picture, others, (start, style, start), network=network)
    assert after < before == again


def test_batches_larger_than_the_photos_are_filled_up() -> None:
    net, network = CinNet(CinConfig(widths=(4, 6), blocks=1, styles=2)), LossNetwork(Vgg16())
    picture, photos = torch.rand(1, 3, 40, 40), torch.rand(1, 3, 64, 64)
    style = fit.start_of(net, picture)
    (one,) = fit.losses_of(net, picture, photos, (style,), network=network)
    assert one > 0


def test_fitting_leaves_the_random_numbers_of_others_alone() -> None:
    net, network = CinNet(CinConfig(widths=(4, 6), blocks=1, styles=2)), LossNetwork(Vgg16())
    picture, photos = torch.rand(1, 3, 40, 40), torch.rand(2, 3, 72, 72)
    before = torch.get_rng_state()
    first, second = (fit.fit_style(net, picture, photos, 2, network=network) for _ in range(2))
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(first["modulation"], second["modulation"])


def test_a_network_with_its_style_in_its_weights_has_nothing_to_fit() -> None:
    net = JohnsonNet(JohnsonConfig(widths=(4, 6), blocks=1))
    with pytest.raises(ValueError, match="JohnsonNet has its style in its weights"):
        fit.fit_style(net, torch.rand(1, 3, 40, 40), torch.rand(1, 3, 72, 72), 1, network=LossNetwork(Vgg16()))
