"""VGG's convolutions (Simonyan & Zisserman 2014) up to relu5_1: what encodes styles, and the loss networks."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# Convolutions of each block of VGG-16 up to relu5_1; a 2x2 maximum stands between the blocks.
BLOCKS = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512,))
DEEPER = (3, 4)  # blocks that have one more in VGG-19
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
        for b, widths in enumerate(self.all_blocks()[:blocks], start=1):
            for c, width in enumerate(widths, start=1):
                self.convs[f"conv{b}_{c}"] = nn.Conv2d(inputs, width, 3, padding=1)
                inputs = width
        self.register_buffer("mean", torch.tensor(MEAN).reshape(1, 3, 1, 1), persistent=False)
        self.mean: Tensor

    @staticmethod
    def all_blocks() -> tuple[tuple[int, ...], ...]:
        """Widths of the convolutions, block by block."""
        return BLOCKS

    def forward(
        self, image: Tensor, levels: int | None = None, *, endless_from: str | None = None
    ) -> dict[str, Tensor]:
        """(n, 3, h, w) in 0..1 -> relu1_1 (n, 64, h, w) ... relu5_1 (n, 512, h/16, w/16): the first of each block

        levels: stop at relu{levels}_1; None: as far as there are layers. endless_from: the layer from which on the edge
        is repeated where there would be zeros around the picture ("conv1_1": in all); None: nowhere.
        """
        x = (image - self.mean) * 255
        features = {}
        for name, conv in self.convs.items():
            assert isinstance(conv, nn.Conv2d)  # a ModuleDict does not tell
            if name.endswith("_1") and name != "conv1_1":
                x = F.max_pool2d(x, 2)
            if endless_from and name >= endless_from:
                x = F.relu(F.conv2d(F.pad(x, (1, 1, 1, 1), mode="replicate"), conv.weight, conv.bias))
            else:
                x = F.relu(conv(x))
            if name.endswith("_1"):
                features[name.replace("conv", "relu")] = x
                if len(features) == levels:
                    break
        return features


class Vgg19(Vgg16):
    """The convolutions of VGG-19: one more in the third and in the fourth block."""

    @staticmethod
    def all_blocks() -> tuple[tuple[int, ...], ...]:
        """Widths of the convolutions, block by block."""
        return tuple((*widths, widths[-1]) if number in DEEPER else widths for number, widths in enumerate(BLOCKS, 1))


class VggEncoder(nn.Module):
    """Frozen relu1_1 .. relu{levels}_1: what the style side sees of a picture, and the frame side of `studio`.

    A new one has random weights: training puts the loss network's into it (`copy_from`).
    """

    def __init__(self, levels: int) -> None:
        super().__init__()
        self.widths = tuple(widths[0] for widths in BLOCKS[:levels])
        self.vgg = Vgg16(blocks=levels)
        for c in range(2, len(BLOCKS[levels - 1]) + 1):
            del self.vgg.convs[f"conv{levels}_{c}"]
        self.requires_grad_(False)

    def copy_from(self, vgg: Vgg16) -> None:
        """Take over the convolutions of `vgg`."""
        for name, conv in self.vgg.convs.items():
            conv.load_state_dict(vgg.convs[name].state_dict())

    def forward(self, picture: Tensor, levels: int | None = None, *, endless_from: str | None = None) -> list[Tensor]:
        """(n, 3, h, w) in 0..1 -> relu1_1 (n, 64, h, w), relu2_1 (n, 128, h/2, w/2), ..., the deepest last

        levels: stop at relu{levels}_1; None: give all. endless_from: see `Vgg16`.
        """
        return list(self.vgg(picture, levels, endless_from=endless_from).values())
