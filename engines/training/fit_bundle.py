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
from engines.training.data import SIDE_PX
from engines.training.features import load_loss_network
from engines.training.fit import fit_style, way_of
from engines.training.winograd import quicken

MOST_MEASURED = 16  # photos that the loss network is scaled on
FITTED = "fitted_steps"  # of a style's `extra`: it is fitted, in so many steps
Image = NDArray[np.uint8]


class StyleFitter:
    """Fits styles of one bundle's network to pictures (Dumoulin et al. 2016, sec. 3.3)."""

    def __init__(self, bundle: Bundle, photos: Sequence[Image]) -> None:
        """photos: RGB uint8 (h, w, 3), of any sizes; what is painted while a style learns.

        Raises BundleError (one style in its weights), InputError (the loss network cannot be had).
        """
        if bundle.takes == "one":
            raise BundleError(f"{bundle.name} has its one style in its weights; fit to a model that takes several")
        self._bundle = bundle
        self._net = load_network(bundle)
        self._net.requires_grad_(requires_grad=False)
        self._photos = torch.cat([middle(photo) for photo in photos])
        self._network = load_loss_network(way_of(self._net).loss_network)
        self._network.calibrate(self._photos[:MOST_MEASURED])
        quicken(self._network)

    def fit(
        self,
        picture: Image,
        name: str,
        *,
        steps: int,
        seed: int = 0,
        tell: Callable[[float], object] | None = None,
    ) -> Style:
        """The style of a picture, RGB uint8 (h, w, 3) of any size.

        tell: called with the loss of every step. Raises StyleError (did not converge).
        """
        fitted = fit_style(self._net, scaled(picture), self._photos, steps, network=self._network, seed=seed, tell=tell)
        arrays = {key: value.cpu().numpy().astype(np.float32) for key, value in fitted.items()}
        told = {FITTED: str(steps)}
        style = Style(name, arrays, thumbnail_of(picture), self._bundle.id, title=name, extra=told)
        check_finite(style, f"the fitted style {name!r}")
        self._bundle.check_style(style)
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
