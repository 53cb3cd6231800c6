"""Engine names and the back ends behind them, imported only when asked; says what is missing and how to install it."""

from __future__ import annotations

from importlib import import_module
from inspect import signature
from typing import Any, cast

from engines.api import Engine, check_threads
from engines.bundle import Bundle, near
from engines.errors import BrushcastError, EngineError, first_line
from engines.later import Later
from engines.regional import Regional

ENGINES = {
    "ort": "ONNX Runtime on the CPU, CUDA and other providers",
    "torch": "PyTorch: eager, compiled, or as CUDA graphs",
    "tensorrt": "TensorRT plans",
    "identity": "copies its input",
}
TRITON = "triton://"  # with host:port[/model] behind it, the name of an engine that paints on a Triton server
# Module, class, and the extra that brings what the module imports. Text, so that nothing is imported before it is asked
# for, and live use depends on no back end's packages.
_BACK_ENDS = {
    "ort": ("engines.ort", "OrtEngine", "cpu"),
    "torch": ("engines.torch_engine", "TorchEngine", "export"),
    "tensorrt": ("engines.trt", "TensorRtEngine", "tensorrt"),
    "identity": ("engines.identity", "IdentityEngine", "cpu"),
}
_TRITON = ("engines.triton", "TritonEngine", "triton")
# Options that only some engines take, and how the user writes them.
_TOLD = {"precision": "precision", "mode": "mode", "allow_cpu_fallback": "fall-back to the CPU"}


def open_engine(
    name: str,
    bundle: Bundle,
    *,
    threads: int | None = None,
    provider: str | None = None,
    precision: str | None = None,
    mode: str | None = None,
    allow_cpu_fallback: bool = False,
) -> Engine:
    """Open the engine `name` for a bundle.

    name: one of `ENGINES`, or triton://host:port[/model].
    threads: for the CPU, 1..256; None leaves the choice to the back end. provider: what shall compute, for example
    "cpu" or "cuda"; None is the CPU. precision: "fp32", "fp16", "bf16" or "int8"; None is the engine's own, for graphs
    what the bundle holds. mode: of the torch engine, "eager", "compile" or "graphs". allow_cpu_fallback: parts of a
    graph that the provider does not take may run on the CPU; `Engine.provider` tells so.
    Raises EngineError: an unknown engine (near names told), a package that is not installed (with the pip line), a
    provider that is unknown or does not start, an option that the engine has not; BundleError: a bundle the engine
    cannot use.
    """
    check_threads(threads)
    options: dict[str, Any] = {"precision": precision, "mode": mode, "allow_cpu_fallback": allow_cpu_fallback or None}
    options = {option: value for option, value in options.items() if value is not None}
    if name.startswith(TRITON):
        (module, back_end, extra), options["url"] = _TRITON, name
    elif name in _BACK_ENDS:
        module, back_end, extra = _BACK_ENDS[name]
    else:
        raise EngineError(f"no engine {name!r}; {near(name, [*ENGINES, f'{TRITON}host:port'])}")
    try:
        make = getattr(import_module(module), back_end)
    except ModuleNotFoundError as error:
        raise missing_package(error, extra) from error
    taken = signature(make).parameters
    for option, value in options.items():
        if option not in taken:
            asked = "" if value is True else f" {value!r}"
            raise EngineError(f"the {name} engine has no {_TOLD[option]}{asked}; leave it out")
    try:
        opened = make(bundle, threads=threads, provider=provider, **options)
    except ModuleNotFoundError as error:
        raise missing_package(error, extra) from error
    return cast(Engine, opened)


def why_not(name: str, bundle: Bundle, *, provider: str | None = None) -> str | None:
    """Why the engine `name` cannot be opened for the bundle here, in a line; None: it was opened, and closed again.

    provider: as for `open_engine`. What is no fault of the installation or the bundle is raised.
    """
    try:
        open_engine(name, bundle, provider=provider).close()
    except BrushcastError as error:
        return str(error)
    except (ImportError, OSError) as error:  # a package that is there in part, or whose libraries cannot be loaded
        return f"{type(error).__name__}: {first_line(error)}"
    return None


def why_no_provider(name: str) -> str | None:
    """Why ONNX Runtime's provider `name` does not run here, in a line; None: a small graph ran on it."""
    try:
        from engines.providers import why_not_running  # noqa: PLC0415 (onnxruntime is an extra)
    except ModuleNotFoundError as error:
        return str(missing_package(error, "cpu"))
    return why_not_running(name)


def with_regions(engine: Engine) -> Engine:
    """The engine, taken over, with what finds people in its frames. Raises EngineError: a package is not installed."""
    try:
        from engines.segmentation import Segmenter  # noqa: PLC0415 (onnxruntime is an extra)

        return Regional(engine, Later(Segmenter))
    except BaseException as error:
        engine.close()
        if isinstance(error, ModuleNotFoundError):
            raise missing_package(error, "cpu") from error
        raise


def missing_package(error: ModuleNotFoundError, extra: str) -> EngineError:
    """The error that tells how to install what an import did not find."""
    if (error.name or "").partition(".")[0] in ("engines", "export", "realtime"):
        raise error  # a fault of ours, not of the installation
    return EngineError(f'{error.name} is not installed; run: pip install "brushcast[{extra}]"')
