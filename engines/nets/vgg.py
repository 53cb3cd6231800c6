"""VGG-16's convolutions (Simonyan & Zisserman 2014) up to relu5_1: the encoder of `studio`, and the loss network."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# Convolutions of each block up to relu5_1; a 2x2 maximum stands between the blocks.
BLOCKS = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512,))
# Mean of R, G, B in 0..1 that is taken off the picture (Caffe's means of ImageNet).
MEAN = (122.679 / 255, 116.669 / 255, 104.007 / 255)


class Vgg16(nn.Module):
    """The convolutions of VGG-16 for RGB pictures in 0..1, up to a chosen block.

    The first layer's weights are for pictures in units of 0..255 with the mean taken off (as the published weights
    are); the scaling is done here.
    """

    def __init__(self, blocks: int = 5) -> None:
        super().__init__()
        self.convs = nn.ModuleDict()
        inputs = 3
        for b, widths in enumerate(BLOCKS[:blocks], start=1):
            for c, width in enumerate(widths, start=1):
                self.convs[f"conv{b}_{c}"] = nn.Conv2d(inputs, width, 3, padding=1)
                inputs = width
        self.register_buffer("mean", torch.tensor(MEAN).reshape(1, 3, 1, 1), persistent=False)
        self.mean: Tensor

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        """(n, 3, h, w) in 0..1 -> relu1_1 (n, 64, h, w) ... relu5_1 (n, 512, h/16, w/16): the first of each block"""
        x = (image - self.mean) * 255
        features = {}
        for name, conv in self.convs.items():
            if name.endswith("_1") and name != "conv1_1":
                x = F.max_pool2d(x, 2)
            x = F.relu(conv(x))
            if name.endswith("_1"):
                features[name.replace("conv", "relu")] = x
        return features


class VggEncoder(nn.Module):
    """The encoder of `studio`: relu3_1 (1/4) and relu4_1 (1/8) for frames, relu1_1..relu4_1 for styles."""

    widths = (64, 128, 256, 512)  # channels of relu1_1, relu2_1, relu3_1, relu4_1

    def __init__(self) -> None:
        super().__init__()
        self.vgg = Vgg16(blocks=4)
        for name in ("conv4_2", "conv4_3"):
            del self.vgg.convs[name]

    def levels(self, picture: Tensor) -> list[Tensor]:
        """(n, 3, h, w) in 0..1 -> relu1_1, relu2_1, relu3_1, relu4_1"""
        return list(self.vgg(picture).values())

    def features(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """(n, 3, h, w) in 0..1 -> relu3_1 (n, 256, h/4, w/4), relu4_1 (n, 512, h/8, w/8)"""
        levels = self.levels(image)
        return levels[2], levels[3]
