"""ONNX -> TensorRT plans, built by TensorRT's own Python API or by torch-tensorrt; what was built is kept for one user.

Building times every kernel on the GPU that is there, which takes minutes: it is a command of its own, with progress,
and never part of a live loop.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tqdm import tqdm

from engines.bundle import GraphInfo
from engines.caches import cache_folder
from engines.errors import EngineError, first_line
from engines.plans import PLAN_SUFFIX, Host, Shapes, plan_key
from engines.styles import write_beside
from engines.trt_host import logger, why

_DIGEST = hashlib.sha256().digest_size


@dataclass(frozen=True, slots=True)
class Recipe:
    """What is built. name: of the graph's file; info: what it takes and gives.

    model: ONNX as `export.plan_graph.prepared` gives it, as bytes. workspace_mb: the most that a layer may use beside
    its tensors; None leaves it to TensorRT.
    """

    name: str
    info: GraphInfo
    model: bytes
    shapes: Shapes
    precision: str
    workspace_mb: int | None = None


@dataclass(frozen=True, slots=True)
class Built:
    """A plan as TensorRT loads it, and the names of inputs and outputs that are not the graph's (`engines.plans`)."""

    plan: bytes
    names: dict[str, str] = field(default_factory=dict)


class Kept:
    """Plans and timings that were built before, in the cache of one user. host: whom they are for."""

    def __init__(self, host: Host) -> None:
        self._host, self._folder = host, cache_folder() / "plans"
        gpu = "".join(c if c.isalnum() else "-" for c in f"{host.gpu}-{host.capability}")
        self._timings = self._folder / f"timings-{host.tensorrt}-{gpu}.cache"

    def plan(self, recipe: Recipe, method: str, build: Callable[[], Built]) -> tuple[Built, bool]:
        """A plan: the one that is kept, or what `build` makes, which is then kept. And whether it was there."""
        how = f"{method} workspace {recipe.workspace_mb}"
        key = plan_key(recipe.model, recipe.shapes, recipe.precision, self._host, how)
        path = self._folder / f"{key}{PLAN_SUFFIX}"
        if path.is_file():
            data = path.read_bytes()
            digest, body = data[:_DIGEST], data[_DIGEST:]
            if hashlib.sha256(body).digest() == digest:  # else it is damaged: built anew
                names, _, plan = body.partition(b"\n")
                return Built(plan, json.loads(names)), True
        built = build()
        body = json.dumps(built.names).encode() + b"\n" + built.plan
        self._write(path, hashlib.sha256(body).digest() + body)
        return built, False

    @property
    def timings(self) -> bytes:
        """What TensorRT measured of this GPU's kernels in earlier builds; empty if there were none."""
        return self._timings.read_bytes() if self._timings.is_file() else b""

    @timings.setter
    def timings(self, data: bytes) -> None:
        self._write(self._timings, data)

    def _write(self, path: Path, data: bytes) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        write_beside(path, data)


def build_plan(trt: Any, recipe: Recipe, kept: Kept) -> Built:
    """Build a plan with TensorRT's Python API, strongly typed, with a progress bar.

    trt: the module tensorrt. Raises EngineError (operators that it does not take are named), KeyboardInterrupt.
    """
    log = logger(trt)
    builder = trt.Builder(log)
    _check_support(trt, builder, log, recipe)
    network = builder.create_network(_strongly_typed(trt))
    parser = trt.OnnxParser(network, log)
    if not parser.parse(recipe.model):
        raise _refused(trt, recipe, parser, log)
    config = builder.create_builder_config()
    # fp32 means fp32: TF32 has the mantissa of fp16.
    config.clear_flag(trt.BuilderFlag.TF32)
    if recipe.workspace_mb is not None:
        config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, recipe.workspace_mb << 20)
    if recipe.shapes:  # a graph for one size has no free dimension
        _set_profile(builder, config, recipe, log)
    # Timings of another version are of no use: then it starts with none.
    if not any(config.set_timing_cache(config.create_timing_cache(data), False) for data in (kept.timings, b"")):
        raise EngineError(f"TensorRT cannot keep timings: {why(log, 'it tells no reason')}")
    with _Progress(trt, recipe.name) as progress:
        config.progress_monitor = progress.monitor
        plan = builder.build_serialized_network(network, config)
    if progress.stopped:
        raise KeyboardInterrupt
    if plan is None:
        raise EngineError(f"TensorRT {trt.__version__} cannot build {recipe.name}: {why(log, 'it tells no reason')}")
    if (timings := config.get_timing_cache()) is not None:
        kept.timings = bytes(timings.serialize())
    return Built(bytes(plan))


def _set_profile(builder: Any, config: Any, recipe: Recipe, log: Any) -> None:
    profile = builder.create_optimization_profile()
    try:
        for name, (least, usual, most) in recipe.shapes.items():
            profile.set_shape(name, least, usual, most)
    except RuntimeError as error:
        raise EngineError(f"TensorRT takes no such sizes for {recipe.name}: {first_line(error)}") from error
    if config.add_optimization_profile(profile) < 0:
        raise EngineError(f"TensorRT takes no such sizes for {recipe.name}: {why(log, 'it tells no reason')}")


def _strongly_typed(trt: Any) -> int:
    """The flags of a network whose precision is in its graph; since TensorRT 11 every network is such a one."""
    flag = getattr(trt.NetworkDefinitionCreationFlag, "STRONGLY_TYPED", None)
    return 0 if flag is None else 1 << int(flag)


def _check_support(trt: Any, builder: Any, log: Any, recipe: Recipe) -> None:
    """Ask the parser before minutes are spent. It fills the network that it is given, so that is thrown away."""
    parser = trt.OnnxParser(builder.create_network(_strongly_typed(trt)), log)
    ask = getattr(parser, "supports_model_v2", None)
    if ask is not None and not ask(recipe.model):
        raise _refused(trt, recipe, parser, log)


def _refused(trt: Any, recipe: Recipe, parser: Any, log: Any) -> EngineError:
    errors = [parser.get_error(index) for index in range(parser.num_errors)]
    told = [f"{error.node_operator()} ({error.node_name()}): {first_line(error.desc())}" for error in errors]
    reasons = "; ".join(dict.fromkeys(told)) or why(log, "it tells no reason")
    return EngineError(f"TensorRT {trt.__version__} does not take {recipe.name}: {reasons[:600]}")


class _Progress:
    """Shows the phases of a build as progress bars, and stops it at Ctrl-C."""

    def __init__(self, trt: Any, name: str) -> None:
        self.stopped = False
        bars: dict[str, tqdm[Any]] = {}
        progress = self

        class Monitor(trt.IProgressMonitor):  # type: ignore[misc]
            def __init__(self) -> None:
                trt.IProgressMonitor.__init__(self)

            def phase_start(self, phase: str, parent: str | None, steps: int) -> None:
                what = f"{name}: {phase}" if parent is None else phase
                bars[phase] = tqdm(total=steps, desc=what, leave=parent is None, position=len(bars))

            def step_complete(self, phase: str, step: int) -> bool:
                del step
                try:
                    if phase in bars:
                        bars[phase].update()
                except KeyboardInterrupt:  # it would be lost in TensorRT
                    progress.stopped = True
                return not progress.stopped

            def phase_finish(self, phase: str) -> None:
                if (bar := bars.pop(phase, None)) is not None:
                    bar.close()

        self.monitor, self._bars = Monitor(), bars

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for bar in self._bars.values():
            bar.close()
