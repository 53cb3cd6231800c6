"""Published weights come into the frozen parts, with their batch normalisations folded."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engines.errors import InputError
from engines.nets.adain import AdainConfig, AdainNet
from engines.nets.efficientnet import STAGES, EfficientNetLite
from engines.nets.vgg import Vgg16
from engines.training import pretrained


def published() -> dict[str, Tensor]:
    """Random weights under the published names."""
    torch.manual_seed(0)
    state: dict[str, Tensor] = {}

    def layer(conv: str, norm: str, shape: tuple[int, ...]) -> None:
        state[f"{conv}.weight"] = 0.2 * torch.randn(shape)
        state[f"{norm}.weight"], state[f"{norm}.bias"] = torch.rand(shape[0]) + 0.5, torch.randn(shape[0])
        state[f"{norm}.running_mean"], state[f"{norm}.running_var"] = torch.randn(shape[0]), torch.rand(shape[0]) + 0.1

    layer("_conv_stem", "_bn0", (32, 3, 3, 3))
    inputs, number = 32, 0
    for count, kernel, _, expansion, outputs in STAGES:
        for _ in range(count):
            name, inner = f"_blocks.{number}", inputs * expansion
            if expansion > 1:
                layer(f"{name}._expand_conv", f"{name}._bn0", (inner, inputs, 1, 1))
            layer(f"{name}._depthwise_conv", f"{name}._bn1", (inner, 1, kernel, kernel))
            layer(f"{name}._project_conv", f"{name}._bn2", (outputs, inner, 1, 1))
            inputs, number = outputs, number + 1
    return state


def test_normalisations_are_folded_into_the_convolutions(tmp_path: Path) -> None:
    state, net = published(), EfficientNetLite()
    torch.save(state, tmp_path / "weights.pth")
    pretrained.load_lite0(net, tmp_path / "weights.pth")

    def norm(x: Tensor, name: str) -> Tensor:
        mean, var = state[f"{name}.running_mean"], state[f"{name}.running_var"]
        return F.batch_norm(x, mean, var, state[f"{name}.weight"], state[f"{name}.bias"], eps=1e-3)

    picture = torch.rand(1, 3, 32, 48)
    x = F.pad((picture * 255 - 127) / 128, (0, 1, 0, 1))  # TensorFlow's "same" of an even side
    x = F.relu6(norm(F.conv2d(x, state["_conv_stem.weight"], stride=2), "_bn0"))
    x = F.relu6(norm(F.conv2d(x, state["_blocks.0._depthwise_conv.weight"], padding=1, groups=32), "_blocks.0._bn1"))
    x = norm(F.conv2d(x, state["_blocks.0._project_conv.weight"]), "_blocks.0._bn2")
    maps = net(picture)
    torch.testing.assert_close(maps[0], x, atol=1e-3, rtol=1e-3)
    assert [tuple(m.shape[1:]) for m in maps] == [(16, 16, 24), (24, 8, 12), (40, 4, 6), (80, 2, 3), (112, 2, 3)]


@pytest.mark.parametrize("content", [{"weights": torch.zeros(3)}, {}])
def test_other_weights_are_refused(content: dict[str, Tensor], tmp_path: Path) -> None:
    torch.save(content, tmp_path / "other.pth")
    with pytest.raises(InputError, match="does not hold EfficientNet-Lite0"):
        pretrained.load_lite0(EfficientNetLite(), tmp_path / "other.pth")


def test_an_encoder_takes_the_loss_networks_layers() -> None:
    vgg, net = Vgg16(), AdainNet(AdainConfig(widths=(8, 4)))
    pretrained.fill_frozen(net, vgg)
    first, other = net.vgg.vgg.convs["conv3_1"], vgg.convs["conv3_1"]
    assert isinstance(first, nn.Conv2d) and isinstance(other, nn.Conv2d)
    assert torch.equal(first.weight, other.weight)
    assert not any(p.requires_grad for p in net.vgg.parameters())


def test_a_network_without_frozen_parts_is_left_as_it_is() -> None:
    net = nn.Conv2d(3, 3, 1)
    before = net.weight.clone()
    pretrained.fill_frozen(net, Vgg16())
    assert torch.equal(net.weight, before)
