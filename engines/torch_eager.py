"""The PyTorch network as it is: a bundle's weights in the very graphs that are exported. What exports have to equal."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from engines.api import Look
from engines.around import Graphs
from engines.bundle import Bundle
from engines.errors import BundleError, EngineError, InputError
from engines.memory import Recalled
from engines.nets import catalogue
from engines.nets.catalogue import StyleNet
from engines.nets.frame_graph import FrameGraph, GuideGraph, RegionsGraph
from engines.nets.plain_graph import PlainFrame, PlainRegions
from engines.nets.style_kernel import GUIDE_TENSORS, PAINT_TENSORS, StyleKernelNet
from engines.pixels import Picture
from engines.regions import Mask
from engines.renewal import Guided
from engines.styles import Style


class EagerGraphs(Graphs):
    """The exported graphs, run by PyTorch one operation after the other, in fp32.

    device: "cpu" or another. tensors: a style's, on that device, by their names.
    """

    def __init__(self, net: Any, device: str, tensors: Callable[[Style], dict[str, Tensor]]) -> None:
        """net: any of `engines.nets.catalogue`."""
        self._guided = isinstance(net, StyleKernelNet)
        self._painted_with: tuple[str, ...] = PAINT_TENSORS if self._guided else net.style_tensors
        self._guide = GuideGraph(net).eval() if self._guided else None
        frame, regions = (FrameGraph, RegionsGraph) if self._guided else (PlainFrame, PlainRegions)
        self._frame, self._regions = frame(net).eval(), regions(net).eval()
        self._device, self._known = device, tensors

    def guide(self, guide: Picture, colour_map: NDArray[np.float32], style: Style) -> NDArray[np.float32]:
        """See `engines.around.Graphs`."""
        assert self._guide is not None  # or nobody asks
        (guidance,) = self._run(self._guide, guide, colour_map, *self._tensors(style, GUIDE_TENSORS))
        return guidance

    def paint(
        self, working: Picture, guided: Guided, recalled: Recalled, look: Look, smoothing: float
    ) -> tuple[Picture, Picture]:
        """See `engines.around.Graphs`."""
        told: list[NDArray[Any] | Tensor | float] = [working, recalled.small]
        told += [guided.guidance, guided.colour_map] if self._guided else []
        told += self._tensors(look.style, self._painted_with)
        told += [look.strength, smoothing, recalled.painting, recalled.source]
        painting, source = self._run(self._frame, *told)
        return painting, source

    def paint_regions(
        self, working: Picture, guided: Guided, recalled: Recalled, look: Look, smoothing: float, mask: Mask
    ) -> tuple[Picture, Picture]:
        """See `engines.around.Graphs`."""
        assert look.behind is not None
        told: list[NDArray[Any] | Tensor | float] = [working, recalled.small, mask]
        if self._guided:
            assert guided.background_map is not None
            told += [guided.guidance, guided.colour_map, guided.background_map]
        told += [*self._tensors(look.style, self._painted_with), *self._tensors(look.behind, self._painted_with)]
        painting, source = self._run(self._regions, *told, smoothing, recalled.painting, recalled.source)
        return painting, source

    def _tensors(self, style: Style, names: tuple[str, ...]) -> list[Tensor]:
        tensors = self._known(style)
        return [tensors[name] for name in names]

    def _run(self, graph: nn.Module, *inputs: NDArray[Any] | Tensor | float) -> list[NDArray[Any]]:
        tensors = [entry if isinstance(entry, Tensor) else self._tensor(entry) for entry in inputs]
        try:
            with torch.inference_mode():
                answers = graph(*tensors)
                return [answer.cpu().numpy() for answer in (answers if isinstance(answers, tuple) else (answers,))]
        except RuntimeError as error:
            raise failure(self._device, error) from error

    def _tensor(self, entry: NDArray[Any] | float) -> Tensor:
        # A copy: arrays of a caller may be read-only, which PyTorch warns of.
        return torch.tensor(entry, device=self._device)


def load_network(bundle: Bundle) -> StyleNet:
    """The bundle's network with its weights, fp32, in evaluation mode, on the CPU. Raises BundleError."""
    weights = bundle.weights
    try:
        net = catalogue.build(catalogue.configuration_from(bundle.network, bundle.config))
        state = {name: tensor.float() for name, tensor in load_file(weights).items()}
        net.load_state_dict(state)
    except (SafetensorError, OSError, RuntimeError, TypeError, ValueError, KeyError, InputError) as error:
        reason = str(error).partition("\n")[0]
        raise BundleError(f"the weights of {bundle.folder} do not fit its network: {reason}") from error
    return net.eval()


def failure(device: str, error: BaseException) -> EngineError:
    """What PyTorch raised, in one line."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    told = " ".join(lines[:2]) if lines[0].endswith(":") else lines[0]  # the compiler's begin with a heading
    return EngineError(f"PyTorch ({device}) failed: {told[:300]}")
