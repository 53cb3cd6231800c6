"""Exported == eager: exported graphs against the torch modules they came from, on the same real frames.

Frames are painted with the guidance of the side's own guide graph, so that what both graphs are off by adds up as it
does in use. What is allowed is in `export.tolerance`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines.bundle import BACKGROUND_PREFIX, STYLE_PREFIX
from engines.errors import EngineError
from engines.guide import Guide
from engines.memory import Memory, small_size
from engines.ort_session import CPU, open_session
from engines.recolour import Recolourer
from engines.similarity import ssim
from export.frames import moving, pictures
from export.tolerance import TOLERANCES, Tolerance

# Smallest, odd sides, sides that are multiples of nothing, upright, and the size that live use is measured at.
SIZES = ((64, 64), (97, 131), (180, 321), (239, 77), (360, 640))
PICTURE_SIZES = ((256, 256), (61, 143), (480, 333))
FP32 = TOLERANCES["fp32"]

Arrays = dict[str, NDArray[np.uint8] | NDArray[np.float32]]
Graph = Callable[[Arrays], Arrays]


@dataclass(frozen=True, slots=True)
class Row:
    """One comparison. worst, mean: largest and mean difference, in steps of 1/255 (frames) or relative (the others).

    allowed, allowed_mean: of these. ssim, least_ssim: of frames; None of others. broken: NaN and infinite numbers.
    """

    what: str
    worst: float
    mean: float
    allowed: float
    allowed_mean: float = float("inf")
    ssim: float | None = None
    least_ssim: float | None = None
    broken: int = 0

    @property
    def good(self) -> bool:
        alike = self.ssim is None or self.least_ssim is None or self.ssim >= self.least_ssim
        return self.broken == 0 and alike and self.worst <= self.allowed and self.mean <= self.allowed_mean

    @property
    def excess(self) -> float:
        """How far it is from what is allowed: above 1 is too far; for ordering."""
        ratios = [self.worst / self.allowed, self.mean / self.allowed_mean, float("inf") if self.broken else 0.0]
        if self.ssim is not None and self.least_ssim is not None:
            ratios.append((1 - self.ssim) / (1 - self.least_ssim))
        return max(ratios)

    def told(self) -> dict[str, Any]:
        """For bundle.json."""
        return {key: value for key, value in asdict(self).items() if value is not None}


def compare_guides(
    eager: Graph,
    exported: Graph,
    style: Arrays,
    sizes: Iterable[tuple[int, int]] = SIZES,
    *,
    allowed: Tolerance = FP32,
) -> list[Row]:
    """Compare guides' graphs, on the guides of frames of some sizes (height, width).

    eager, exported: take and give arrays by the graph's input and output names. style: the tensors of a style, by their
    names as inputs ("style.*"). Differences are relative to each tensor's largest value.
    """
    rows = []
    for place, (height, width) in enumerate(sizes):
        feeds = _guide_feeds(_frame(place, height, width, 0), style)
        rows.append(_relative(f"guide of {width}x{height}", eager(feeds), exported(feeds), allowed))
    return rows


def compare_frames(
    eager_guide: Graph | None,
    eager: Graph,
    exported_guide: Graph | None,
    exported: Graph,
    style: Arrays,
    sizes: Iterable[tuple[int, int]] = SIZES,
    *,
    what: str = "frame",
    allowed: Tolerance = FP32,
) -> list[Row]:
    """Compare frame graphs: two frames of each size, the second with the first's memory, at two strengths.

    All graphs: take and give arrays by the graphs' input and output names; None where there is no guide. style: as in
    `compare_guides`.
    what: kind of graph, for people: "frame", or "regions", which paints what is behind in another look.
    """
    rows = []
    for place, (height, width) in enumerate(sizes):
        worst, means, alike, broken = 0.0, [], [], 0
        memory: Arrays = {
            "memory.painting": np.zeros((height, width, 3), np.uint8),
            "memory.source": np.zeros((*small_size(height, width), 3), np.uint8),
        }
        for index, (strength, smoothing) in enumerate(((1.0, 0.0), (0.6, 0.8))):
            numbers: Arrays = {"strength": np.array(strength, np.float32), "smoothing": np.array(smoothing, np.float32)}
            feeds = feeds_of_frame(height, width, style, place, index) | numbers | memory
            guidance = {} if exported_guide is None else exported_guide(feeds)
            expected = {} if eager_guide is None else eager_guide(feeds)
            reference, answers = eager(feeds | expected), exported(feeds | guidance)
            broken += _broken(guidance)
            for name, answer in answers.items():
                off = np.abs(answer.astype(np.float64) - reference[name].astype(np.float64))
                worst = max(worst, _number(off.max()))
                if name == "painted":
                    means.append(_number(off.mean()))
                    alike.append(ssim(np.asarray(answer, np.uint8), np.asarray(reference[name], np.uint8)))
            memory = {"memory.painting": reference["painted"], "memory.source": reference["next.source"]}
        limits = (allowed.steps, allowed.mean_steps, min(alike), allowed.ssim, broken)
        rows.append(Row(f"{what} {width}x{height}", worst, float(np.mean(means)), *limits))
    return rows


def compare_styles(eager: Graph, exported: Graph, sizes: Sequence[tuple[int, int]] = PICTURE_SIZES) -> list[Row]:
    """Compare style graphs on pictures of some sizes; differences are relative to each tensor's largest value."""
    rows = []
    for place, (height, width) in enumerate(sizes):
        feeds: Arrays = {"picture": _frame(place + 1, height, width, 0)}
        rows.append(_relative(f"style {width}x{height}", eager(feeds), exported(feeds), FP32))
    return rows


def ort_graph(path: Path) -> Graph:
    """An exported graph, run by ONNX Runtime on the CPU, as a function of arrays; it takes what it has inputs for."""
    session = open_session(path, CPU, threads=None)
    names = [entry.name for entry in session.get_outputs()]
    wanted = {entry.name for entry in session.get_inputs()}

    def run(feeds: Arrays) -> Arrays:
        answers = session.run(names, {name: array for name, array in feeds.items() if name in wanted})
        return dict(zip(names, answers, strict=True))

    return run


def demand(rows: Sequence[Row]) -> None:
    """Raise EngineError unless every comparison is within its tolerance."""
    bad = [row for row in rows if not row.good]
    if not bad:
        return
    row = max(bad, key=lambda row: row.excess)
    if row.broken:
        raise EngineError(f"refused: the exported graph gives {row.broken} numbers that are not finite at {row.what}")
    if row.worst > row.allowed:
        told = f"{row.worst:.3g}; {row.allowed:g} is allowed"
    elif row.mean > row.allowed_mean:
        told = f"{row.mean:.3g} on average; {row.allowed_mean:g} is allowed"
    else:
        told = f"its structure, SSIM {row.ssim:.4f}; {row.least_ssim:g} is the least allowed"
    raise EngineError(f"refused: the exported graph differs from eager PyTorch at {row.what} by {told}")


def table(rows: Sequence[Row], by: str = "") -> str:
    """The comparisons as lines of text. by: what was compared with what."""
    head = by or "parity"
    lines = [f"{head:<36} {'max':>9} {'allowed':>9} {'mean':>9} {'allowed':>9} {'SSIM':>8} {'least':>7} {'NaN/Inf':>8}"]
    for row in rows:
        alike = f"{'-':>8} {'-':>7}" if row.ssim is None else f"{row.ssim:>8.5f} {row.least_ssim:>7g}"
        numbers = f"{row.worst:>9.3g} {row.allowed:>9g} {row.mean:>9.3g} {row.allowed_mean:>9g}"
        lines.append(f"{row.what:<36} {numbers} {alike} {row.broken:>8}")
    return "\n".join(lines)


def feeds_of_frame(height: int, width: int, style: Arrays, place: int = 0, index: int = 0) -> Arrays:
    """All that guide's, frames' and regions' graphs take but guidance, for a real frame; nothing is remembered yet.

    place: another picture for another place. index: of the frame.
    """
    frame = _frame(place, height, width, index)
    seen = _guide_feeds(frame, style)
    return {
        **seen,
        **_behind(seen),
        "mask": np.float32(1 / 255) * frame[::4, ::4, 1],
        "frame": frame,
        "small": Memory().before(frame, 0.0).small,
        "strength": np.array(1.0, np.float32),
        "smoothing": np.array(0.0, np.float32),
        "memory.painting": np.zeros((height, width, 3), np.uint8),
        "memory.source": np.zeros((*small_size(height, width), 3), np.uint8),
    }


def scene(height: int, width: int, index: int) -> NDArray[np.uint8]:
    """A made-up picture with slopes, edges and grain, RGB uint8 (height, width, 3); the next index moves it by 2 px."""
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float64)
    columns += 2 * index
    slopes = [np.sin(columns / 23 + c) + np.cos(rows / 17 - c) + np.sin((rows + columns) / 9 + 2 * c) for c in range(3)]
    picture = 127.5 + 36 * np.stack(slopes, 2)
    picture[(rows // 29 + columns // 37) % 2 == 0] *= 0.55
    picture += np.random.default_rng(index).normal(0, 6, picture.shape)
    return np.clip(picture, 0, 255).astype(np.uint8)


def _frame(place: int, height: int, width: int, index: int) -> NDArray[np.uint8]:
    """A real frame; another picture for another place."""
    found = pictures()
    return moving(found[place % len(found)], height, width, index)


def _guide_feeds(frame: NDArray[np.uint8], style: Arrays) -> Arrays:
    if f"{STYLE_PREFIX}palette" not in style:  # nothing is recoloured beforehand, and there is no guide
        return dict(style)
    guide = Guide().of(frame)
    palette = style[f"{STYLE_PREFIX}palette"].astype(np.float32)
    return {"guide": guide, "colour_map": Recolourer().of(guide, palette, 0.0), **style}


def _behind(feeds: Arrays) -> Arrays:
    """Another look for what is behind: all that tells a look, in another size."""
    return {f"{BACKGROUND_PREFIX}{name}": np.float32(0.7) * feeds[name] for name in feeds if name != "guide"}


def _relative(what: str, reference: Arrays, answers: Arrays, allowed: Tolerance) -> Row:
    """Each difference is relative to its reference's largest value."""
    worst, means = 0.0, []
    for name, answer in answers.items():
        off = np.abs(answer - reference[name]) / max(float(np.abs(reference[name]).max()), 1e-6)
        worst = max(worst, _number(off.max()))
        means.append(_number(off.mean()))
    limits = (allowed.relative, allowed.mean_relative)
    return Row(what, worst, float(np.mean(means)), *limits, broken=_broken(answers))


def _broken(answers: Arrays) -> int:
    return sum(int(np.count_nonzero(~np.isfinite(answer))) for answer in answers.values())


def _number(value: float) -> float:
    """NaN compares as good with nothing; here it is the worst."""
    return float(value) if np.isfinite(value) else float("inf")
