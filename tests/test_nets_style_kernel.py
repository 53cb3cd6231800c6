"""The promises of the whole network."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from engines.nets import finish
from engines.nets import style_kernel as sk
from engines.nets.config import StyleKernelConfig

TINY = StyleKernelConfig(
    widths=(8, 8, 16),
    style_levels=1,
    style_width=16,
    encoder_blocks=1,
    decoder_blocks=1,
    style_blocks=1,
    key_width=8,
    code_width=16,
    hidden_width=16,
    grid=4,
    groups4=4,
    groups8=4,
    shuffle_groups=4,
)


def random_style(net: sk.StyleKernelNet, n: int = 1) -> dict[str, Tensor]:
    return net.encode_style(torch.rand(n, 3, 64, 64))


def test_pooling_of_tokens_changes_their_number_alone() -> None:
    small = sk.build(TINY, 0).encode_style(torch.rand(1, 3, 40, 90))
    large = sk.build(TINY, 0).encode_style(torch.rand(1, 3, 500, 300))
    assert {k: v.shape for k, v in small.items()} == {k: v.shape for k, v in large.items()}
    assert small["keys"].shape[2] == small["values"].shape[1] == TINY.grid**2


@pytest.mark.parametrize("config", [TINY, replace(TINY, banks=(6, 5)), replace(TINY, texture=5), "studio"])
def test_gradients_flow_to_every_parameter(config: StyleKernelConfig | str) -> None:
    net = sk.build(config, 0)
    net(torch.rand(2, 3, 64, 64), random_style(net, 2)).square().mean().backward()  # type: ignore[no-untyped-call]
    without = [n for n, p in net.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert [n for n in without if not n.startswith("vgg.")] == []
    assert not any(p.requires_grad for p in net.vgg.parameters())


def test_plain_ground_has_strokes_of_the_texture_alone() -> None:
    frame = torch.full((1, 3, 96, 96), 0.4)
    with_texture = sk.build(replace(TINY, texture=5), 0)
    with torch.no_grad():
        with_texture.texture.normal_()
    texture = with_texture.texture.detach()
    assert torch.equal(with_texture.textured(torch.zeros(1, 8, 12, 7)), texture.repeat(1, 1, 3, 2)[:, :, :12, :7])
    for net, strokes in ((sk.build(TINY, 0), False), (with_texture, True)):
        inner = net.unfinished(frame, random_style(net))[:, :, 32:-32, 32:-32]  # away from what the margin repeats
        assert bool(inner.std((2, 3)).max() > 1e-3) is strokes


def test_a_painting_is_finished_at_last() -> None:
    net, frame = sk.build(TINY, 0), torch.rand(1, 3, 40, 56)
    style = random_style(net)
    bare = net.unfinished(frame, style, (32, 40))
    assert torch.equal(net(frame, style, (32, 40)), finish.finished(bare, style))
    assert not torch.allclose(bare, finish.finished(bare, style), atol=0.01)


def test_what_the_style_side_sees_can_be_kept() -> None:
    net, pictures = sk.build(TINY, 0), torch.rand(2, 3, 64, 48)
    seen = {name: value.clone() for name, value in net.see_style(pictures).items()}
    kept, anew = net.encode_seen(seen), net.encode_style(pictures)
    assert tuple(anew) == sk.STYLE_TENSORS
    assert all(torch.equal(kept[name], anew[name]) for name in anew)


@pytest.mark.parametrize("size", [(64, 64), (65, 97), (128, 71), (66, 130)])
def test_output_size_is_input_size(size: tuple[int, int]) -> None:
    net = sk.build(TINY, 0).eval()
    painted = net(torch.rand(1, 3, *size), random_style(net))
    assert painted.shape == (1, 3, *size)
    assert painted.min() >= 0 and painted.max() <= 1


@pytest.mark.parametrize("size", [(64, 96), (131, 97), (200, 64)])
def test_output_size_is_input_size_with_any_guide(size: tuple[int, int]) -> None:
    net = sk.build(TINY, 0).eval()
    assert net(torch.rand(1, 3, *size), random_style(net), (64, 72)).shape == (1, 3, *size)


def test_half_precision_keeps_the_colours_exact() -> None:
    net, picture = sk.build(TINY, 0).eval(), torch.rand(1, 3, 64, 64)
    style = random_style(net)
    with torch.autocast("cpu", torch.bfloat16):
        recoloured, painted = net.recolour(picture, style["palette"]), net(picture, style)
    assert torch.equal(recoloured, net.recolour(picture, style["palette"]))
    assert painted.dtype == torch.float32
    assert 0 < (painted - net(picture, style)).abs().mean() < 0.02


def test_a_guide_of_the_frames_size_changes_nothing() -> None:
    net, frame = sk.build(TINY, 0).eval(), torch.rand(1, 3, 72, 96)
    style = random_style(net)
    torch.testing.assert_close(net(frame, style, (72, 96)), net(frame, style), atol=1e-6, rtol=0)


def test_the_same_seed_gives_the_same_network_and_leaves_the_generator_alone() -> None:
    before = torch.get_rng_state()
    first, second, other = sk.build(TINY, 3), sk.build(TINY, 3), sk.build(TINY, 4)
    assert torch.equal(torch.get_rng_state(), before)
    for (name, a), b in zip(first.state_dict().items(), second.state_dict().values(), strict=True):
        assert torch.equal(a, b), name
    assert any(not torch.equal(a, b) for a, b in zip(first.parameters(), other.parameters(), strict=True))


def test_styles_of_a_batch_do_not_see_each_other() -> None:
    net = sk.build(TINY, 0).eval()
    frames, styles = torch.rand(2, 3, 64, 72), torch.rand(2, 3, 64, 64)
    together = net(frames, net.encode_style(styles))
    alone = net(frames[1:], net.encode_style(styles[1:]))
    torch.testing.assert_close(together[1:], alone, atol=1e-4, rtol=0)


def test_config_survives_json_lists() -> None:
    told = {k: list(v) if isinstance(v, tuple) else v for k, v in TINY.as_dict().items()}
    assert StyleKernelConfig.from_dict(told) == TINY


def test_live_is_small_enough_to_release() -> None:
    assert sum(p.numel() for p in sk.build("live", 0).parameters()) * 2 < 8_000_000
