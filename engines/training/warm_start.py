"""Weights to start from: a bundle's, a checkpoint's, or what a network of another method learned that is of use here.

Styles share their convolutions but for scales and shifts (Dumoulin et al. 2016, sec. 2.2), so a network that knows many
styles is a better start for one style, or for any, than random numbers.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engines.errors import InputError
from engines.nets import catalogue
from engines.nets.blocks import DownConv, Modulation, UpConv
from engines.nets.cin import CinNet
from engines.nets.coders import StyleEncoder
from engines.nets.ghiasi import GhiasiNet
from engines.nets.johnson import JohnsonNet
from engines.nets.style_kernel import StyleKernelNet
from engines.nets.transform import TransformNet, TransformPainter
from engines.training import checkpoints

# What `measure` tells, where weights are from before a style encoder standardised.
MEASURED = ("style_encoder.usual", "style_encoder.spread", "style_encoder.code.1.weight")
# The same of tokens that are standardised, see `engines.training.token_start`.
TOKENS = ("style_encoder.usual_deepest", "style_encoder.spread_deepest", "style_encoder.bend.weight")
ASLEEP = 0.02  # share of the pictures, at most, that a unit without use answers to
# Layers that `even_out` leaves as they are made: they begin near nothing, as the identity, or give the picture itself.
MADE = (".second", "skg.kernels", "skg.kernels4", "cgm.threshold", "decoder.up1")
LEAST_SPREAD = 0.02  # of a feature that is (nearly) the same in all pictures, so that standardising it does not explode
BENDS = 0.1, 0.7  # share of the pictures that a new unit does not answer to
SLIGHT = 0.01  # deviation of a principal component, of the first one's, from which it is more than noise


def start_from(path: Path, net: Any, learned: str = "") -> None:
    """Put weights into `net`, of `engines.nets.catalogue`.

    path: weights.safetensors of a bundle, or a checkpoint, of the same network (of style kernels: it may have had no
    filter banks, fewer units of a style's code, see `widen`, and have standardised nothing, see `measure`); or a
    checkpoint of conditional instance normalisation where `net` has its transformation network, too. learned: the name
    of the style that `net` is to learn; one that is not in that table starts at its mean. Raises InputError: nothing to
    read, or of a network that has nothing in common with `net`.
    """
    if path.suffix == ".safetensors":
        if isinstance(net, StyleKernelNet):
            _grown(checkpoints.read_weights(path), net, path)
        else:
            checkpoints.load_weights(path, net)
        return
    known: Any = checkpoints.load_network(path)
    if isinstance(known, StyleKernelNet) and isinstance(net, StyleKernelNet):
        _grown(known.state_dict(), net, path)
        return
    if known.config == net.config:
        net.load_state_dict(known.state_dict())
        return
    if not (isinstance(known, CinNet) and isinstance(net, TransformPainter)):
        kind = catalogue.kind_of(net.config)
        raise InputError(f"{path} is of {catalogue.kind_of(known.config)}, which is no start for {kind}")
    names = checkpoints.styles_of(checkpoints.load(path))
    _shared(known.net, net.net, path)
    with torch.no_grad():
        row = known.table[names.index(learned)] if learned in names else known.table.mean(0)
        vector = carried(row, known.net, net.net)
        if isinstance(net, JohnsonNet):
            net.modulation.copy_(vector)
        elif isinstance(net, GhiasiNet):
            last: Any = net.head[-1]
            last.bias.copy_(vector)
        elif isinstance(net, CinNet):
            net.table.copy_(vector.expand_as(net.table))


def _grown(known: Mapping[str, Tensor], net: StyleKernelNet, path: Path) -> None:
    """Copy the weights of a network of the same shape that had fewer filter banks or units of a style's code.

    New ones change nothing yet. Weights that `net` has no place for are of another network: without them it would not
    paint what was learned.
    """
    state = net.state_dict()
    if known.keys() - state.keys():
        raise checkpoints.no_weights(path)
    new = {name for name in state if name.startswith("decoder.banks.") and name not in known}
    units = {"style_encoder.code.0.weight", "style_encoder.code.0.bias", "style_encoder.code.1.weight"}
    of_units = {"style_encoder.modulation.weight", "style_encoder.hint.weight"}
    with torch.no_grad():
        for name, ours in state.items():
            if name in new or (name in (*MEASURED, *TOKENS) and name not in known):
                continue
            theirs = known.get(name)
            if theirs is None or theirs.dim() != ours.dim():
                raise checkpoints.no_weights(path)
            banks = bool(new) and name.startswith("style_encoder.modulation.")  # their numbers are the vector's last
            may_grow = (banks or name in units, name in of_units, False, False)  # by dimension
            for had, has, may in zip(theirs.shape, ours.shape, may_grow, strict=False):
                if had != has and not (may and had < has):
                    raise checkpoints.no_weights(path)
            ours.zero_()
            ours[tuple(slice(had) for had in theirs.shape)] = theirs
        if TOKENS[-1] in state and TOKENS[-1] not in known:
            state[TOKENS[-1]].zero_()  # they were rectified


@torch.no_grad()
def measure(net: StyleKernelNet, seen: Iterable[Mapping[str, Tensor]], *, learned: bool) -> None:
    """Tell a style encoder that standardises what is usual in style pictures, if nobody has told it yet.

    seen: what `net.see_style` tells of batches of them; not asked for where there is nothing to tell. The units of the
    code become the principal components of the pictures' moments, of mean 0: what is learned from one
    picture then hardly moves what others are told. learned: the weights come from a training without that: they are
    changed so that they compute what they did, and only units that (almost) no picture wakes begin anew, at first
    without an effect. Moments and units are scaled down: a step of Adam moves each weight by the rate and may
    move all of a unit's the same way, and so the unit by the rate times the sum of what it sees. With thousands of
    moments of variance 1 that threw the modulation about: networks died within a hundred steps, and those that had
    learned painted worse after three hundred, at a rate of 0.00002 even.
    """
    encoder = net.style_encoder
    if not encoder.standardised or bool((encoder.spread != 1).any()):
        return
    told = _told(encoder, seen)
    encoder.usual.copy_(told.mean(0))
    encoder.spread.copy_(told.std(0, correction=0).clamp(min=LEAST_SPREAD))
    first: Any = encoder.code[0]
    bend: Any = encoder.code[1]
    fresh = torch.arange(first.out_features)
    if learned:
        fresh = ((first(told) > 0).float().mean(0) < ASLEEP).nonzero()[:, 0]
        bend.weight.zero_()  # the others were rectified
        first.bias.add_(first.weight @ encoder.usual)
        first.weight.mul_(encoder.spread)
        for layer in (first.weight.T, first.bias, encoder.modulation.weight, encoder.hint.weight):
            layer[..., fresh] = 0
    _, sizes, axes = torch.linalg.svd((told - encoder.usual) / encoder.spread, full_matrices=False)
    deviations = sizes / len(told) ** 0.5
    fresh = fresh[: int((deviations > SLIGHT * deviations[0]).sum())]
    weights = axes[: len(fresh)] / deviations[: len(fresh), None]
    encoder.spread.mul_(first.in_features)
    if learned:
        first.weight.mul_(first.in_features)
    first.weight[fresh] = weights * first.in_features * first.out_features**-0.5  # units of variance 1 / units
    first.bias[fresh] = 0
    bend.weight[fresh] = 1


@torch.no_grad()
def widen(net: StyleKernelNet, seen: Iterable[Mapping[str, Tensor]], seed: int) -> None:
    """Wake the units of a style's code that are still nothing: those that a narrower code did not have.

    seen: as for `measure`; not asked for where there is nothing to wake. Units that `measure` begins are linear, and
    after thousands of steps nearly so still (slopes below 0 of 0.96 in `live`): what a style tells the frame side was a
    linear map of its moments. These begin as rectified random mixtures of the moments' principal components, the larger
    ones counting more, each with its bend at one of the pictures, none of the outermost; at first without an effect.
    """
    encoder = net.style_encoder
    first: Any = encoder.code[0]
    bend: Any = encoder.code[1]
    fresh = (first.weight == 0).all(1).nonzero()[:, 0]
    if not encoder.standardised or not len(fresh):
        return
    told = (_told(encoder, seen) - encoder.usual) / encoder.spread  # (n, m), scaled down as in `measure`
    _, sizes, axes = torch.linalg.svd(told - told.mean(0), full_matrices=False)
    kept = sizes > SLIGHT * sizes[0]
    generator = torch.Generator().manual_seed(seed)
    mixed = torch.randn(len(fresh), int(kept.sum()), generator=generator).to(told.device)
    weights = (mixed * sizes[kept] ** -0.5) @ axes[kept]  # deviation times its root: between whitened and as they come
    answers = told @ weights.T  # (n, units)
    at = (torch.rand(len(fresh), generator=generator) * (BENDS[1] - BENDS[0]) + BENDS[0]) * (len(told) - 1)
    bias = -answers.sort(0).values.gather(0, at.round().long().to(told.device)[None])[0]
    answers = F.relu(answers + bias)
    scale = first.out_features**-0.5 / answers.std(0, correction=0).clamp(min=1e-6)  # 0 of a single picture
    first.weight[fresh], first.bias[fresh] = weights * scale[:, None], bias * scale
    bend.weight[fresh] = 0
    for layer in (encoder.modulation, encoder.hint):
        layer.weight[:, fresh] = 0


@torch.no_grad()
def even_out(net: StyleKernelNet, images: Tensor, seen: Mapping[str, Tensor], guide_size: tuple[int, int]) -> None:
    """Scale random layers so that each channel that they give has mean 0 and deviation 1 (banks: less) over a batch.

    images: (n, 3, h, w) in 0..1; seen: what `net.see_style` tells of n style pictures; guide_size: as for the network.
    Layer-sequential unit variance (Mishkin & Matas 2016, "All You Need is a Good Init", alg. 1), and the mean, in one
    pass. As they come, each layer lessens the picture and not what is the same all over it: 0.006 of it arrives in the
    painting, and a step of the optimiser that moves a channel by more than that kills it everywhere.
    """
    handles: dict[nn.Module, Any] = {}
    wanted: dict[nn.Module, float] = {}

    def even(layer: Any, _: Any, out: Tensor) -> Tensor:
        handles[layer].remove()  # some are asked for guide and frame
        mean, scale = out.mean((0, 2, 3)), wanted[layer] / out.std((0, 2, 3)).clamp(min=1e-4)
        layer.weight.mul_(scale[:, None, None, None])
        layer.bias.copy_((layer.bias - mean) * scale)
        return (out - mean[:, None, None]) * scale[:, None, None]

    for name, layer in net.named_modules():
        if name.startswith("vgg.") or name.endswith(MADE) or not isinstance(layer, (nn.Conv2d, UpConv, DownConv)):
            continue
        if layer.bias is not None:
            # A style's own matrix adds up all of a bank, and every step may move all of its numbers the same way.
            wanted[layer] = 1 / layer.weight.shape[0] if name.startswith("decoder.banks.") else 1.0
            handles[layer] = layer.register_forward_hook(even)
    net(images, net.encode_seen(seen), guide_size)
    for handle in handles.values():
        handle.remove()


def carried(row: Tensor, of: TransformNet, to: TransformNet) -> Tensor:
    """A style's vector for one network as that for another one with other layers; layers that are new do nothing."""
    theirs = {name: module for name, module in of.named_modules() if isinstance(module, Modulation)}
    vector = torch.zeros(to.modulation_size)
    for name, module in to.named_modules():
        if isinstance(module, Modulation) and name in theirs and theirs[name].channels == module.channels:
            numbers = row[theirs[name].start : theirs[name].start + 2 * module.channels]
            vector[module.start : module.start + 2 * module.channels] = numbers
    return vector


def _told(encoder: StyleEncoder, seen: Iterable[Mapping[str, Tensor]]) -> Tensor:
    """What the codes of all pictures are made of, before it is standardised (n, m); seen: as for `measure`"""
    return torch.cat([encoder.told(encoder.deepened(one["deepest"]), one["moments"]) for one in seen])


def _shared(of: TransformNet, to: TransformNet, path: Path) -> None:
    """Copy the weights of the layers that both have."""
    theirs, ours = of.state_dict(), to.state_dict()
    alike = {name: weight for name, weight in theirs.items() if name in ours and ours[name].shape == weight.shape}
    if len(alike) < len(ours):
        raise InputError(f"{path} has other widths or fewer blocks than this network; train the one like the other")
    to.load_state_dict(alike)
