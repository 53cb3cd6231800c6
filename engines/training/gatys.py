"""Style transfer by optimisation, pixel by pixel: slow, and the yardstick of what the losses can ask for."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from engines.training import losses
from engines.training.features import LAYERS
from engines.training.metrics import FeatureNetwork

CONTENT_LAYER = "relu4_1"
_SHARES = ((0.5, 0.5), (1.0, 0.5))  # sizes that are painted one after the other, with their shares of the steps


def optimise(
    network: FeatureNetwork,
    photo: Tensor,
    style: Tensor,
    *,
    steps: int,
    style_weight: float = 30.0,
    tell: Callable[[], object] | None = None,
) -> Tensor:
    """Gatys et al. 2015 (A Neural Algorithm of Artistic Style): L-BFGS on the picture itself, from the photo.

    The loss is the content's distance at relu4_1 plus `style_weight` times the mean distance of the Gram matrices of
    relu1_1 .. relu5_1, each relative to its target's size. Half of the steps paint at half the size, which brings
    colours and large strokes (Gatys et al. 2017, Controlling Perceptual Factors in Neural Style Transfer, sec. 5).

    photo, style: float32 (1, 3, h, w) RGB 0..1, sides from 32 px, of any two sizes; the network takes both.
    steps: evaluations of the loss. tell: called after each. Returns float32 (1, 3, h, w) in 0..1.
    """
    painting = photo
    for scale, share in _SHARES:
        small_photo, small_style = _scaled(photo, scale), _scaled(style, scale)
        start = F.interpolate(painting, small_photo.shape[2:], mode="bicubic", align_corners=False)
        painting = _descend(network, start, small_photo, small_style, max(1, round(share * steps)), style_weight, tell)
    return painting


def _descend(
    network: FeatureNetwork,
    start: Tensor,
    photo: Tensor,
    style: Tensor,
    steps: int,
    style_weight: float,
    tell: Callable[[], object] | None,
) -> Tensor:
    with torch.no_grad():
        content = network(photo)[CONTENT_LAYER]
        grams = {layer: losses.gram(found) for layer, found in network(style).items() if layer in LAYERS}
    painting = start.clone().requires_grad_(True)
    optimiser = torch.optim.LBFGS(
        [painting],
        max_iter=steps,
        max_eval=steps,
        tolerance_grad=0.0,
        tolerance_change=0.0,
        history_size=20,
        line_search_fn="strong_wolfe",
    )

    def closure() -> Tensor:
        optimiser.zero_grad()
        found = network(painting)
        strokes = [losses.style_gram(found[layer], gram) for layer, gram in grams.items()]
        loss = losses.relative(found[CONTENT_LAYER], content) + style_weight * torch.stack(strokes).mean()
        loss.backward()  # type: ignore[no-untyped-call]
        if tell is not None:
            tell()
        return loss

    optimiser.step(closure)  # type: ignore[no-untyped-call]
    return painting.detach().clamp(0, 1)


def _scaled(image: Tensor, scale: float) -> Tensor:
    size = [max(1, round(side * scale)) for side in image.shape[2:]]
    return F.interpolate(image, size, mode="bilinear", antialias=True, align_corners=False)
