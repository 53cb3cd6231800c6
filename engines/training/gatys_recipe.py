"""What can be chosen of Gatys' optimisation, in numbers and names; needs no torch."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from engines.api import MAX_SIDE_PX, MIN_SIDE_PX, RANGES
from engines.errors import InputError

# Layers of the loss network that content and style can be asked of: the first of each block of VGG.
LAYERS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")
LOSS_NETWORK = "vgg19"  # the usual one; that of "hed" draws outlines
OPTIMISERS = ("lbfgs", "adam")
PAINTING = "painting"
STARTS = ("photo", "noise", PAINTING)
MAX_STEPS = 100_000
CONTENT: Mapping[str, float] = MappingProxyType({"relu4_1": 1.0})
STYLE: Mapping[str, float] = MappingProxyType(dict.fromkeys(LAYERS, 1.0))
_COARSEST_PX = 96  # shorter side of the smallest painting: below, the deepest layer sees the whole picture at once
# A small painting costs little and decides what goes where: each size gets so many times the steps of the next larger.
_COARSE_SHARE = 1.5


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a picture is optimised (Gatys et al. 2015, A Neural Algorithm of Artistic Style).

    steps: evaluations of the loss, over all sizes. style_weight: of the style's loss beside the content's, which both
    are relative to their targets' sizes. total_variation: weight of the mean squared difference of neighbouring pixels.
    content, style: shares of the layers' losses; their sums do not matter. optimiser: "lbfgs", or "adam" with steps of
    `rate` at the start. start: what the first size begins with: the photo, noise (by `seed`) or a given painting.
    scales: sizes that are painted one after the other, with their shares of the steps; the last is the whole, 1.
    Raises InputError for what is not in its range.
    """

    steps: int = 300
    style_weight: float = 30.0
    total_variation: float = 0.0
    content: Mapping[str, float] = field(default_factory=lambda: CONTENT)
    style: Mapping[str, float] = field(default_factory=lambda: STYLE)
    optimiser: str = "lbfgs"
    rate: float = 0.02
    start: str = "photo"
    seed: int = 0
    scales: tuple[tuple[float, float], ...] = ((0.5, 0.5), (1.0, 0.5))

    def __post_init__(self) -> None:
        if not 1 <= self.steps <= MAX_STEPS:
            raise InputError(f"steps is {self.steps}; it must be a number from 1 to {MAX_STEPS:,}")
        for name in ("style_weight", "total_variation"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= 0):
                raise InputError(f"{name.replace('_', '-')} is {value:g}; it must be a number from 0")
        if not (math.isfinite(self.rate) and self.rate > 0):
            raise InputError(f"rate is {self.rate:g}; it must be a number above 0")
        for name, known in (("optimiser", OPTIMISERS), ("start", STARTS)):
            if getattr(self, name) not in known:
                raise InputError(f"no {name} {getattr(self, name)!r}; known are: {', '.join(known)}")
        for name in ("content", "style"):
            _check_layers(name, getattr(self, name))
        if not self.scales or self.scales[-1][0] != 1.0:
            raise InputError(f"scales are {self.scales}; the last must be 1")
        if not all(0 < number <= 1 for both in self.scales for number in both):
            raise InputError(f"scales are {self.scales}; sizes and shares of the steps must be above 0 and at most 1")


@dataclass(frozen=True, slots=True)
class Canvas:
    """How a picture is to be painted, beside its recipe.

    longest_px: of the longer side while it is optimised. stroke: size of the style's strokes relative to the painting:
    at 1 the style picture is seen with the painting's area. keep_colours: share of the photo's colours that is kept,
    0..1; at 1 only light and dark are optimised (Gatys et al. 2017, sec. 4.2, eq. 5: luminance-only transfer, with the
    style's light and dark brought to the photo's mean and deviation).
    """

    longest_px: int = 512
    stroke: float = 1.0
    keep_colours: float = 0.0

    def __post_init__(self) -> None:
        if not 1 <= self.longest_px <= MAX_SIDE_PX:
            raise InputError(f"longest-side is {self.longest_px}; it must be a number from 1 to {MAX_SIDE_PX}")
        for name in ("stroke", "keep_colours"):
            value, (least, most) = getattr(self, name), RANGES[name]
            if not least <= value <= most:
                told = name.replace("_", "-")
                raise InputError(f"{told} is {value:g}; it must be a number from {least:g} to {most:g}")


def painting_size(height: int, width: int, longest_px: int) -> tuple[int, int]:
    """Height and width at which a picture is optimised: never more than its own, its shorter side from 64 px."""
    scale = min(1.0, max(longest_px / max(height, width), MIN_SIDE_PX / min(height, width)))
    return round(height * scale), round(width * scale)


def scales_for(height: int, width: int, start: str = "photo") -> tuple[tuple[float, float], ...]:
    """Sizes for a painting of any size, coarse to fine by octaves, with their shares of the steps (`Recipe.scales`).

    The coarse ones bring colours and large strokes (Gatys et al. 2017, Controlling Perceptual Factors in Neural Style
    Transfer, sec. 5). What begins with a painting has both, and is wanted at its whole size only.
    """
    if start == PAINTING:
        return ((1.0, 1.0),)
    halvings = max(0, math.floor(math.log2(min(height, width) / _COARSEST_PX)))
    parts = [_COARSE_SHARE**power for power in range(halvings, -1, -1)]
    return tuple((0.5 ** (halvings - place), part / sum(parts)) for place, part in enumerate(parts))


def layer_weights(text: str) -> dict[str, float]:
    """Layers and shares as a user writes them: "relu4_1" or "relu1_1=1,relu2_1=0.5". Raises InputError."""
    found: dict[str, float] = {}
    for part in text.split(","):
        name, stands, share = part.strip().partition("=")
        try:
            found[name.strip()] = float(share) if stands else 1.0
        except ValueError as error:
            raise InputError(f"{part.strip()!r} is no layer and share; write for example relu3_1=0.5") from error
    _check_layers("layers", found)
    return found


def _check_layers(name: str, shares: Mapping[str, float]) -> None:
    if unknown := [layer for layer in shares if layer not in LAYERS]:
        raise InputError(f"{name}: no layer {unknown[0]!r}; known are: {', '.join(LAYERS)}")
    good = all(math.isfinite(share) and share >= 0 for share in shares.values())
    if not good or not sum(shares.values()) > 0:
        raise InputError(f"{name}: shares must be numbers from 0, and one of them more")
