"""What all networks promise, of whatever paper they are."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from engines.errors import InputError, StyleError
from engines.nets import catalogue, style_kernel
from engines.nets.adain import AdainConfig
from engines.nets.catalogue import Config, FeatureNet, StyleNet
from engines.nets.cin import CinConfig
from engines.nets.config import CONFIGS, StyleKernelConfig
from engines.nets.ghiasi import GhiasiConfig
from engines.nets.johnson import JohnsonConfig
from engines.nets.reconet import ReconetConfig

TINY: dict[str, Config] = {
    "style_kernel": StyleKernelConfig(
        widths=(4, 4, 8), style_levels=1, style_width=8, encoder_blocks=0, decoder_blocks=1, style_blocks=0,
        key_width=4, code_width=8, hidden_width=8, grid=4, groups4=4, groups8=4,
    ),
    "johnson": JohnsonConfig(widths=(4, 6), blocks=1),
    "cin": CinConfig(widths=(4, 6), blocks=1, styles=3),
    "adain": AdainConfig(widths=(8, 4)),
    "ghiasi": GhiasiConfig(widths=(4, 6), blocks=1, hidden=8, bottleneck=4),
    "reconet": ReconetConfig(widths=(4, 6), blocks=1),
}  # fmt: skip
LINEAGE = [name for name in TINY if name != "style_kernel"]
ANY_STYLE = ["style_kernel", "adain", "ghiasi"]
RELEASE_BYTES = 8_000_000


@pytest.fixture(autouse=True)
def small(narrow_vgg: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(style_kernel, "STYLE_SIDE_PX", 32)


def style_of(net: StyleNet, n: int = 1) -> dict[str, Tensor]:
    """Of n pictures, which are the first of the training's set."""
    return net.encode_seen(net.see_style(torch.rand(n, 3, 40, 36)) | {"index": torch.arange(n)})


@pytest.mark.parametrize("kind", TINY)
def test_a_painting_has_its_frames_size(kind: str) -> None:
    net = catalogue.build(TINY[kind], 0).eval()
    style = style_of(net)
    assert tuple(style) == net.style_tensors
    for size in ((16, 16), (33, 58), (71, 40)):
        with torch.no_grad():
            painted = net(torch.rand(1, 3, *size), style)
        assert painted.shape == (1, 3, *size)
        assert painted.min() >= 0 and painted.max() <= 1


@pytest.mark.parametrize("kind", TINY)
def test_a_batch_has_a_style_for_every_frame(kind: str) -> None:
    net = catalogue.build(TINY[kind], 0).eval()
    frames, styles = torch.rand(2, 3, 32, 40), style_of(net, 2)
    with torch.no_grad():
        together = net(frames, styles)
        alone = net(frames[1:], {name: value[1:] for name, value in styles.items()})
    torch.testing.assert_close(together[1:], alone, atol=1e-4, rtol=0)


@pytest.mark.parametrize("kind", TINY)
def test_gradients_reach_what_is_trained_and_nothing_else(kind: str) -> None:
    net = catalogue.build(TINY[kind], 0)
    net(torch.rand(3, 3, 32, 32), style_of(net, 3)).square().mean().backward()  # type: ignore[no-untyped-call]
    without = {name for name, p in net.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0}
    frozen = {name for name, p in net.named_parameters() if not p.requires_grad}
    assert without == frozen
    assert all(name.startswith(("vgg.", "predictor.")) for name in frozen)


@pytest.mark.parametrize("kind", TINY)
def test_what_is_seen_of_a_style_is_not_trained(kind: str) -> None:
    net = catalogue.build(TINY[kind], 0)
    assert not any(value.requires_grad for value in net.see_style(torch.rand(1, 3, 32, 32)).values())


@pytest.mark.parametrize("kind", ANY_STYLE)
def test_a_picture_of_any_size_is_a_style(kind: str) -> None:
    net = catalogue.build(TINY[kind], 0)
    shapes = [
        {k: v.shape for k, v in net.encode_style(torch.rand(1, 3, *size)).items()} for size in ((20, 90), (64, 33))
    ]
    assert shapes[0] == shapes[1]


@pytest.mark.parametrize("kind", ["cin", "adain", "ghiasi"])
def test_half_of_two_styles_lies_between_them(kind: str) -> None:
    net = catalogue.build(TINY[kind], 0).eval()
    if kind == "cin":
        torch.nn.init.normal_(dict(net.named_parameters())["table"])
    frame = torch.rand(1, 3, 32, 32)
    with torch.no_grad():
        both = style_of(net, 2)
        one, other = ({name: value[i : i + 1] for name, value in both.items()} for i in (0, 1))
        half = {name: 0.5 * (one[name] + other[name]) for name in one}
        ends = [net(frame, one), net(frame, other)]
        middle = net(frame, half)
    apart = (ends[0] - ends[1]).abs().mean()
    assert apart > 0
    assert all((middle - end).abs().mean() < apart for end in ends)


@pytest.mark.parametrize("kind", LINEAGE)
def test_features_come_with_the_same_painting(kind: str) -> None:
    net = catalogue.build(TINY[kind], 0).eval()
    assert isinstance(net, FeatureNet)
    frame, style = torch.rand(1, 3, 30, 41), style_of(net)
    painted, features = net.paint_and_features(frame, style)
    assert torch.equal(painted, net(frame, style))
    assert features.shape[2:] == (8, 11)
    assert features.requires_grad


def test_style_kernels_tell_no_features() -> None:
    assert not isinstance(catalogue.build(TINY["style_kernel"], 0), FeatureNet)


@pytest.mark.parametrize("kind", TINY)
def test_the_same_seed_gives_the_same_network_and_leaves_the_generator_alone(kind: str) -> None:
    before = torch.get_rng_state()
    first, second = (catalogue.build(TINY[kind], 3).state_dict() for _ in range(2))
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("kind", TINY)
def test_a_configuration_survives_json(kind: str) -> None:
    told = {k: list(v) if isinstance(v, tuple) else v for k, v in TINY[kind].as_dict().items()}
    assert catalogue.kind_of(TINY[kind]) == kind
    assert catalogue.configuration_from(kind, told) == TINY[kind]


def test_names_are_those_of_all_papers() -> None:
    assert catalogue.names() == ("live", "studio", "johnson", "cin", "adain", "ghiasi", "reconet")
    assert catalogue.configuration("live") == CONFIGS["live"]
    assert {catalogue.kind_of(catalogue.configuration(name)) for name in catalogue.names()} == set(catalogue.KINDS)


@pytest.mark.parametrize(
    "ask",
    [
        lambda: catalogue.build("jonson"),
        lambda: catalogue.configuration_from("gatys", {}),
        lambda: catalogue.configuration_from("cin", {"colours": 3}),
    ],
    ids=["name", "architecture", "setting"],
)
def test_unknown_things_are_told(ask: Any) -> None:
    with pytest.raises(InputError, match=r"no network 'jonson'|no architecture 'gatys'|no settings of cin"):
        ask()


@pytest.mark.parametrize("name", LINEAGE)
def test_released_sizes_are_small(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    net = catalogue.build(name, 0)
    counts = {part: p.numel() for part, p in net.named_parameters()}
    frame = sum(n for part, n in counts.items() if not part.startswith(("predictor.", "head.", "table")))
    assert 0.3e6 < frame < 1.7e6
    # weights.safetensors and both graphs together hold everything at most twice, in fp16.
    assert 2 * 2 * sum(counts.values()) < RELEASE_BYTES


def test_cin_takes_styles_by_number() -> None:
    net = catalogue.build(TINY["cin"], 0)
    table = torch.nn.init.normal_(dict(net.named_parameters())["table"])
    assert torch.equal(net.encode_seen({"index": torch.tensor([2, 0])})["modulation"], table[[2, 0]])
    torch.testing.assert_close(net.mean_style()["modulation"][0], table.mean(0))  # type: ignore[attr-defined]
    with pytest.raises(StyleError, match="knows 3 styles by their numbers"):
        net.encode_style(torch.rand(1, 3, 32, 32))
