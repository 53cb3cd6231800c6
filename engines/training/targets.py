"""What the losses need of style pictures and photo crops: computed once, kept in files that outlive a run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from engines.errors import InputError
from engines.nets.catalogue import StyleNet
from engines.training import losses
from engines.training.data import scaled
from engines.training.features import LAYERS, LossNetwork
from engines.training.lock import lock

CONTENT_LAYERS = ("relu4_1", "relu5_1")
ATTENTION_LAYERS = ("relu4_1", "relu5_1")
GRAM_LAYERS = ("relu2_1", "relu3_1")
# Of what is kept, for its folder's name: to be raised whenever what is computed for a picture or a crop changes, or
# runs would go on with what was computed before.
EDITION = 2


class Store:
    """Tensors of numbered pictures, in fp16, one file for each name; only what was computed takes room on the disk.

    Several runs may use one at the same time: what both compute is the same.
    """

    def __init__(self, folder: Path, count: int) -> None:
        self.folder, self.count = folder, count
        self.kept: dict[str, NDArray[np.float16]] = {}
        with lock(folder):
            known = folder / "have.npy"
            self.have = np.load(known, mmap_mode="r+") if known.exists() else self._file("have", np.uint8, ())
            self._open()

    def get(self, keys: Tensor, make: Callable[[list[int]], dict[str, Tensor]]) -> dict[str, Tensor]:
        """The tensors of `keys` (n,), float32; `make` is asked for the positions in `keys` that are not kept yet.

        Raises InputError: it makes others than are kept of the rest, which would be zeros for these or for those.
        """
        wanted = keys.numpy()
        missing = [int(i) for i in np.flatnonzero(self.have[wanted] == 0)]
        made = make(missing) if missing else {}
        if not self.kept or made.keys() - self.kept.keys():
            with lock(self.folder):
                self._open()  # by now another run may have made them
                self._check(made)
                for name in made.keys() - self.kept.keys():
                    self.kept[name] = self._file(name, np.float16, tuple(made[name].shape[1:]))
        self._check(made)
        for name, value in made.items():
            self.kept[name][wanted[missing]] = value.half().cpu().numpy()
        self.have[wanted[missing]] = 1  # last: what is marked is there
        return {name: torch.from_numpy(kept[wanted]).float() for name, kept in self.kept.items()}

    def _check(self, made: Mapping[str, Tensor]) -> None:
        if self.kept and made and made.keys() != self.kept.keys():
            differ = ", ".join(sorted(made.keys() ^ self.kept.keys()))
            raise InputError(f"{self.folder} was kept by another edition of the program ({differ}); delete it")

    def _open(self) -> None:
        """All of the files, or none yet: they are made together, under the lock."""
        files = sorted(path for path in self.folder.glob("*.npy") if path.stem != "have")
        self.kept = {path.stem: np.load(path, mmap_mode="r+") for path in files}

    def _file(self, name: str, dtype: type, shape: tuple[int, ...]) -> NDArray:  # type: ignore[type-arg]
        path = self.folder / f"{name}.npy"
        return np.lib.format.open_memmap(path, mode="w+", dtype=dtype, shape=(self.count, *shape))


class Targets:
    """Two of the three passes through the loss network are saved by keeping what does not change from step to step."""

    def __init__(
        self,
        folder: Path,
        network: LossNetwork,
        net: StyleNet,
        styles: int,
        crops: int,
        shared: tuple[Path, Path] | None = None,
    ) -> None:
        """folder: may be kept from a former run over the same pictures, crops and loss network.

        network, net: what computes; of `net` only the frozen part is used. styles, crops: how many there are.
        shared: for networks of many kinds, which can share what the losses need: other places for what `net` sees of
        styles and for crops. Without the features that only attention needs, which are most of it.
        """
        self.network, self.net = network, net
        self._styles = Store(folder / "styles", styles)
        self._seen = None if shared is None else Store(shared[0], styles)
        self._crops = Store(folder / "crops" if shared is None else shared[1], crops)
        self._known: tuple[NDArray[np.int64], list[Tensor]] | None = None

    def styles(self, keys: Tensor, images: Tensor, side: int, crop: int) -> dict[str, Tensor]:
        """For style pictures (n, 3, h, h): what the style encoder sees, and what paintings are compared with.

        "seen.*": see `StyleNet.see_style`. The rest, by layers of the pictures scaled to `side`: features of
        the middle `crop` pixels, where attention needs them; ".mean", ".deviation" and ".gram" of all.
        """

        @torch.no_grad()
        def see(missing: list[int]) -> dict[str, Tensor]:
            pictures = images[missing].to(self.network.vgg.mean.device)
            return {f"seen.{name}": value for name, value in self.net.see_style(pictures).items()}

        @torch.no_grad()
        def make(missing: list[int]) -> dict[str, Tensor]:
            features = self.network(scaled(images[missing].to(self.network.vgg.mean.device), side))
            if self._seen is not None:
                return statistics_of(features)
            return see(missing) | compared_with(features, crop / side)

        seen = {} if self._seen is None else self._seen.get(keys, see)
        return seen | self._styles.get(keys, make)

    def known_styles(self, keys: Tensor) -> tuple[list[Tensor], Tensor]:
        """Statistics of all style pictures that `styles` was asked for so far, `keys` (n,) among them.

        Returns mean and deviation of every layer, (s, c) each, and where among the s pictures `keys` are, (n,).
        """
        known = np.flatnonzero(self._styles.have)
        if self._known is None or len(known) > len(self._known[0]):
            parts = [self._styles.kept[name] for name in _told_apart_by()]
            self._known = known, [torch.from_numpy(part[known]).float() for part in parts]
        known, statistics = self._known
        return statistics, torch.from_numpy(np.searchsorted(known, keys.numpy()))

    def crops(self, keys: Tensor, images: Tensor) -> dict[str, Tensor]:
        """Deep features of photo crops (n, 3, h, w); a key stands for one fixed crop."""

        def make(missing: list[int]) -> dict[str, Tensor]:
            return photo_features(self.network, images[missing].to(self.network.vgg.mean.device))

        return self._crops.get(keys, make)


class FreshTargets:
    """`Targets` of pictures that are never the same twice: computed for each batch, on the loss network's device."""

    def __init__(self, network: LossNetwork, net: StyleNet, styles: int) -> None:
        """network, net: what computes; of `net` only the frozen part is used. styles: how many there are."""
        self.network, self.net = network, net
        self._seen = np.zeros(styles, bool)
        self._latest: dict[str, Tensor] = {}  # of `statistics_of`, what `known_styles` tells: (styles, c) each

    @torch.no_grad()
    def styles(self, keys: Tensor, images: Tensor, side: int, crop: int) -> dict[str, Tensor]:
        """As `Targets.styles`; images: on the device."""
        target = compared_with(self.network(scaled(images, side)), crop / side)
        for name in _told_apart_by():
            if name not in self._latest:
                self._latest[name] = target[name].new_zeros(len(self._seen), target[name].shape[1])
            self._latest[name][keys.to(images.device)] = target[name]
        self._seen[keys.numpy()] = True
        return {f"seen.{name}": value for name, value in self.net.see_style(images).items()} | target

    def known_styles(self, keys: Tensor) -> tuple[list[Tensor], Tensor]:
        """As `Targets.known_styles`, of each style picture's latest view."""
        known = np.flatnonzero(self._seen)
        there = torch.from_numpy(known).to(next(iter(self._latest.values())).device)
        own = torch.from_numpy(np.searchsorted(known, keys.numpy()))
        return [self._latest[name][there] for name in _told_apart_by()], own

    def crops(self, keys: Tensor, images: Tensor) -> dict[str, Tensor]:
        """As `Targets.crops`; keys are not looked at."""
        del keys
        return photo_features(self.network, images)


@torch.no_grad()
def photo_features(network: LossNetwork, images: Tensor) -> dict[str, Tensor]:
    """What paintings shall keep of photos (n, 3, h, w) in 0..1: their features of CONTENT_LAYERS, float32."""
    features = network(images)
    return {layer: features[layer].float() for layer in CONTENT_LAYERS}


def _told_apart_by() -> list[str]:
    """What of `statistics_of` styles are told apart by, in the order of `known_styles`."""
    return [f"{layer}.{which}" for layer in LAYERS for which in ("mean", "deviation")]


def compared_with(features: Mapping[str, Tensor], share: float = 1.0) -> dict[str, Tensor]:
    """What paintings are compared with, of a style picture's features: see `Targets.styles`.

    share: of either side, in the middle, whose places attention may look at.
    """
    return {layer: _middle(features[layer], share).float() for layer in ATTENTION_LAYERS} | statistics_of(features)


def statistics_of(features: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Of a style picture's features: ".mean" and ".deviation" of every layer, ".gram" of some."""
    entry: dict[str, Tensor] = {}
    for layer in LAYERS:
        entry[f"{layer}.mean"], entry[f"{layer}.deviation"] = losses.moments(features[layer].float())
    return entry | {f"{layer}.gram": losses.gram(features[layer].float()) for layer in GRAM_LAYERS}


def _middle(features: Tensor, share: float) -> Tensor:
    """The middle `share` of either side: (n, c, h, w) -> (n, c, share h, share w)"""
    height, width = (round(share * length) for length in features.shape[2:])
    top, left = (features.shape[2] - height) // 2, (features.shape[3] - width) // 2
    return features[:, :, top : top + height, left : left + width]
