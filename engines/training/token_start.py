"""Where the tokens of a style begin: as what differs between the places of style pictures, aligned with frames.

Tokens are what the frame's places attend to (SAE; Xu, Long, Nie 2023). They are made of VGG's deepest map, whose
channels are large and much alike in all pictures, by a rectified layer. One step of the optimiser moved its answers to
all pictures by more than pictures differ; below 0 everywhere, it had no gradient any more, and every style got the
same tokens. So the map is standardised, and the layer begins as its principal components.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engines.nets.blocks import ResidualBlock, instance_norm
from engines.nets.coders import channel_moments
from engines.nets.style_kernel import StyleKernelNet
from engines.training.warm_start import LEAST_SPREAD

PLACES = 64  # of each picture, that the components are told from
RIDGE = 0.01  # of the queries' regression, beside features of variance 1
SLIGHT_BLOCKS = 0.1  # how much of a new residual block's effect there is at first
ALIKE = 1e-4  # deviation between styles, of the largest value
SHARPNESS = 4.0  # of the queries: as regressed, they are so unsure that each place attends to nearly all tokens alike


@torch.no_grad()
def start_tokens(
    net: StyleKernelNet,
    seen: Iterable[Mapping[str, Tensor]],
    photos: Tensor,
    guide_size: tuple[int, int],
    *,
    learned: bool,
) -> None:
    """Begin the tokens of a network that standardises them, if nobody has begun them yet.

    seen: what `net.see_style` tells of batches of style pictures; not asked for where there is nothing to begin.
    photos: (n, 3, h, w) in 0..1; guide_size: height and width of their guides, multiples of 8.

    The deepening layer gives the principal components of the map's places, of variance 1, keys are the first of them,
    and queries the linear map of a guide's features that comes nearest to the keys of the same photo as a style
    picture (ridge regression): places attend to their like from the first step on.

    learned: the weights come from a training without that. What they made of the tokens, the same for all styles, goes
    into biases; so the network computes what it did, and learns from there what tokens are good for.
    """
    encoder = net.style_encoder
    if not encoder.standardised_tokens or bool((encoder.spread_deepest != 1).any()):
        return
    maps: list[Tensor] = []
    values: list[Tensor] = []
    moments: list[Tensor] = []
    palettes: list[Tensor] = []
    for one in seen:
        maps.append(one["deepest"])
        palettes.append(one["palette"])
        if learned:
            x = encoder.deepened(one["deepest"])
            values.append(encoder.values(x).mean((2, 3)))
            moments.append(channel_moments(x))
    if learned:
        _into_biases(net, torch.cat(values).mean(0), torch.cat(moments).mean(0))
    deepest = torch.cat(maps).flatten(2)  # (n, v, places)
    mean, spread = deepest.mean((0, 2)), deepest.std((0, 2), correction=0).clamp(min=LEAST_SPREAD)
    encoder.usual_deepest.copy_(mean)
    encoder.spread_deepest.copy_(spread)
    step = max(1, deepest.shape[2] // PLACES)
    places = deepest[:, :, ::step].transpose(1, 2).flatten(0, 1)  # (n places, v)
    _begin(encoder, (places - mean) / spread)
    if encoder.standardised and bool((encoder.spread != 1).any()):
        told = torch.cat([channel_moments(encoder.deepened(few)) for few in maps])
        encoder.usual[-told.shape[1] :] = told.mean(0)
        # Scaled as in `warm_start.measure`.
        encoder.spread[-told.shape[1] :] = told.std(0, correction=0).clamp(min=LEAST_SPREAD) * encoder.spread.numel()
    _align(net, photos, torch.cat(palettes), guide_size)


def all_alike(values: Tensor) -> bool:
    """Whether several styles' values (n, tokens, c) are the same: the layer that tokens are made of has died."""
    if len(values) < 2:
        return False
    values = values.detach().float()
    return bool(values.std(0).max() <= ALIKE * values.abs().max())


def _into_biases(net: StyleKernelNet, values: Tensor, moments: Tensor) -> None:
    """What tokens and moments of the encoder's own features added, the same for all styles: values (c8), moments (m)"""
    encoder, hidden = net.style_encoder, net.skg.hidden
    assert hidden.bias is not None
    hidden.bias.add_(hidden.weight[:, net.skg.width :, 0, 0] @ values)
    hidden.weight[:, net.skg.width :] = 0
    first: Any = encoder.code[0]
    own = slice(first.in_features - len(moments), None)
    if encoder.standardised:
        moments = (moments - encoder.usual[own]) / encoder.spread[own]
    first.bias.add_(first.weight[:, own] @ moments)
    first.weight[:, own] = 0


def _begin(encoder: Any, places: Tensor) -> None:
    """Make tokens of the principal components of standardised places (n, v)."""
    d = encoder.deepen.out_channels
    _, variances, axes = torch.linalg.svd(places.T @ places / len(places))
    encoder.deepen.weight.zero_()
    kept = min(d, int((variances > 1e-6 * variances[0]).sum()))
    encoder.deepen.weight[:kept, :, 1, 1] = axes[:kept] / variances[:kept, None].sqrt()
    encoder.deepen.bias.zero_()
    encoder.bend.weight.fill_(0.2)
    for block in encoder.blocks:
        fresh = ResidualBlock(d)
        fresh.second.weight.mul_(SLIGHT_BLOCKS)
        block.load_state_dict(fresh.state_dict())
    encoder.keys.weight.copy_(torch.eye(*encoder.keys.weight.shape[:2])[:, :, None, None])
    nn.init.orthogonal_(encoder.values.weight)
    encoder.keys.bias.zero_()
    encoder.values.bias.zero_()


def _align(net: StyleKernelNet, photos: Tensor, palettes: Tensor, guide_size: tuple[int, int]) -> None:
    """Make the queries of photos, in the colours of one style each, what comes nearest to the photos' own keys."""
    keys: list[Tensor] = []
    features: list[Tensor] = []
    places = guide_size[0] // 8, guide_size[1] // 8
    for at in range(len(photos)):
        photo = photos[at : at + 1]
        x = instance_norm(net.style_encoder.deepened(net.see_style(photo)["deepest"]))
        keys.append(net.style_encoder.keys(F.adaptive_avg_pool2d(x, places)))
        recoloured = 2 * net.recolour(photo, palettes[at % len(palettes)][None]) - 1
        features.append(instance_norm(net.encode_8(F.interpolate(recoloured, guide_size, mode="area"))))
    wanted, told = (torch.cat(few).transpose(0, 1).flatten(1) for few in (keys, features))  # (d, n), (c8, n)
    told = torch.cat([told, torch.ones_like(told[:1])])
    square = told @ told.T / told.shape[1] + RIDGE * torch.eye(len(told), device=told.device)
    found = torch.linalg.solve(square, told @ wanted.T / told.shape[1])  # (c8 + 1, d)
    query: Any = net.sae.query
    query.weight.copy_(SHARPNESS * found[:-1].T[:, :, None, None])
    query.bias.copy_(SHARPNESS * found[-1])
