"""Networks that judge paintings and are never trained with: the shift-tolerant ones of ST-LPIPS.

Ghildyal and Liu 2022 (Shift-tolerant Perceptual Similarity Metric) trained AlexNet and VGG-16 for LPIPS (Zhang et al.
2018, The Unreasonable Effectiveness of Deep Features as a Perceptual Metric) with anti-aliased down-sampling (Zhang
2019, Making Convolutional Networks Shift-Invariant Again). Their weights are in the wheel of `stlpips-pytorch` (BSD);
the networks are written here anew, because the package itself wants torchvision and IPython.

Their input is the picture in -1..1, less a mean, in units of a deviation, as in all LPIPS networks.
"""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engines.errors import InputError
from engines.nets import vgg
from engines.training.wheels import WheelMember

_PACKAGE = "stlpips-pytorch"
_FOLDER = "stlpips_pytorch/weights/vST0.0"
_VGG_SHA256 = "44597da68f49c1837c100ff52299050f274d102eb102e5837178c79be6f0e250"
_ALEX_SHA256 = "b356b382f96010f77d085ee8343ecd9fd322d0a56e8de2b2d0549fafcad8b9ee"
_SHIFT = (-0.030, -0.088, -0.188)
_SCALE = (0.458, 0.448, 0.450)
# Of AlexNet's five layers: inputs, outputs, kernel, padding.
_ALEX_LAYERS = ((3, 64, 11, 2), (64, 192, 5, 2), (192, 384, 3, 1), (384, 256, 3, 1), (256, 256, 3, 1))
# Where the first convolution of each block stands in the published list, in which every convolution takes two places
# (its ReLU is the other) and every pool, too (a maximum and a blur).
_VGG_STARTS = (0, 6, 12, 20, 28)
_ALEX_NAMES = ("net.slice1.0", "net.slice2.5", "net.slice3.9", "net.slice4.11", "net.slice5.13")


class ShiftTolerantVgg(nn.Module):
    """VGG-16 up to relu5_1 whose pools are a 2x2 maximum of stride 1 and a blur of stride 2."""

    def __init__(self) -> None:
        super().__init__()
        self.convs = nn.ModuleDict()
        inputs = 3
        for block, widths in enumerate(vgg.BLOCKS, start=1):
            for place, width in enumerate(widths, start=1):
                self.convs[f"conv{block}_{place}"] = nn.Conv2d(inputs, width, 3, padding=1)
                inputs = width
        _freeze(self)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """float32 (n, 3, h, w) RGB 0..1, h and w from 32 -> relu1_1 (n, 64, h, w), relu2_1 .. relu5_1"""
        x = _scaled(images)
        features = {}
        for name, conv in self.convs.items():
            first = name.endswith("_1")
            if first and name != "conv1_1":
                x = _blurred_half(F.max_pool2d(x, 2, stride=1))
            x = F.relu(conv(x))
            if first:
                features[name.replace("conv", "relu")] = x
        return features


class StLpips(nn.Module):
    """The ST-LPIPS distance with AlexNet: how different two pictures look, 0 = the same, above 0.7 = unrelated."""

    def __init__(self) -> None:
        super().__init__()
        self.convs = nn.ModuleList(nn.Conv2d(a, b, size, padding=p) for a, b, size, p in _ALEX_LAYERS)
        self.heads = nn.ModuleList(nn.Conv2d(width, 1, 1, bias=False) for _, width, _, _ in _ALEX_LAYERS)
        _freeze(self)

    def layers(self, images: Tensor) -> list[Tensor]:
        """float32 (n, 3, h, w) RGB 0..1, h and w from 64 -> five layers after their ReLU, each place of length 1."""
        x = _scaled(images)
        found: list[Tensor] = []
        for place, conv in enumerate(self.convs):
            if place in (1, 2):
                x = _blurred_half(F.max_pool2d(x, 3, stride=1))
            x = conv(x)
            # The first convolution has stride 1 here; the blur after it stands for half of AlexNet's stride of 4.
            x = F.relu(_blurred_half(x) if place == 0 else x)
            found.append(x / (x.square().sum(dim=1, keepdim=True).sqrt() + 1e-10))
        return found

    def between(self, one: list[Tensor], other: list[Tensor]) -> Tensor:
        """The distance of two pictures' `layers`: (n,), the weighted squared difference, averaged over the picture."""
        parts = [head((a - b).square()).mean(dim=(1, 2, 3)) for head, a, b in zip(self.heads, one, other, strict=True)]
        return torch.stack(parts).sum(dim=0)

    def forward(self, images: Tensor, others: Tensor) -> Tensor:
        """float32 (n, 3, h, w) RGB 0..1 of one size -> (n,)"""
        return self.between(self.layers(images), self.layers(others))


def load_held_back_vgg() -> ShiftTolerantVgg:
    """With the published weights. Raises InputError where they cannot be had."""
    state = _weights("vgg_shift_tolerant.pth", _VGG_SHA256)
    network = ShiftTolerantVgg()
    with torch.no_grad():
        for name, conv in network.convs.items():
            block, index = (int(part) for part in name.removeprefix("conv").split("_"))
            _fill(conv, state, f"net.slice{block}.{_VGG_STARTS[block - 1] + 2 * (index - 1)}")
    return network


def load_st_lpips() -> StLpips:
    """With the published weights. Raises InputError where they cannot be had."""
    state = _weights("alex_shift_tolerant.pth", _ALEX_SHA256)
    network = StLpips()
    with torch.no_grad():
        for number, (name, conv, head) in enumerate(zip(_ALEX_NAMES, network.convs, network.heads, strict=True)):
            _fill(conv, state, name)
            assert isinstance(head, nn.Conv2d)
            head.weight.copy_(_entry(state, f"lin{number}.model.1.weight"))
    return network


def _weights(name: str, sha256: str) -> dict[str, Tensor]:
    path: Path = WheelMember(_PACKAGE, f"{_FOLDER}/{name}", sha256, "the judging network's weights").path()
    state: dict[str, Tensor] = torch.load(path, weights_only=True, map_location="cpu")
    return state


def _fill(conv: nn.Module, state: dict[str, Tensor], name: str) -> None:
    assert isinstance(conv, nn.Conv2d) and conv.bias is not None
    conv.weight.copy_(_entry(state, f"{name}.weight"))
    conv.bias.copy_(_entry(state, f"{name}.bias"))


def _entry(state: dict[str, Tensor], name: str) -> Tensor:
    if name not in state:
        raise InputError(f"the weights of {_PACKAGE} have no {name}; another version is needed")
    return state[name]


def _scaled(images: Tensor) -> Tensor:
    shift, scale = (images.new_tensor(values).reshape(1, 3, 1, 1) for values in (_SHIFT, _SCALE))
    return (images * 2 - 1 - shift) / scale


def _blurred_half(x: Tensor) -> Tensor:
    """Blur by (1, 2, 1) / 4 along both axes and take every second place, after reflecting two more at each side."""
    channels = x.shape[1]
    row = x.new_tensor((0.25, 0.5, 0.25))
    kernel = (row[:, None] * row[None, :]).expand(channels, 1, 3, 3)
    return F.conv2d(F.pad(x, (2, 2, 2, 2), mode="reflect"), kernel, stride=2, groups=channels)


def _freeze(network: nn.Module) -> None:
    network.requires_grad_(False).eval()
