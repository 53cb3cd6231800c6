"""How near a painting comes to its style and its photo, told by a loss network's features.

The steadiness of a painted video is in `steadiness`, which needs no torch.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import torch
from torch import Tensor

STYLE_LAYERS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")
CONTENT_LAYERS = ("relu4_1", "relu5_1")
_TINY = 1e-8

Features: TypeAlias = dict[str, Tensor]
# images float32 (n, 3, height, width) RGB 0..1 -> each named layer's activations (n, channels, layer height, width)
FeatureNetwork: TypeAlias = Callable[[Tensor], Features]
# for each of STYLE_LAYERS the channels' means and standard deviations, (n, channels) each
StyleStatistics: TypeAlias = tuple[tuple[Tensor, Tensor], ...]


def style_distance_of(painting: Features, style: Features) -> Tensor:
    """How far the painting's colours and textures are from the style picture's: (n,), 0 = the same.

    The mean over relu1_1 .. relu5_1 and over the two statistics of |a - b|² / |b|², a and b being the channels' means
    (or standard deviations) over the painting and over the style picture (Huang and Belongie 2017, equation 13, made
    relative so that every layer weighs the same). The style's batch may be 1; the pictures may differ in size.
    """
    return statistics_distance(style_statistics(painting), style_statistics(style))


def style_statistics(features: Features) -> StyleStatistics:
    """What the style distance compares, of pictures that are compared with many: see `statistics_distance`."""
    return tuple(_statistics(features[layer]) for layer in STYLE_LAYERS)


def statistics_distance(painting: StyleStatistics, style: StyleStatistics) -> Tensor:
    """`style_distance_of`, from `style_statistics`. One batch may be 1 where the other is n. Returns (n,)."""
    parts: list[Tensor] = []
    for ours, theirs in zip(painting, style, strict=True):
        for a, b in zip(ours, theirs, strict=True):
            parts.append(_relative(a, b))
    return torch.stack(parts).mean(dim=0)


def content_distance_of(painting: Features, photo: Features) -> Tensor:
    """How far the painting's contents are from the photo's: (n,), 0 = the same, about 2 = unrelated.

    The mean over relu4_1 and relu5_1 of |a - b|² / |b|², both instance-normalised, so that colour and contrast do not
    count.
    """
    parts = [
        _relative(_normalised(painting[layer]).flatten(1), _normalised(photo[layer]).flatten(1))
        for layer in CONTENT_LAYERS
    ]
    return torch.stack(parts).mean(dim=0)


def _statistics(feature: Tensor) -> tuple[Tensor, Tensor]:
    """(n, c, h, w) -> means (n, c) and standard deviations (n, c), in float32."""
    flat = feature.float().flatten(2)  # (n, c, h*w)
    return flat.mean(dim=2), flat.var(dim=2, unbiased=False).clamp_min(0.0).add(_TINY).sqrt()


def _normalised(feature: Tensor) -> Tensor:
    means, deviations = _statistics(feature)
    return (feature.float() - means[..., None, None]) / deviations[..., None, None]  # (n, c, h, w)


def _relative(a: Tensor, b: Tensor) -> Tensor:
    """|a - b|² / |b|² of two (n, k): (n,)."""
    return (a - b).square().sum(dim=1) / b.square().sum(dim=1).clamp_min(_TINY)
