"""Paints surfaces of a hardware decoder where they are: nothing of a frame comes to the host and goes back."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.utils.dlpack import from_dlpack

from engines.api import Engine, Look, closed_error
from engines.errors import EngineError, InputError
from engines.regions import Mask
from engines.surface import Surface
from engines.torch_core import TorchCore


class SurfaceEngine(Engine):
    """An engine whose frames are `engines.surface.Surface`, of its own device; else see `engines.api.Engine`.

    It belongs to the engine that made it, and is closed with it.
    """

    name = "torch"

    def __init__(self, core: TorchCore) -> None:
        self.provider = core.how.device
        self._core, self._closed = core, False

    def stylise(self, image: Any, look: Look, mask: Mask | None = None) -> Any:
        """Paint one Surface; the answer is one of the same size and matrix, done when it is given.

        Raises InputError (no NV12 surface of this device), EngineError (a look with smoothing or a background).
        """
        if self._closed or self._core.closed:
            raise closed_error(self.name)
        if look.smoothing > 0 or look.behind is not None:
            raise EngineError("frames that stay on the device are painted with smoothing 0 and without a background")
        luma, chroma = (self._tensor(plane) for plane in (image.luma, image.chroma))
        height, width = luma.shape
        if luma.dtype != torch.uint8 or chroma.shape != (height // 2, width // 2, 2) or height % 2 or width % 2:
            raise InputError(f"a surface is {luma.dtype} {tuple(luma.shape)}; it must be NV12 with even sides")
        core = self._core
        with core.running():
            plan, styles = core.whole_plan(1, (height, width), look, matrix=image.matrix)
            if core.place.cuda:
                # Decoders work in the device's default stream, which ours does not wait for by itself.
                core.place.stream.wait_stream(torch.cuda.default_stream(core.place.device))
            plan.inputs["luma"][0].copy_(luma)
            plan.inputs["chroma"][0].copy_(chroma)
            core.put_whole(plan, styles, 0, look)
            plan.upload()
            plan.launch()
            painted_luma, painted_chroma = (output[0].clone() for output in plan.outputs)
            if core.place.cuda:
                core.place.stream.synchronize()
        return Surface(painted_luma, painted_chroma, image.matrix)

    def session(self) -> SurfaceEngine:
        """Another stream; see `engines.api.Engine.session`."""
        if self._closed or self._core.closed:
            raise closed_error(self.name)
        return SurfaceEngine(self._core)

    def reset(self) -> None:
        """Nothing is remembered."""

    def close(self) -> None:
        self._closed = True

    def _tensor(self, plane: Any) -> Tensor:
        # By the capsule: PyTorch would ask PyAV to wait for a stream, which it refuses.
        tensor: Tensor = from_dlpack(plane if isinstance(plane, Tensor) else plane.__dlpack__())
        if tensor.device.type != self._core.place.device.type:
            raise InputError(f"a surface lies on {tensor.device}, the engine on {self.provider}")
        return tensor
