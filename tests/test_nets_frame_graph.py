"""The graphs around the network: strength, memory, and pixels where they belong."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from engines.guide import Guide, guide_size
from engines.memory import Memory
from engines.nets import finish
from engines.nets import style_kernel as sk
from engines.nets.config import StyleKernelConfig
from engines.nets.frame_graph import MOST_MEMORY, FrameGraph, GuideGraph, StyleGraph, interleave, spread
from engines.recolour import Recolourer

H, W = 70, 101
SMALL = (18, 26)


@pytest.fixture(scope="module")
def net() -> sk.StyleKernelNet:
    config = StyleKernelConfig(widths=(8, 8, 16), style_levels=1, style_width=16, groups4=4, groups8=4, grid=4)
    net = sk.build(config, 0).eval()
    with torch.no_grad():
        net.decoder.up1.weight.mul_(12)  # of contrast: rounding to whole numbers shall not matter
    return net


@pytest.fixture(scope="module")
def style(net: sk.StyleKernelNet) -> dict[str, Tensor]:
    picture = torch.randint(0, 256, (40, 60, 3), generator=torch.Generator().manual_seed(1), dtype=torch.uint8)
    with torch.no_grad():
        return dict(zip(sk.STYLE_TENSORS, StyleGraph(net)(picture), strict=True))


def scene(seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(1, 3, 5, 6, generator=generator)
    smooth = F.interpolate(coarse, size=(H, W), mode="bilinear")
    return (smooth[0].permute(1, 2, 0) * 255).to(torch.uint8)


@torch.no_grad()
def run(
    net: sk.StyleKernelNet,
    style: dict[str, Tensor],
    frame: Tensor,
    memory: tuple[Tensor, Tensor] | None = None,
    strength: float = 1.0,
    smoothing: float = 1.0,
) -> tuple[Tensor, Tensor]:
    if memory is None:
        memory, smoothing = (torch.zeros_like(frame), torch.zeros(*SMALL, 3, dtype=torch.uint8)), 0.0
    # The guide of a frame this small is the frame, its sides a little stretched to multiples of 8.
    guide = Guide().of(frame.numpy()).copy()
    colour_map = torch.from_numpy(Recolourer().of(guide, style["palette"].numpy(), 0.0))
    guidance = GuideGraph(net)(torch.from_numpy(guide), colour_map, *(style[name] for name in sk.GUIDE_TENSORS))
    small = torch.from_numpy(Memory().before(frame.numpy(), 0.0).small.copy())
    numbers = torch.tensor(strength), torch.tensor(smoothing)
    told = (guidance, colour_map, *(style[name] for name in sk.PAINT_TENSORS))
    painted, source = FrameGraph(net)(frame, small, *told, *numbers, *memory)
    return painted, source


def test_without_memory_it_is_what_the_network_paints(net: sk.StyleKernelNet, style: dict[str, Tensor]) -> None:
    frame = scene(0)
    painted, source = run(net, style, frame)
    with torch.no_grad():
        plain = net(frame.permute(2, 0, 1)[None].float() / 255, style, guide_size(H, W))[0].permute(1, 2, 0) * 255
    # The colour statistics are those of the guide here, of all pixels there. What comes after the network comes later.
    finished = finish.finished(painted.permute(2, 0, 1)[None] / 255, style)[0].permute(1, 2, 0) * 255
    assert (finished - plain).abs().mean() < 0.1 * plain.std()
    assert painted.shape == (H, W, 3) and painted.dtype == torch.uint8
    assert source.shape == (*SMALL, 3)


def test_strength_0_is_the_frame(net: sk.StyleKernelNet, style: dict[str, Tensor]) -> None:
    frame = scene(0)
    assert torch.equal(run(net, style, frame, strength=0.0)[0], frame)


def test_strength_half_lies_between(net: sk.StyleKernelNet, style: dict[str, Tensor]) -> None:
    frame = scene(0)
    full, half = run(net, style, frame)[0].float(), run(net, style, frame, strength=0.5)[0].float()
    assert (half - (full + frame) / 2).abs().max() <= 1


def test_the_memory_holds_where_the_picture_agrees(net: sk.StyleKernelNet, style: dict[str, Tensor]) -> None:
    frame = scene(0)
    painted, source = run(net, style, frame)
    grey = torch.full_like(painted, 128)
    held, _ = run(net, style, frame, (grey, source), smoothing=1.0)
    free, _ = run(net, style, frame, (grey, source), smoothing=0.0)
    assert torch.equal(free, painted)
    # By least squares: both are rounded to whole numbers, which a mean of absolute differences would not forgive.
    change, whole = held.float() - 128, painted.float() - 128
    assert (change * whole).sum() / (whole * whole).sum() == pytest.approx(1 - MOST_MEMORY, abs=0.01)


def test_the_memory_is_not_used_where_the_picture_differs(net: sk.StyleKernelNet, style: dict[str, Tensor]) -> None:
    frame = scene(0)
    painted, source = run(net, style, frame)
    changed = frame.clone()
    changed[:, 80:] = 255 - changed[:, 80:] // 2  # the right part is another thing now
    grey = torch.full_like(painted, 128)
    held, next_source = run(net, style, changed, (grey, source))
    free, free_source = run(net, style, changed, (grey, source), smoothing=0.0)
    left = (held.float() - 128)[:, :50].abs().mean() / (free.float() - 128)[:, :50].abs().mean()
    assert torch.equal(held[:, 88:], free[:, 88:]) and torch.equal(next_source[:, 22:], free_source[:, 22:])
    assert left == pytest.approx(1 - MOST_MEMORY, abs=0.05)


def test_interleave_is_a_pixel_shuffle() -> None:
    phases = torch.randn(1, 12, 4, 5)
    assert torch.equal(interleave(phases), F.pixel_shuffle(phases, 2)[0].permute(1, 2, 0))


def test_spread_gives_each_pixel_and_channel_the_share_of_its_place() -> None:
    flat = spread(torch.full((1, 1, 3, 5), 0.25))
    assert flat.shape == (12, 20, 3) and torch.equal(flat, torch.full((12, 20, 3), 0.25))
    ramp = spread(torch.linspace(0, 1, 5).reshape(1, 1, 1, 5))
    assert torch.equal(ramp[..., 0], ramp[..., 2])
    assert (ramp[0, 1:, 0] >= ramp[0, :-1, 0]).all() and ramp[0, 0, 0] == 0 and ramp[0, -1, 0] == 1
