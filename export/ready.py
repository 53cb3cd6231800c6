"""Make the graphs that engines run ready: sizes written in, simplified, in the precision asked for, checked."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import onnx

from engines.bundle import GUIDE_GRAPH, GraphInfo, Precision, TensorInfo
from engines.ort import usual_sides
from engines.working import working_size
from export.calibration import Tensors, calibration
from export.checks import checked
from export.frames import Image, panned
from export.graph import store_half
from export.precision import to_half
from export.quantise import quantised_graph
from export.simplify import simplified
from export.sizes import SizeRange

USUAL = (640, 360)  # width and height that live use is measured at
CALIBRATION_FRAMES = 2  # of each picture


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is made of a network. sizes: None for any. pictures: what int8 is calibrated on, RGB uint8 each."""

    precision: Precision = "fp32"
    sizes: SizeRange | None = None
    pictures: Sequence[Image] = ()

    def sides(self, *, guided: bool) -> dict[str, int] | None:
        """The graphs' free dimensions where there is one fixed size, at the usual look; None: they stay free.

        guided: there is a guide's graph.
        """
        if self.sizes is None or not self.sizes.fixed:
            return None
        width, height = self.sizes.usual
        guide, frame = usual_sides(height, width, guided=guided)
        return guide | frame

    @property
    def usual(self) -> tuple[int, int]:
        """Width and height of frames to calibrate and to measure with."""
        return USUAL if self.sizes is None else self.sizes.usual

    def compared(self, free: tuple[tuple[int, int], ...]) -> list[tuple[int, int]]:
        """Heights and widths of working frames to compare at; free: those of a bundle for any size."""
        if self.sizes is None:
            return list(free)
        frames = (self.sizes.least, self.sizes.usual, self.sizes.most)
        return list(dict.fromkeys(working_size(height, width) for width, height in frames))


def ready(
    models: Mapping[str, onnx.ModelProto],
    wanted: Wanted,
    styles: Sequence[Tensors],
    tell: Callable[[str], None],
) -> dict[str, onnx.ModelProto]:
    """Graphs in fp32 with free sizes, by their files' names, as they are wanted.

    styles: the tensors of styles to calibrate int8 with, with those that are no inputs of graphs.
    Raises EngineError: what came out is not valid, or TensorRT would not parse it.
    """
    sides = wanted.sides(guided=GUIDE_GRAPH in models)
    full = {name: checked(simplified(model, sides), name) for name, model in models.items()}
    if wanted.precision == "fp16":
        return {name: checked(simplified(to_half(model)), name) for name, model in full.items()}
    if wanted.precision == "int8":
        full = _in_int8(full, wanted, styles, tell)
    return {name: checked(store_half(model), name) for name, model in full.items()}


def _in_int8(
    full: Mapping[str, onnx.ModelProto], wanted: Wanted, styles: Sequence[Tensors], tell: Callable[[str], None]
) -> dict[str, onnx.ModelProto]:
    width, height = wanted.usual
    frames = list(panned(wanted.pictures, height, width, CALIBRATION_FRAMES))
    tell(f"calibrating int8 on {len(frames)} frames of {width}x{height} in {len(styles)} styles")
    with TemporaryDirectory() as folder:
        guide: Path | None = None
        if GUIDE_GRAPH in full:
            guide = Path(folder) / GUIDE_GRAPH
            onnx.save_model(full[GUIDE_GRAPH], guide)
        feeds = list(calibration(guide, styles, frames))
    return {name: quantised_graph(model, feeds) for name, model in full.items()}


def fixed_info(info: GraphInfo, sides: Mapping[str, int] | None) -> GraphInfo:
    """What a graph takes and gives once sizes are written in."""

    def fixed(tensors: tuple[TensorInfo, ...]) -> tuple[TensorInfo, ...]:
        return tuple(
            TensorInfo(one.name, one.dtype, tuple((sides or {}).get(str(side), side) for side in one.shape))
            for one in tensors
        )

    return GraphInfo(fixed(info.inputs), fixed(info.outputs))
