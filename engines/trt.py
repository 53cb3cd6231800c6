"""The TensorRT back end: plans that brushcast-export built for this GPU. It builds nothing: that takes minutes."""

from __future__ import annotations

import re
import threading
from math import sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines.api import Engine, Look, closed_error
from engines.around import Around, frame_inputs
from engines.bundle import BACKGROUND_PREFIX, FRAME_GRAPH, GUIDE_GRAPH, REGIONS_GRAPH, STYLE_PREFIX, Bundle, TensorInfo
from engines.checked import CheckedStyles
from engines.cuda_runtime import Cuda, OutOfDeviceMemory
from engines.errors import EngineError, InputError
from engines.memory import Recalled
from engines.pixels import Picture
from engines.plans import PLANS, Plans, build_line, load_plans
from engines.regions import Mask
from engines.renewal import Guided
from engines.styles import Style
from engines.trt_host import host_here, import_tensorrt, logger
from engines.trt_part import Fixed, Part, PlanGraph

_DEVICE = re.compile(r"(?:cuda|gpu)(?::(\d{1,3}))?")
_NUMBERS = ("strength", "smoothing")
_ROOM = 0.9  # of the free memory, which is estimated, and which others use, too


class TensorRtEngine(Engine):
    """Paints with a bundle's TensorRT plans. Frames outside their sizes are refused (InputError).

    provider: "cuda", "cuda:1"; None is "cuda:0". precision: what the plans must have. threads: not used.
    Raises EngineError: no plans, plans for another TensorRT or GPU, no GPU; ModuleNotFoundError: not installed.
    """

    name = "tensorrt"

    def __init__(
        self,
        bundle: Bundle,
        *,
        threads: int | None = None,
        provider: str | None = None,
        precision: str | None = None,
    ) -> None:
        del threads  # taken as all engines take them
        self._start(_Loaded(bundle, device_index(provider), precision), owns=True)

    def _start(self, loaded: _Loaded, *, owns: bool) -> None:
        """What belongs to one stream. owns: whether closing it ends the others."""
        self._loaded, self._owns, self._closed = loaded, owns, False
        self._cuda, self._bundle = loaded.cuda, loaded.bundle
        self.provider = f"cuda:{loaded.cuda.index}"
        self._around = Around(guided=loaded.bundle.guide is not None, halos=loaded.bundle.halos)
        self._checked = CheckedStyles(loaded.bundle)
        self._stream = self._cuda.stream()
        self._fixed: dict[str, Fixed] = {}
        self._parts: dict[str, Part] = {}

    def stylise(self, image: NDArray[np.uint8], look: Look, mask: Mask | None = None) -> NDArray[np.uint8]:
        """Paint one frame; see `engines.api.Engine.stylise`."""
        self._check_open()
        self._checked.check(look)
        if image.ndim == 3:
            self._loaded.check_size(image.shape[0], image.shape[1], look)
        self._cuda.enter()
        return self._around.paint(image, look, self, mask)

    def guide(self, guide: Picture, colour_map: NDArray[np.float32], style: Style) -> NDArray[np.float32]:
        """See `engines.around.Graphs`."""
        self._take(style)
        return self._run(GUIDE_GRAPH, {"guide": guide, "colour_map": colour_map})["guidance"]

    def paint(
        self, working: Picture, guided: Guided, recalled: Recalled, look: Look, smoothing: float
    ) -> tuple[Picture, Picture]:
        """See `engines.around.Graphs`."""
        self._fix("strength", look.strength)
        return self._paint(FRAME_GRAPH, working, guided, recalled, look, smoothing, {})

    def paint_regions(
        self, working: Picture, guided: Guided, recalled: Recalled, look: Look, smoothing: float, mask: Mask
    ) -> tuple[Picture, Picture]:
        """See `engines.around.Graphs`."""
        assert look.behind is not None
        self._take(look.behind, BACKGROUND_PREFIX)
        more = {"mask": mask, f"{BACKGROUND_PREFIX}colour_map": guided.background_map}
        return self._paint(REGIONS_GRAPH, working, guided, recalled, look, smoothing, more)

    def session(self) -> TensorRtEngine:
        """Another stream; see `engines.api.Engine.session`. Streams share the plans, and run side by side."""
        self._check_open()
        self._cuda.enter()
        other = TensorRtEngine.__new__(TensorRtEngine)
        other._start(self._loaded, owns=False)
        return other

    def reset(self) -> None:
        """Forget the last painting."""
        self._around.reset()

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        self._loaded.closed = self._loaded.closed or self._owns
        self._cuda.enter()
        self._cuda.wait(self._stream)
        for part in self._parts.values():
            part.close()
        for fixed in self._fixed.values():
            fixed.close()
        self._parts, self._fixed = {}, {}
        self._cuda.drop_stream(self._stream)

    def _paint(
        self,
        graph: str,
        working: Picture,
        guided: Guided,
        recalled: Recalled,
        look: Look,
        smoothing: float,
        more: dict[str, Any],
    ) -> tuple[Picture, Picture]:
        self._take(look.style)
        self._fix("smoothing", smoothing)
        taken = self._bundle.graphs[graph].inputs
        answers = self._run(graph, frame_inputs(taken, working, guided, recalled, more))
        return answers["painted"], answers["next.source"]

    def _run(self, graph: str, inputs: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        part = self._parts.get(graph)
        if part is None:
            part = self._parts[graph] = Part(self._loaded.graph(graph), self._cuda, self._stream, self._fixed)
        try:
            return part.run(inputs)
        except OutOfDeviceMemory as error:
            height, width = next(iter(inputs.values())).shape[:2]  # the picture comes first
            share = sqrt(min(1.0, _ROOM * error.free / error.needed))
            fits = f"{int(width * share)}x{int(height * share)}"
            raise EngineError(
                f"{error}; to paint at {width}x{height}: about {fits} fits by estimate; "
                "take smaller frames or a smaller --render-scale"
            ) from error

    def _take(self, style: Style, prefix: str = "") -> None:
        """Put a style's tensors where the plans read them."""
        for info in self._bundle.style_tensors:
            name = f"{prefix}{STYLE_PREFIX}{info.name}"
            if name in self._loaded.fixed:
                self._fix(name, style.tensors[info.name])

    def _fix(self, name: str, value: NDArray[Any] | float) -> None:
        fixed = self._fixed.get(name)
        if fixed is None:
            fixed = self._fixed[name] = Fixed(self._cuda, self._stream, self._loaded.fixed[name])
        fixed.write(value)

    def _check_open(self) -> None:
        if self._closed or self._loaded.closed:
            raise closed_error(self.name)


class _Loaded:
    """A bundle's plans on one GPU: what all streams share. Plans for regions are loaded when first asked for."""

    def __init__(self, bundle: Bundle, index: int, precision: str | None) -> None:
        self.bundle, self.closed = bundle, False
        self._trt = import_tensorrt()
        self._plans: Plans = load_plans(bundle)
        if precision not in (None, self._plans.precision):
            raise EngineError(
                f"the plans of {bundle.folder} are {self._plans.precision}; {precision} ones have to be built: "
                f"brushcast-export tensorrt {bundle.folder} -o OUT --precision {precision}"
            )
        self.cuda = Cuda(index)
        self._plans.check(bundle, host_here(self._trt, self.cuda))
        self._log = logger(self._trt)
        self._runtime = self._trt.Runtime(self._log)
        self._lock = threading.Lock()
        self._graphs: dict[str, PlanGraph] = {}
        self._infos = infos = bundle.graphs
        self.fixed: dict[str, TensorInfo] = {
            info.name: info
            for entries in infos.values()
            for info in entries.inputs
            if info.name in _NUMBERS or info.name.removeprefix(BACKGROUND_PREFIX).startswith(STYLE_PREFIX)
        }
        for graph in infos:
            if graph != REGIONS_GRAPH:  # most streams never need it
                self.graph(graph)

    def graph(self, name: str) -> PlanGraph:
        """One of the plans. Raises EngineError."""
        with self._lock:
            if name not in self._graphs:
                plan = self._plans.plans.get(name)
                if plan is None:
                    line = build_line(self.bundle, self._plans)
                    raise EngineError(f"{self.bundle.folder} has no plan of {name}; build it: {line}")
                path = self.bundle.folder / PLANS / plan.file
                try:
                    data = path.read_bytes()
                except OSError as error:
                    raise EngineError(f"{path} cannot be read: {error.strerror}") from error
                self._graphs[name] = PlanGraph(self._trt, self._runtime, self._log, data, plan, self._infos[name])
            return self._graphs[name]

    def check_size(self, height: int, width: int, look: Look) -> None:
        """Raise InputError for a frame that the plans, or the bundle's graphs, are not for."""
        self.bundle.check_size(height, width, look.stroke, look.render_scale)
        if not self._plans.sizes.holds(height, width):
            raise InputError(
                f"a frame is {width}x{height}, and these TensorRT plans are for {self._plans.sizes}; "
                f"build others: brushcast-export tensorrt {self.bundle.folder} -o OUT --size {width}x{height}"
            )


def device_index(provider: str | None) -> int:
    """The number of the GPU that a provider names. Raises EngineError."""
    match = _DEVICE.fullmatch((provider or "cuda").lower())
    if match is None:
        raise EngineError(f"no GPU {provider!r}; the tensorrt engine runs on cuda, cuda:0, cuda:1, ...")
    return int(match[1] or 0)
