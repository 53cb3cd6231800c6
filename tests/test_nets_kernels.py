"""The paper's parts against plain references."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from engines.nets.config import StyleKernelConfig
from engines.nets.kernels import (
    ContentGatingModulation,
    GroupedShuffle,
    StyleAlignmentEncoding,
    StyleKernelGeneration,
    dynamic_convolution,
)


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
    torch.testing.assert_close(dynamic_convolution(x, vertical, horizontal), expected)


def test_dynamic_convolution_in_one_direction() -> None:
    x, gain = torch.randn(1, 4, 3, 3), torch.randn(1, 1, 2, 3, 3)
    torch.testing.assert_close(dynamic_convolution(x, gain, None), place_by_place(x, gain, None))


def test_grouped_shuffle_is_undone_by_its_inverse() -> None:
    x = torch.randn(2, 12, 3, 3)
    shuffled = GroupedShuffle(12, 4)(x)
    assert not torch.equal(shuffled, x)
    # Dealing 12 channels from 4 groups of 3 is undone by dealing from 3 groups of 4.
    assert torch.equal(GroupedShuffle(12, 3)(shuffled), x)


def test_grouped_shuffle_brings_groups_together() -> None:
    channels = torch.arange(8.0).reshape(1, 8, 1, 1)
    assert GroupedShuffle(8, 2)(channels).flatten().tolist() == [0, 4, 1, 5, 2, 6, 3, 7]


def test_grouped_shuffle_wants_a_divisor() -> None:
    with pytest.raises(ValueError, match="divisor"):
        GroupedShuffle(10, 4)


def test_sae_rows_sum_to_one_and_find_the_equal_key() -> None:
    sae = StyleAlignmentEncoding(4, 4)
    with torch.no_grad():
        sae.query.weight.copy_(torch.eye(4).reshape(4, 4, 1, 1) * 50)
        assert sae.query.bias is not None
        sae.query.bias.zero_()
    content = torch.eye(4).reshape(1, 4, 2, 2)  # place i is the unit vector i
    attention = sae(content, torch.eye(4)[None])
    torch.testing.assert_close(attention.sum(2), torch.ones(1, 4))
    assert attention[0].argmax(1).tolist() == [0, 1, 2, 3]


def test_cgm_removes_exactly_what_is_under_the_threshold() -> None:
    cgm = ContentGatingModulation(3)
    content = torch.randn(1, 3, 2, 2) * 2
    attention = torch.softmax(torch.randn(1, 4, 10) * 3, 2)
    threshold = torch.sigmoid(cgm.threshold(content)).flatten(2).transpose(1, 2) / 10
    gated = cgm(attention, content)
    assert torch.equal(gated == 0, attention <= threshold)
    assert (gated == 0).any() and (gated > 0).any()


def test_cgm_keeps_the_sum_of_the_weights() -> None:
    cgm = ContentGatingModulation(3)
    attention = torch.softmax(torch.randn(2, 6, 10), 2)
    uniform = torch.full((2, 6, 10), 0.1)  # the hardest case: every weight is as small as the largest can be
    for weights in (attention, uniform):
        torch.testing.assert_close(cgm(weights, torch.randn(2, 3, 2, 3)).sum(2), torch.ones(2, 6), atol=1e-5, rtol=0)


def test_attention_in_chunks_of_places_is_the_same() -> None:
    sae, cgm = StyleAlignmentEncoding(4, 4), ContentGatingModulation(4)
    content, keys = torch.randn(1, 4, 4, 4), torch.randn(1, 4, 9)
    whole = cgm(sae(content, keys), content)
    parts = [cgm(sae(rows, keys), rows) for rows in content.split(1, dim=2)]
    torch.testing.assert_close(torch.cat(parts, 1), whole)


def test_kernels_start_as_the_identity() -> None:
    skg = StyleKernelGeneration(StyleKernelConfig(widths=(8, 8, 16), hidden_width=16, groups4=4, groups8=4))
    with torch.no_grad():
        skg.kernels.weight.zero_()
        skg.kernels4.weight.zero_()
    kernels = skg(torch.randn(1, 16, 3, 4), torch.randn(1, 16, 3, 4), torch.zeros(1, 16))
    x = torch.randn(1, 16, 3, 4)
    assert torch.equal(dynamic_convolution(x, kernels.vertical8, kernels.horizontal8), x)
    y = torch.randn(1, 8, 6, 8)
    assert torch.equal(dynamic_convolution(y, *skg.split4(kernels.both4)), y)
    assert torch.equal(kernels.bias8, torch.zeros(1, 16, 3, 4))
