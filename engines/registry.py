"""Engine names and the back ends behind them, imported only when asked; says what is missing and how to install it."""

from __future__ import annotations

from importlib import import_module
from typing import cast

from engines.api import Engine
from engines.bundle import Bundle, near
from engines.errors import EngineError
from engines.later import Later
from engines.regional import Regional

ENGINES = {
    "ort": "ONNX Runtime on the CPU, CUDA and other providers",
    "torch": "the PyTorch network as it is",
    "identity": "copies its input",
}
# Module, class, and the extra that brings what the module imports. Text, so that nothing is imported before it is asked
# for, and live use depends on no back end's packages.
_BACK_ENDS = {
    "ort": ("engines.ort", "OrtEngine", "cpu"),
    "torch": ("engines.torch_eager", "TorchEngine", "export"),
    "identity": ("engines.identity", "IdentityEngine", "cpu"),
}


def open_engine(name: str, bundle: Bundle, *, threads: int | None = None, provider: str | None = None) -> Engine:
    """Open the engine `name` for a bundle.

    threads: for the CPU; None leaves the choice to the back end. provider: what shall compute, for example "cpu" or
    "cuda"; None is the CPU. Raises EngineError: an unknown engine (near names told), a package that is not installed
    (with the pip line), a provider that is unknown or does not start; BundleError: a bundle the engine cannot use.
    """
    if threads is not None and threads < 1:
        raise EngineError(f"threads is {threads}; it must be at least 1")
    if name not in _BACK_ENDS:
        raise EngineError(f"no engine {name!r}; {near(name, list(ENGINES))}")
    module, back_end, extra = _BACK_ENDS[name]
    try:
        opened = getattr(import_module(module), back_end)(bundle, threads=threads, provider=provider)
    except ModuleNotFoundError as error:
        raise missing_package(error, extra) from error
    return cast(Engine, opened)


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
