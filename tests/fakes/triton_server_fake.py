"""A Triton server in this process: Triton's gRPC service over a repository's own model.py, without all between them."""

from __future__ import annotations

import importlib.util
import json
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import grpc
import numpy as np
import pytest
from google.protobuf import json_format, text_format
from numpy.typing import NDArray
from tritonclient.grpc import model_config_pb2, service_pb2, service_pb2_grpc
from tritonclient.utils import (
    deserialize_bytes_tensor,
    np_to_triton_dtype,
    serialize_byte_tensor,
    triton_to_np_dtype,
)

from engines.triton_wire import START


class FakeTriton(service_pb2_grpc.GRPCInferenceServiceServicer):
    """What of Triton the engine meets. Its scheduler takes one request at a time."""

    def __init__(self, repository: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
        folder = repository / name
        self.name, self.config = name, model_config_pb2.ModelConfig()
        text_format.Parse((folder / "config.pbtxt").read_text(), self.config)
        self.ready, self.slow_s, self.asked = True, 0.0, list[dict[str, Any]]()
        self.spoil: Any = lambda outputs: outputs
        self.running: set[int] = set()
        self._guard = threading.Lock()
        self._model = load_model(folder / "1" / "model.py", monkeypatch)
        self._model.initialize(
            {
                "model_config": json.dumps(json_format.MessageToDict(self.config, preserving_proto_field_name=True)),
                "model_repository": str(folder),
                "model_version": "1",
            }
        )
        self._server = grpc.server(ThreadPoolExecutor(4))
        service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(self, self._server)
        self.port = self._server.add_insecure_port("127.0.0.1:0")
        self._server.start()

    @property
    def url(self) -> str:
        return f"triton://127.0.0.1:{self.port}/{self.name}"

    def stop(self) -> None:
        self._server.stop(0).wait()

    def close(self) -> None:
        self.stop()
        self._model.finalize()

    def ServerLive(self, request: Any, context: Any) -> Any:  # noqa: N802 (the protocol's name, as the next ones)
        return service_pb2.ServerLiveResponse(live=True)

    def ModelReady(self, request: Any, context: Any) -> Any:  # noqa: N802
        return service_pb2.ModelReadyResponse(ready=self.ready and request.name == self.name)

    def RepositoryIndex(self, request: Any, context: Any) -> Any:  # noqa: N802
        return service_pb2.RepositoryIndexResponse(models=[{"name": self.name}])

    def ModelConfig(self, request: Any, context: Any) -> Any:  # noqa: N802
        return service_pb2.ModelConfigResponse(config=self.config)

    def ModelMetadata(self, request: Any, context: Any) -> Any:  # noqa: N802
        return service_pb2.ModelMetadataResponse(name=self.name, versions=["1"])

    def ModelInfer(self, request: Any, context: Any) -> Any:  # noqa: N802
        tensors = {}
        for told, raw in zip(request.inputs, request.raw_input_contents, strict=True):
            flat = (
                deserialize_bytes_tensor(raw)
                if told.datatype == "BYTES"
                else np.frombuffer(raw, triton_to_np_dtype(told.datatype))
            )
            tensors[told.name] = flat.reshape(list(told.shape))
        known = {entry.name: entry for entry in self.config.input}
        for name, array in tensors.items():
            if name not in known or array.ndim != len(known[name].dims) + 1:
                context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"unexpected shape or name for input '{name}'")
        told = request.parameters
        sequence, start = told["sequence_id"].int64_param, told["sequence_start"].bool_param
        end = told["sequence_end"].bool_param
        with self._guard:
            if not start and sequence not in self.running:
                context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"{sequence} must specify the START flag")
            if min(tensors["FRAME"].shape[1:3]) > 1:
                self.asked.append({START: start, **tensors})
            (self.running.discard if end else self.running.add)(sequence)
            time.sleep(self.slow_s)
            controls = {"START": np.int32(start), "END": np.int32(end), "CORRID": np.uint64(sequence)}
            tensors |= {name: np.full((1, 1), value) for name, value in controls.items()}
            names = [output.name for output in request.outputs]
            asked = SimpleNamespace(
                inputs=lambda: [Tensor(*item) for item in tensors.items()], requested_output_names=lambda: names
            )
            (response,) = self._model.execute([asked])
        if response.error is not None:
            context.abort(getattr(grpc.StatusCode, response.error.code), response.error.message)
        outputs = self.spoil({tensor.name(): tensor.as_numpy() for tensor in response.outputs})
        return service_pb2.ModelInferResponse(
            model_name=self.name,
            outputs=[
                {"name": name, "datatype": np_to_triton_dtype(array.dtype), "shape": array.shape}
                for name, array in outputs.items()
            ],
            raw_output_contents=[
                serialize_byte_tensor(array).item() if array.dtype == np.object_ else array.tobytes()
                for array in outputs.values()
            ],
        )


class Tensor:
    """In the place of pb_utils'."""

    def __init__(self, name: str, array: NDArray[Any]) -> None:
        self._name, self._array = name, array

    def name(self) -> str:
        return self._name

    def as_numpy(self) -> NDArray[Any]:
        return self._array


class TritonError:
    INVALID_ARG, INTERNAL = "INVALID_ARGUMENT", "INTERNAL"

    def __init__(self, message: str, code: str = INTERNAL) -> None:
        self.message, self.code = message, code


def load_model(path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A repository's model, with what Triton would put beside it."""
    stand_in = SimpleNamespace(
        Tensor=Tensor,
        TritonError=TritonError,
        TritonModelException=RuntimeError,
        InferenceResponse=lambda outputs, error=None: SimpleNamespace(outputs=outputs, error=error),
        Logger=SimpleNamespace(log_info=lambda line: None),
        get_input_tensor_by_name=lambda request, name: next(one for one in request.inputs() if one.name() == name),
    )
    monkeypatch.setitem(sys.modules, "triton_python_backend_utils", stand_in)
    spec = importlib.util.spec_from_file_location("repository_model", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.TritonPythonModel()
