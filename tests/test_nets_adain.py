"""AdaIN itself, worked by hand, and its strength."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from engines.nets import adain as adain_module
from engines.nets.adain import AdainConfig, AdainNet, adain, unpadded
from engines.nets.guidance import pad_frame


def test_features_take_the_styles_mean_and_deviation() -> None:
    content = torch.tensor([[[[1.0, 3.0], [1.0, 3.0]]]])  # mean 2, deviation 1
    found = adain(content, torch.tensor([[10.0]]), torch.tensor([[4.0]]))
    torch.testing.assert_close(found, torch.tensor([[[[6.0, 14.0], [6.0, 14.0]]]]), atol=1e-3, rtol=0)


def test_a_style_is_its_features_mean_and_deviation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adain_module, "STYLE_SIDE_PX", 32)
    net, picture = AdainNet(AdainConfig(widths=(8, 4))), torch.rand(1, 3, 32, 32)
    levels = net.vgg(picture, endless_from="conv1_1")
    style, features = net.encode_style(picture), torch.cat([F.avg_pool2d(levels[0], 4), levels[-1]], 1)
    torch.testing.assert_close(style["mean"], features.mean((2, 3)), atol=1e-3, rtol=1e-3)
    deviation = (features.var((2, 3), correction=0) + 1e-5).sqrt()
    torch.testing.assert_close(style["deviation"], deviation, atol=1e-3, rtol=1e-3)


def test_without_strength_the_style_does_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adain_module, "STYLE_SIDE_PX", 32)
    net, frame = AdainNet(AdainConfig(widths=(8, 4))).eval(), torch.rand(1, 3, 32, 32)
    one, other = (net.encode_style(torch.rand(1, 3, 40, 40) * bright) for bright in (1.0, 0.3))
    with torch.no_grad():
        torch.testing.assert_close(net(frame, one, strength=0.0), net(frame, other, strength=0.0))
        assert (net(frame, one) - net(frame, other)).abs().max() > 1e-4
        none, half, whole = (net(frame, one, strength=strength) for strength in (0.0, 0.5, 1.0))
    assert 0 < (half - none).abs().mean() < (whole - none).abs().mean()


def test_the_padding_is_taken_off_again() -> None:
    frame = torch.rand(1, 3, 21, 34)
    assert torch.equal(unpadded(pad_frame(frame), (21, 34), 1), frame)
    assert unpadded(pad_frame(frame)[:, :, ::4, ::4], (21, 34), 4).shape == (1, 3, 6, 9)
