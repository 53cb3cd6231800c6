"""The paper's parts against plain references, and the promises of the whole network."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from engines.nets import style_kernel as sk
from engines.nets.blocks import DownConv, UpConv

TINY = sk.StyleKernelConfig(
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


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def place_by_place(x: Tensor, vertical: Tensor, horizontal: Tensor | None) -> Tensor:
    """Dynamic convolution as loops over places and channels."""

    def one_way(x: Tensor, kernels: Tensor, down: bool) -> Tensor:
        n, c, h, w = x.shape
        taps, groups = kernels.shape[1], kernels.shape[2]
        out = torch.zeros_like(x)
        for b in range(n):
            for j in range(c):
                for row in range(h):
                    for column in range(w):
                        for k in range(taps):
                            r = min(max(row + k - taps // 2, 0), h - 1) if down else row
                            s = column if down else min(max(column + k - taps // 2, 0), w - 1)
                            out[b, j, row, column] += x[b, j, r, s] * kernels[b, k, j % groups, row, column]
        return out

    y = one_way(x, vertical, down=True)
    return y if horizontal is None else one_way(y, horizontal, down=False)


@pytest.mark.parametrize(("taps", "groups"), [(3, 2), (5, 4), (3, 1), (1, 4)])
def test_dynamic_convolution_is_a_loop_over_places(taps: int, groups: int) -> None:
    x = torch.randn(2, 4, 5, 6)
    vertical, horizontal = torch.randn(2, 2, taps, groups, 5, 6)
    expected = place_by_place(x, vertical, horizontal)
    torch.testing.assert_close(sk.dynamic_convolution(x, vertical, horizontal), expected)


def test_dynamic_convolution_in_one_direction() -> None:
    x, gain = torch.randn(1, 4, 3, 3), torch.randn(1, 1, 2, 3, 3)
    torch.testing.assert_close(sk.dynamic_convolution(x, gain, None), place_by_place(x, gain, None))


def test_grouped_shuffle_is_undone_by_its_inverse() -> None:
    x = torch.randn(2, 12, 3, 3)
    shuffled = sk.GroupedShuffle(12, 4)(x)
    assert not torch.equal(shuffled, x)
    # Dealing 12 channels from 4 groups of 3 is undone by dealing from 3 groups of 4.
    assert torch.equal(sk.GroupedShuffle(12, 3)(shuffled), x)


def test_grouped_shuffle_brings_groups_together() -> None:
    channels = torch.arange(8.0).reshape(1, 8, 1, 1)
    assert sk.GroupedShuffle(8, 2)(channels).flatten().tolist() == [0, 4, 1, 5, 2, 6, 3, 7]


def test_grouped_shuffle_wants_a_divisor() -> None:
    with pytest.raises(ValueError, match="divisor"):
        sk.GroupedShuffle(10, 4)


def test_sae_rows_sum_to_one_and_find_the_equal_key() -> None:
    sae = sk.StyleAlignmentEncoding(4, 4)
    with torch.no_grad():
        sae.query.weight.copy_(torch.eye(4).reshape(4, 4, 1, 1) * 50)
        assert sae.query.bias is not None
        sae.query.bias.zero_()
    content = torch.eye(4).reshape(1, 4, 2, 2)  # place i is the unit vector i
    attention = sae(content, torch.eye(4)[None])
    torch.testing.assert_close(attention.sum(2), torch.ones(1, 4))
    assert attention[0].argmax(1).tolist() == [0, 1, 2, 3]


def test_cgm_removes_exactly_what_is_under_the_threshold() -> None:
    cgm = sk.ContentGatingModulation(3)
    content = torch.randn(1, 3, 2, 2) * 2
    attention = torch.softmax(torch.randn(1, 4, 10) * 3, 2)
    threshold = torch.sigmoid(cgm.threshold(content)).flatten(2).transpose(1, 2) / 10
    gated = cgm(attention, content)
    assert torch.equal(gated == 0, attention <= threshold)
    assert (gated == 0).any() and (gated > 0).any()


def test_cgm_keeps_the_sum_of_the_weights() -> None:
    cgm = sk.ContentGatingModulation(3)
    attention = torch.softmax(torch.randn(2, 6, 10), 2)
    uniform = torch.full((2, 6, 10), 0.1)  # the hardest case: every weight is as small as the largest can be
    for weights in (attention, uniform):
        torch.testing.assert_close(cgm(weights, torch.randn(2, 3, 2, 3)).sum(2), torch.ones(2, 6), atol=1e-5, rtol=0)


def test_attention_in_chunks_of_places_is_the_same() -> None:
    sae, cgm = sk.StyleAlignmentEncoding(4, 4), sk.ContentGatingModulation(4)
    content, keys = torch.randn(1, 4, 4, 4), torch.randn(1, 4, 9)
    whole = cgm(sae(content, keys), content)
    parts = [cgm(sae(rows, keys), rows) for rows in content.split(1, dim=2)]
    torch.testing.assert_close(torch.cat(parts, 1), whole)


def test_pooling_of_tokens_changes_their_number_alone() -> None:
    small = sk.build(TINY, 0).encode_style(torch.rand(1, 3, 40, 90))
    large = sk.build(TINY, 0).encode_style(torch.rand(1, 3, 500, 300))
    assert {k: v.shape for k, v in small.items()} == {k: v.shape for k, v in large.items()}
    assert small["keys"].shape[2] == small["values"].shape[1] == TINY.grid**2


def test_kernels_start_as_the_identity() -> None:
    skg = sk.StyleKernelGeneration(TINY)
    with torch.no_grad():
        skg.kernels.weight.zero_()
        skg.kernels4.weight.zero_()
    kernels = skg(torch.randn(1, 16, 3, 4), torch.randn(1, 16, 3, 4), torch.zeros(1, 16))
    x = torch.randn(1, 16, 3, 4)
    assert torch.equal(sk.dynamic_convolution(x, kernels.vertical8, kernels.horizontal8), x)
    y = torch.randn(1, 8, 6, 8)
    assert torch.equal(sk.dynamic_convolution(y, kernels.vertical4, kernels.horizontal4), y)
    assert torch.equal(kernels.bias8, torch.zeros(1, 16, 3, 4))


@pytest.mark.parametrize("config", [TINY, "studio"])
def test_gradients_flow_to_every_parameter(config: sk.StyleKernelConfig | str) -> None:
    net = sk.build(config, 0)
    net(torch.rand(2, 3, 64, 64), random_style(net, 2)).square().mean().backward()  # type: ignore[no-untyped-call]
    without = [n for n, p in net.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert [n for n in without if not n.startswith("vgg.")] == []
    assert not any(p.requires_grad for p in net.vgg.parameters())


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
    assert sk.StyleKernelConfig.from_dict(told) == TINY


def test_live_is_small_enough_to_release() -> None:
    assert sum(p.numel() for p in sk.build("live", 0).parameters()) * 2 < 4_000_000


def test_up_conv_is_bilinear_then_convolution() -> None:
    up = UpConv(3, 5)
    x = torch.randn(2, 3, 6, 7)
    wide = F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)
    expected = F.conv2d(wide, up.weight, up.bias, padding=1)
    inner = (slice(None), slice(None), slice(2, -2), slice(2, -2))  # the padding differs at the rim
    torch.testing.assert_close(up(x)[inner], expected[inner])


def test_down_conv_is_convolution_then_mean() -> None:
    down = DownConv(3, 5)
    x = torch.randn(2, 3, 8, 12)
    expected = F.avg_pool2d(F.conv2d(x, down.weight, down.bias, padding=1), 2)
    inner = (slice(None), slice(None), slice(1, -1), slice(1, -1))
    torch.testing.assert_close(down(x)[inner], expected[inner])
