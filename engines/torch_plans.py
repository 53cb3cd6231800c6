"""Plans: the frame graphs for fixed numbers and sizes of frames, with their inputs and outputs at fixed places.

What a CUDA graph needs, and what keeps every other way of running them from moving memory about: frames wait in pinned
memory, go up in one copy that nothing waits for, and the paintings come down in another; only then is there a wait.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

WARM_UP_RUNS = 3  # before a capture: libraries choose and allocate at their first runs, which no capture may hold

# Named tensors on the device -> outputs there
Program = Callable[[Mapping[str, Tensor]], tuple[Tensor, ...]]


@dataclass(frozen=True, slots=True)
class Place:
    """Where and how graphs are run. dtype: of the network. captured: as CUDA graphs."""

    device: torch.device
    dtype: torch.dtype
    captured: bool = False
    stream: Any = None  # of CUDA: all that is done for an engine, in order
    pool: Any = field(default=None)  # of CUDA: where captured graphs keep what lies between their operations

    @property
    def cuda(self) -> bool:
        return self.device.type == "cuda"


class Plan:
    """One program with inputs at fixed places. Not for several threads.

    Fill `host[name]` (NumPy, frames first) and `inputs[name]` (tensors on the device, those that are not in `host`),
    then `upload`, `launch`, `download`; or `run` for all three. On CUDA inside the place's stream, see `Place`.
    """

    def __init__(
        self, program: Program, fed: Mapping[str, tuple[tuple[int, ...], str]], kept: Mapping[str, Tensor], place: Place
    ) -> None:
        """fed: shape and dtype of what comes from the host. kept: what lies on the device."""
        self._program, self._place = program, place
        self._staged = {
            name: torch.zeros(shape, dtype=getattr(torch, dtype), pin_memory=place.cuda)
            for name, (shape, dtype) in fed.items()
        }
        self.host: dict[str, NDArray[Any]] = {name: staged.numpy() for name, staged in self._staged.items()}
        # On the CPU the network reads where the host writes.
        on_cpu = place.device.type == "cpu"
        self.inputs = {name: staged if on_cpu else staged.to(place.device) for name, staged in self._staged.items()}
        self.inputs.update(kept)
        self.outputs: tuple[Tensor, ...] = ()
        self._graph: Any = None

    def run(self) -> list[NDArray[Any]]:
        """Outputs for what was filled in; the caller owns them."""
        self.upload()
        self.launch()
        return self.download()

    def upload(self) -> None:
        """What is in `host` to the device; nothing waits for it but what the device does next."""
        if self._place.device.type == "cpu":
            return
        for name, staged in self._staged.items():
            self.inputs[name].copy_(staged, non_blocking=self._place.cuda)

    def launch(self) -> None:
        """Compute; captured at the first time where that is asked for."""
        if not self._place.captured:
            self.outputs = self._program(self.inputs)
            return
        if self._graph is None:
            self._capture()
        self._graph.replay()

    def uncaptured(self) -> None:
        """Compute once more without a CUDA graph, for those who count what is done."""
        self._program(self.inputs)

    def download(self) -> list[NDArray[Any]]:
        """The outputs, waited for."""
        fetched = self.fetch()
        if not self._place.cuda:
            return [host.numpy() for host in fetched]
        done = torch.cuda.Event()  # type: ignore[no-untyped-call]
        done.record()
        done.synchronize()
        return [host.numpy() for host in fetched]

    def fetch(self) -> list[Tensor]:
        """The outputs on the host; on CUDA on their way there, which is for the caller to wait for."""
        if not self._place.cuda:
            return [output.cpu() for output in self.outputs]
        # PyTorch keeps pinned memory that is given back, so new arrays cost nothing, and nobody overwrites them.
        fetched = [torch.empty(output.shape, dtype=output.dtype, pin_memory=True) for output in self.outputs]
        for host, output in zip(fetched, self.outputs, strict=True):
            host.copy_(output, non_blocking=True)
        return fetched

    def _capture(self) -> None:
        for _ in range(WARM_UP_RUNS):
            self._program(self.inputs)
        torch.cuda.synchronize()
        graph = torch.cuda.CUDAGraph()
        # Other threads may go on allocating pinned memory meanwhile.
        stream, pool = self._place.stream, self._place.pool
        with torch.cuda.graph(graph, pool=pool, stream=stream, capture_error_mode="thread_local"):
            self.outputs = self._program(self.inputs)
        self._graph = graph
