"""The CUDA runtime through cuda-bindings: memory, streams and graphs of one GPU, errors as EngineError.

Nothing of CUDA is imported before a `Cuda` is made.
"""

from __future__ import annotations

import ctypes
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from engines.errors import EngineError


class OutOfDeviceMemory(EngineError):  # noqa: N818 - the error tree's names end as their reader needs them
    """The GPU has no room for what was asked."""

    def __init__(self, needed: int, free: int) -> None:
        super().__init__(f"out of device memory: {needed / 2**20:.0f} MB are needed, {free / 2**20:.0f} MB are free")
        self.needed, self.free = needed, free


@dataclass(frozen=True, slots=True)
class Pinned:
    """Memory of the host that the GPU copies from and to by itself; freed with the last array that looks at it."""

    array: NDArray[Any]
    address: int


class Cuda:
    """One GPU. Raises EngineError: no driver, no such GPU; ModuleNotFoundError: cuda-bindings is not installed.

    index: of the GPU. A thread that did not make it calls `enter` before all else.
    """

    def __init__(self, index: int = 0) -> None:
        from cuda.bindings import runtime  # noqa: PLC0415 (an extra)

        self._runtime, self.index = runtime, index
        self._ok = runtime.cudaError_t.cudaSuccess
        count = int(self.call("cudaGetDeviceCount"))
        if index >= count:
            raise EngineError(f"no GPU {index}; CUDA sees {count}")
        self.enter()
        properties = self.call("cudaGetDeviceProperties", index)
        self.gpu = bytes(properties.name).partition(b"\0")[0].decode()
        self.capability = f"{properties.major}.{properties.minor}"
        driver = int(self.call("cudaDriverGetVersion"))
        self.driver = f"{driver // 1000}.{driver % 1000 // 10}"

    def call(self, name: str, *arguments: Any) -> Any:
        """A function of the CUDA runtime: its answer, or its answers as a tuple. Raises EngineError."""
        error, *answers = getattr(self._runtime, name)(*arguments)
        if error != self._ok:
            raise EngineError(f"CUDA: {name} failed: {self._why(error)}")
        return answers[0] if len(answers) == 1 else tuple(answers)

    def enter(self) -> None:
        """Make this GPU the calling thread's."""
        self.call("cudaSetDevice", self.index)

    def free_memory(self) -> int:
        """Free bytes on the GPU."""
        return int(self.call("cudaMemGetInfo")[0])

    def allocate(self, size: int) -> int:
        """Address of new memory on the GPU, at least one byte. Raises OutOfDeviceMemory."""
        error, address = self._runtime.cudaMalloc(max(size, 1))
        if error == self._runtime.cudaError_t.cudaErrorMemoryAllocation:
            self._runtime.cudaGetLastError()  # it would be told again by the next call that looks
            raise OutOfDeviceMemory(size, self.free_memory())
        if error != self._ok:
            raise EngineError(f"CUDA: cudaMalloc failed: {self._why(error)}")
        return int(address)

    def free(self, address: int) -> None:
        self.call("cudaFree", address)

    def pinned(self, shape: Sequence[int], dtype: DTypeLike) -> Pinned:
        """A new array in pinned memory."""
        size = max(int(np.prod(shape)) * np.dtype(dtype).itemsize, 1)
        address = int(self.call("cudaMallocHost", size))
        memory = (ctypes.c_uint8 * size).from_address(address)
        weakref.finalize(memory, self._runtime.cudaFreeHost, address)
        return Pinned(np.ndarray(tuple(shape), np.dtype(dtype), buffer=memoryview(memory)), address)

    def stream(self) -> Any:
        """A new stream that waits for no other, as CUDA graphs want it."""
        return self.call("cudaStreamCreateWithFlags", self._runtime.cudaStreamNonBlocking)

    def drop_stream(self, stream: Any) -> None:
        self.call("cudaStreamDestroy", stream)

    def wait(self, stream: Any) -> None:
        """Until all that was asked of the stream is done."""
        self.call("cudaStreamSynchronize", stream)

    def upload(self, to: int, source: Pinned, stream: Any) -> None:
        """Copy to the GPU, later, in the stream's order: the source must stay as it is until then."""
        kind = self._runtime.cudaMemcpyKind.cudaMemcpyHostToDevice
        self.call("cudaMemcpyAsync", to, source.address, source.array.nbytes, kind, stream)

    def download(self, to: Pinned, source: int, stream: Any) -> None:
        """Copy from the GPU, later, in the stream's order."""
        kind = self._runtime.cudaMemcpyKind.cudaMemcpyDeviceToHost
        self.call("cudaMemcpyAsync", to.address, source, to.array.nbytes, kind, stream)

    def captured(self, work: Callable[[], None], stream: Any) -> Any:
        """What `work` asks of the stream, as a graph to `launch`; nothing of it is done now. Raises EngineError."""
        # Of the thread: other threads may allocate meanwhile.
        mode = self._runtime.cudaStreamCaptureMode.cudaStreamCaptureModeThreadLocal
        self.call("cudaStreamBeginCapture", stream, mode)
        try:
            work()
        except BaseException:
            self._runtime.cudaStreamEndCapture(stream)  # else the stream could not be used any more
            raise
        graph = self.call("cudaStreamEndCapture", stream)
        try:
            return self.call("cudaGraphInstantiate", graph, 0)
        finally:
            self.call("cudaGraphDestroy", graph)

    def launch(self, graph: Any, stream: Any) -> None:
        self.call("cudaGraphLaunch", graph, stream)

    def drop_graph(self, graph: Any) -> None:
        self.call("cudaGraphExecDestroy", graph)

    def _why(self, error: Any) -> str:
        _, text = self._runtime.cudaGetErrorString(error)
        return text.decode() if isinstance(text, bytes) else str(text)


@contextmanager
def all_or_nothing(cuda: Cuda, addresses: list[int]) -> Iterator[None]:
    """Frees the memory on the GPU at `addresses`, to which the block adds, if the block fails."""
    try:
        yield
    except BaseException:
        while addresses:
            cuda.free(addresses.pop())
        raise
