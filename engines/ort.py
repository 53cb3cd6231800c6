"""The ONNX Runtime back end: CPU, CUDA, and the other providers. The provider asked for, or an error."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from engines.api import Engine, Look
from engines.around import Around
from engines.bundle import BACKGROUND_PREFIX, STYLE_PREFIX, Bundle, GraphInfo, near
from engines.errors import EngineError
from engines.guide import guidance_size, guide_size
from engines.later import Later
from engines.memory import Recalled, small_size
from engines.regions import Mask
from engines.renewal import Guided
from engines.styles import Style
from engines.working import working_size

PROVIDERS = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
    "directml": "DmlExecutionProvider",
    "coreml": "CoreMLExecutionProvider",
    "openvino": "OpenVINOExecutionProvider",
}
CPU = PROVIDERS["cpu"]
_ERRORS_ONLY = 3


class OrtEngine(Engine):
    """Paints with a bundle's graphs. Buffers are bound once per size and style layout.

    bundle: dynamic or baked. threads: of one operator; None lets ONNX Runtime take one per physical core.
    provider: a short name of `PROVIDERS` or an ONNX Runtime name; None is "cpu".
    Raises EngineError: unknown or missing provider, or a graph cannot be loaded on it.
    """

    name = "ort"

    def __init__(self, bundle: Bundle, *, threads: int | None = None, provider: str | None = None) -> None:
        self.provider = provider_name(provider)
        self._bundle = bundle
        self._style: Style | None = None  # whose tensors are in the buffers
        self._background: Style | None = None
        self._checked: tuple[Style | None, ...] = ()
        self._around = Around()
        self._styles: dict[str, NDArray[np.float32]] = {
            f"{STYLE_PREFIX}{info.name}": np.zeros([int(side) for side in info.shape], np.float32)
            for info in bundle.style_tensors
        }
        self._backgrounds = {f"{BACKGROUND_PREFIX}{name}": np.zeros_like(array) for name, array in self._styles.items()}
        self._numbers = {name: np.zeros((), np.float32) for name in ("strength", "smoothing")}
        shared = {**self._styles, **self._backgrounds, **self._numbers}
        height, width = working_size(360, 640)
        guide = guide_sides(*guide_size(height, width))
        frame = frame_sides(height, width, guide["guidance_height"], guide["guidance_width"])

        def part(path: Path, info: GraphInfo, sides: Mapping[str, int]) -> _Part:
            return _Part(path, info, shared, sides, self.provider, threads)

        self._guide = part(bundle.guide_graph, bundle.guide, guide)
        self._frame = part(bundle.frame_graph, bundle.frame, frame)
        # Most streams never need it.
        self._regions: Later[_Part] | None = None
        if (regions := bundle.regions) is not None:
            self._regions = Later(lambda: part(bundle.regions_graph, regions, frame))
        self._closed = False

    def stylise(self, image: NDArray[np.uint8], look: Look, mask: Mask | None = None) -> NDArray[np.uint8]:
        """Paint one frame; see `engines.api.Engine.stylise`."""
        if self._closed:
            raise EngineError("the ort engine is closed; open a new one")
        if look.behind is not None and self._regions is None:
            raise EngineError(f"{self._bundle.name} is baked: it has no other style for a background")
        for style in (look.style, look.behind):
            if style is not None and all(style is not known for known in self._checked):
                self._bundle.check_style(style)
        self._checked = (look.style, look.behind)
        self._numbers["strength"][...] = look.strength
        return self._around.paint(image, look, self, mask)

    def guide(self, guide: NDArray[np.uint8], colour_map: NDArray[np.float32], style: Style) -> NDArray[np.float32]:
        """See `engines.around.Graphs`."""
        self._take(style)
        return self._guide.run({"guide": guide, "colour_map": colour_map}, guide_sides(*guide.shape[:2]))["guidance"]

    def paint(
        self, working: NDArray[np.uint8], guided: Guided, recalled: Recalled, look: Look, smoothing: float
    ) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """See `engines.around.Graphs`."""
        return self._paint(self._frame, working, guided, recalled, look, smoothing)

    def paint_regions(
        self, working: NDArray[np.uint8], guided: Guided, recalled: Recalled, look: Look, smoothing: float, mask: Mask
    ) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """See `engines.around.Graphs`."""
        assert self._regions is not None and look.behind is not None  # `stylise` saw to it
        if look.behind is not self._background:
            self._background = look.behind
            for name, buffer in self._backgrounds.items():
                buffer[...] = look.behind.tensors[name.removeprefix(BACKGROUND_PREFIX + STYLE_PREFIX)]
        more = {"mask": mask, f"{BACKGROUND_PREFIX}colour_map": guided.background_map}
        return self._paint(self._regions.get(), working, guided, recalled, look, smoothing, more)

    def _paint(
        self,
        graph: _Part,
        working: NDArray[np.uint8],
        guided: Guided,
        recalled: Recalled,
        look: Look,
        smoothing: float,
        more: Mapping[str, Any] | None = None,
    ) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        self._take(look.style)
        self._numbers["smoothing"][...] = smoothing
        answers = graph.run(
            {
                "frame": working,
                "small": recalled.small,
                "guidance": guided.guidance,
                "colour_map": guided.colour_map,
                "memory.painting": recalled.painting,
                "memory.source": recalled.source,
                **(more or {}),
            },
            frame_sides(*working.shape[:2], *guided.guidance.shape[2:]),
        )
        return answers["painted"], answers["next.source"]

    def _take(self, style: Style) -> None:
        """Put a style's tensors where the graphs read them."""
        if style is not self._style:
            self._style = style
            for name, buffer in self._styles.items():
                buffer[...] = style.tensors[name.removeprefix(STYLE_PREFIX)]

    def reset(self) -> None:
        """Forget the last painting."""
        self._around.reset()

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._guide.close()
            self._frame.close()
            if self._regions is not None:
                self._regions.drop(_Part.close)


class _Part:
    """One graph in a session, with its buffers."""

    def __init__(
        self,
        path: Path,
        info: GraphInfo,
        shared: Mapping[str, NDArray[np.float32]],
        sides: Mapping[str, int],
        provider: str,
        threads: int | None,
    ) -> None:
        """shared: inputs that are always read from the same arrays; those that the graph does not have are left out.

        sides: what the free dimensions are expected to be, by their names.
        """
        self._path, self._info, self._provider, self._threads = path, info, provider, threads
        names = {entry.name for entry in info.inputs}
        self._shared = {name: array for name, array in shared.items() if name in names}
        self._sides = sides
        self._turn = 0
        self._session: Any = self._open(sides)
        self._binding: Any = None

    def run(self, inputs: Mapping[str, NDArray[Any]], sides: Mapping[str, int]) -> dict[str, NDArray[Any]]:
        """Every output by its name, good until the call after the next."""
        if self._binding is None or sides != self._sides:
            self._bind(sides)
        for name, array in inputs.items():
            self._feed(name, array)
        # Two sets of outputs in turn: a graph reads the last answers while it writes the new ones.
        self._turn = 1 - self._turn
        outputs = self._outputs[self._turn]
        for name, array in outputs.items():
            self._binding.bind_output(name, "cpu", 0, array.dtype, array.shape, array.ctypes.data)
        try:
            self._session.run_with_iobinding(self._binding)
        except Exception as error:
            raise EngineError(f"ONNX Runtime ({self._provider}) failed: {_first_line(error)}") from error
        return outputs

    def close(self) -> None:
        self._binding = self._session = None

    def _open(self, sides: Mapping[str, int]) -> Any:
        # Only the CPU takes free sizes well. Elsewhere the arithmetic on sizes would be left to the CPU, and then
        # work that fell back to it could not be told from it: there a session is made for each size.
        fixed = None if self._provider == CPU else sides
        return open_session(self._path, self._provider, threads=self._threads, fixed=fixed)

    def _bind(self, sides: Mapping[str, int]) -> None:
        """New buffers for new sizes; elsewhere than on the CPU a new session, too."""
        if self._provider != CPU and sides != self._sides:
            self._session = self._open(sides)
        self._sides = sides
        self._outputs = tuple(
            {
                info.name: np.empty([side if isinstance(side, int) else sides[side] for side in info.shape], info.dtype)
                for info in self._info.outputs
            }
            for _ in range(2)
        )
        self._binding = self._session.io_binding()
        for name, array in self._shared.items():
            self._feed(name, array)

    def _feed(self, name: str, array: NDArray[Any]) -> None:
        """Bind the array's own memory as an input: nothing is copied on the CPU."""
        self._binding.bind_input(name, "cpu", 0, array.dtype, array.shape, array.ctypes.data)


def guide_sides(height: int, width: int) -> dict[str, int]:
    """What the free dimensions of a guide's graph are, by their names; height, width: of the guide, in px."""
    rows, columns = guidance_size(height, width)
    return {
        "guide_height": height,
        "guide_width": width,
        "guidance_height": rows,
        "guidance_width": columns,
    }


def frame_sides(height: int, width: int, guidance_height: int, guidance_width: int) -> dict[str, int]:
    """What the free dimensions of a frame graph are, by their names; height, width: of the working frame, in px."""
    small_height, small_width = small_size(height, width)
    return {
        "height": height,
        "width": width,
        "small_height": small_height,
        "small_width": small_width,
        "guidance_height": guidance_height,
        "guidance_width": guidance_width,
    }


def provider_name(asked: str | None) -> str:
    """ONNX Runtime's name of the provider `asked`. Raises EngineError: unknown, or not in this installation."""
    if asked is None:
        return CPU
    known = (*PROVIDERS, *ort.get_all_providers())
    full = PROVIDERS.get(asked.lower(), asked)
    if full not in ort.get_all_providers():
        raise EngineError(f"no provider {asked!r}; {near(asked, known)}")
    if full not in ort.get_available_providers():
        raise EngineError(f"this ONNX Runtime has no {full}; {_install(full)}")
    return full


def open_session(
    graph: Path,
    provider: str,
    *,
    threads: int | None = None,
    fixed: Mapping[str, int] | None = None,
    options: Mapping[str, Any] | None = None,
) -> Any:
    """An inference session that runs on `provider` (a full name), or EngineError.

    fixed: sizes of free dimensions, by their names; None leaves them free. options: attributes of
    ONNX Runtime's SessionOptions that go before the engine's own, for those who measure it.
    """
    if threads is not None and threads < 1:
        raise EngineError(f"threads is {threads}; it must be at least 1")
    asked = ort.SessionOptions()
    asked.log_severity_level = _ERRORS_ONLY
    asked.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    asked.inter_op_num_threads = 1
    asked.intra_op_num_threads = threads or 0
    # Between two nodes the threads wait awake, which is worth a third of the speed; but not for long after a frame,
    # when the motion estimate, decoding and drawing want the cores.
    asked.add_session_config_entry("session.intra_op.spin_duration_us", "200")
    asked.add_session_config_entry("session.set_denormal_as_zero", "1")
    if provider != CPU:
        asked.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
    for name, pixels in (fixed or {}).items():
        asked.add_free_dimension_override_by_name(name, pixels)
    for name, value in (options or {}).items():
        setattr(asked, name, value)
    try:
        session = ort.InferenceSession(str(graph), asked, providers=[provider])
        session.disable_fallback()
    except Exception as error:
        raise EngineError(f"{graph.name} cannot be run by {provider}: {_first_line(error)}") from error
    # What was asked for and what runs are two things: a provider that fails to start is left out with a mere log line.
    running = session.get_providers()
    if running[0] != provider:
        raise EngineError(f"{provider} did not start ({running[0]} would run instead); {_install(provider)}")
    return session


def _install(provider: str) -> str:
    if provider in (PROVIDERS["cuda"], PROVIDERS["tensorrt"]):
        return 'pip uninstall -y onnxruntime && pip install "brushcast[gpu]", and see that a GPU driver is there'
    return "install the onnxruntime package that has it, in place of onnxruntime"


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0][:300]
