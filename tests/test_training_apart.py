"""Styles moved apart: further from the mean of all, and nothing else."""

from __future__ import annotations

import pytest
import torch

from engines.nets import style_kernel
from engines.nets.config import StyleKernelConfig
from engines.nets.style_kernel import build
from engines.training.apart import TOLD, move_apart

TINY = StyleKernelConfig(
    widths=(4, 8, 8), style_levels=2, style_width=8, encoder_blocks=1, style_blocks=1, key_width=8, code_width=12,
    hidden_width=12, grid=4, groups4=2, groups8=4, shuffle_groups=2, banks=(4,),
)  # fmt: skip


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(style_kernel, "STYLE_SIDE_PX", 64)
    torch.manual_seed(0)


def test_styles_are_so_many_times_as_far_from_their_mean() -> None:
    net = build(TINY, 0).requires_grad_(requires_grad=False)
    pictures = torch.rand(5, 3, 48, 48) * torch.rand(5, 3, 1, 1)
    before = net.encode_style(pictures)
    move_apart(net, pictures.split(2), 1.5)
    after = net.encode_style(pictures)
    for name in TOLD:
        mean = before[name].mean(0)
        assert before[name].std(0).max() > 1e-3
        torch.testing.assert_close(after[name].mean(0), mean, atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(after[name] - mean, 1.5 * (before[name] - mean), atol=1e-5, rtol=1e-3)
    assert all(torch.equal(after[name], before[name]) for name in before if name not in TOLD)
