"""From sizes of frames to the sizes that a bundle's graphs see: what an optimisation profile has to cover.

A frame's working size follows from the look's render scale (also changed by --hold-fps), its guide from the stroke. So
that no look is refused, the ranges cover all of them; the usual size is that of the usual frame in the default look.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import product
from typing import TypeAlias

from engines.api import RANGES
from engines.bundle import GraphInfo
from engines.guide import guidance_size, guide_size
from engines.memory import small_size
from engines.plans import Shape, Shapes
from engines.sizes import SizeRange
from engines.working import full_scale, working_size

Range: TypeAlias = tuple[int, int, int]  # least, usual, most
DEFAULT_SIZES = SizeRange((320, 180), (1280, 720), (1920, 1080))
_SCALES = 64  # of a sweep from the least render scale to the frame's own size
_STEP_PX = 8  # guides are rounded to multiples: what the sweep leaves out differs by no more
_LEAST_GUIDE_PX = 64


def ranges(sizes: SizeRange) -> dict[str, Range]:
    """What each free dimension of the graphs may be, by its name, for frames of these sizes in any look."""
    corners = set(product((sizes.least[1], sizes.most[1]), (sizes.least[0], sizes.most[0])))
    working = {size for height, width in corners for size in _working(height, width)}
    strokes = [*RANGES["stroke"], 1.0]
    guides = {guide_size(*size, stroke) for size in working for stroke in strokes}
    usual = working_size(sizes.usual[1], sizes.usual[0])
    usual_guide = guide_size(*usual)
    told: dict[str, Range] = {}
    for axis, side in enumerate(("height", "width")):
        least, most = (pick(size[axis] for size in working) for pick in (min, max))
        frame = (least, usual[axis], most)
        told[side] = frame
        told[f"small_{side}"] = _three(small_size(pixels, pixels)[0] for pixels in frame)
        narrow, wide = (pick(size[axis] for size in guides) for pick in (min, max))
        guide = (max(_LEAST_GUIDE_PX, narrow - _STEP_PX), usual_guide[axis], wide + _STEP_PX)
        told[f"guide_{side}"] = guide
        told[f"guidance_{side}"] = _three(guidance_size(pixels, pixels)[0] for pixels in guide)
    return told


def profile(info: GraphInfo, known: Mapping[str, Range]) -> Shapes:
    """Least, usual and largest shape of those inputs of a graph that have a free dimension."""

    def shape(sides: tuple[int | str, ...], which: int) -> Shape:
        return tuple(known[side][which] if isinstance(side, str) else side for side in sides)

    return {
        entry.name: (shape(entry.shape, 0), shape(entry.shape, 1), shape(entry.shape, 2))
        for entry in info.inputs
        if any(isinstance(side, str) for side in entry.shape)
    }


def _working(height: int, width: int) -> set[tuple[int, int]]:
    """The working sizes of one frame size, from the least render scale to its own size."""
    least, most = RANGES["render_scale"][0], min(full_scale(height, width), RANGES["render_scale"][1])
    scales = [least + (most - least) * place / _SCALES for place in range(_SCALES + 1)] if most > least else [least]
    return {(height, width), *(working_size(height, width, scale) for scale in scales)}


def _three(values: Iterable[int]) -> Range:
    least, usual, most = values
    return least, usual, most
