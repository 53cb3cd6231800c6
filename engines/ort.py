"""The ONNX Runtime back end: CPU, CUDA, and the other providers. The provider asked for, or an error."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines.api import RANGES, Engine, Look, check_image, closed_error
from engines.around import Around, frame_inputs
from engines.bundle import BACKGROUND_PREFIX, STYLE_PREFIX, Bundle, GraphInfo
from engines.checked import CheckedStyles
from engines.errors import EngineError
from engines.guide import guidance_size, guide_size
from engines.later import Later
from engines.memory import Recalled, small_size
from engines.ort_graph import Graph, Run, Sides, new_run, new_values
from engines.ort_session import open_session
from engines.providers import CPU, PROVIDERS, Provider, find_provider, provider_name
from engines.regions import Mask
from engines.renewal import Guided
from engines.room import OutOfMemory, free_memory, too_large
from engines.sizes import SizeRange
from engines.styles import Style
from engines.working import painted_scale, working_size

__all__ = ["CPU", "PROVIDERS", "OrtEngine", "open_session", "provider_name", "usual_sides"]


class OrtEngine(Engine):
    """Paints with a bundle's graphs. Buffers are bound once per size and style layout.

    bundle: dynamic or baked. threads: of one operator; None lets ONNX Runtime take one per physical core.
    provider: a short name of `PROVIDERS` or an ONNX Runtime name, and a device where there are several ("cuda:1");
        None is "cpu". precision: what the bundle's graphs are in, or None.
    allow_cpu_fallback: parts that the provider does not take may run on the CPU; `provider` tells when they do.
    Raises EngineError: unknown or missing provider, another precision, or a graph cannot be loaded.
    """

    name = "ort"

    def __init__(
        self,
        bundle: Bundle,
        *,
        threads: int | None = None,
        provider: str | None = None,
        precision: str | None = None,
        allow_cpu_fallback: bool = False,
    ) -> None:
        check_precision(bundle, precision)
        self._begin(_Model(bundle, find_provider(provider), threads, allow_cpu_fallback), owns=True)

    def _begin(self, model: _Model, *, owns: bool) -> None:
        """What each stream has of its own. owns: closing it closes the model."""
        self._model, self._owns, self.provider = model, owns, model.running()
        self._style: Style | None = None  # whose tensors are in the buffers
        self._background: Style | None = None
        self._checked = CheckedStyles(model.bundle)
        self._around = Around(guided=model.guide is not None, halos=model.bundle.halos)
        styles = {
            f"{STYLE_PREFIX}{info.name}": np.zeros([int(side) for side in info.shape], np.float32)
            for info in model.bundle.style_tensors
        }
        numbers = {name: np.zeros((), np.float32) for name in ("strength", "smoothing")}
        self._styles = tuple(styles)
        behind = {f"{BACKGROUND_PREFIX}{name}": array.copy() for name, array in styles.items()}
        self._values = new_values(model.provider, {**styles, **behind, **numbers})
        self._guide = None if model.guide is None else new_run(model.guide, self._values)
        self._frame = new_run(model.frame, self._values)
        self._regions: Run | None = None
        self._closed = False

    def stylise(self, image: NDArray[np.uint8], look: Look, mask: Mask | None = None) -> NDArray[np.uint8]:
        """Paint one frame; see `engines.api.Engine.stylise`."""
        self._check_open()
        self._checked.check(look)
        check_image(image)
        self._model.bundle.check_size(image.shape[0], image.shape[1], look.stroke, look.render_scale)
        self._values.write("strength", np.asarray(look.strength, np.float32))
        try:
            return self._around.paint(image, look, self, mask)
        except OutOfMemory as error:
            height, width = image.shape[:2]
            free = free_memory(self._model.provider)
            raise too_large(self._model.provider.name, height, width, look.render_scale, free) from error

    def guide(self, guide: NDArray[np.uint8], colour_map: NDArray[np.float32], style: Style) -> NDArray[np.float32]:
        """See `engines.around.Graphs`."""
        assert self._guide is not None  # or nobody asks
        self._take(style)
        return self._guide.run({"guide": guide, "colour_map": colour_map}, guide_sides(*guide.shape[:2]))["guidance"]

    def paint(
        self, working: NDArray[np.uint8], guided: Guided, recalled: Recalled, look: Look, smoothing: float
    ) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """See `engines.around.Graphs`."""
        return self._paint(self._frame, self._model.bundle.frame, working, guided, recalled, look, smoothing)

    def paint_regions(
        self, working: NDArray[np.uint8], guided: Guided, recalled: Recalled, look: Look, smoothing: float, mask: Mask
    ) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """See `engines.around.Graphs`."""
        info = self._model.bundle.regions
        assert self._model.regions is not None and info is not None and look.behind is not None  # `stylise` saw to it
        if self._regions is None:
            self._regions = new_run(self._model.regions.get(), self._values)
            self.provider = self._model.running()
        if look.behind is not self._background:
            self._background = look.behind
            for name in self._styles:
                self._values.write(f"{BACKGROUND_PREFIX}{name}", look.behind.tensors[name.removeprefix(STYLE_PREFIX)])
        more = {"mask": mask, f"{BACKGROUND_PREFIX}colour_map": guided.background_map}
        return self._paint(self._regions, info, working, guided, recalled, look, smoothing, more)

    def _paint(
        self,
        graph: Run,
        info: GraphInfo,
        working: NDArray[np.uint8],
        guided: Guided,
        recalled: Recalled,
        look: Look,
        smoothing: float,
        more: Mapping[str, Any] | None = None,
    ) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        self._take(look.style)
        self._values.write("smoothing", np.asarray(smoothing, np.float32))
        sides = frame_sides(*working.shape[:2], *guided.guidance.shape[2:])
        answers = graph.run(frame_inputs(info.inputs, working, guided, recalled, more or {}), sides)
        return answers["painted"], answers["next.source"]

    def _take(self, style: Style) -> None:
        """Put a style's tensors where the graphs read them."""
        if style is not self._style:
            self._style = style
            for name in self._styles:
                self._values.write(name, style.tensors[name.removeprefix(STYLE_PREFIX)])

    def session(self) -> OrtEngine:
        """Another stream; see `engines.api.Engine.session`."""
        self._check_open()
        other = OrtEngine.__new__(OrtEngine)
        other._begin(self._model, owns=False)
        return other

    def reset(self) -> None:
        """Forget the last painting."""
        self._around.reset()

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            for run in (self._guide, self._frame, self._regions):
                if run is not None:
                    run.close()
            if self._owns:
                self._model.close()

    def _check_open(self) -> None:
        if self._closed or self._model.closed:
            raise closed_error(self.name)


class _Model:
    """What the streams of one engine share: the bundle, and its graphs on a provider."""

    def __init__(self, bundle: Bundle, provider: Provider, threads: int | None, allow_cpu_fallback: bool) -> None:
        self.bundle, self.provider, self.closed = bundle, provider, False
        width, height = (640, 360) if bundle.sizes is None else bundle.sizes.usual
        guided = bundle.guide is not None
        guides, frames = usual_sides(height, width, guided=guided)
        spread = [] if bundle.sizes is None else _spread(bundle.sizes, guided=guided)

        def graph(path: Path, info: GraphInfo, which: int) -> Graph:
            return Graph(
                path,
                info,
                provider,
                threads,
                (guides, frames)[which],
                spread=(spread[0][which], spread[1][which], spread[2][which]) if spread else None,
                allow_cpu_fallback=allow_cpu_fallback,
            )

        self.guide = None if bundle.guide is None else graph(bundle.guide_graph, bundle.guide, 0)
        self.frame = graph(bundle.frame_graph, bundle.frame, 1)
        # Most streams never need it.
        self.regions: Later[Graph] | None = None
        self._regions: Graph | None = None
        if (regions := bundle.regions) is not None:
            self.regions = Later(lambda: self._opened(graph(bundle.regions_graph, regions, 1)))

    def running(self) -> str:
        """The provider's name, and what of it is not as it could be, in brackets."""
        graphs = [graph for graph in (self.guide, self.frame, self._regions) if graph is not None]
        told = dict.fromkeys(graph.told for graph in graphs if graph.told)
        return f"{self.provider.name} ({', '.join(told)})" if told else self.provider.name

    def close(self) -> None:
        """Every stream is closed from now on; what one is running in another thread is freed when that one closes."""
        self.closed = True
        if self.guide is not None:
            self.guide.close()
        self.frame.close()
        if self.regions is not None:
            self.regions.drop(Graph.close)

    def _opened(self, graph: Graph) -> Graph:
        self._regions = graph
        return graph


def check_precision(bundle: Bundle, asked: str | None) -> None:
    """Raise EngineError unless graphs of the bundle are in the precision that is asked for, if one is."""
    if asked is not None and asked != bundle.precision:
        raise EngineError(
            f"{bundle.name} is {bundle.precision}, and the ort engine paints with what a bundle holds; "
            f"export one with --precision {asked}"
        )


def usual_sides(
    height: int, width: int, scale: float = 1.0, stroke: float = 1.0, *, guided: bool
) -> tuple[dict[str, int], dict[str, int]]:
    """Of the guide's graph, where there is one, and of the frame graph, for frames of this size and a look."""
    rows, columns = working_size(height, width, painted_scale(scale, stroke, guided=guided))
    if not guided:
        return {}, frame_sides(rows, columns)
    guide = guide_sides(*guide_size(rows, columns, stroke))
    return guide, frame_sides(rows, columns, guide["guidance_height"], guide["guidance_width"])


def _spread(sizes: SizeRange, *, guided: bool) -> list[tuple[Sides, Sides]]:
    """`usual_sides` of the least, the usual and the largest frames, whatever the look asks for."""
    (least, scale), (stroke, broad) = RANGES["render_scale"], RANGES["stroke"]
    return [
        usual_sides(sizes.least[1], sizes.least[0], least, broad, guided=guided),
        usual_sides(sizes.usual[1], sizes.usual[0], guided=guided),
        usual_sides(sizes.most[1], sizes.most[0], scale, stroke, guided=guided),
    ]


def guide_sides(height: int, width: int) -> dict[str, int]:
    """What the free dimensions of a guide's graph are, by their names; height, width: of the guide, in px."""
    rows, columns = guidance_size(height, width)
    return {
        "guide_height": height,
        "guide_width": width,
        "guidance_height": rows,
        "guidance_width": columns,
    }


def frame_sides(height: int, width: int, guidance_height: int = 0, guidance_width: int = 0) -> dict[str, int]:
    """What the free dimensions of a frame graph are, by their names; height, width: of the working frame, in px.

    guidance_height, guidance_width: 0 where there is no guide.
    """
    small_height, small_width = small_size(height, width)
    sides = {"height": height, "width": width, "small_height": small_height, "small_width": small_width}
    if not guidance_height:
        return sides
    return {**sides, "guidance_height": guidance_height, "guidance_width": guidance_width}
