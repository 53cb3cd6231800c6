"""Brushcast's frame model for Triton's Python back end: FRAME in, PAINTED out, one sequence a stream.

Written by `brushcast-export triton`; config.pbtxt beside this folder says which tensors there are. The Python that the
back end runs must be able to import Brushcast's `engines`.
"""

from __future__ import annotations

import json
import sys
import traceback
from pathlib import Path
from typing import Any

import triton_python_backend_utils as pb_utils  # type: ignore[import-not-found]


class TritonPythonModel:
    """What Triton calls."""

    def initialize(self, args: dict[str, str]) -> None:
        """Open bundle and engine. Raises TritonModelException with one line that says what is wrong."""
        try:
            from engines.bundle import Bundle  # noqa: PLC0415 (its absence is to be told, not thrown)
            from engines.errors import BrushcastError, InputError  # noqa: PLC0415
            from engines.registry import open_engine  # noqa: PLC0415
            from engines.triton_serving import Asked, Serving  # noqa: PLC0415
            from engines.triton_wire import (  # noqa: PLC0415
                BUNDLE_ID,
                COMPUTES,
                CORRID,
                END,
                ENGINE,
                PAINTED,
                PROVIDER,
                START,
                THREADS,
                text,
            )
        except ImportError as error:
            raise pb_utils.TritonModelException(
                f"brushcast cannot be imported by this back end's Python {sys.version.split()[0]} ({sys.prefix}): "
                f"{error}; install brushcast there, and have its bin folder first on the PATH of tritonserver"
            ) from error
        self._error, self._input_error, self._asked = BrushcastError, InputError, Asked
        self._start, self._end, self._corrid, self._painted, self._computes = START, END, CORRID, PAINTED, COMPUTES
        config = json.loads(args["model_config"])
        told = {key: value["string_value"] for key, value in config["parameters"].items()}
        batching = config["sequence_batching"]
        try:
            bundle = Bundle.load(Path(args["model_repository"]) / args["model_version"] / "bundle")
            if bundle.id != told[BUNDLE_ID]:
                raise InputError(f"config.pbtxt tells of bundle {told[BUNDLE_ID]}, but the files are {bundle.id}")
            engine = open_engine(
                told[ENGINE], bundle, threads=int(told.get(THREADS) or 0) or None, provider=told.get(PROVIDER) or None
            )
        except BrushcastError as error:
            raise pb_utils.TritonModelException(f"brushcast: {error}") from error
        self._serving = Serving(
            engine,
            bundle,
            most=int(batching["oldest"]["max_candidate_sequences"]),
            idle_s=int(batching["max_sequence_idle_microseconds"]) / 1e6,
        )
        self._told = text(self._serving.computes)
        pb_utils.Logger.log_info(f"brushcast: {bundle.name} {bundle.id} on {self._serving.computes}")

    def execute(self, requests: list[Any]) -> list[Any]:
        """Paint the frames of several sequences."""
        batch = []
        for request in requests:
            tensors = {tensor.name(): tensor.as_numpy() for tensor in request.inputs()}
            start, end, number = (int(tensors.pop(name).item()) for name in (self._start, self._end, self._corrid))
            batch.append(self._asked(number, bool(start), bool(end), tensors))
        try:
            answers: list[Any] = list(self._serving.answer(batch))
        except Exception as error:
            traceback.print_exc()
            answers = [error] * len(requests)
        return [self._response(*pair) for pair in zip(requests, answers, strict=True)]

    def finalize(self) -> None:
        """Close the engine."""
        self._serving.close()

    def _response(self, request: Any, answer: Any) -> Any:
        if not isinstance(answer, Exception):
            outputs = {self._painted: answer, self._computes: self._told}
            asked = request.requested_output_names()
            return pb_utils.InferenceResponse(
                [pb_utils.Tensor(name, outputs[name]) for name in outputs if name in asked]
            )
        code = pb_utils.TritonError.INVALID_ARG if isinstance(answer, self._input_error) else None
        told = str(answer) if isinstance(answer, self._error) else f"{type(answer).__name__}: {answer}"
        error = pb_utils.TritonError(told) if code is None else pb_utils.TritonError(told, code)
        return pb_utils.InferenceResponse([], error)
