"""The PyTorch back end: any network of nets/ as it is, with a bundle's weights. The reference that exports equal."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from engines.api import Engine, Look
from engines.around import Around, Picture, Remembered
from engines.bundle import Bundle, near
from engines.errors import BundleError, EngineError
from engines.nets.config import StyleKernelConfig
from engines.nets.frame_graph import FrameGraph
from engines.nets.style_kernel import FRAME_TENSORS, StyleKernelNet, build
from engines.styles import Style

DEVICES = ("cpu", "cuda", "mps")


class TorchEngine(Engine):
    """Paints with the bundle's network in eager PyTorch, fp32.

    provider: a device, "cpu" (also None) or "cuda"; threads: of PyTorch in this whole process.
    Raises EngineError (device unknown or not there), BundleError (weights that do not fit, a baked bundle).
    """

    name = "torch"

    def __init__(self, bundle: Bundle, *, threads: int | None = None, provider: str | None = None) -> None:
        self.provider = _device(provider)
        if threads is not None:
            torch.set_num_threads(threads)
        self._bundle = bundle
        self._graph: FrameGraph | None = FrameGraph(load_network(bundle)).to(self.provider).eval()
        self._around = Around()
        self._style: Style | None = None
        self._tensors: list[Tensor] = []

    def stylise(self, image: NDArray[np.uint8], look: Look) -> NDArray[np.uint8]:
        """Paint one frame; see `engines.api.Engine.stylise`."""
        if self._graph is None:
            raise EngineError("the torch engine is closed; open a new one")
        if look.style is not self._style:
            self._bundle.check_style(look.style)
            self._tensors = [self._tensor(look.style.tensors[name]) for name in FRAME_TENSORS]
            self._style = look.style
        numbers = [torch.tensor(number, device=self.provider) for number in (look.strength, look.smoothing)]
        return self._around.paint(image, look, partial(self._run, self._graph, numbers))

    def _run(
        self, graph: FrameGraph, numbers: Sequence[Tensor], working: Picture, guide: Picture, memory: Remembered
    ) -> Remembered:
        inputs = [self._tensor(working), self._tensor(guide), *self._tensors, *numbers]
        try:
            with torch.inference_mode():
                painted, source, statistics = graph(*inputs, *(self._tensor(array) for array in memory))
        except RuntimeError as error:
            raise EngineError(f"PyTorch ({self.provider}) failed: {str(error).partition(chr(10))[0][:300]}") from error
        return painted.cpu().numpy(), source.cpu().numpy(), statistics.cpu().numpy()

    def reset(self) -> None:
        """Forget the last painting."""
        self._around.reset()

    def close(self) -> None:
        self._graph = None

    def _tensor(self, array: NDArray[np.uint8] | NDArray[np.float32]) -> Tensor:
        # A copy: arrays of a caller may be read-only, which PyTorch warns of.
        return torch.tensor(array, device=self.provider)


def load_network(bundle: Bundle) -> StyleKernelNet:
    """The bundle's network with its weights, fp32, in evaluation mode, on the CPU. Raises BundleError."""
    try:
        net = build(StyleKernelConfig.from_dict(bundle.config))
        state = {name: tensor.float() for name, tensor in load_file(bundle.weights).items()}
        net.load_state_dict(state)
    except (SafetensorError, OSError, RuntimeError, TypeError, ValueError, KeyError) as error:
        reason = str(error).partition("\n")[0]
        raise BundleError(f"the weights of {bundle.folder} do not fit its network: {reason}") from error
    return net.eval()


def _device(asked: str | None) -> str:
    name = (asked or "cpu").lower()
    if name.partition(":")[0] not in DEVICES:
        raise EngineError(f"no torch device {asked!r}; {near(name, list(DEVICES))}")
    there = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not there[name.partition(":")[0]]:
        raise EngineError(f"torch sees no {name} device here; choose cpu, or install a torch build that has it")
    return name
