"""A bundle's graphs in ONNX Runtime: opened once, run by any number of streams, each with buffers of its own."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any, Protocol, TypeAlias
from weakref import WeakKeyDictionary, WeakValueDictionary

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from engines.bundle import GraphInfo, TensorInfo
from engines.errors import EngineError, first_line
from engines.ort_device import DEVICE_LOCK, Buffer, Held
from engines.ort_session import Opened, open_best
from engines.providers import CPU, ON_CUDA, TENSORRT, Provider
from engines.room import OutOfMemory, is_out_of_memory

Sides: TypeAlias = Mapping[str, int]  # what the free dimensions of a graph are, by their names, in its own units


class Graph:
    """One graph on one provider, shared by its streams.

    sides: the sizes at which it is opened at once, so that what cannot run is known at the start.
    spread: least, usual and largest sizes that are to be expected; None: any.
    Raises EngineError: it cannot be opened.
    """

    def __init__(
        self,
        path: Path,
        info: GraphInfo,
        provider: Provider,
        threads: int | None,
        sides: Sides,
        *,
        spread: tuple[Sides, Sides, Sides] | None = None,
        allow_cpu_fallback: bool = False,
    ) -> None:
        self.info, self.provider, self.told = info, provider, ""
        self._path, self._threads, self._allow = path, threads, allow_cpu_fallback
        # Only TensorRT makes something of a range; it would build an engine for minutes at each new size.
        self._spread = spread if provider.name == TENSORRT else None
        self._lock = threading.Lock()
        self._ids = itertools.count(1)
        self._sessions: WeakValueDictionary[tuple[tuple[str, int], ...], Any] = WeakValueDictionary()
        self._captures: WeakKeyDictionary[Any, bool] = WeakKeyDictionary()
        # Kept until the first stream has taken the one that it needs: the others of this dictionary live as long as
        # a stream runs them.
        self._first: Any = None
        self._first = self.session(sides).session

    def session(self, sides: Sides) -> Opened:
        """The inference session for these sizes. Raises EngineError."""
        # Only the CPU takes free sizes well. Elsewhere the arithmetic on sizes would be left to the CPU, and then
        # work that fell back to it could not be told from it: there a session is made for each size.
        spread = self._spread if self._spread is not None and _within(sides, self._spread) else None
        fixed = None if self.provider.name == CPU or spread is not None else sides
        key = tuple(sorted((fixed or {}).items()))
        # The device first, as those do who run a graph and come here for its session.
        with DEVICE_LOCK if self.provider.name in ON_CUDA else nullcontext(), self._lock:
            found = self._sessions.get(key)
            if found is None:
                opened = open_best(
                    self._path,
                    self.provider,
                    threads=self._threads,
                    fixed=fixed,
                    profile=None if spread is None else profile(self.info, spread),
                    allow_cpu_fallback=self._allow,
                )
                found, self.told = opened.session, opened.told
                self._sessions[key], self._captures[found] = found, opened.captures
            if self.provider.name != CPU:
                self._first = None
            return Opened(found, self._captures[found], self.told)

    def next_id(self) -> int:
        """A number for one stream's CUDA graph at one size."""
        return next(self._ids)

    def close(self) -> None:
        """Let go of what no stream runs any more."""
        self._first = None


class Values(Protocol):
    """Inputs that all graphs of a stream read from the same place: a style's tensors, and numbers."""

    def write(self, name: str, array: NDArray[np.float32]) -> None: ...


class HostValues:
    """Such inputs in the host's memory, float32, by their names."""

    def __init__(self, arrays: Mapping[str, NDArray[np.float32]]) -> None:
        self.arrays = dict(arrays)

    def write(self, name: str, array: NDArray[np.float32]) -> None:
        """Put `array`, of the shape that it had at first, where the graphs read it."""
        self.arrays[name][...] = array


class Run(Protocol):
    """One stream's use of a graph: its buffers, bound once per size. Not for several threads."""

    def run(self, inputs: Mapping[str, NDArray[Any]], sides: Sides) -> dict[str, NDArray[Any]]:
        """Every output by its name, good until the call after the next. Raises EngineError."""
        ...

    def close(self) -> None:
        """Free the buffers."""
        ...


def new_values(provider: Provider, arrays: Mapping[str, NDArray[np.float32]]) -> HostValues | Held:
    """Where a stream's graphs on the provider read inputs that seldom change; float32, by their names."""
    return Held(provider, arrays) if provider.name in ON_CUDA else HostValues(arrays)


def new_run(graph: Graph, values: HostValues | Held) -> Run:
    """A stream's use of `graph`. values: of the stream; those that the graph does not have are left out."""
    return DeviceRun(graph, values) if isinstance(values, Held) else HostRun(graph, values)


class HostRun:
    """Buffers in the host's memory, which the CPU reads and writes itself, and other providers copy from and to."""

    def __init__(self, graph: Graph, values: HostValues) -> None:
        self._graph = graph
        names = {entry.name for entry in graph.info.inputs}
        self._shared = {name: array for name, array in values.arrays.items() if name in names}
        self._sides: Sides = {}
        self._turn = 0
        self._session: Any = None
        self._binding: Any = None
        # Streams of the CPU run side by side; what other providers say of that differs.
        self._lock = nullcontext() if graph.provider.name == CPU else DEVICE_LOCK

    def run(self, inputs: Mapping[str, NDArray[Any]], sides: Sides) -> dict[str, NDArray[Any]]:
        """See `Run.run`."""
        if self._binding is None or sides != self._sides:
            self._bind(sides)
        for name, array in inputs.items():
            self._feed(name, array)
        # Two sets of outputs in turn: a graph reads the last answers while it writes the new ones.
        self._turn = 1 - self._turn
        outputs = self._outputs[self._turn]
        for name, array in outputs.items():
            self._binding.bind_output(name, "cpu", 0, array.dtype, array.shape, array.ctypes.data)
        try:
            with self._lock:
                self._session.run_with_iobinding(self._binding)
        except Exception as error:
            self._binding = None
            raise failure(self._graph.provider, error) from error
        return outputs

    def close(self) -> None:
        """See `Run.close`."""
        self._binding = self._session = None

    def _bind(self, sides: Sides) -> None:
        """New buffers for new sizes."""
        self._session, self._sides = self._graph.session(sides).session, sides
        self._outputs = tuple(
            {info.name: np.empty(_shape(info, sides), info.dtype) for info in self._graph.info.outputs}
            for _ in range(2)
        )
        self._binding = self._session.io_binding()
        for name, array in self._shared.items():
            self._feed(name, array)

    def _feed(self, name: str, array: NDArray[Any]) -> None:
        """Bind the array's own memory as an input: nothing is copied on the CPU."""
        self._binding.bind_input(name, "cpu", 0, array.dtype, array.shape, array.ctypes.data)


class DeviceRun:
    """Buffers on a CUDA device, bound once per size; each size of each stream has a CUDA graph of its own."""

    def __init__(self, graph: Graph, values: Held) -> None:
        self._graph, self._values = graph, values
        self._sides: Sides = {}
        self._session: Any = None
        self._binding: Any = None

    def run(self, inputs: Mapping[str, NDArray[Any]], sides: Sides) -> dict[str, NDArray[Any]]:
        """See `Run.run`."""
        try:
            with DEVICE_LOCK:
                if self._binding is None or sides != self._sides:
                    self._bind(sides)
                for name, array in inputs.items():
                    self._inputs[name].upload(array)
                self._session.run_with_iobinding(self._binding, self._options)
                return {name: buffer.download() for name, buffer in self._outputs.items()}
        except EngineError:
            self.close()
            raise
        except Exception as error:
            self.close()  # what was too much is not to stay where it is
            raise failure(self._graph.provider, error) from error

    def close(self) -> None:
        """See `Run.close`."""
        self._binding = self._session = None
        self._inputs: dict[str, Buffer] = {}
        self._outputs: dict[str, Buffer] = {}

    def _bind(self, sides: Sides) -> None:
        """New buffers for new sizes; the old ones are freed before."""
        self.close()
        opened, provider = self._graph.session(sides), self._graph.provider
        binding = opened.session.io_binding()
        for info in self._graph.info.inputs:
            if info.name in self._values.values:
                binding.bind_ortvalue_input(info.name, self._values.values[info.name])
            else:
                self._inputs[info.name] = Buffer(info, sides, provider, copies=1)
                binding.bind_ortvalue_input(info.name, self._inputs[info.name].value)
        for info in self._graph.info.outputs:
            self._outputs[info.name] = Buffer(info, sides, provider, copies=2)
            binding.bind_ortvalue_output(info.name, self._outputs[info.name].value)
        self._options: Any = None
        if opened.captures:
            self._options = ort.RunOptions()
            self._options.add_run_config_entry("gpu_graph_id", str(self._graph.next_id()))
        self._session, self._binding, self._sides = opened.session, binding, sides


def failure(provider: Provider, error: Exception) -> EngineError:
    """What ONNX Runtime raised while a graph ran, as ours."""
    text = f"ONNX Runtime ({provider.name}) failed: {first_line(error)}"
    return OutOfMemory(text) if is_out_of_memory(str(error)) else EngineError(text)


def profile(info: GraphInfo, spread: tuple[Sides, Sides, Sides]) -> dict[str, str]:
    """The options that tell the TensorRT provider for which sizes to build one engine."""

    def told(sides: Sides) -> str:
        return ",".join(
            f"{entry.name}:{'x'.join(str(side) for side in _shape(entry, sides))}"
            for entry in info.inputs
            if any(isinstance(side, str) for side in entry.shape)
        )

    names = ("trt_profile_min_shapes", "trt_profile_opt_shapes", "trt_profile_max_shapes")
    return {name: told(sides) for name, sides in zip(names, spread, strict=True)}


def _within(sides: Sides, spread: tuple[Sides, Sides, Sides]) -> bool:
    least, _, most = spread
    return all(least[name] <= side <= most[name] for name, side in sides.items())


def _shape(info: TensorInfo, sides: Sides) -> list[int]:
    return [side if isinstance(side, int) else sides[side] for side in info.shape]
