"""A picture as a style of a bundle by fitting: minutes instead of a moment, and also where no picture is a style."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from engines.bundle import Bundle
from engines.errors import BundleError
from engines.pictures import thumbnail_of
from engines.styles import Style, check_finite
from engines.torch_eager import load_network
from engines.training.features import load_loss_network
from engines.training.fit import fit_style

SIDE_PX = 384  # of pictures in training, which sets the size of strokes
Image = NDArray[np.uint8]


def fit_bundle(
    bundle: Bundle,
    picture: Image,
    name: str,
    photos: Sequence[Image],
    *,
    steps: int,
    seed: int = 0,
    tell: Callable[[float], object] | None = None,
) -> Style:
    """Fit a style of the bundle's network to a picture (Dumoulin et al. 2016, sec. 3.3).

    picture, photos: RGB uint8 (h, w, 3), of any sizes; the photos are what is painted while it learns. tell: called
    with the loss of every step. Raises BundleError (baked, or one style in its weights), StyleError (did not converge).
    """
    if bundle.takes == "one":
        raise BundleError(f"{bundle.name} has its one style in its weights; fit to a model that takes several")
    net = load_network(bundle)
    net.requires_grad_(False)
    contents = torch.cat([middle(photo) for photo in photos])
    network = load_loss_network()
    network.calibrate(contents)
    tensors = fit_style(net, scaled(picture), contents, steps, network=network, seed=seed, tell=tell)
    arrays = {key: value.cpu().numpy().astype(np.float32) for key, value in tensors.items()}
    style = Style(name, arrays, thumbnail_of(picture), bundle.id, title=name, extra={"fitted_steps": str(steps)})
    check_finite(style, f"the fitted style {name!r}")
    bundle.check_style(style)
    return style


def scaled(picture: Image) -> Tensor:
    """RGB uint8 (h, w, 3) -> (1, 3, h', w') in 0..1, its shorter side SIDE_PX"""
    image = torch.tensor(picture).permute(2, 0, 1)[None].float() / 255
    share = SIDE_PX / min(picture.shape[:2])
    size = [max(SIDE_PX, round(side * share)) for side in picture.shape[:2]]
    return F.interpolate(image, size, mode="bilinear", antialias=True, align_corners=False)


def middle(photo: Image) -> Tensor:
    """RGB uint8 (h, w, 3) -> its middle square, (1, 3, SIDE_PX, SIDE_PX) in 0..1"""
    image = scaled(photo)
    top, left = ((side - SIDE_PX) // 2 for side in image.shape[2:])
    return image[:, :, top : top + SIDE_PX, left : left + SIDE_PX]
