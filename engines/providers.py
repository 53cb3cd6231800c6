"""ONNX Runtime's execution providers: their names, the options each is opened with, and whether one runs here."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import onnxruntime as ort

from engines.bundle import near
from engines.caches import cache_folder
from engines.errors import EngineError, first_line

PROVIDERS = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
    "directml": "DmlExecutionProvider",
    "coreml": "CoreMLExecutionProvider",
    "openvino": "OpenVINOExecutionProvider",
}
CPU, CUDA, TENSORRT = (PROVIDERS[name] for name in ("cpu", "cuda", "tensorrt"))
DIRECTML, COREML, OPENVINO = (PROVIDERS[name] for name in ("directml", "coreml", "openvino"))
# Their buffers lie on a device that OrtValues can be made on, and their runs can be captured in CUDA graphs.
ON_CUDA = (CUDA, TENSORRT)
# y = Relu(x), float32 (1, 2, 4, 4), as ONNX: every provider has it.
_TINY = (
    b'\x08\x08\x12\x00:K\n\x0c\n\x01x\x12\x01y"\x04Relu\x12\x01tZ\x1b\n\x01x\x12\x16\n\x14\x08\x01\x12\x10\n\x02\x08'
    b"\x01\n\x02\x08\x02\n\x02\x08\x04\n\x02\x08\x04b\x1b\n\x01y\x12\x16\n\x14\x08\x01\x12\x10\n\x02\x08\x01\n\x02\x08"
    b"\x02\n\x02\x08\x04\n\x02\x08\x04B\x04\n\x00\x10\x12"
)
_ERRORS_ONLY, _FATAL_ONLY = 3, 4

Options: TypeAlias = dict[str, str]


@dataclass(frozen=True, slots=True)
class Provider:
    """An execution provider of this installation. name: ONNX Runtime's; device: which one, as that provider counts or
    calls them ("1", "GPU"), or "" for the provider's own choice."""

    name: str
    device: str = ""

    @property
    def asked(self) -> str:
        """As `find_provider` takes it."""
        return f"{self.name}:{self.device}" if self.device else self.name

    @property
    def index(self) -> int:
        """Of the device, where the provider counts them."""
        return int(self.device or 0)


def find_provider(asked: str | None) -> Provider:
    """The provider that the user calls `asked`: a short name of `PROVIDERS` or ONNX Runtime's name, and a device behind
    it where there are several: "cuda:1", "openvino:GPU". None is the CPU.

    Raises EngineError: unknown (near names told), or not in this installation.
    """
    if asked is None:
        return Provider(CPU)
    short, _, device = asked.partition(":")
    full = PROVIDERS.get(short.lower(), short)
    if full not in ort.get_all_providers():
        known = near(short, (*PROVIDERS, *ort.get_all_providers()))
        raise EngineError(f"no provider {asked!r}; {known if 'did you' in known else near('', tuple(PROVIDERS))}")
    if full not in ort.get_available_providers():
        raise EngineError(f"this ONNX Runtime has no {full}; {how_to_install(full)}")
    if device and full in (*ON_CUDA, DIRECTML) and not device.isdecimal():
        raise EngineError(f"provider {asked!r}: {short} counts its devices, for example {short}:0")
    if device and full not in (*ON_CUDA, DIRECTML, OPENVINO):
        raise EngineError(f"provider {asked!r}: {short} has one device; leave out :{device}")
    return Provider(full, device)


def provider_name(asked: str | None) -> str:
    """ONNX Runtime's name of the provider `asked`; see `find_provider`."""
    return find_provider(asked).name


def provider_options(
    provider: Provider, *, key: str = "", threads: int | None = None, capture: bool = False
) -> Options:
    """What a session on the provider is opened with: its documented options, as text.

    key: of the graph, for what the provider keeps in files to open it sooner next time; "" keeps nothing.
    capture: runs shall be captured in a CUDA graph.
    """
    options: Options = {}
    if provider.name in (*ON_CUDA, DIRECTML):
        options["device_id"] = str(provider.index)
    if provider.name == CUDA:
        # The default tries every algorithm at every new size, for seconds; and doubles its memory with each need.
        options |= {"cudnn_conv_algo_search": "HEURISTIC", "arena_extend_strategy": "kSameAsRequested"}
        options |= {"enable_cuda_graph": "1"} if capture else {}
    if provider.name == TENSORRT:
        options |= {"trt_cuda_graph_enable": "True"} if capture else {}
        if key:
            # ONNX Runtime does not see that a graph or its own version has changed, so each has a folder of its own;
            # timings of kernels hold for all graphs.
            engines, timings = _kept("tensorrt", key), _kept("tensorrt", "timings")
            options |= {"trt_engine_cache_enable": "True", "trt_engine_cache_path": engines}
            options |= {"trt_timing_cache_enable": "True", "trt_timing_cache_path": timings}
    if provider.name == COREML:
        # Sizes are always fixed; see `engines.ort_graph`.
        options |= {"ModelFormat": "MLProgram", "MLComputeUnits": "ALL", "RequireStaticInputShapes": "1"}
        options |= {"ModelCacheDirectory": _kept("coreml", key)} if key else {}
    if provider.name == OPENVINO:
        options |= {"device_type": provider.device} if provider.device else {}
        options |= {"num_of_threads": str(threads)} if threads else {}
        options |= {"cache_dir": _kept("openvino", key)} if key else {}
    return options


def session_options(provider: Provider, *, threads: int | None = None, strict: bool = True) -> Any:
    """SessionOptions for the provider. strict: no part of a graph may run on the CPU instead."""
    asked = ort.SessionOptions()
    # A session that is not opened raises what it writes, too; and elsewhere than on the CPU it is not the last word.
    asked.log_severity_level = _ERRORS_ONLY if provider.name == CPU else _FATAL_ONLY
    asked.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    asked.inter_op_num_threads = 1
    asked.intra_op_num_threads = threads or 0
    # Between two nodes the threads wait awake, which is worth a third of the speed; but not for long after a frame,
    # when the motion estimate, decoding and drawing want the cores.
    asked.add_session_config_entry("session.intra_op.spin_duration_us", "200")
    asked.add_session_config_entry("session.set_denormal_as_zero", "1")
    # x86 without VNNI adds pairs of int8 products in 16 bits, where they saturate: int8 models would paint wrong
    # colours. This computes them wider there, slower and right; elsewhere it does nothing.
    asked.add_session_config_entry("session.x64quantprecision", "1")
    if provider.name != CPU and strict:
        asked.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
    if provider.name == DIRECTML:
        asked.enable_mem_pattern = False  # DirectML refuses it, and all but sequential execution
    if provider.name == OPENVINO:
        # OpenVINO does better with the graph as it was written.
        asked.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
    return asked


def why_not_running(asked: str) -> str | None:
    """Why the provider `asked` (as for `find_provider`) does not run here, in a line; None: a small graph ran on it."""
    try:
        provider = find_provider(asked)
    except EngineError as error:
        return str(error)
    prepare(provider)
    options = session_options(provider, threads=1, strict=False)
    x = np.arange(-16, 16, dtype=np.float32).reshape(1, 2, 4, 4)
    try:
        session = open_with(_TINY, options, provider, provider_options(provider))
        running = session.get_providers()[0]
        if running != provider.name:
            return did_not_start(provider.name, running)
        (y,) = session.run(None, {"x": x})
    except Exception as error:
        return f"{provider.name} cannot run a graph: {first_line(error)}"
    return None if np.allclose(y, np.maximum(x, 0)) else f"{provider.name} computes wrong numbers"


def open_with(
    graph: str | bytes, options: Any, provider: Provider, more: Mapping[str, str], *, strict: bool = True
) -> Any:
    """An inference session of ONNX Runtime, which raises errors of many kinds and never asks the CPU instead.

    strict: as for `session_options`; else what TensorRT does not take goes to CUDA before it goes to the CPU.
    """
    providers: list[Any] = [(provider.name, dict(more))] if more else [provider.name]
    if provider.name == TENSORRT and not strict:
        providers.append((CUDA, provider_options(Provider(CUDA, provider.device))))
    session = ort.InferenceSession(graph, options, providers=providers, enable_fallback=0)
    session.disable_fallback()
    return session


def prepare(provider: Provider) -> None:
    """What must be done before the first session on the provider."""
    if provider.name != CPU:
        # Providers write beside their session's log, too: hundreds of warnings, and errors that are raised besides.
        ort.set_default_logger_severity(_FATAL_ONLY)
    if provider.name in ON_CUDA:
        _load_cuda_libraries()


def did_not_start(provider: str, running: str) -> str:
    """The error line for a provider that is named by the installation and is not there all the same."""
    help_ = how_to_install(provider) if provider in ON_CUDA else "see that the device and its driver are there"
    return f"{provider} did not start ({running} would run instead); {help_}"


def how_to_install(provider: str) -> str:
    """The end of an error line."""
    if provider in ON_CUDA:
        return 'pip uninstall -y onnxruntime && pip install "brushcast[gpu]", and see that a GPU driver is there'
    return "install the onnxruntime package that has it, in place of onnxruntime"


@cache
def _load_cuda_libraries() -> None:
    """Load CUDA and cuDNN from the packages that the extra gpu brings: they lie where no loader looks."""
    preload = getattr(ort, "preload_dlls", None)
    if preload is not None:
        # What is missing is printed; it is told by the session that then does not start.
        with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(Exception):
            preload()


def _kept(provider: str, key: str) -> str:
    folder = cache_folder() / "providers" / provider / ort.__version__ / key
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise EngineError(f"{folder} cannot be made ({error.strerror}); set BRUSHCAST_CACHE to another one") from error
    return str(Path(folder))
