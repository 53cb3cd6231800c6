"""A network of one style: one that paints in any is trained on for a single picture, and forgets the others.

What paints in all styles is a compromise between them, which a style's tensors alone do not lead out of (`fit`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import replace

import torch
from torch import Tensor, nn

from engines.errors import EngineError
from engines.nets.style_kernel import GUIDE_TENSORS, StyleKernelNet
from engines.training.features import LossNetwork
from engines.training.fit import Task, Way, weighed

RATE = 0.0015  # of Adam for the network's weights, at first
TEXTURE = 64  # side of the texture in cells at 1/4: crops, with what is padded, see nearly all of it
_TEXTURE_NOISE = 0.5  # deviation of what it begins as; that of the features is around 0.6
_TEXTURE_RATE = 0.02
USUAL_STYLE = 0.3  # loss of style before the first step; hardly a picture has more
_MEASURED = 8  # batches, for what it is of this one
_RISING = 30  # steps until the rates are what they shall be
_BETAS = (0.9, 0.99)
_CLIPPED = 5.0  # norm of the gradient
_EDGES = 2.0  # the path of the frame's edges past the kernels, afterwards: what holds steady in training is soft
# As styles are fitted, but for `coarse`: a network that has one style alone would lay that picture's grounds over any
# photo. Without it the red of a mountain came to lie over faces; with 1000 of it hardly a stroke was learned.
WAY = Way(
    {
        "content": 4.5, "style": 40.0, "gram": 12.0, "attention": 3.0, "palette": 40.0, "own_palette": 100.0,
        "coarse": 300.0, "grid": 0.8, "variation": 0.02, "temporal": 120.0,
    },
    crop_px=224, batch=2, loss_network="vgg19", rates=dict.fromkeys(GUIDE_TENSORS, 0.004),
)  # fmt: skip


def tune(
    net: StyleKernelNet,
    picture: Tensor,
    photos: Tensor,
    steps: int,
    *,
    network: LossNetwork,
    seed: int = 0,
    half: bool = False,
    tell: Callable[[dict[str, float]], object] | None = None,
) -> tuple[StyleKernelNet, dict[str, Tensor]]:
    """A copy of a network, trained on for one picture, and that picture's style in it, (1, ...) each.

    picture: (1, 3, h, w) in 0..1; photos: uint8 (n, 3, h, w), sides from `WAY.crop_px` and the margins of
    `two_moments`; network: the loss network. Photos are brought where the others are, on one device, step by step.
    half: the networks compute in bfloat16, which their weights do not become. tell: called with every step's losses.
    Weights and the style are such as fp16 holds. The copy has a texture, and its halos are not to be removed: strokes
    near edges went with them. Raises EngineError: it came to numbers that fp16 does not hold.
    """
    tuned = _textured(net, seed).requires_grad_(False)
    with torch.no_grad():
        style = {name: value.clone() for name, value in tuned.encode_style(picture).items()}
    fixed = ("vgg.", "style_encoder.", "texture")
    frame_side: list[Tensor] = [p for name, p in tuned.named_parameters() if not name.startswith(fixed)]
    groups: list[list[Tensor]] = [frame_side, [tuned.texture], *([style[name]] for name in WAY.rates)]
    rates = [RATE, _TEXTURE_RATE, *WAY.rates.values()]
    trained = [value.requires_grad_(True) for group in groups for value in group]
    optimiser = torch.optim.Adam([{"params": group} for group in groups], betas=_BETAS)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        task = Task(tuned, picture, network, WAY)
        weights = _balanced(task, style, photos, half)
        for step in range(steps):
            for group, rate in zip(optimiser.param_groups, rates, strict=True):
                group["lr"] = rate * _share(step, steps)
            terms = _terms(task, style, photos, half)
            loss = weighed(terms, weights)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            size = nn.utils.clip_grad_norm_(trained, _CLIPPED).item()
            if math.isfinite(size):  # a single bad batch must not spoil the whole
                optimiser.step()
            if tell is not None:
                tell({name: value.item() for name, value in terms.items()})
    with torch.no_grad():
        tuned.decoder.skip.weight.mul_(_EDGES)
        for value in trained:
            value.copy_(value.half().float())
            if not bool(torch.isfinite(value).all()):
                raise EngineError("tuning came to weights that are no numbers in fp16; take another seed or picture")
    return tuned.requires_grad_(False).eval(), {name: value.detach() for name, value in style.items()}


def _textured(net: StyleKernelNet, seed: int) -> StyleKernelNet:
    """A copy of a network with a texture that is noise yet."""
    tuned = deepcopy(net)
    tuned.config = replace(net.config, texture=TEXTURE, halos=False)
    weight = net.decoder.conv4.weight
    noise = torch.randn(1, weight.shape[1], TEXTURE, TEXTURE, generator=torch.Generator().manual_seed(seed))
    tuned.texture = nn.Parameter(_TEXTURE_NOISE * noise.to(weight))
    return tuned


@torch.no_grad()
def _balanced(task: Task, style: Mapping[str, Tensor], photos: Tensor, half: bool) -> dict[str, float]:
    """The weights of WAY; losses of style weigh less where the network is farther from this style than USUAL_STYLE.

    Else a style that it hardly meets would cost the photo.
    """
    found = [_terms(task, style, photos, half)["style"].item() for _ in range(_MEASURED)]
    share = min(1.0, USUAL_STYLE * len(found) / sum(found))
    return {**WAY.weights, **{name: share * WAY.weights[name] for name in ("style", "gram")}}


def _terms(task: Task, style: Mapping[str, Tensor], photos: Tensor, half: bool) -> dict[str, Tensor]:
    """The losses of some of the photos; see `tune`."""
    device = next(iter(style.values())).device
    drawn = photos[torch.randint(len(photos), (WAY.batch,))].to(device).float() / 255
    with torch.autocast(device.type, torch.bfloat16, enabled=half):
        return task.terms(style, drawn)


def _share(step: int, steps: int) -> float:
    """Of the rates: rising at first, then falling as half a cosine."""
    return min(1.0, (step + 1) / _RISING) * 0.5 * (1 + math.cos(math.pi * step / steps))
