"""A bundle's graphs as OpenVINO's own files, and as functions of arrays that OpenVINO runs on this CPU."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import openvino

from engines.bundle import STYLE_PREFIX, Bundle
from engines.errors import EngineError
from engines.styles import Style
from engines.working import working_size
from export.parity import Arrays, Graph, Row, compare_frames, compare_guides, feeds_of_frame, ort_graph
from export.tolerance import TOLERANCES

FOLDER = "openvino"
_ROUNDS = 15


@dataclass(frozen=True, slots=True)
class Pace:
    """Medians of one graph, run in turns: OpenVINO's and ONNX Runtime's, ms, and of the ratios of each turn."""

    graph: str
    ours_ms: float
    theirs_ms: float
    ratio: float


def graphs_of(bundle: Bundle) -> dict[str, Path]:
    """The graphs that paint frames, by their names without suffix."""
    return {Path(name).stem: bundle.folder / name for name in bundle.graphs}


def write_graphs(bundle: Bundle, folder: Path) -> dict[str, Path]:
    """Convert every graph: NAME.xml and NAME.bin in `folder`, which is made here. Raises EngineError."""
    folder.mkdir()
    written = {}
    for name, path in graphs_of(bundle).items():
        try:
            model = openvino.convert_model(path)
            written[name] = folder / f"{name}.xml"
            # Weights stay as the graph has them: what is compared is what is written.
            openvino.save_model(model, written[name], compress_to_fp16=False)
        except RuntimeError as error:
            raise EngineError(f"OpenVINO cannot convert {path.name}: {_first_line(error)}") from error
    return written


def openvino_graph(path: Path) -> Graph:
    """A written graph as a function of named arrays, of which it takes what it has inputs for; in fp32 on the CPU."""
    settings = {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"}
    try:
        compiled = openvino.Core().compile_model(path, "CPU", settings)
    except RuntimeError as error:
        raise EngineError(f"OpenVINO cannot run {path.name}: {_first_line(error)}") from error
    request = compiled.create_infer_request()
    wanted = [port.any_name for port in compiled.inputs]

    def run(feeds: Arrays) -> Arrays:
        answers = request.infer({name: feeds[name] for name in wanted})
        return {port.any_name: np.array(answers[port]) for port in compiled.outputs}

    return run


def compare(bundle: Bundle, written: dict[str, Path], style: Style, sizes: list[tuple[int, int]]) -> list[Row]:
    """OpenVINO's graphs against the bundle's own in ONNX Runtime, on real frames of these heights and widths."""
    ours = {name: openvino_graph(path) for name, path in written.items()}
    theirs = {name: ort_graph(path) for name, path in graphs_of(bundle).items()}
    inputs: Arrays = {f"{STYLE_PREFIX}{name}": np.asarray(tensor) for name, tensor in style.tensors.items()}
    allowed = TOLERANCES[bundle.precision]
    their_guide, our_guide = theirs.pop("guide", None), ours.pop("guide", None)
    rows: list[Row] = []
    if their_guide is not None and our_guide is not None:
        rows += compare_guides(their_guide, our_guide, inputs, sizes, allowed=allowed)
    for name, graph in ours.items():
        graphs = (their_guide, theirs[name], our_guide, graph)
        rows += compare_frames(*graphs, inputs, sizes, what=name, allowed=allowed)
    return rows


def paces(bundle: Bundle, written: dict[str, Path], style: Style, size: tuple[int, int]) -> list[Pace]:
    """How long each graph takes for a frame of this width and height, OpenVINO and ONNX Runtime in turns."""
    inputs: Arrays = {f"{STYLE_PREFIX}{name}": np.asarray(tensor) for name, tensor in style.tensors.items()}
    feeds = feeds_of_frame(*working_size(size[1], size[0]), inputs)
    if bundle.guide is not None:
        feeds |= ort_graph(bundle.guide_graph)(feeds)
    found = []
    for name, path in graphs_of(bundle).items():
        pair = (openvino_graph(written[name]), ort_graph(path))
        took: list[list[float]] = [[], []]
        for turn in range(_ROUNDS + 2):
            for place, graph in enumerate(pair):
                begin = time.perf_counter()
                graph(feeds)
                if turn >= 2:  # the first ones plan and allocate
                    took[place].append(1000 * (time.perf_counter() - begin))
        ours, theirs = (np.array(times) for times in took)
        found.append(Pace(name, float(np.median(ours)), float(np.median(theirs)), float(np.median(ours / theirs))))
    return found


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[-1] if lines else type(error).__name__)[:300]
