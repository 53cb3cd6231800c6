"""What the bundles cost that are evaluated: frames a second on this machine, parameters, room on the disk."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass
from statistics import fmean
from typing import Any

import numpy as np
from clips import cut_to
from numpy.typing import NDArray
from tqdm import tqdm

from engines.api import DEFAULT_SMOOTHING, Look
from engines.bundle import Bundle
from engines.description import describe
from engines.encoder import StyleEncoder
from engines.registry import open_engine
from engines.styles import Style
from realtime.comparing import RUN_FRAMES, Contestant, measured, panned

Image = NDArray[np.uint8]
RATE_SIZE = (640, 360)  # width, height
ROUNDS = 5


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one column. rate: frames per second, the mean of its bundles'; nan: not measured.

    parameters, megabytes (10^6 bytes, the whole folder): of its first bundle; parameters are nan where its weights
    are folded into its graphs.
    """

    rate: float
    parameters: float
    megabytes: float

    def told(self) -> dict[str, Any]:
        return asdict(self)


def costs(
    columns: Mapping[str, Sequence[Bundle]], photo: Image, threads: int, *, rates: bool = True
) -> dict[str, Cost]:
    """What every column costs; rates: time them, too, on `photo`, RGB uint8 of any size.

    Rates are of ONNX Runtime on the CPU with the smoothing of live use: medians over runs in which all take turns, in
    one process. They belong to this machine and hour, so nobody keeps them. Raises EngineError, BundleError.
    """
    timed = _rates([bundle for members in columns.values() for bundle in members], photo, threads) if rates else {}
    found = {}
    for column, members in columns.items():
        told = describe(members[0])
        rate = fmean(timed[bundle.folder] for bundle in members) if rates else math.nan
        parameters = math.nan if told.parameters is None else float(told.parameters)
        found[column] = Cost(rate, parameters, told.megabytes)
    return found


def _rates(bundles: Sequence[Bundle], photo: Image, threads: int) -> dict[Any, float]:
    """Frames per second by a bundle's folder."""
    if not bundles:
        return {}
    images = panned(cut_to(photo, RATE_SIZE))
    with ExitStack() as stack:
        contestants = []
        for bundle in bundles:
            engine = stack.enter_context(closing(open_engine("ort", bundle, threads=threads)))
            look = Look(_style(bundle, photo, threads), smoothing=DEFAULT_SMOOTHING)
            contestants.append(Contestant(bundle.name, describe(bundle), engine, look, own=False))
        frames = len(bundles) * (ROUNDS + 1) * RUN_FRAMES
        with tqdm(total=frames, desc="frames/s", unit="frame", disable=None) as progress:
            found = measured(contestants, images, ROUNDS, progress.update)
    return {bundle.folder: one.rate for bundle, one in zip(bundles, found, strict=True)}


def _style(bundle: Bundle, photo: Image, threads: int) -> Style:
    """Any that the bundle paints: which one makes no difference to its speed."""
    if bundle.takes == "any" and not bundle.styles:
        return StyleEncoder(bundle, threads=threads).encode(photo, "style")
    return bundle.style(bundle.styles[0])
