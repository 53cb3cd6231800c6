"""The PyTorch back end: CPU, NVIDIA's and Apple's GPUs; eager, compiled, or as CUDA graphs; many streams at once."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from engines.api import Engine, Look, check_image, closed_error
from engines.around import Around, GuideAsked, PaintAsked
from engines.bundle import Bundle
from engines.checked import CheckedStyles
from engines.errors import EngineError
from engines.memory import Recalled
from engines.pixels import Picture
from engines.regions import Mask, check_mask
from engines.renewal import Guided
from engines.styles import Style
from engines.together import Step, WholeAsked
from engines.torch_core import TorchCore
from engines.torch_surfaces import SurfaceEngine


class TorchEngine(Engine):
    """Paints with the bundle's network. Several sessions paint in one run by `engines.together.paint_together`.

    provider: a device, "cpu" (also None), "cuda", "cuda:1" or "mps"; threads: of PyTorch in this whole process.
    precision: "fp32" (also None), "fp16" or "bf16", of the network; its statistics and all around it are fp32.
    mode: "eager"; "compile", which takes minutes at the first frame of a size, and on CUDA is captured as CUDA graphs,
    too; "graphs", CUDA graphs of the eager network. None is "graphs" on CUDA and else "eager".
    channels_last: how features lie in memory; None: so in half precision on CUDA.
    whole: with smoothing 0 and one style all that is around the graphs is done on the device, too
    (`engines.nets.whole_graph`); None: so on CUDA. With smoothing the motion is estimated on the CPU.
    Raises EngineError (what is unknown or not there), BundleError (weights that do not fit, a baked bundle).
    """

    name = "torch"

    def __init__(
        self,
        bundle: Bundle,
        *,
        threads: int | None = None,
        provider: str | None = None,
        precision: str | None = None,
        mode: str | None = None,
        channels_last: bool | None = None,
        whole: bool | None = None,
    ) -> None:
        if threads is not None:
            torch.set_num_threads(threads)
        if channels_last is None:
            channels_last = precision in ("fp16", "bf16") and (provider or "").lower().startswith("cuda")
        core = TorchCore(bundle, provider=provider, precision=precision, mode=mode, channels_last=channels_last)
        self._begin(core, owner=True, whole=core.place.cuda if whole is None else whole)

    def _begin(self, core: TorchCore, *, owner: bool, whole: bool) -> None:
        self.provider, self.precision, self.mode = core.how.device, core.how.precision, core.how.mode
        self.batches = core
        self._owner, self._closed, self._whole = owner, False, whole and core.guided
        self._around = Around(guided=core.guided, halos=core.bundle.halos)
        self._checked = CheckedStyles(core.bundle)

    def stylise(self, image: NDArray[np.uint8], look: Look, mask: Mask | None = None) -> NDArray[np.uint8]:
        """Paint one frame; see `engines.api.Engine.stylise`."""
        self._check(look)
        if self._takes_whole(look):
            check_image(image)
            self._around.reset()
            return self.batches.wholes([WholeAsked(image, look)])[0]
        return self._around.paint(image, look, self, mask)

    def begin(self, image: Picture, look: Look, mask: Mask | None) -> Generator[Step, Any, Picture]:
        """See `engines.together.Batched`."""
        self._check(look)
        check_image(image)
        if look.behind is not None:
            check_mask(mask, image.shape[0], image.shape[1])
        return self._by_itself(image, look) if self._takes_whole(look) else self._around.steps(image, look, mask)

    def guide(self, guide: Picture, colour_map: NDArray[np.float32], style: Style) -> NDArray[np.float32]:
        """See `engines.around.Graphs`."""
        return self.batches.guides([GuideAsked(guide, colour_map, style)])[0]

    def paint(
        self, working: Picture, guided: Guided, recalled: Recalled, look: Look, smoothing: float
    ) -> tuple[Picture, Picture]:
        """See `engines.around.Graphs`."""
        return self.batches.paints([PaintAsked(working, guided, recalled, look, smoothing, None)])[0]

    def paint_regions(
        self, working: Picture, guided: Guided, recalled: Recalled, look: Look, smoothing: float, mask: Mask
    ) -> tuple[Picture, Picture]:
        """See `engines.around.Graphs`."""
        return self.batches.paints([PaintAsked(working, guided, recalled, look, smoothing, mask)])[0]

    def session(self) -> TorchEngine:
        """Another stream of the same network on the same device; see `engines.api.Engine.session`."""
        if self._closed or self.batches.closed:
            raise closed_error(self.name)
        other = TorchEngine.__new__(TorchEngine)
        other._begin(self.batches, owner=False, whole=self._whole)
        return other

    def surfaces(self) -> SurfaceEngine:
        """This engine for frames that lie on its device as a decoder left them. Raises EngineError: closed."""
        if self._closed or self.batches.closed:
            raise closed_error(self.name)
        if not self.batches.guided:
            raise EngineError("only style kernels paint frames where they lie on the device; leave out --zero-copy")
        return SurfaceEngine(self.batches)

    def reset(self) -> None:
        """Forget the last painting."""
        self._around.reset()

    def close(self) -> None:
        self._closed = True
        if self._owner:
            self.batches.close()

    def _takes_whole(self, look: Look) -> bool:
        return self._whole and look.smoothing == 0 and look.behind is None

    def _by_itself(self, image: Picture, look: Look) -> Generator[Step, Any, Picture]:
        self._around.reset()
        painting: Picture = yield WholeAsked(image, look)
        return painting

    def _check(self, look: Look) -> None:
        if self._closed or self.batches.closed:
            raise closed_error(self.name)
        self._checked.check(look)
        for style in (look.style, look.behind):
            if style is not None:
                self.batches.style(style)
