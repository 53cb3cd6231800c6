"""Where the tokens of a style begin."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor

from engines.nets import catalogue
from engines.nets.config import StyleKernelConfig
from engines.training.token_start import all_alike, start_tokens
from engines.training.warm_start import measure, start_from

pytestmark = pytest.mark.usefixtures("small_styles")

SMALL = StyleKernelConfig(
    widths=(4, 8, 16), style_levels=2, style_width=12, encoder_blocks=1, decoder_blocks=1, style_blocks=1, key_width=8,
    code_width=8, hidden_width=8, grid=4, groups4=4, groups8=4, shuffle_groups=2, standardised=True,
)  # fmt: skip
ALIVE = replace(SMALL, standardised_tokens=True)


def pictures(seed: int, count: int = 6) -> Tensor:
    """Blobs of colour, (count, 3, 64, 64)."""
    rough = torch.rand(count, 3, 8, 8, generator=torch.Generator().manual_seed(seed))
    return F.interpolate(rough, (64, 64), mode="bicubic").clamp(0, 1)


def begun(net: Any, *, learned: bool = False) -> Any:
    start_tokens(net, [net.see_style(few) for few in pictures(1).split(4)], pictures(2), (48, 48), learned=learned)
    return net


def tokens(net: Any, seed: int = 3) -> Tensor:
    with torch.no_grad():
        told: Tensor = net.encode_style(pictures(seed))["values"]
    return told


def test_every_style_has_tokens_of_its_own() -> None:
    told = tokens(begun(catalogue.build(ALIVE, 1)))
    assert told.std(0).mean() > 0.2  # between styles
    assert told.std(1).mean() > 0.2  # between the places of one


@pytest.mark.parametrize("standardised", [False, True])
def test_a_network_whose_tokens_had_died_paints_as_before(tmp_path: Path, standardised: bool) -> None:
    dead: Any = catalogue.build(replace(SMALL, standardised=standardised), 1)
    frame = pictures(4, 1)
    with torch.no_grad():
        dead.style_encoder.deepen.bias.fill_(-1000)
        dead.style_encoder.blocks[0].first.bias.fill_(0.5)  # so that what the dead layer leads to is not nothing
        if standardised:
            measure(dead, [dead.see_style(pictures(1))], learned=True)
        assert tokens(dead).std(0).max() < 1e-5
        before = dead(frame, dead.encode_style(pictures(3, 1)))
    save_file(dead.state_dict(), tmp_path / "weights.safetensors")
    net: Any = catalogue.build(ALIVE, 2)
    start_from(tmp_path / "weights.safetensors", net)
    begun(net, learned=True)
    measure(net, [net.see_style(pictures(1))], learned=True)
    assert tokens(net).std(0).mean() > 0.2
    with torch.no_grad():
        torch.testing.assert_close(net(frame, net.encode_style(pictures(3, 1))), before, atol=1e-3, rtol=0)


def test_places_attend_to_their_like_from_the_first_step_on() -> None:
    net = begun(catalogue.build(ALIVE, 1))
    photo = pictures(2)  # as a style of itself
    with torch.no_grad():
        style = net.encode_style(photo)
        features = net.encode_8(F.interpolate(2 * photo - 1, (32, 32), mode="area"))  # 4 x 4 places, as many as tokens
        attention = net.sae(F.instance_norm(features), style["keys"])
    own = attention.diagonal(dim1=1, dim2=2)
    assert (own > 1 / 16).float().mean() > 0.7  # more than to any


def test_dead_tokens_are_told_from_others() -> None:
    net = begun(catalogue.build(ALIVE, 1))
    assert not all_alike(tokens(net))
    assert not all_alike(tokens(net)[:1])  # one style tells nothing
    with torch.no_grad():
        net.style_encoder.bend.weight.zero_()
        net.style_encoder.deepen.bias.fill_(-1000)
    assert all_alike(tokens(net))


def test_tokens_begin_once() -> None:
    net = begun(catalogue.build(ALIVE, 1))
    known = {name: value.clone() for name, value in net.state_dict().items()}
    start_tokens(net, [net.see_style(pictures(7))], pictures(8), (48, 48), learned=True)
    assert all(torch.equal(value, known[name]) for name, value in net.state_dict().items())


def test_a_network_that_does_not_standardise_its_tokens_is_left_alone() -> None:
    net: Any = catalogue.build(SMALL, 1)
    known = {name: value.clone() for name, value in net.state_dict().items()}
    begun(net)
    assert all(torch.equal(value, known[name]) for name, value in net.state_dict().items())


def test_a_single_grey_picture_leaves_numbers() -> None:
    net: Any = catalogue.build(ALIVE, 1)
    grey = torch.full((1, 3, 64, 64), 0.5)
    start_tokens(net, [net.see_style(grey)], grey, (48, 48), learned=False)
    measure(net, [net.see_style(grey)], learned=False)
    assert all(bool(value.isfinite().all()) for value in net.encode_style(pictures(3, 1)).values())
