"""How each method is trained: its network, its losses with their weights, and where its styles come from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

LOSS_NETWORKS = ("hed", "vgg19")  # see `engines.training.features`
# All losses that the training program knows; see `engines.training.losses` and `engines.training.temporal`.
LOSSES = (
    "content",
    "style",
    "gram",
    "attention",
    "remd",
    "contrast",
    "palette",
    "own_palette",
    "coarse",
    "grid",
    "identity",
    "variation",
    "temporal",
    "adversarial",
    "feature_temporal",
    "output_temporal",
)
# Those that need a painting of a second moment.
STEADY = frozenset({"temporal", "feature_temporal", "output_temporal"})


@dataclass(frozen=True, slots=True)
class Recipe:
    """One method. Losses that `weights` does not name are not computed.

    network: a name of `engines.nets.catalogue`. warm_up: steps of plain reconstruction before any style loss.
    styles: "any" picture is a style; "one": the network learns one picture; "many": a table of them.
    """

    network: str
    weights: Mapping[str, float]
    warm_up: int
    styles: Literal["any", "one", "many"]


_STYLE_KERNEL = {
    "content": 1.0,
    "style": 5.0,
    "gram": 0.3,
    "attention": 3.0,
    "remd": 0.5,
    "contrast": 0.0,
    "palette": 10.0,
    "own_palette": 30.0,
    "grid": 0.0,
    "identity": 1.0,
    "variation": 0.3,
    "temporal": 300.0,
    "adversarial": 0.0,
}
# Johnson et al. 2016, sec. 3.2: content, style and total variation. Dumoulin et al. and Ghiasi et al. take the same.
_PERCEPTUAL = {"content": 1.0, "style": 5.0, "gram": 1.0, "variation": 0.3}
# Huang & Belongie 2017, sec. 5.3: content and the style's moments; the identity is of Park & Lee 2019.
_ADAIN = {"content": 1.0, "style": 5.0, "identity": 1.0, "variation": 0.1}
# Gao et al. 2018, sec. 3.3, on top.
_COHERENT = {"feature_temporal": 1.0, "output_temporal": 100.0}


def _recipe(network: str, weights: Mapping[str, float], warm_up: int, styles: Literal["any", "one", "many"]) -> Recipe:
    return Recipe(network, MappingProxyType(dict(weights)), warm_up, styles)


RECIPES: Mapping[str, Recipe] = MappingProxyType(
    {
        "live": _recipe("live", _STYLE_KERNEL, 500, "any"),
        "studio": _recipe("studio", _STYLE_KERNEL, 500, "any"),
        "johnson": _recipe("johnson", _PERCEPTUAL, 150, "one"),
        "cin": _recipe("cin", _PERCEPTUAL, 200, "many"),
        "adain": _recipe("adain", _ADAIN, 400, "any"),
        "adain-steady": _recipe("adain", _ADAIN | _COHERENT, 400, "any"),
        "ghiasi": _recipe("ghiasi", _PERCEPTUAL, 300, "any"),
        "reconet": _recipe("reconet", _PERCEPTUAL | _COHERENT, 150, "one"),
    }
)
