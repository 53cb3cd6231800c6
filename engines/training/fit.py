"""A new style for a network that is trained already: only the style's tensors learn, the network stays as it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from engines.guide import GUIDE_SIDE_PX
from engines.nets.catalogue import StyleNet
from engines.nets.cin import CinNet
from engines.nets.style_kernel import StyleKernelNet
from engines.training import objective
from engines.training.data import SIDE_PX, random_crops
from engines.training.features import LossNetwork
from engines.training.moments import MOTION_MARGIN_PX, two_moments
from engines.training.objective import Batch
from engines.training.recipes import RECIPES
from engines.training.targets import compared_with, photo_features


@dataclass(frozen=True, slots=True)
class Way:
    """How styles are fitted to a kind of network: as it would have been trained with them.

    weights: of the losses. rates: of Adam, at first, for each of the style's tensors that is fitted. loss_network: as
    for `load_loss_network`. crop_px, batch: of the photos that are painted.
    """

    weights: Mapping[str, float]
    crop_px: int
    batch: int
    rates: Mapping[str, float]
    loss_network: str


# Networks without style kernels: all that they have of a style.
PLAIN = Way(
    RECIPES["cin"].weights, crop_px=128, batch=2, loss_network="hed",
    rates={"modulation": 0.02, "mean": 0.02, "deviation": 0.02},
)  # fmt: skip
# The weights of a training of `live`, but for the contrast with all other styles. A style's modulation differs by 0.06
# from others', its hint by 0.3; keys and values, tens of thousands of numbers, stay what the network saw in the
# picture. Crops are large, so that strokes are seen in the size in which frames are painted.
KERNELS = Way(
    {
        "content": 4.5, "style": 40.0, "gram": 12.0, "attention": 3.0, "palette": 40.0, "own_palette": 100.0,
        "grid": 0.8, "variation": 0.02, "temporal": 40.0,
    },
    crop_px=256, batch=1, loss_network="vgg19", rates={"modulation": 0.004, "hint": 0.02},
)  # fmt: skip


def way_of(net: StyleNet) -> Way:
    """How styles are fitted to this network."""
    return KERNELS if isinstance(net, StyleKernelNet) else PLAIN


class Task:
    """How well a style paints photos like one picture, by the losses of a way.

    picture: (1, 3, h, w) in 0..1. network: the loss network. All of them on one device.
    """

    def __init__(self, net: StyleNet, picture: Tensor, network: LossNetwork, way: Way) -> None:
        self.way = way
        self._net, self._network = net, network
        with torch.no_grad():
            target = compared_with(network(picture))
        self._pictures = expanded(picture, self.way.batch)
        self._targets = {name: expanded(value, self.way.batch) for name, value in target.items()}
        self._guide_size = objective.guide_of(self.way.crop_px, GUIDE_SIDE_PX / SIDE_PX)

    def loss(self, style: Mapping[str, Tensor], photos: Tensor) -> Tensor:
        """Weighted and added up, () for (way.batch, 3, h, w) photos, of which a crop and a motion are drawn."""
        return weighed(self.terms(style, photos), self.way.weights)

    def terms(self, style: Mapping[str, Tensor], photos: Tensor) -> dict[str, Tensor]:
        """The same before that, () each, by the losses' names."""
        way = self.way
        computed = way.weights.keys()
        moments = two_moments(random_crops(photos, way.crop_px + 2 * MOTION_MARGIN_PX), way.crop_px)
        own = torch.zeros(way.batch, dtype=torch.long, device=photos.device)
        batch = Batch(moments, self._pictures, own, self._targets, self._guide_size)
        code = {name: expanded(value, way.batch) for name, value in style.items()}
        painted, terms = objective.paint(self._net, batch, code, computed)
        photo = photo_features(self._network, moments.now)
        return terms | objective.perceived(painted, batch, photo, self._network, computed)


def weighed(terms: Mapping[str, Tensor], weights: Mapping[str, float]) -> Tensor:
    """The sum of losses (), each times its weight: ()."""
    return torch.stack([weights[name] * value for name, value in terms.items()]).sum()


def start_of(net: StyleNet, picture: Tensor) -> dict[str, Tensor]:
    """What `fit_style` begins with, (1, ...) each: the mean of the known styles, or what is seen of the picture.

    picture: (1, 3, h, w) in 0..1. Raises ValueError: a network whose style is in its weights.
    """
    with torch.no_grad():
        start = net.mean_style() if isinstance(net, CinNet) else net.encode_style(picture)
    if not start:
        raise ValueError(f"{type(net).__name__} has its style in its weights; train another network for another style")
    return start


def fit_style(
    net: StyleNet,
    picture: Tensor,
    photos: Tensor,
    steps: int,
    *,
    network: LossNetwork,
    seed: int = 0,
    tell: Callable[[float], object] | None = None,
) -> dict[str, Tensor]:
    """The style's tensors for a picture, (1, ...) each (Dumoulin et al. 2016, sec. 3.3: by the vector alone).

    They begin as `start_of`; those that have no rate in the network's `Way` stay so. picture: (1, 3, h, w), photos:
    (n, 3, h, w), both in 0..1; sides of photos from `way_of(net).crop_px` and the margins of `two_moments`; network:
    the loss network. tell: called with the loss of every step. `net` is left as it was, its gradients included. Raises
    ValueError: nothing to fit.
    """
    style = {name: value.detach().clone() for name, value in start_of(net, picture).items()}
    way = way_of(net)
    task = Task(net, picture, network, way)
    learned = {name: value.requires_grad_(True) for name, value in style.items() if name in way.rates}
    groups = [{"params": [value], "lr": way.rates[name]} for name, value in learned.items()]
    optimiser = torch.optim.Adam(groups, betas=(0.9, 0.99))
    falling = torch.optim.lr_scheduler.LinearLR(optimiser, 1.0, 0.0, total_iters=steps)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for _ in range(steps):
            loss = task.loss(style, photos[torch.randint(len(photos), (way.batch,))])
            # Not `backward`: that would leave gradients in the network's own weights.
            gradients = torch.autograd.grad(loss, list(learned.values()))
            for value, gradient in zip(learned.values(), gradients, strict=True):
                value.grad = gradient
            optimiser.step()
            falling.step()
            if tell is not None:
                tell(loss.item())
    return {name: value.detach() for name, value in style.items()}


@torch.no_grad()
def losses_of(
    net: StyleNet,
    picture: Tensor,
    photos: Tensor,
    styles: Sequence[Mapping[str, Tensor]],
    *,
    network: LossNetwork,
    seed: int = 0,
) -> list[float]:
    """What `fit_style` lessens, for each of some styles of one picture: the mean over all photos.

    styles: tensors of (1, ...) each; all others as there. Crops and motions are the same for every style.
    """
    task = Task(net, picture, network, way_of(net))
    count = -(-len(photos) // task.way.batch) * task.way.batch  # the last batch is filled up with the first photos
    groups = torch.split(photos[torch.arange(count) % len(photos)], task.way.batch)
    found = []
    for style in styles:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            found.append(sum(task.loss(style, few).item() for few in groups) / len(groups))
    return found


def expanded(value: Tensor, count: int) -> Tensor:
    """(1, ...) -> (count, ...), the same again and again"""
    return value.expand(count, *value.shape[1:])
