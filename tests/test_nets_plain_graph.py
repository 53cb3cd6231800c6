"""The graphs of networks without a guide: single frames, batches, regions, strength and memory."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import torch
from torch import Tensor

from engines.nets import catalogue
from engines.nets.adain import AdainConfig, adain, adain_within
from engines.nets.cin import CinConfig
from engines.nets.ghiasi import GhiasiConfig
from engines.nets.johnson import JohnsonConfig
from engines.nets.plain_graph import BatchPlain, BatchPlainRegions, PlainFrame, PlainRegions

HEIGHT, WIDTH = 38, 53
CONFIGS = (
    JohnsonConfig(widths=(8, 12), blocks=1),
    CinConfig(widths=(8, 12), blocks=1, styles=3),
    AdainConfig(widths=(12, 8)),
    GhiasiConfig(widths=(8, 12), blocks=1, hidden=8, bottleneck=4),
)
MANY = CONFIGS[1:]  # those that know more than one style


def made(config: Any) -> Any:
    net: Any = catalogue.build(config, 0)
    return net.eval().requires_grad_(False)


def style_of(net: Any, seed: int, n: int = 1) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    widths = {"modulation": getattr(getattr(net, "net", None), "modulation_size", 0), "mean": 320, "deviation": 320}
    return {name: torch.rand(n, widths[name], generator=generator) for name in net.style_tensors}


def told(seed: int = 0, n: int | None = None) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)

    def picture(*size: int) -> Tensor:
        shape = (*(() if n is None else (n,)), *size, 3)
        return torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8)

    small = (-(-HEIGHT // 4), -(-WIDTH // 4))
    return {
        "frame": picture(HEIGHT, WIDTH),
        "small": picture(*small),
        "painting": picture(HEIGHT, WIDTH),
        "source": picture(*small),
    }


def painted(net: Any, style: Mapping[str, Tensor], at: Mapping[str, Tensor], strength: float, smoothing: float) -> Any:
    numbers = torch.tensor(strength), torch.tensor(smoothing)
    with torch.inference_mode():
        return PlainFrame(net)(at["frame"], at["small"], *style.values(), *numbers, at["painting"], at["source"])


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: type(config).__name__)
def test_a_frame_is_painted_at_its_size_as_the_network_paints_it(config: Any) -> None:
    net, at = made(config), told()
    style = style_of(net, 1)
    painting, source = painted(net, style, at, 1.0, 0.0)
    assert painting.shape == at["frame"].shape and painting.dtype == torch.uint8
    assert torch.equal(source, at["small"])  # nothing is remembered
    with torch.inference_mode():
        wanted = 255 * net(at["frame"].permute(2, 0, 1)[None].float() / 255, style)[0].permute(1, 2, 0)
    assert (painting.float() - wanted).abs().max() <= 0.51


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: type(config).__name__)
def test_strength_0_is_the_frame_itself_and_a_little_is_near_it(config: Any) -> None:
    net, at = made(config), told()
    style = style_of(net, 1)
    assert torch.equal(painted(net, style, at, 0.0, 0.0)[0], at["frame"])
    full, some = (painted(net, style, at, strength, 0.0)[0].float() for strength in (1.0, 0.1))
    frame = at["frame"].float()
    assert 0 < (some - frame).abs().mean() < (full - frame).abs().mean()


def test_memory_is_mixed_in_where_the_small_frames_agree() -> None:
    net, at = made(CONFIGS[0]), told()
    alone = painted(net, {}, at, 1.0, 0.0)[0].float()
    at["source"] = at["small"]  # nothing changed
    mixed = painted(net, {}, at, 1.0, 1.0)[0].float()
    share = 0.52
    assert (mixed - (alone + share * (at["painting"].float() - alone))).abs().max() <= 1.1
    at["source"] = 255 - at["small"]
    assert (painted(net, {}, at, 1.0, 1.0)[0].float() - alone).abs().mean() < 1


@pytest.mark.parametrize("config", MANY, ids=lambda config: type(config).__name__)
def test_two_styles_are_mixed_where_the_mask_says(config: Any) -> None:
    net, at = made(config), told()
    ours, theirs = style_of(net, 1), style_of(net, 2)
    rest = torch.tensor(0.0), at["painting"], at["source"]

    def parted(mask: Tensor) -> Tensor:
        with torch.inference_mode():
            answer = PlainRegions(net)(at["frame"], at["small"], mask, *ours.values(), *theirs.values(), *rest)
        return answer[0].float()  # type: ignore[no-any-return]

    mask = torch.zeros(at["small"].shape[:2])
    assert (parted(mask) - painted(net, theirs, at, 1.0, 0.0)[0].float()).abs().max() <= 1
    assert (parted(mask + 1) - painted(net, ours, at, 1.0, 0.0)[0].float()).abs().max() <= 1
    mask[:, : mask.shape[1] // 2] = 1
    both = parted(mask)
    assert (both - parted(mask * 0)).abs().mean() > 0.01 and (both - parted(mask * 0 + 1)).abs().mean() > 0.01


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: type(config).__name__)
def test_a_batch_paints_what_single_frames_are_painted(config: Any) -> None:
    net, at = made(config), told(n=2)
    style = style_of(net, 1, 2)
    strength, smoothing = torch.tensor([1.0, 0.6]), torch.tensor([0.9, 0.3])
    memory = (at["small"], at["painting"], at["source"], smoothing)
    with torch.inference_mode():
        paintings, sources = BatchPlain(net)(at["frame"], list(style.values()), strength, memory)
    for place in range(2):
        single = {name: tensor[place] for name, tensor in at.items()}
        one = {name: tensor[place : place + 1] for name, tensor in style.items()}
        wanted, source = painted(net, one, single, float(strength[place]), float(smoothing[place]))
        assert (paintings[place].float() - wanted.float()).abs().max() <= 1
        assert (sources[place].float() - source.float()).abs().max() <= 1


def test_a_batch_with_regions_paints_what_single_frames_are_painted() -> None:
    net, at = made(CONFIGS[2]), told(n=2)
    ours, theirs = style_of(net, 1, 2), style_of(net, 2, 2)
    mask = torch.rand(at["small"].shape[:3], generator=torch.Generator().manual_seed(3))
    with torch.inference_mode():
        paintings, none = BatchPlainRegions(net)(at["frame"], mask, [*ours.values(), *theirs.values()])
        assert none is None
        single = [
            PlainRegions(net)(
                *(at[name][1] for name in ("frame", "small")),
                mask[1],
                *(tensor[1:] for style in (ours, theirs) for tensor in style.values()),
                torch.tensor(0.0),
                *(at[name][1] for name in ("painting", "source")),
            )
        ][0]
    assert (paintings[1].float() - single[0].float()).abs().max() <= 1


def test_adain_in_a_region_knows_that_region_alone() -> None:
    content = torch.rand(1, 4, 6, 8)
    mean, deviation = torch.rand(1, 4), torch.rand(1, 4)
    everywhere = torch.ones(1, 1, 6, 8)
    assert torch.allclose(
        adain_within(content, mean, deviation, everywhere), adain(content, mean, deviation), atol=1e-3
    )
    left = everywhere.clone()
    left[..., 4:] = 0
    within = adain_within(content, mean, deviation, left)
    alone = adain(content[..., :4], mean, deviation)
    assert torch.allclose(within[..., :4], alone, atol=1e-3)
    assert torch.isfinite(adain_within(content, mean, deviation, torch.zeros(1, 1, 6, 8))).all()
