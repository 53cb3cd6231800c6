"""Brushcast's style model for Triton's Python back end: PICTURE in, style tensors out.

Written by `brushcast-export triton`; config.pbtxt beside this folder says which tensors there are. The Python that the
back end runs must be able to import Brushcast's `engines`.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import triton_python_backend_utils as pb_utils  # type: ignore[import-not-found]


class TritonPythonModel:
    """What Triton calls."""

    def initialize(self, args: dict[str, str]) -> None:
        """Open bundle and encoder. Raises TritonModelException with one line that says what is wrong."""
        try:
            from engines.bundle import STYLE_PREFIX, Bundle  # noqa: PLC0415 (its absence is to be told, not thrown)
            from engines.encoder import StyleEncoder  # noqa: PLC0415
            from engines.errors import BrushcastError, StyleError  # noqa: PLC0415
        except ImportError as error:
            raise pb_utils.TritonModelException(
                f"brushcast cannot be imported by this back end's Python {sys.version.split()[0]} ({sys.prefix}): "
                f"{error}; install brushcast there, and have its bin folder first on the PATH of tritonserver"
            ) from error
        self._error, self._style_error, self._prefix = BrushcastError, StyleError, STYLE_PREFIX
        told = {key: value["string_value"] for key, value in json.loads(args["model_config"])["parameters"].items()}
        try:
            bundle = Bundle.load(Path(args["model_repository"]) / args["model_version"] / "bundle")
            self._encoder = StyleEncoder(bundle, threads=int(told.get("threads") or 0) or None)
        except BrushcastError as error:
            raise pb_utils.TritonModelException(f"brushcast: {error}") from error

    def execute(self, requests: list[Any]) -> list[Any]:
        """Encode pictures, one a request."""
        return [
            self._response(pb_utils.get_input_tensor_by_name(request, "PICTURE").as_numpy()) for request in requests
        ]

    def _response(self, picture: Any) -> Any:
        try:
            style = self._encoder.encode(picture, "picture")
        except self._style_error as error:
            return pb_utils.InferenceResponse([], pb_utils.TritonError(str(error), pb_utils.TritonError.INVALID_ARG))
        except self._error as error:
            return pb_utils.InferenceResponse([], pb_utils.TritonError(str(error)))
        named = style.tensors.items()
        return pb_utils.InferenceResponse([pb_utils.Tensor(f"{self._prefix}{name}", array) for name, array in named])
