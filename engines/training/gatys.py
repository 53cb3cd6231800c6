"""Style transfer by optimisation, pixel by pixel: slow, and the yardstick of what the losses can ask for."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from engines.training.gatys_loss import Parts, Wanted
from engines.training.gatys_recipe import PAINTING, Recipe
from engines.training.metrics import FeatureNetwork

_LEAST_STYLE_PX = 16  # of a style's shorter side at a coarse size: less has no place in relu5_1
_HISTORY = 20  # of L-BFGS: pairs of pictures
_NOISE = 0.15  # deviation around middle grey
_LAST_RATE = 0.1  # of Adam's, at the end of a size


@dataclass(frozen=True, slots=True)
class Step:
    """After one evaluation of the loss. number: from 1, over all sizes.

    best: float32 (1, c, h, w), any values, the painting of the least loss at the size that is being painted.
    parts: its loss.
    """

    number: int
    parts: Parts
    best: Tensor


def optimise(
    network: FeatureNetwork,
    photo: Tensor,
    style: Tensor,
    *,
    steps: int,
    style_weight: float = 30.0,
    tell: Callable[[], object] | None = None,
) -> Tensor:
    """The yardstick: `paint` with one style, its first size the half, from the photo, by L-BFGS, and no more choices.

    photo, style: float32 (1, 3, h, w) RGB 0..1, sides from 32 px, of any two sizes; the network takes both.
    steps: evaluations of the loss. tell: called after each. Returns float32 (1, 3, h, w) in 0..1.
    """
    recipe = Recipe(steps=steps, style_weight=style_weight)
    return paint(network, photo, [(style, 1.0)], recipe, tell=None if tell is None else lambda _: tell())


def paint(
    network: FeatureNetwork,
    photo: Tensor,
    styles: Sequence[tuple[Tensor, float]],
    recipe: Recipe,
    *,
    first: Tensor | None = None,
    tell: Callable[[Step], object] | None = None,
) -> Tensor:
    """Gatys et al. 2015 (A Neural Algorithm of Artistic Style): a picture with the content of one, the style of others.

    The loss is the content's distance plus `recipe.style_weight` times the distance of the Gram matrices, means over
    the layers by their shares, each relative to its target's size; several styles give the mean of their Gram matrices.
    Sizes are painted from coarse to fine, each from the one before (Gatys et al. 2017, Controlling Perceptual Factors
    in Neural Style Transfer, sec. 5).

    photo: float32 (1, 3, h, w) RGB 0..1, or (1, 1, h, w), which is painted in grey. styles: the same kind, each with
    its weight above 0, at the sizes at which they are to be seen in a painting of the photo's size.
    first: of the photo's shape, the painting that a recipe which starts with one begins with; for others None.
    tell: called after every evaluation, from this thread; what it raises ends the painting.
    Returns float32 of the photo's shape in 0..1: the best that was found, not the last. Raises ValueError: `first` is
    missing, or given to another start.
    """
    total = sum(weight for _, weight in styles)
    if (first is not None) != (recipe.start == PAINTING):
        raise ValueError(f"start is {recipe.start!r}; a first painting is for {PAINTING!r}, which needs one")
    painting, done = photo if first is None else first, 0
    for scale, steps in _steps(recipe):
        small_photo = _scaled(photo, scale)
        small_styles = [(_scaled(style, _style_scale(style, scale)), weight / total) for style, weight in styles]
        if done == 0 and recipe.start == "noise":
            start = _noise(small_photo, recipe.seed)
        else:
            start = F.interpolate(painting, small_photo.shape[2:], mode="bicubic", align_corners=False)
        own = replace(recipe, steps=steps)
        wanted = Wanted(network, small_photo, small_styles, own)
        seeker = _Seeker(wanted, start, own, done, tell)
        (_by_adam if recipe.optimiser == "adam" else _by_lbfgs)(seeker, own)
        painting, done = seeker.best.clamp(0, 1), done + steps
    return painting


def _steps(recipe: Recipe) -> list[tuple[float, int]]:
    """The sizes with their steps, which sum to the recipe's; one or more at the last size, and none without any."""
    found, part, done = [], 0.0, 0
    for scale, share in recipe.scales[:-1]:
        part += share
        steps = min(round(part * recipe.steps), recipe.steps - 1) - done
        if steps > 0:
            found.append((scale, steps))
            done += steps
    return [*found, (1.0, recipe.steps - done)]


class _Seeker:
    """The painting of one size on its way: what an optimiser moves, and the best place it came by."""

    def __init__(
        self, wanted: Wanted, start: Tensor, recipe: Recipe, before: int, tell: Callable[[Step], object] | None
    ) -> None:
        self.painting = start.clone().requires_grad_(True)
        self.best = start
        self._least = Parts(math.inf, math.inf, math.inf)
        self._wanted, self._recipe, self._tell = wanted, recipe, tell
        self._before, self._count = before, 0

    def judge(self) -> float:
        """The loss; its gradient is in painting.grad."""
        self.painting.grad = None
        parts = self._wanted.judge(self.painting)
        self._count += 1
        if parts.loss < self._least.loss:
            self._least, self.best = parts, self.painting.detach().clone()
        # A line search may end a few evaluations later than it should: those are not counted.
        if self._tell is not None and self._count <= self._recipe.steps:
            self._tell(Step(self._before + self._count, self._least, self.best))
        return parts.loss


def _by_lbfgs(seeker: _Seeker, recipe: Recipe) -> None:
    optimiser = torch.optim.LBFGS(
        [seeker.painting],
        max_iter=recipe.steps,
        max_eval=recipe.steps,
        tolerance_grad=0.0,
        tolerance_change=0.0,
        history_size=_HISTORY,
        line_search_fn="strong_wolfe",
    )
    optimiser.step(seeker.judge)  # type: ignore[no-untyped-call]


def _by_adam(seeker: _Seeker, recipe: Recipe) -> None:
    optimiser = torch.optim.Adam([seeker.painting], lr=recipe.rate)
    for step in range(recipe.steps):
        seeker.judge()
        for group in optimiser.param_groups:
            group["lr"] = recipe.rate * _LAST_RATE ** (step / recipe.steps)
        optimiser.step()
        with torch.no_grad():
            seeker.painting.clamp_(0, 1)


def _noise(photo: Tensor, seed: int) -> Tensor:
    """Made on the CPU, so that a seed gives the same on every device."""
    generator = torch.Generator().manual_seed(seed)
    return (0.5 + _NOISE * torch.randn(photo.shape, generator=generator)).clamp(0, 1).to(photo.device)


def _style_scale(style: Tensor, scale: float) -> float:
    return max(scale, min(1.0, _LEAST_STYLE_PX / min(style.shape[2:])))


def _scaled(image: Tensor, scale: float) -> Tensor:
    size = [max(1, round(side * scale)) for side in image.shape[2:]]
    return F.interpolate(image, size, mode="bilinear", antialias=True, align_corners=False)
