"""All networks by name: what a style network is, and how one is built from a name, a configuration or a checkpoint."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, Self, runtime_checkable

import torch
from torch import Tensor, nn

from engines.errors import InputError
from engines.nets.adain import AdainConfig, AdainNet
from engines.nets.cin import CinConfig, CinNet
from engines.nets.config import CONFIGS, StyleKernelConfig
from engines.nets.ghiasi import GhiasiConfig, GhiasiNet
from engines.nets.johnson import JohnsonConfig, JohnsonNet
from engines.nets.reconet import ReconetConfig, ReconetNet
from engines.nets.style_kernel import StyleKernelNet

Config = StyleKernelConfig | JohnsonConfig | CinConfig | AdainConfig | GhiasiConfig | ReconetConfig


class StyleNet(Protocol):
    """A network that paints frames in styles, a torch module. All pictures are RGB (n, 3, h, w) in 0..1.

    style_tensors: the names of what `encode_seen` gives; (n, ...) each. Two styles are mixed by mixing these linearly.
    """

    style_tensors: ClassVar[tuple[str, ...]]

    @property
    def config(self) -> Any:
        """The sizes it was built with, one of `Config`."""

    def see_style(self, picture: Tensor) -> dict[str, Tensor]:
        """What is looked at of pictures of any size, batched. Nothing in here is trained. May be empty."""

    def encode_seen(self, seen: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """What `see_style` saw -> the style's tensors, batched; may be empty.

        `seen` may hold more: training adds "index" (n,), the numbers of the pictures in its set, which is how a network
        with a table of styles knows them.
        """

    def encode_style(self, picture: Tensor) -> dict[str, Tensor]:
        """The two in one. Raises StyleError where a picture alone tells the network nothing."""

    def __call__(self, image: Tensor, style: Mapping[str, Tensor], guide_size: tuple[int, int] | None = None) -> Tensor:
        """Frame of any size from 16 px -> painting of the same size.

        guide_size: height and width, multiples of 8, of what strokes are decided on, for networks that tell the two
        apart; the others take no notice of it.
        """

    def parameters(self, recurse: bool = True) -> Iterator[nn.Parameter]: ...

    def named_parameters(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, nn.Parameter]]: ...

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False) -> Any: ...

    def eval(self) -> Self: ...

    def requires_grad_(self, requires_grad: bool = True) -> Self: ...


@runtime_checkable
class FeatureNet(Protocol):
    """A `StyleNet` whose features can be asked to follow the motion of the scene, too."""

    def paint_and_features(
        self, image: Tensor, style: Mapping[str, Tensor], guide_size: tuple[int, int] | None = None
    ) -> tuple[Tensor, Tensor]:
        """The painting as of a call, and features that are trained (n, c, ceil(h/4), ceil(w/4))."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One architecture: its configuration's type, and the network's."""

    config: type[Any]
    net: Callable[[Any], StyleNet]


KINDS: dict[str, Kind] = {
    "style_kernel": Kind(StyleKernelConfig, StyleKernelNet),
    "johnson": Kind(JohnsonConfig, JohnsonNet),
    "cin": Kind(CinConfig, CinNet),
    "adain": Kind(AdainConfig, AdainNet),
    "ghiasi": Kind(GhiasiConfig, GhiasiNet),
    "reconet": Kind(ReconetConfig, ReconetNet),
}
# The lineage's sizes; those of the style kernels stand in `engines.nets.config`.
LINEAGE: dict[str, Config] = {
    "johnson": JohnsonConfig(),
    "cin": CinConfig(),
    "adain": AdainConfig(),
    "ghiasi": GhiasiConfig(),
    "reconet": ReconetConfig(),
}


def names() -> tuple[str, ...]:
    """Of all configurations that `build` knows."""
    return (*CONFIGS, *LINEAGE)


def configuration(name: str) -> Config:
    """The sizes that go by a name. Raises InputError."""
    if name in CONFIGS:
        return CONFIGS[name]
    if name in LINEAGE:
        return LINEAGE[name]
    raise InputError(f"no network {name!r}; there are: {', '.join(names())}")


def kind_of(config: Config) -> str:
    """The name of the architecture that a configuration is of."""
    return next(name for name, kind in KINDS.items() if type(config) is kind.config)


def configuration_from(kind: str, values: Mapping[str, Any]) -> Config:
    """The inverse of `kind_of` and `as_dict`. Raises InputError: no such architecture, or values that are not its."""
    if kind not in KINDS:
        raise InputError(f"no architecture {kind!r}; there are: {', '.join(KINDS)}")
    try:
        config: Config = KINDS[kind].config.from_dict(values)
    except TypeError as error:
        raise InputError(f"these are no settings of {kind}: {error}") from error
    return config


def build(name: str | Config, seed: int | None = None) -> StyleNet:
    """A network by the name of its configuration or by a configuration; the same seed gives the same network.

    Its frozen parts have random weights, too, until they are filled (`engines.training.pretrained`). Raises InputError.
    """
    config = configuration(name) if isinstance(name, str) else name
    kind = KINDS[kind_of(config)]
    if seed is None:
        return kind.net(config)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return kind.net(config)
