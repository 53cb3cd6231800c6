"""ONNX Runtime with providers that this machine has not: sessions keep how they were opened, and compute on the CPU.

Devices are told apart from the host as far as Python sees it: a value on a device is read and written by copies alone.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray

CPU = "CPUExecutionProvider"


class Value:
    """In the place of onnxruntime.OrtValue: a tensor on a device, or in pinned memory of the host."""

    def __init__(self, shape: Sequence[int], dtype: Any, where: str) -> None:
        self.where = where
        self._array = np.zeros(shape, dtype)

    @classmethod
    def ortvalue_from_shape_and_type(
        cls, shape: Sequence[int], dtype: Any, device: str = "cpu", index: int = 0, memory_info: Any = None
    ) -> Value:
        return cls(shape, dtype, "pinned" if memory_info is not None else f"{device}:{index}")

    @classmethod
    def ortvalue_from_numpy(cls, array: NDArray[Any], device: str, index: int) -> Value:
        value = cls(array.shape, array.dtype, f"{device}:{index}")
        value.update_inplace(array)
        return value

    def update_inplace(self, array: NDArray[Any]) -> None:
        assert array.shape == self._array.shape and array.dtype == self._array.dtype
        assert array.flags.c_contiguous
        self._array[...] = array

    def numpy(self) -> NDArray[Any]:
        """Pinned memory is the host's own, what is on a device comes as a copy."""
        return self._array if self.where == "pinned" else self._array.copy()

    def address(self) -> int:
        return int(self._array.ctypes.data)


class Binding:
    def __init__(self, session: Session) -> None:
        self.inputs: dict[str, Value] = {}
        self.outputs: dict[str, Value] = {}
        self.host = session.inner.io_binding()

    def bind_ortvalue_input(self, name: str, value: Value) -> None:
        assert value.where.startswith("cuda"), f"{name} is bound to {value.where}"
        self.inputs[name] = value

    def bind_ortvalue_output(self, name: str, value: Value) -> None:
        assert value.where.startswith("cuda"), f"{name} is bound to {value.where}"
        self.outputs[name] = value

    def bind_input(self, *told: Any) -> None:
        self.host.bind_input(*told)

    def bind_output(self, *told: Any) -> None:
        self.host.bind_output(*told)


class Session:
    """In the place of onnxruntime.InferenceSession."""

    def __init__(self, devices: Devices, graph: Any, options: Any, providers: list[Any], enable_fallback: int) -> None:
        assert enable_fallback == 0
        told = [entry if isinstance(entry, tuple) else (entry, {}) for entry in providers]
        self.devices, self.options = devices, options
        self.provider, self.provider_options = told[0]
        self.opened = False
        strict = _config(options, "session.disable_cpu_ep_fallback") == "1"
        captures = "1" in self._capture() or "True" in self._capture()
        if self.provider != CPU:
            devices.sessions.append(self)
        self._runs = CPU if self.provider in devices.absent else self.provider
        if self.provider in devices.absent and strict:
            raise RuntimeError("fallback to CPU EP has been explicitly disabled by the user.")
        if self.provider in devices.partial and strict and not isinstance(graph, bytes):
            raise RuntimeError("fallback to CPU EP has been explicitly disabled by the user.\nStack trace")
        if captures and (self.provider in devices.uncaptured or (self.provider in devices.partial and not strict)):
            raise RuntimeError("This session cannot use the graph capture feature as requested by the user")
        self.strict, self.captures, self.opened = strict, captures, True
        self.providers = [self._runs, *(name for name, _ in told[1:]), CPU]
        plain = onnxruntime.SessionOptions()
        plain.intra_op_num_threads = 1
        plain.log_severity_level = 4
        self.inner = devices.real_session(graph, plain, providers=[CPU])
        self.graphs: dict[str, dict[str, int]] = {}  # addresses that each captured graph reads and writes
        self.threads: set[int] = set()
        self.at_work = threading.Lock()

    def _capture(self) -> tuple[str, str]:
        options = self.provider_options
        return options.get("enable_cuda_graph", "0"), options.get("trt_cuda_graph_enable", "False")

    def get_providers(self) -> list[str]:
        return list(dict.fromkeys(self.providers))

    def disable_fallback(self) -> None: ...

    def io_binding(self) -> Binding:
        return Binding(self)

    def run(self, names: Any, feed: Any) -> Any:
        return self.inner.run(names, feed)

    def run_with_iobinding(self, binding: Binding, options: Any = None) -> None:
        assert self.at_work.acquire(blocking=False), "two threads in one session"
        try:
            self.devices.runs += 1
            if self.devices.problem is not None:
                raise self.devices.problem
            if not binding.inputs:
                self.inner.run_with_iobinding(binding.host)
                return
            if self.captures:
                number = options.get_run_config_entry("gpu_graph_id")
                bound = {**binding.inputs, **binding.outputs}
                addresses = {name: value.address() for name, value in bound.items()}
                assert self.graphs.setdefault(number, addresses) == addresses, "a captured graph has fixed addresses"
            feed = {name: value._array for name, value in binding.inputs.items()}
            names = list(binding.outputs)
            for name, answer in zip(names, self.inner.run(names, feed), strict=True):
                binding.outputs[name].update_inplace(answer)
        finally:
            self.at_work.release()


class Devices:
    """What the faked installation has, and what was asked of it.

    absent: named, but they do not start. partial: they leave a part of every graph to the CPU. uncaptured: their runs
    cannot be captured. pinned: whether memory of the host can be pinned. problem: raised by every run.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.absent: set[str] = set()
        self.partial: set[str] = set()
        self.uncaptured: set[str] = set()
        self.pinned = False
        self.problem: Exception | None = None
        self.sessions: list[Session] = []
        self.copies = self.runs = 0
        self.real_session = onnxruntime.InferenceSession
        monkeypatch.setattr(onnxruntime, "get_available_providers", onnxruntime.get_all_providers)
        monkeypatch.setattr(onnxruntime, "InferenceSession", self._session)
        monkeypatch.setattr(onnxruntime, "OrtValue", Value)
        monkeypatch.setattr(onnxruntime, "copy_tensors", self._copy)
        monkeypatch.setattr(onnxruntime, "get_ep_devices", self._ep_devices)
        monkeypatch.setattr(onnxruntime, "set_default_logger_severity", lambda severity: None)

    def _session(self, graph: Any, options: Any, providers: list[Any], enable_fallback: int = 1) -> Any:
        first = providers[0][0] if isinstance(providers[0], tuple) else providers[0]
        if first == CPU:
            return self.real_session(graph, options, providers=providers, enable_fallback=enable_fallback)
        return Session(self, graph, options, providers, enable_fallback)

    def _copy(self, sources: list[Value], targets: list[Value]) -> None:
        self.copies += 1
        for source, target in zip(sources, targets, strict=True):
            assert {source.where.partition(":")[0], target.where.partition(":")[0]} == {"cuda", "pinned"}
            target.update_inplace(source._array)

    def _ep_devices(self) -> list[Any]:
        info = object() if self.pinned else None
        return [SimpleNamespace(ep_name="CUDAExecutionProvider", memory_info=lambda kind: info)]


def _config(options: Any, key: str) -> str:
    try:
        return str(options.get_session_config_entry(key))
    except RuntimeError:
        return ""
