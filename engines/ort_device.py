"""Buffers on a CUDA device for ONNX Runtime: allocated once, at fixed addresses, written in place.

Frames go up and paintings come down as bytes. The addresses stay, as CUDA graphs want it.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from engines.bundle import TensorInfo
from engines.providers import Provider

# While one thread captures a CUDA graph, no other may copy or allocate: CUDA would drop the graph. So whatever asks
# something of a device holds this; the device does one thing after the other anyway.
DEVICE_LOCK = threading.RLock()
_DEVICE = "cuda"


class Held:
    """Tensors that stay on the device and are written in place: those of styles, and numbers.

    arrays: what they hold at first, float32, by their names.
    """

    def __init__(self, provider: Provider, arrays: Mapping[str, NDArray[np.float32]]) -> None:
        with DEVICE_LOCK:
            self.values = {
                name: ort.OrtValue.ortvalue_from_numpy(array, _DEVICE, provider.index) for name, array in arrays.items()
            }
        self._last = {name: array.copy() for name, array in arrays.items() if array.ndim == 0}

    def write(self, name: str, array: NDArray[np.float32]) -> None:
        """Put `array`, of the shape that it had at first, where the graphs read it."""
        if array.ndim == 0:
            if self._last[name] == array:
                return
            self._last[name] = array.copy()
        with DEVICE_LOCK:
            self.values[name].update_inplace(np.ascontiguousarray(array, np.float32).reshape(array.shape))


class Buffer:
    """One tensor on the device, and where the host has it: in pinned memory, if ONNX Runtime gives that."""

    def __init__(self, info: TensorInfo, sides: Mapping[str, int], provider: Provider, copies: int) -> None:
        """copies: on the host, used in turn."""
        shape = [side if isinstance(side, int) else sides[side] for side in info.shape]
        dtype = np.dtype(info.dtype).type
        make = ort.OrtValue.ortvalue_from_shape_and_type
        self.value = make(shape, dtype, _DEVICE, provider.index)
        memory = pinned_memory(provider)
        self._pinned = [] if memory is None else [make(shape, dtype, memory_info=memory) for _ in range(copies)]
        self._turn = 0

    def upload(self, array: NDArray[Any]) -> None:
        """The array of the host to the device."""
        if self._pinned:
            staged = self._pinned[0]
            np.copyto(staged.numpy(), array)
            ort.copy_tensors([staged], [self.value])
        else:
            self.value.update_inplace(np.ascontiguousarray(array).reshape(array.shape))

    def download(self) -> NDArray[Any]:
        """What is on the device; good until the call after the next."""
        if not self._pinned:
            return np.asarray(self.value.numpy())
        self._turn = (self._turn + 1) % len(self._pinned)
        staged = self._pinned[self._turn]
        ort.copy_tensors([self.value], [staged])
        return np.asarray(staged.numpy())


@cache
def pinned_memory(provider: Provider) -> Any:
    """What ONNX Runtime makes pinned host memory from (an OrtMemoryInfo); None: this installation gives none.

    It does for providers that it has as plugins, and for its first device; see `OrtEpDevice.memory_info`.
    """
    if provider.index or not hasattr(ort, "copy_tensors") or not hasattr(ort, "get_ep_devices"):
        return None
    for device in ort.get_ep_devices():
        if device.ep_name == provider.name:
            return device.memory_info(ort.OrtDeviceMemoryType.HOST_ACCESSIBLE)
    return None
