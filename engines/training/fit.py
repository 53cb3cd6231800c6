"""A new style for a network that is trained already: only the style's tensors learn, the network stays as it is."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from engines.nets.catalogue import StyleNet
from engines.nets.cin import CinNet
from engines.nets.style_kernel import MEASURED_TENSORS
from engines.training import losses
from engines.training.data import random_crops
from engines.training.features import LAYERS
from engines.training.metrics import FeatureNetwork
from engines.training.recipes import RECIPES
from engines.training.targets import CONTENT_LAYERS, GRAM_LAYERS

CROP_PX, BATCH = 128, 2
WEIGHTS = RECIPES["cin"].weights  # fitted as it would have been trained


def fit_style(
    net: StyleNet,
    picture: Tensor,
    photos: Tensor,
    steps: int,
    *,
    network: FeatureNetwork,
    rate: float = 0.02,
    seed: int = 0,
    tell: Callable[[float], object] | None = None,
) -> dict[str, Tensor]:
    """The style's tensors for a picture, (1, ...) each (Dumoulin et al. 2016, sec. 3.3: by the vector alone).

    They start as the mean of the known styles (`CinNet`), or as what the network tells of the picture; what is measured
    of the picture (`style_kernel.MEASURED_TENSORS`) is no matter of fitting. picture:
    (1, 3, h, w), photos: (n, 3, h, w), both in 0..1, sides from 128 px; network: the loss network. tell: called with
    the loss of every step. `net` is left as it was, its gradients included. Raises ValueError: nothing to fit.
    """
    with torch.no_grad():
        start = net.mean_style() if isinstance(net, CinNet) else net.encode_style(picture)
        wanted = network(picture)
        moments = {k: losses.moments(wanted[k]) for k in LAYERS}
        grams = {k: losses.gram(wanted[k].float()) for k in GRAM_LAYERS}
    if not start:
        raise ValueError(f"{type(net).__name__} has its style in its weights; train another network for another style")
    style = {name: value.detach().clone() for name, value in start.items()}
    learned = [value.requires_grad_(True) for name, value in style.items() if name not in MEASURED_TENSORS]
    optimiser = torch.optim.Adam(learned, lr=rate, betas=(0.9, 0.99))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for step in range(steps):
            for group in optimiser.param_groups:
                group["lr"] = rate * (1 - step / steps)
            crops = random_crops(photos[torch.randint(len(photos), (BATCH,))], CROP_PX)
            painted = net(crops, {name: value.expand(BATCH, *value.shape[1:]) for name, value in style.items()})
            with torch.no_grad():
                photo = network(crops)
            raw = network(painted)
            seen = {k: raw[k].float() for k in {*CONTENT_LAYERS, *GRAM_LAYERS}}
            terms = {
                "content": _mean([losses.content(seen[k], photo[k].float()) for k in CONTENT_LAYERS]),
                "style": _mean([losses.style_moments(losses.moments(raw[k]), moments[k]) for k in LAYERS]),
                "gram": _mean([losses.style_gram(seen[k], grams[k]) for k in GRAM_LAYERS]),
                "variation": losses.total_variation(painted),
            }
            loss = torch.stack([WEIGHTS[name] * value for name, value in terms.items()]).sum()
            # Not `backward`: that would leave gradients in the network's own weights.
            gradients = torch.autograd.grad(loss, learned)
            for value, gradient in zip(learned, gradients, strict=True):
                value.grad = gradient
            optimiser.step()
            if tell is not None:
                tell(loss.item())
    return {name: value.detach() for name, value in style.items()}


def _mean(values: list[Tensor]) -> Tensor:
    return torch.stack(values).mean()
