"""What int8 is calibrated on: what the graphs take for some frames in some styles."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from engines.bundle import BACKGROUND_PREFIX, STYLE_PREFIX
from engines.guide import Guide
from engines.memory import Memory
from engines.ort_session import CPU, open_session
from engines.recolour import Recolourer
from engines.working import Working

Feeds: TypeAlias = dict[str, NDArray[Any]]
Tensors: TypeAlias = Mapping[str, NDArray[np.float32]]


def calibration(
    guide_graph: Path | None, styles: Sequence[Tensors], frames: Iterable[NDArray[np.uint8]]
) -> Iterator[Feeds]:
    """What guide's, frames' and regions' graphs take, by their inputs' names: every frame in every style, no memory.

    guide_graph: in fp32; None where there is none. styles: tensors by their names without "style."; with palette where
    there is a guide. Behind people is the next one.
    """
    session = None if guide_graph is None else open_session(guide_graph, CPU)
    for frame, place in product(frames, range(len(styles))):
        style, behind = styles[place], styles[(place + 1) % len(styles)]
        image = Working().of(frame, 1.0)
        feeds: Feeds = {f"{STYLE_PREFIX}{name}": tensor for name, tensor in style.items()}
        feeds |= {f"{BACKGROUND_PREFIX}{STYLE_PREFIX}{name}": tensor for name, tensor in behind.items()}
        if session is not None:
            feeds |= _guided(session, image, feeds, style, behind)
        small = Memory().before(image, 0.0).small
        feeds |= {"frame": image, "small": small, "memory.painting": image}
        feeds |= {"memory.source": small, "mask": np.float32(1 / 255) * small[:, :, 1]}
        feeds |= {"strength": np.ones((), np.float32), "smoothing": np.zeros((), np.float32)}
        yield feeds


def _guided(session: Any, image: NDArray[np.uint8], feeds: Feeds, style: Tensors, behind: Tensors) -> Feeds:
    """What a guide tells of a working frame, and what the guide's graph takes."""
    guide = Guide().of(image)
    told: Feeds = {"guide": guide, "colour_map": Recolourer().of(guide, np.asarray(style["palette"]), 0.0)}
    told[f"{BACKGROUND_PREFIX}colour_map"] = Recolourer().of(guide, np.asarray(behind["palette"]), 0.0)
    known = {**feeds, **told}
    (told["guidance"],) = session.run(None, {entry.name: known[entry.name] for entry in session.get_inputs()})
    return told
