"""What a network learns from one batch: it paints, and the painting is told in terms, which are weighed and summed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from engines.nets import finish
from engines.nets.adain import AdainNet
from engines.nets.catalogue import FeatureNet, StyleNet
from engines.nets.style_kernel import StyleKernelNet
from engines.training import losses, temporal, warping
from engines.training.features import LAYERS, LossNetwork
from engines.training.moments import Moments
from engines.training.recipes import STEADY
from engines.training.targets import ATTENTION_LAYERS, CONTENT_LAYERS, GRAM_LAYERS

_SEEN_LAYERS = {*CONTENT_LAYERS, *ATTENTION_LAYERS, *GRAM_LAYERS}
Terms = dict[str, Tensor]
Statistics = Callable[[], tuple[list[Tensor], Tensor]]  # see `Targets.known_styles`


@dataclass(frozen=True, slots=True)
class Batch:
    """Photos at two moments and the styles that they are to be painted in. Pictures are (n, 3, h, w) in 0..1.

    moments: of crops. styles: pictures of any size; index (n,): their numbers in their set; target: of them, see
    `Targets.styles`. guide_size: height and width of the guide, in px.
    """

    moments: Moments
    styles: Tensor
    index: Tensor
    target: Mapping[str, Tensor]
    guide_size: tuple[int, int]


def warm_up(
    net: StyleNet, batch: Batch, code: Mapping[str, Tensor], computed: Set[str], teacher: StyleNet | None = None
) -> Terms:
    """Plain reconstruction of the photos, or of what the teacher paints of them.

    Without this the network falls into a checkerboard that it never leaves. code: what the network encodes of the
    styles, see `seen_part`. computed: the names of the losses that are asked for.
    """
    now = batch.moments.now
    decodes = isinstance(net, AdainNet) and teacher is None
    if teacher is not None:
        with torch.no_grad(), torch.autocast(now.device.type, enabled=False):
            # Its finished painting: a teacher whose own contrast has faded would hand that on.
            plain = teacher(now, teacher.encode_style(batch.styles), batch.guide_size)
    elif isinstance(net, StyleKernelNet):
        plain = _recoloured(net, now, code)
    else:  # no colours are moved beforehand: the photo as its own style
        plain = now
        if not decodes:
            code = net.encode_seen(net.see_style(now) | {"index": batch.index})
    # At strength 0 AdaIN decodes the photo's own features, which no statistics have to be told for.
    strength = {"strength": 0.0} if decodes else {}
    painted = _before_finish(net)(now, code, batch.guide_size, **strength)
    terms = {"identity": losses.reconstruction(painted, plain) + F.l1_loss(painted, plain)}
    if teacher is not None and "grid" in computed:
        # The finish draws it, too: where two phases of a pixel-shuffle are not equally sharp, curves of tones and
        # clipping make one of them brighter.
        terms["grid"] = losses.grid(_after_finish(net, painted, code).float())
    return terms


def paint(
    net: StyleNet, batch: Batch, code: Mapping[str, Tensor], computed: Set[str], itself: Tensor | None = None
) -> tuple[Tensor, Terms]:
    """The painting of the first moment, (n, 3, h, w) float32 in 0..1, and those terms that need no loss network.

    code, computed: see `warm_up`. itself: (1, 3, h, w), of the first style's own picture, for the loss `identity`.
    """
    now, after, grid, valid = batch.moments
    terms: Terms = {}
    if STEADY & computed:
        twice = {name: torch.cat([value, value]) for name, value in code.items()}
        both = torch.cat([now, after])
        if "feature_temporal" in computed:
            assert isinstance(net, FeatureNet)  # was checked when the program began
            unfinished, features = net.paint_and_features(both, twice, batch.guide_size)
            told, told_after = features.float().chunk(2)
            terms["feature_temporal"] = temporal.feature_temporal(told, told_after, grid, valid)
        else:
            unfinished = _before_finish(net)(both, twice, batch.guide_size)
        painted, painted_after = _after_finish(net, unfinished, twice).float().chunk(2)
        if "temporal" in computed:
            terms["temporal"] = losses.temporal(painted_after, warping.warp(painted, grid, "bicubic"), valid)
        if "output_temporal" in computed:
            terms["output_temporal"] = temporal.output_temporal(painted, painted_after, now, after, grid, valid)
    else:
        unfinished = _before_finish(net)(now, code, batch.guide_size)
        painted = _after_finish(net, unfinished, code).float()
    if "own_palette" in computed:
        terms["own_palette"] = losses.own_palette(unfinished[: len(painted)], code["palette"])
    if "coarse" in computed:
        assert isinstance(net, StyleKernelNet)  # was checked when the program began
        terms["coarse"] = losses.coarse(painted, _recoloured(net, now, code))
    terms["variation"] = losses.total_variation(painted)
    if itself is not None:
        again = net(itself, {name: value[:1] for name, value in code.items()}, batch.guide_size)
        terms["identity"] = losses.reconstruction(again, itself)
    return painted, terms


def perceived(
    painted: Tensor,
    batch: Batch,
    photo: Mapping[str, Tensor],
    network: LossNetwork,
    computed: Set[str],
    known_styles: Statistics | None = None,
) -> Terms:
    """The terms of how a painting (n, 3, h, w) looks: to the loss network, and by its colours and frequencies.

    photo: features of the first moment, of CONTENT_LAYERS. known_styles: what `contrast`, which needs it, tells styles
    apart by.
    """
    target, terms = batch.target, Terms()
    raw = network(painted)
    statistics = {layer: losses.moments(raw[layer]) for layer in LAYERS}
    seen = {layer: raw[layer].float() for layer in _SEEN_LAYERS}
    terms["content"] = _mean([losses.content(seen[k], photo[k]) for k in CONTENT_LAYERS])
    terms["style"] = _mean(
        [losses.style_moments(statistics[k], (target[f"{k}.mean"], target[f"{k}.deviation"])) for k in LAYERS]
    )
    if "contrast" in computed:
        assert known_styles is not None
        known, own = known_styles()
        device = painted.device
        ours = [part for layer in LAYERS for part in statistics[layer]]
        terms["contrast"] = losses.contrast(ours, [part.to(device) for part in known], own.to(device))
    if "gram" in computed:
        terms["gram"] = _mean([losses.style_gram(seen[k], target[f"{k}.gram"]) for k in GRAM_LAYERS])
    if "attention" in computed:
        with torch.no_grad():
            aligned = {k: losses.local_attention_target(photo[k], target[k]) for k in ATTENTION_LAYERS}
        terms["attention"] = _mean([losses.local_attention(seen[k], aligned[k]) for k in ATTENTION_LAYERS])
    if "palette" in computed:
        terms["palette"] = losses.palette(painted, batch.styles)
    if "grid" in computed:
        terms["grid"] = losses.grid(painted)
    if "remd" in computed:
        terms["remd"] = losses.remd(seen["relu4_1"], target["relu4_1"])
    return terms


def guide_of(crop: int, share: float) -> tuple[int, int]:
    """Sides of the guide of a crop, about `share` of its own, in px."""
    return (8 * round(crop * share / 8),) * 2


def seen_part(target: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Of `Targets.styles`: what the network sees of the pictures."""
    return {name.removeprefix("seen."): value for name, value in target.items() if name.startswith("seen.")}


def _recoloured(net: StyleKernelNet, photo: Tensor, code: Mapping[str, Tensor]) -> Tensor:
    """A photo (n, 3, h, w) in its style's colours and tones: what the closed form makes of it, without a stroke."""
    return finish.toned(net.recolour(photo, code["palette"]), code["tones"])


def _before_finish(net: StyleNet) -> Callable[..., Tensor]:
    """`net`, without the finish where it has one.

    That brings any painting to the style's colours: a network is not told then that its own are all grey.
    """
    return net.unfinished if isinstance(net, StyleKernelNet) else net


def _after_finish(net: StyleNet, unfinished: Tensor, code: Mapping[str, Tensor]) -> Tensor:
    """What `_before_finish` painted (n, 3, h, w), as `net` itself paints it."""
    return net.finished(unfinished, code) if isinstance(net, StyleKernelNet) else unfinished


def _mean(values: list[Tensor]) -> Tensor:
    return torch.stack(values).mean()
