"""The PyTorch back end: any network of nets/ as it is, with a bundle's weights. The reference that exports equal."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from engines.api import Engine, Look
from engines.around import Around, Picture
from engines.bundle import Bundle, near
from engines.errors import BundleError, EngineError
from engines.memory import Recalled
from engines.nets.config import StyleKernelConfig
from engines.nets.frame_graph import FrameGraph, GuideGraph, RegionsGraph
from engines.nets.style_kernel import GUIDE_TENSORS, PAINT_TENSORS, StyleKernelNet, build
from engines.regions import Mask
from engines.renewal import Guided
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
        net = load_network(bundle).to(self.provider)
        self._guide, self._frame, self._regions = (part(net).eval() for part in (GuideGraph, FrameGraph, RegionsGraph))
        self._closed = False
        self._around = Around()
        self._known: dict[int, tuple[Style, dict[str, Tensor]]] = {}  # by the style's identity

    def stylise(self, image: NDArray[np.uint8], look: Look, mask: Mask | None = None) -> NDArray[np.uint8]:
        """Paint one frame; see `engines.api.Engine.stylise`."""
        if self._closed:
            raise EngineError("the torch engine is closed; open a new one")
        self._known = {
            id(style): self._known.get(id(style)) or self._taken(style)
            for style in (look.style, look.behind)
            if style is not None
        }
        return self._around.paint(image, look, self, mask)

    def guide(self, guide: Picture, colour_map: NDArray[np.float32], style: Style) -> NDArray[np.float32]:
        """See `engines.around.Graphs`."""
        tensors = self._tensors(style, GUIDE_TENSORS)
        (guidance,) = self._run(self._guide, guide, colour_map, *tensors)
        return guidance

    def paint(
        self, working: Picture, guided: Guided, recalled: Recalled, look: Look, smoothing: float
    ) -> tuple[Picture, Picture]:
        """See `engines.around.Graphs`."""
        told: list[NDArray[Any] | Tensor | float] = [working, recalled.small, guided.guidance, guided.colour_map]
        told += [
            *self._tensors(look.style, PAINT_TENSORS),
            look.strength,
            smoothing,
            recalled.painting,
            recalled.source,
        ]
        painting, source = self._run(self._frame, *told)
        return painting, source

    def paint_regions(
        self, working: Picture, guided: Guided, recalled: Recalled, look: Look, smoothing: float, mask: Mask
    ) -> tuple[Picture, Picture]:
        """See `engines.around.Graphs`."""
        assert look.behind is not None and guided.background_map is not None
        told: list[NDArray[Any] | Tensor | float] = [working, recalled.small, mask, guided.guidance]
        told += [guided.colour_map, guided.background_map]
        told += [*self._tensors(look.style, PAINT_TENSORS), *self._tensors(look.behind, PAINT_TENSORS)]
        painting, source = self._run(self._regions, *told, smoothing, recalled.painting, recalled.source)
        return painting, source

    def _taken(self, style: Style) -> tuple[Style, dict[str, Tensor]]:
        """A style, kept so that its identity stays its own, and its tensors on the device."""
        self._bundle.check_style(style)
        return style, {name: self._tensor(style.tensors[name]) for name in GUIDE_TENSORS}

    def _tensors(self, style: Style, names: tuple[str, ...]) -> list[Tensor]:
        return [self._known[id(style)][1][name] for name in names]

    def _run(self, graph: nn.Module, *inputs: NDArray[Any] | Tensor | float) -> list[NDArray[Any]]:
        tensors = [entry if isinstance(entry, Tensor) else self._tensor(entry) for entry in inputs]
        try:
            with torch.inference_mode():
                answers = graph(*tensors)
                return [answer.cpu().numpy() for answer in (answers if isinstance(answers, tuple) else (answers,))]
        except RuntimeError as error:
            raise EngineError(f"PyTorch ({self.provider}) failed: {str(error).partition(chr(10))[0][:300]}") from error

    def reset(self) -> None:
        """Forget the last painting."""
        self._around.reset()

    def close(self) -> None:
        self._closed = True

    def _tensor(self, entry: NDArray[Any] | float) -> Tensor:
        # A copy: arrays of a caller may be read-only, which PyTorch warns of.
        return torch.tensor(entry, device=self.provider)


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
