"""A graph's nodes as ONNX Runtime runs them (fused, blocked, reordered), with their shapes and measured times."""

from __future__ import annotations

import json
import time
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any, Protocol

import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray
from roofline_counts import CONVOLUTIONS, Node, Tensor

from engines.api import Look
from engines.bundle import STYLE_PREFIX, Bundle
from engines.errors import EngineError
from engines.guide import Guide
from engines.memory import Memory
from engines.ort import CPU, open_session
from engines.recolour import Recolourer
from engines.working import Working
from realtime.synthetic import SyntheticSource

Array = NDArray[Any]
WARM_UPS = 3
KEPT_ATTRIBUTES = ("kernel_shape", "mode", "transA")
_BLOCKED = "_nchwc"  # what ONNX Runtime appends to the name of what a convolution puts out, as the blocked one's name
_CONTAINERS = frozenset(("If", "Loop", "Scan"))  # their time is that of the nodes inside, which are told too


class Load(Protocol):
    """What a graph is run with, run after run."""

    def before(self) -> dict[str, Array]:
        """Every input by its name; the arrays stay as they are until the next call."""
        ...

    def after(self, outputs: dict[str, Array]) -> None:
        """Every output by its name."""
        ...


class _Scene:
    """The synthetic scene as an engine gives it to a model's graphs."""

    def __init__(self, bundle: Bundle, look: Look, size: tuple[int, int]) -> None:
        self._source, self._working, self._guide = SyntheticSource(size), Working(), Guide()
        self._recolourer = Recolourer()
        self.look = look
        self._feeds: dict[str, Array] = {f"{STYLE_PREFIX}{name}": array for name, array in look.style.tensors.items()}
        self._feeds["strength"] = np.asarray(look.strength, np.float32)

    def next(self) -> tuple[Array, dict[str, Array]]:
        """The next frame at its working size, and what its guide's graph takes."""
        frame = self._source.read()
        assert frame is not None  # the scene has no end
        image = self._working.of(frame.image, self.look.render_scale)
        guide = self._guide.of(image, self.look.stroke)
        colour_map = self._recolourer.of(guide, self.look.style.tensors["palette"], 0.0)
        return image, {"guide": guide, "colour_map": colour_map, **self._feeds}


class GuideLoad:
    """The scene's guides through a bundle's guide's graph."""

    def __init__(self, bundle: Bundle, look: Look, size: tuple[int, int]) -> None:
        self._scene = _Scene(bundle, look, size)
        self._names = {info.name for info in bundle.guide.inputs}  # a baked graph has no style inputs

    def before(self) -> dict[str, Array]:
        return {name: array for name, array in self._scene.next()[1].items() if name in self._names}

    def after(self, outputs: dict[str, Array]) -> None:
        """Nothing goes on from guide to guide."""


class FrameLoad:
    """The scene through a bundle's frame graph, the memory moved from frame to frame as an engine does."""

    def __init__(self, bundle: Bundle, look: Look, size: tuple[int, int]) -> None:
        self._scene, self._memory = _Scene(bundle, look, size), Memory()
        self._names = {info.name for info in bundle.frame.inputs}
        self._guide_names = [info.name for info in bundle.guide.inputs]
        self._guide = open_session(bundle.guide_graph, CPU, threads=1)

    def before(self) -> dict[str, Array]:
        image, told = self._scene.next()
        (guidance,) = self._guide.run(None, {name: told[name] for name in self._guide_names})
        smoothing = self._scene.look.smoothing
        recalled = self._memory.before(image, smoothing)
        feeds: dict[str, Array] = {
            **told,
            "frame": image,
            "small": recalled.small,
            "guidance": guidance,
            "smoothing": np.asarray(smoothing if recalled.holds else 0.0, np.float32),
            "memory.painting": recalled.painting,
            "memory.source": recalled.source,
        }
        return {name: array for name, array in feeds.items() if name in self._names}

    def after(self, outputs: dict[str, Array]) -> None:
        self._memory.after(outputs["painted"], outputs["next.source"])


@dataclass(frozen=True, slots=True)
class Measured:
    """run_ms: median time of a run as it is; profiled_ms: of one whose nodes are timed. nodes: in their order.

    parts_ms: run_ms of each graph, where there are several.
    """

    run_ms: float
    profiled_ms: float
    nodes: tuple[Node, ...]
    parts_ms: dict[str, float] = field(default_factory=dict)


def measure_graph(graph: Path, plain: Load, profiled: Load, threads: int, repeats: int) -> Measured:
    """Run `graph` on the CPU `repeats` times as it is and again with its nodes timed. Raises EngineError."""
    run_s = median(_play(open_session(graph, CPU, threads=threads), plain, repeats))
    with TemporaryDirectory() as name:
        folder = Path(name)
        profiling = {
            "enable_profiling": True,
            "profile_file_prefix": str(folder / "profile"),
            "optimized_model_filepath": str(folder / "run.onnx"),
        }
        session = open_session(graph, CPU, threads=threads, options=profiling)
        profiled_s = median(_play(session, profiled, repeats))
        events = json.loads(Path(session.end_profiling()).read_text(encoding="utf-8"))
        plain_kernels = {
            "graph_optimization_level": ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED,
            "optimized_model_filepath": str(folder / "plain.onnx"),
        }
        open_session(graph, CPU, threads=threads, options=plain_kernels)
        nodes = read_profile(events, onnx.load(folder / "run.onnx"), onnx.load(folder / "plain.onnx"))
    return Measured(run_s * 1000, profiled_s * 1000, nodes)


def together(parts: Mapping[str, Measured]) -> Measured:
    """Graphs that run one after the other, as one: names of nodes begin with their graph's."""
    nodes = [replace(node, name=f"{name}/{node.name}") for name, part in parts.items() for node in part.nodes]
    run_ms, profiled_ms = (sum(getattr(part, name) for part in parts.values()) for name in ("run_ms", "profiled_ms"))
    return Measured(run_ms, profiled_ms, tuple(nodes), {name: part.run_ms for name, part in parts.items()})


def read_profile(
    events: Sequence[dict[str, Any]], run: onnx.ModelProto, plain: onnx.ModelProto, warm_ups: int = WARM_UPS
) -> tuple[Node, ...]:
    """The nodes of a profile: medians over its runs without the first `warm_ups`.

    run: the graph that was run, as ONNX Runtime saved it. plain: the same before convolutions were blocked.
    Raises EngineError if there are no runs.
    """
    spans = sorted((event["ts"], event["ts"] + event["dur"]) for event in events if event["name"] == "model_run")
    spans = spans[warm_ups:]
    if not spans:
        raise EngineError(f"the profile holds no run after {warm_ups} warm-ups; ONNX Runtime must be 1.22 or newer")
    times: dict[tuple[str, str], list[float]] = {}
    told: dict[tuple[str, str], dict[str, Any]] = {}
    begins = [begin for begin, _ in spans]
    for event in events:
        arguments = event["args"]
        if event.get("cat") != "Node" or arguments.get("op_name", "If") in _CONTAINERS:
            continue
        place = bisect_right(begins, event["ts"]) - 1
        if place < 0 or event["ts"] > spans[place][1]:
            continue
        key = (event["name"].removesuffix("_kernel_time"), arguments["node_index"])
        told.setdefault(key, arguments)
        # A node in a loop runs more than once, one in a branch perhaps not at all.
        times.setdefault(key, [0.0] * len(spans))[place] += event["dur"] / 1000
    protos = {proto.name: proto for proto in run.graph.node if proto.name}
    constants, weights = _constants(run), _plain_weights(plain)
    nodes: list[Node] = []
    for (name, index), arguments in told.items():
        proto = protos.get(name)
        op = arguments["op_name"]
        if proto is not None and proto.op_type != op:
            proto = None
        inputs = tuple(_tensor(entry) for entry in arguments["input_type_shape"])
        outputs = tuple(_tensor(entry) for entry in arguments["output_type_shape"])
        attributes: dict[str, Any] = {}
        if proto is not None:
            inputs = with_constants(inputs, proto.input, constants)
            attributes = {
                entry.name: onnx.helper.get_attribute_value(entry)
                for entry in proto.attribute
                if entry.name in KEPT_ATTRIBUTES
            }
        weight = weights.get(name.removesuffix(_BLOCKED)) if op in CONVOLUTIONS and name.endswith(_BLOCKED) else None
        nodes.append(Node(name, op, inputs, outputs, median(times[name, index]), weight, attributes))
    return tuple(nodes)


def with_constants(told: Sequence[Tensor], names: Sequence[str], constants: Mapping[str, Tensor]) -> tuple[Tensor, ...]:
    """A node's inputs, with the constants that a profile leaves out.

    ONNX Runtime lets go of weights that it has laid out anew for its own use, and then tells no shape of them.
    told: the inputs of the profile, in order. names: all of the node's inputs, "" where one is left out.
    """
    rest = list(told)
    missing = sum(bool(name) for name in names) - len(rest)
    inputs: list[Tensor] = []
    for name in names:
        constant = constants.get(name)
        if constant is not None and missing > 0 and (not rest or rest[0] != constant):
            inputs.append(constant)
            missing -= 1
        elif name and rest:
            inputs.append(rest.pop(0))
    return (*inputs, *rest)


def _play(session: Any, load: Load, repeats: int) -> list[float]:
    """Seconds of each run after the warm-ups, of which the first is a stream's first frame without memory."""
    binding = session.io_binding()
    names = [entry.name for entry in session.get_outputs()]
    seconds: list[float] = []
    for number in range(WARM_UPS + repeats):
        for name, array in load.before().items():
            binding.bind_cpu_input(name, np.ascontiguousarray(array))
        for name in names:
            binding.bind_output(name)
        begin = time.perf_counter()
        try:
            session.run_with_iobinding(binding)
        except Exception as error:
            raise EngineError(f"ONNX Runtime failed: {str(error).strip().splitlines()[0][:300]}") from error
        if number >= WARM_UPS:
            seconds.append(time.perf_counter() - begin)
        load.after(dict(zip(names, binding.copy_outputs_to_cpu(), strict=True)))
    return seconds


def _tensor(entry: Mapping[str, Sequence[int]]) -> Tensor:
    ((dtype, shape),) = entry.items()
    return Tensor(dtype, tuple(shape))


def _constants(model: onnx.ModelProto) -> dict[str, Tensor]:
    names = {number: name.lower() for name, number in onnx.TensorProto.DataType.items()}
    return {
        constant.name: Tensor(names[constant.data_type], tuple(constant.dims)) for constant in model.graph.initializer
    }


def _plain_weights(model: onnx.ModelProto) -> dict[str, tuple[int, ...]]:
    """Name of what a convolution puts out -> shape of its weights."""
    constants = _constants(model)
    return {
        proto.output[0]: constants[proto.input[1]].shape
        for proto in model.graph.node
        if proto.op_type in CONVOLUTIONS and len(proto.input) > 1 and proto.input[1] in constants
    }
