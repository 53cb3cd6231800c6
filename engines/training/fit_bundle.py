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
from engines.training.features import calibrated
from engines.training.fit import fit_style, losses_of, start_of, way_of
from engines.training.winograd import quicken

MOST_MEASURED = 16  # photos that the loss network is scaled on
MOST_CHECKED = 8  # photos that a fitted style is compared with its start on
# Of a style's `extra`: it is fitted, in so many steps; its start's loss and its own on photos that were put aside.
FITTED, BEFORE, AFTER = "fitted_steps", "loss_before", "loss_after"
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
        squares = torch.cat([middle(photo) for photo in photos])
        apart = MOST_CHECKED if len(squares) >= 2 * MOST_CHECKED else 0  # with few photos, all are learned on
        self._photos, self._checked = squares[apart:], squares[: apart or None]
        self._network = calibrated(way_of(self._net).loss_network, self._photos[:MOST_MEASURED])
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

        Its `extra` tells the losses of BEFORE and AFTER, on photos that were put aside (on all of them, of fewer than
        twice MOST_CHECKED): noise in some steps can lead away from a picture that was met well, so the better of the
        two is given. tell: called with the loss of every step. Raises StyleError (did not converge).
        """
        net, network, image = self._net, self._network, scaled(picture)
        fitted = fit_style(net, image, self._photos, steps, network=network, seed=seed, tell=tell)
        start = start_of(net, image)
        before, after = losses_of(net, image, self._checked, (start, fitted), network=network, seed=seed)
        if after >= before:
            fitted, after = start, before
        arrays = {key: value.cpu().numpy().astype(np.float32) for key, value in fitted.items()}
        told = {FITTED: str(steps), BEFORE: f"{before:.4g}", AFTER: f"{after:.4g}"}
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
