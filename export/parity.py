"""Exported == eager: the ONNX graphs in ONNX Runtime against the torch modules they came from, on the same inputs.

The tolerance of fp32 is 2/255 in the painting: sums are taken in another order, which moves a value by some 1e-6 and
so now and then to the next of the 256 steps; a second step is left for the blend with the memory, which rounds again.
Style tensors and guidance are compared relative to their largest value: 1e-3 is far below what can be seen, and above
what sums over a whole picture differ by.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engines.bundle import BACKGROUND_PREFIX, STYLE_PREFIX
from engines.errors import EngineError
from engines.guide import Guide
from engines.memory import Memory, small_size
from engines.ort import CPU, open_session
from engines.recolour import Recolourer

TOLERANCE_STEPS = 2  # of 255, fp32
STYLE_TOLERANCE = GUIDE_TOLERANCE = 1e-3
# Smallest, odd sides, sides that are multiples of nothing, upright, and the size that live use is measured at.
SIZES = ((64, 64), (97, 131), (180, 321), (239, 77), (360, 640))
PICTURE_SIZES = ((256, 256), (61, 143), (480, 333))

Arrays = dict[str, NDArray[np.uint8] | NDArray[np.float32]]
Graph = Callable[[Arrays], Arrays]


@dataclass(frozen=True, slots=True)
class Row:
    """One comparison. worst: largest difference, in steps of 1/255 (frames) or relative (the others)."""

    what: str
    worst: float
    mean: float
    allowed: float

    @property
    def good(self) -> bool:
        return self.worst <= self.allowed


def compare_guides(eager: Graph, graph: Path, style: Arrays, sizes: Sequence[tuple[int, int]] = SIZES) -> list[Row]:
    """Compare guides' graphs, on the guides of frames of some sizes.

    eager: takes and gives arrays by the graph's input and output names. style: the tensors of a style, by their names
    as inputs ("style.*"). Differences are relative to each tensor's largest value.
    """
    run = _runner(graph)
    rows = []
    for height, width in sizes:
        feeds = _guide_feeds(scene(height, width, 0), style)
        rows.append(_relative(f"guide of {width}x{height}", eager(feeds), run(feeds), GUIDE_TOLERANCE))
    return rows


def compare_frames(
    eager_guide: Graph,
    eager: Graph,
    graph: Path,
    style: Arrays,
    sizes: Sequence[tuple[int, int]] = SIZES,
    *,
    what: str = "frame",
) -> list[Row]:
    """Compare frame graphs: two frames of each size, the second with the first's memory, at two strengths.

    eager_guide, eager: take and give arrays by the graphs' input and output names. style: as in `compare_guides`.
    what: kind of graph, for people: "frame", or "regions", which paints what is behind in another look.
    """
    run = _runner(graph)
    rows = []
    for height, width in sizes:
        worst, means = 0.0, []
        memory: Arrays = {
            "memory.painting": np.zeros((height, width, 3), np.uint8),
            "memory.source": np.zeros((*small_size(height, width), 3), np.uint8),
        }
        for index, (strength, smoothing) in enumerate(((1.0, 0.0), (0.6, 0.8))):
            frame = scene(height, width, index)
            seen = _guide_feeds(frame, style)
            feeds: Arrays = {
                **seen,
                **eager_guide(seen),
                **_behind(seen),
                "mask": np.float32(1 / 255) * frame[::4, ::4, 1],
                "frame": frame,
                "small": Memory().before(frame, 0.0).small,
                "strength": np.array(strength, np.float32),
                "smoothing": np.array(smoothing, np.float32),
                **memory,
            }
            reference, answers = eager(feeds), run(feeds)
            for name, answer in answers.items():
                off = np.abs(answer.astype(np.float64) - reference[name].astype(np.float64))
                worst = max(worst, _number(off.max()))
                if name == "painted":
                    means.append(_number(off.mean()))
            memory = {"memory.painting": reference["painted"], "memory.source": reference["next.source"]}
        rows.append(Row(f"{what} {width}x{height}", worst, float(np.mean(means)), TOLERANCE_STEPS))
    return rows


def compare_styles(eager: Graph, graph: Path, sizes: Sequence[tuple[int, int]] = PICTURE_SIZES) -> list[Row]:
    """Compare style graphs on pictures of some sizes; differences are relative to each tensor's largest value."""
    run = _runner(graph)
    rows = []
    for height, width in sizes:
        feeds: Arrays = {"picture": scene(height, width, 3)}
        rows.append(_relative(f"style {width}x{height}", eager(feeds), run(feeds), STYLE_TOLERANCE))
    return rows


def _runner(graph: Path) -> Graph:
    """An exported graph as a function of named arrays, of which it takes what it has inputs for."""
    session = open_session(graph, CPU, threads=None)
    names = [entry.name for entry in session.get_outputs()]
    wanted = {entry.name for entry in session.get_inputs()}

    def run(feeds: Arrays) -> Arrays:
        answers = session.run(names, {name: array for name, array in feeds.items() if name in wanted})
        return dict(zip(names, answers, strict=True))

    return run


def _guide_feeds(frame: NDArray[np.uint8], style: Arrays) -> Arrays:
    guide = Guide().of(frame)
    palette = style[f"{STYLE_PREFIX}palette"].astype(np.float32)
    return {"guide": guide, "colour_map": Recolourer().of(guide, palette, 0.0), **style}


def _behind(feeds: Arrays) -> Arrays:
    """Another look for what is behind: colours and modulation of the same size and another sign."""
    wanted = {name for name in feeds if name == "colour_map" or name.endswith("modulation")}
    return {f"{BACKGROUND_PREFIX}{name}": np.float32(-0.7) * feeds[name] for name in wanted}


def _relative(what: str, reference: Arrays, answers: Arrays, allowed: float) -> Row:
    """Each difference is relative to its reference's largest value."""
    worst, means = 0.0, []
    for name, answer in answers.items():
        off = np.abs(answer - reference[name]) / max(float(np.abs(reference[name]).max()), 1e-6)
        worst = max(worst, _number(off.max()))
        means.append(_number(off.mean()))
    return Row(what, worst, float(np.mean(means)), allowed)


def demand(rows: Sequence[Row]) -> None:
    """Raise EngineError unless every comparison is within its tolerance."""
    bad = [row for row in rows if not row.good]
    if bad:
        row = max(bad, key=lambda row: row.worst / row.allowed)
        raise EngineError(
            f"refused: the exported graph differs from eager PyTorch at {row.what} by {row.worst:.3g}; "
            f"{row.allowed:g} is allowed"
        )


def scene(height: int, width: int, index: int) -> NDArray[np.uint8]:
    """A picture with slopes, edges and grain, RGB uint8 (height, width, 3); the next index moves it by two pixels."""
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float64)
    columns += 2 * index
    slopes = [np.sin(columns / 23 + c) + np.cos(rows / 17 - c) + np.sin((rows + columns) / 9 + 2 * c) for c in range(3)]
    picture = 127.5 + 36 * np.stack(slopes, 2)
    picture[(rows // 29 + columns // 37) % 2 == 0] *= 0.55
    picture += np.random.default_rng(index).normal(0, 6, picture.shape)
    return np.clip(picture, 0, 255).astype(np.uint8)


def _number(value: float) -> float:
    """NaN compares as good with nothing; here it is the worst."""
    return float(value) if np.isfinite(value) else float("inf")
