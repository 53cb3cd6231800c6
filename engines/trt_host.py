"""TensorRT as it is installed here: the module, what it logs, and the host that plans are for."""

from __future__ import annotations

from types import ModuleType
from typing import Any

from engines.cuda_runtime import Cuda
from engines.errors import EngineError, first_line
from engines.plans import Host


def import_tensorrt() -> ModuleType:
    """The module tensorrt, 10 or newer.

    Raises ModuleNotFoundError (not installed), EngineError (it is there and does not start, or is too old).
    """
    try:
        import tensorrt  # noqa: PLC0415 (an extra)
    except ModuleNotFoundError:
        raise
    except (ImportError, OSError) as error:  # a library that it needs is not there
        raise EngineError(f"tensorrt is installed and does not start: {first_line(error)}") from error
    version = str(tensorrt.__version__)
    if int(version.partition(".")[0]) < 10:
        raise EngineError(f"TensorRT {version} is too old; 10 or newer is needed")
    module: ModuleType = tensorrt
    return module


def host_here(trt: Any, cuda: Cuda) -> Host:
    """What plans built here are for."""
    return Host(str(trt.__version__), cuda.gpu, cuda.capability, cuda.driver)


def logger(trt: Any) -> Any:
    """A trt.ILogger that keeps the last error in `error` and shows nothing: errors are told as exceptions."""

    class Log(trt.ILogger):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self.error = ""

        def log(self, severity: Any, message: str) -> None:
            if severity.name in ("ERROR", "INTERNAL_ERROR"):
                self.error = message

    return Log()


def why(log: Any, otherwise: str) -> str:
    """The last error that was logged, as one line."""
    return first_line(log.error) or otherwise
