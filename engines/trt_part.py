"""One TensorRT plan on one GPU, shared by all streams; and what one stream runs of it, with buffers of its own.

For every set of sizes there are a context, memory on the GPU and pinned memory, made once; addresses stay, so that the
second run can be captured as a CUDA graph, which all later runs replay.
"""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from engines.bundle import GraphInfo, TensorInfo
from engines.cuda_runtime import Cuda, OutOfDeviceMemory, Pinned, all_or_nothing
from engines.errors import EngineError, InputError
from engines.plans import Plan
from engines.trt_host import why

SIZES_KEPT = 3  # as a rate is held, a stream goes to and fro between a few sizes
_DTYPES = {"float32": "FLOAT", "uint8": "UINT8"}

Arrays: TypeAlias = Mapping[str, NDArray[Any]]
Key: TypeAlias = tuple[tuple[str, tuple[int, ...]], ...]  # names and shapes of the inputs with free dimensions

_log = logging.getLogger(__name__)


class PlanGraph:
    """A deserialised plan. Raises EngineError: TensorRT does not take it, or it is not the graph's.

    trt, runtime, log: the module tensorrt, its Runtime, and the `trt_host.logger` that it was made with.
    """

    def __init__(self, trt: Any, runtime: Any, log: Any, data: bytes, plan: Plan, info: GraphInfo) -> None:
        self.plan, self.info, self._trt, self._log = plan, info, trt, log
        self._lock = threading.Lock()
        log.error = ""
        self._engine = runtime.deserialize_cuda_engine(data)
        if self._engine is None:
            raise EngineError(f"TensorRT cannot load {plan.file}: {why(log, 'it tells no reason')}")
        self._check()

    def name(self, tensor: str) -> str:
        """What TensorRT calls an input or output of the graph."""
        return self.plan.names.get(tensor, tensor)

    def context(self) -> Any:
        """A new execution context, whose memory is given by `set_memory`. Raises EngineError."""
        strategy = self._trt.ExecutionContextAllocationStrategy.USER_MANAGED
        with self._lock:
            context = self._engine.create_execution_context(strategy)
        if context is None:
            raise EngineError(f"TensorRT cannot run {self.plan.file}: {why(self._log, 'no execution context')}")
        return context

    def fail(self, what: str) -> EngineError:
        """The error of a call that returned False."""
        return EngineError(f"TensorRT failed to {what} ({self.plan.file}): {why(self._log, 'it tells no reason')}")

    def check_range(self, name: str, shape: tuple[int, ...]) -> None:
        """Raise InputError for an input's shape that is outside the plan's."""
        if name in self.plan.shapes:
            least, _, most = self.plan.shapes[name]
            if any(not low <= side <= high for low, side, high in zip(least, shape, most, strict=True)):
                raise InputError(
                    f"{name} is {_told(shape)}; {self.plan.file} is for {_told(least)} to {_told(most)}: "
                    "build the plans for other sizes with --size"
                )

    def _check(self) -> None:
        """The plan's inputs and outputs must be those of the graph."""
        engine, there = self._engine, {}
        for index in range(engine.num_io_tensors):
            name = engine.get_tensor_name(index)
            there[name] = (engine.get_tensor_mode(name).name, engine.get_tensor_dtype(name).name)
        wanted = {
            self.name(entry.name): (mode, _DTYPES.get(entry.dtype, entry.dtype))
            for mode, entries in (("INPUT", self.info.inputs), ("OUTPUT", self.info.outputs))
            for entry in entries
        }
        # An input that the graph has and does not use may be left out.
        odd = {name for name, told in there.items() if wanted.get(name) != told}
        odd |= {name for name, told in wanted.items() if name not in there and told[0] == "OUTPUT"}
        if odd:
            names = ", ".join(sorted(odd))
            raise EngineError(f"plan {self.plan.file} is of another graph (see its {names}); build it anew")
        self.inputs = tuple(entry for entry in self.info.inputs if self.name(entry.name) in there)


class Fixed:
    """An input whose array changes seldom, on the GPU: written in place, and read by every plan that has it."""

    def __init__(self, cuda: Cuda, stream: Any, info: TensorInfo) -> None:
        self._cuda, self._stream = cuda, stream
        self._host = cuda.pinned([int(side) for side in info.shape], info.dtype)
        self.address = cuda.allocate(self._host.array.nbytes)
        self._written = False

    def write(self, array: NDArray[Any] | float) -> None:
        """Copy an array in, if it is not there already."""
        if self._written and np.array_equal(self._host.array, array):
            return
        self._cuda.wait(self._stream)  # what was copied last may still be on its way
        self._host.array[...] = array
        self._cuda.upload(self.address, self._host, self._stream)
        self._written = True

    def close(self) -> None:
        self._cuda.free(self.address)


class Part:
    """What one stream runs of one plan. fixed: inputs that are read from where they are, by their names."""

    def __init__(self, graph: PlanGraph, cuda: Cuda, stream: Any, fixed: Mapping[str, Fixed]) -> None:
        self._graph, self._cuda, self._stream, self._fixed = graph, cuda, stream, fixed
        self._bound: OrderedDict[Key, _Bound] = OrderedDict()

    def run(self, inputs: Arrays) -> dict[str, NDArray[Any]]:
        """Every output by its name, good until the call after the next. inputs: all that are not fixed.

        Raises EngineError (CUDA or TensorRT failed; no memory), InputError (a shape outside the plan's range).
        """
        key: Key = tuple((name, array.shape) for name, array in inputs.items() if name in self._graph.plan.shapes)
        bound = self._bound.get(key)
        if bound is None:
            for name, array in inputs.items():
                self._graph.check_range(name, array.shape)
            while len(self._bound) >= SIZES_KEPT:
                self._bound.popitem(last=False)[1].close()
            bound = self._bound[key] = self._bind(inputs)
        self._bound.move_to_end(key)
        return bound.run(inputs)

    def close(self) -> None:
        while self._bound:
            self._bound.popitem()[1].close()

    def _bind(self, inputs: Arrays) -> _Bound:
        def bind() -> _Bound:
            return _Bound(self._graph, self._cuda, self._stream, self._fixed, inputs)

        try:
            return bind()
        except OutOfDeviceMemory:
            self.close()  # other sizes' buffers
            return bind()


class _Bound:
    """A plan at one set of sizes: its context, buffers and CUDA graph."""

    def __init__(self, graph: PlanGraph, cuda: Cuda, stream: Any, fixed: Mapping[str, Fixed], inputs: Arrays) -> None:
        self._graph, self._cuda, self._stream = graph, cuda, stream
        self._turn, self._runs = 0, 0
        self._captured: Any = None
        self._context = context = graph.context()
        shapes = {entry.name: self._shape(entry, inputs) for entry in graph.inputs}
        for name, shape in shapes.items():
            if not context.set_input_shape(graph.name(name), shape):
                raise graph.fail(f"take {name} of {_told(shape)}")
        if missing := context.infer_shapes():
            raise EngineError(f"TensorRT lacks {', '.join(missing)} to run {graph.plan.file}")
        workspace = int(context.update_device_memory_size_for_shapes())
        self._memory: list[int] = []
        self._inputs: dict[str, tuple[Pinned, int]] = {}
        self._outputs: dict[str, tuple[list[Pinned], int]] = {}
        with all_or_nothing(cuda, self._memory):
            _set_memory(context, self._place(workspace), workspace)
            for entry in graph.inputs:
                if entry.name in fixed:
                    address = fixed[entry.name].address
                else:
                    staging = cuda.pinned(shapes[entry.name], entry.dtype)
                    address = self._place(staging.array.nbytes)
                    self._inputs[entry.name] = (staging, address)
                self._point(entry.name, address)
            for entry in graph.info.outputs:
                sides = context.get_tensor_shape(graph.name(entry.name))
                pair = [cuda.pinned([int(side) for side in sides], entry.dtype) for _ in range(2)]
                address = self._place(pair[0].array.nbytes)
                self._outputs[entry.name] = (pair, address)
                self._point(entry.name, address)

    def run(self, inputs: Arrays) -> dict[str, NDArray[Any]]:
        """See `Part.run`."""
        for name, (staging, address) in self._inputs.items():
            np.copyto(staging.array, inputs[name], casting="no")
            self._cuda.upload(address, staging, self._stream)
        self._execute()
        self._turn = 1 - self._turn
        answers = {}
        for name, (pair, address) in self._outputs.items():
            self._cuda.download(pair[self._turn], address, self._stream)
            answers[name] = pair[self._turn].array
        self._cuda.wait(self._stream)
        self._runs += 1
        return answers

    def close(self) -> None:
        """Free everything but the pinned memory, which answers may still be read from."""
        self._cuda.wait(self._stream)
        if self._captured is not None:
            self._cuda.drop_graph(self._captured)
        self._captured = self._context = None
        while self._memory:
            self._cuda.free(self._memory.pop())

    def _execute(self) -> None:
        # The first run may still set things up, which a graph must not hold.
        if self._captured is None and self._runs == 1:
            try:
                self._captured = self._cuda.captured(self._enqueue, self._stream)
            except EngineError as error:
                _log.warning("running without a CUDA graph, which is slower: %s", error)
        if self._captured is None:
            self._enqueue()
        else:
            self._cuda.launch(self._captured, self._stream)

    def _enqueue(self) -> None:
        if not self._context.execute_async_v3(int(self._stream)):
            raise self._graph.fail("run")

    def _place(self, size: int) -> int:
        self._memory.append(self._cuda.allocate(size))
        return self._memory[-1]

    def _point(self, name: str, address: int) -> None:
        if not self._context.set_tensor_address(self._graph.name(name), address):
            raise self._graph.fail(f"bind {name}")

    def _shape(self, entry: TensorInfo, inputs: Arrays) -> tuple[int, ...]:
        if entry.name in inputs:
            return inputs[entry.name].shape
        return tuple(int(side) for side in entry.shape)


def _set_memory(context: Any, address: int, size: int) -> None:
    """The memory that a context works in. TensorRT's Python has had two names for it."""
    take: Callable[[int, int], None] = getattr(context, "set_device_memory_v2", None) or context.set_device_memory
    take(address, size)


def _told(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape)) or "one number"
