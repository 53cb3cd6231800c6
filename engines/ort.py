"""The ONNX Runtime back end: CPU, CUDA, and the other providers. The provider asked for, or an error."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from engines.api import Engine, Look
from engines.around import Around, Picture, Remembered
from engines.bundle import Bundle, near
from engines.errors import EngineError
from engines.guide import guide_size
from engines.memory import STATISTICS, small_size
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
Sizes = tuple[int, int, int, int]  # height and width of the working frame, of its guide
_FIRST = working_size(360, 640)
_FIRST_SIZES: Sizes = (*_FIRST, *guide_size(*_FIRST))
_ERRORS_ONLY = 3


class OrtEngine(Engine):
    """Paints with a bundle's frame graph. Buffers are bound once per frame size and style layout.

    bundle: dynamic or baked. threads: of one operator; None lets ONNX Runtime take one per physical core.
    provider: a short name of `PROVIDERS` or an ONNX Runtime name; None is "cpu".
    Raises EngineError: unknown or missing provider, or the graph cannot be loaded on it.
    """

    name = "ort"

    def __init__(self, bundle: Bundle, *, threads: int | None = None, provider: str | None = None) -> None:
        self.provider = provider_name(provider)
        self._bundle = bundle
        self._threads = threads
        self._sizes: Sizes = _FIRST_SIZES
        self._style: Style | None = None
        self._around = Around()
        self._styles: dict[str, NDArray[np.float32]] = {
            f"style.{info.name}": np.zeros([int(side) for side in info.shape], np.float32)
            for info in bundle.style_tensors
        }
        self._strength = np.zeros((), np.float32)
        self._smoothing = np.zeros((), np.float32)
        self._turn = 0
        self._session: Any = self._open(_FIRST_SIZES)
        self._binding: Any = None

    def stylise(self, image: NDArray[np.uint8], look: Look) -> NDArray[np.uint8]:
        """Paint one frame; see `engines.api.Engine.stylise`."""
        if self._session is None:
            raise EngineError("the ort engine is closed; open a new one")
        if look.style is not self._style:
            self._bundle.check_style(look.style)
            for name, buffer in self._styles.items():
                buffer[...] = look.style.tensors[name.removeprefix("style.")]
            self._style = look.style
        self._strength[...] = look.strength
        self._smoothing[...] = look.smoothing
        return self._around.paint(image, look, self._run)

    def _run(self, working: Picture, guide: Picture, memory: Remembered) -> Remembered:
        sizes: Sizes = (*working.shape[:2], *guide.shape[:2])
        if self._binding is None or sizes != self._sizes:
            self._bind(sizes)
        self._feed("frame", working)
        self._feed("guide", guide)
        painting, source, statistics = memory
        self._feed("memory.painting", painting)
        self._feed("memory.source", source)
        self._feed("memory.statistics", statistics)
        # Two sets of outputs in turn: the graph reads the last painting while it writes the new one.
        self._turn = 1 - self._turn
        outputs = self._outputs[self._turn]
        for name, array in outputs.items():
            self._binding.bind_output(name, "cpu", 0, array.dtype, array.shape, array.ctypes.data)
        try:
            self._session.run_with_iobinding(self._binding)
        except Exception as error:
            raise EngineError(f"ONNX Runtime ({self.provider}) failed: {_first_line(error)}") from error
        return outputs["painted"], outputs["next.source"], outputs["next.statistics"]

    def reset(self) -> None:
        """Forget the last painting."""
        self._around.reset()

    def close(self) -> None:
        self._binding = None
        self._session = None

    def _open(self, sizes: Sizes) -> Any:
        # Only the CPU takes free sizes well. Elsewhere the arithmetic on sizes would be left to the CPU, and then
        # work that fell back to it could not be told from it: there a session is made for each frame size.
        fixed = None if self.provider == CPU else fixed_dimensions(sizes)
        return open_session(self._bundle.frame_graph, self.provider, threads=self._threads, fixed=fixed)

    def _bind(self, sizes: Sizes) -> None:
        """New buffers for a new frame size; elsewhere than on the CPU a new session, for a new guide's size too."""
        known, self._sizes = self._sizes, sizes
        if self.provider != CPU and sizes != known:
            self._session = self._open(sizes)
        elif self._binding is not None and sizes[:2] == known[:2]:
            return
        height, width = sizes[:2]
        small = small_size(height, width)
        self._outputs: tuple[dict[str, NDArray[Any]], ...] = tuple(
            {
                "painted": np.empty((height, width, 3), np.uint8),
                "next.source": np.empty((*small, 3), np.uint8),
                "next.statistics": np.empty(STATISTICS, np.float32),
            }
            for _ in range(2)
        )
        self._binding = self._session.io_binding()
        for name, buffer in self._styles.items():
            self._feed(name, buffer)
        self._feed("strength", self._strength)
        self._feed("smoothing", self._smoothing)

    def _feed(self, name: str, array: NDArray[Any]) -> None:
        """Bind the array's own memory as an input: nothing is copied on the CPU."""
        self._binding.bind_input(name, "cpu", 0, array.dtype, array.shape, array.ctypes.data)


def fixed_dimensions(sizes: Sizes) -> dict[str, int]:
    """What the free dimensions of a frame graph are for one pair of sizes, by their names."""
    height, width, guide_height, guide_width = sizes
    small_height, small_width = small_size(height, width)
    return {
        "height": height,
        "width": width,
        "guide_height": guide_height,
        "guide_width": guide_width,
        "small_height": small_height,
        "small_width": small_width,
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
