"""What all streams of a torch engine share: device, precision and mode, network, styles on the device, and plans."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from copy import deepcopy
from os import cpu_count
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from engines.api import Look
from engines.around import GuideAsked, PaintAsked
from engines.bundle import Bundle
from engines.errors import EngineError
from engines.nets.batch_graph import BatchFrame, BatchGuide, BatchRegions, folded
from engines.nets.plain_graph import BatchPlain, BatchPlainRegions
from engines.nets.style_kernel import GUIDE_TENSORS, MEASURED_TENSORS, PAINT_TENSORS, StyleKernelNet
from engines.nets.whole_graph import BatchWhole
from engines.pixels import Picture
from engines.styles import Style
from engines.together import WholeAsked, extras_of
from engines.torch_device import computing, exact
from engines.torch_eager import EagerGraphs, failure, load_network
from engines.torch_plans import Place, Plan
from engines.torch_wanted import (
    Wanted,
    frames_wanted,
    guides_wanted,
    plain_regions_wanted,
    plain_wanted,
    regions_wanted,
    wholes_wanted,
)

BEHIND = "background_"  # before the names of the background's tensors in plans
_MOST_PLANS = 16  # each holds buffers of its own; the oldest goes
_MOST_STYLES = 64  # of a few hundred KB
_MOST_THREADS = 8  # that do side by side what is around the graphs


class TorchCore:
    """A bundle's network on a device. Its graphs are run by one thread at a time; several may ask.

    reference: in eager fp32 elsewhere than on CUDA single frames are painted by the very graphs that are exported.
    Raises EngineError (device, precision or mode unknown or not there), BundleError (weights that do not fit).
    """

    def __init__(
        self, bundle: Bundle, *, provider: str | None, precision: str | None, mode: str | None, channels_last: bool
    ) -> None:
        self.how = how = computing(provider, precision, mode)
        device = torch.device(how.device)
        captured = how.cuda and how.mode != "eager"
        self.place = Place(
            device,
            how.dtype,
            captured,
            torch.cuda.Stream(device) if how.cuda else None,  # type: ignore[no-untyped-call]
            torch.cuda.graph_pool_handle() if captured else None,
        )
        self.bundle, self._lock = bundle, threading.RLock()
        self.closed = False
        net: Any = load_network(bundle)
        self.guided = isinstance(net, StyleKernelNet)
        self._style_tensors: tuple[str, ...] = net.style_tensors
        self._painted_with: tuple[str, ...] = PAINT_TENSORS if self.guided else net.style_tensors
        self.reference: EagerGraphs | None = None
        if how.precision == "fp32" and how.mode == "eager" and not how.cuda:
            self.reference = EagerGraphs(net.to(device), how.device, self.style)
        self.guidance_channels: int = net.guidance_channels if self.guided else 0
        with self.running():
            net = (folded(net) if self.guided else deepcopy(net).requires_grad_(False)).to(device, how.dtype)
            if channels_last:
                net = net.to(memory_format=torch.channels_last)
            if self.guided:
                self._guide, self._whole = self._made(BatchGuide(net)), BatchWhole(net, self._made)
            frame, regions = (BatchFrame, BatchRegions) if self.guided else (BatchPlain, BatchPlainRegions)
            self._frame, self._regions = self._made(frame(net)), self._made(regions(net))
        self._styles: OrderedDict[int, tuple[Style, dict[str, Tensor]]] = OrderedDict()  # by identity
        self._plans: OrderedDict[tuple[Any, ...], tuple[Plan, list[Any]]] = OrderedDict()
        self._threads: ThreadPoolExecutor | None = None

    @property
    def pool(self) -> ThreadPoolExecutor | None:
        """See `engines.together.Batches`: of use where there are cores that the network leaves free."""
        if not self.place.cuda:
            return None
        with self._lock:
            if self._threads is None:
                count = min(_MOST_THREADS, cpu_count() or 1)
                self._threads = ThreadPoolExecutor(count, thread_name_prefix="around")
            return self._threads

    def style(self, style: Style) -> dict[str, Tensor]:
        """A style's tensors on the device, in the network's precision. Raises StyleError: of another bundle."""
        with self._lock:
            known = self._styles.get(id(style))
            if known is None:
                self.bundle.check_style(style)
                with self.running():
                    tensors = {
                        name: torch.tensor(style.tensors[name]).to(self.place.device, self._dtype(name))
                        for name in self._style_tensors
                        if name in style.tensors
                    }
                known = (style, tensors)  # the style is kept, so that its identity stays its own
            self._styles[id(style)] = known
            self._styles.move_to_end(id(style))
            while len(self._styles) > _MOST_STYLES:
                self._styles.popitem(last=False)
            return known[1]

    def guides(self, asked: Sequence[GuideAsked]) -> list[NDArray[np.float32]]:
        """See `engines.together.Batches`."""
        if self.reference is not None and len(asked) == 1:
            return [asked[0].by(self.reference)]
        with self.running():
            plan, styles = self.guide_plan(len(asked), asked[0].guide.shape[:2])
            for place, one in enumerate(asked):
                plan.host["guide"][place] = one.guide
                plan.host["colour_map"][place] = one.colour_map
                self._put_style(plan, styles, place, {name: (one.style, name) for name in GUIDE_TENSORS})
            (guidance,) = plan.run()
            return [guidance[place : place + 1] for place in range(len(asked))]

    def paints(self, asked: Sequence[PaintAsked]) -> list[tuple[Picture, Picture]]:
        """See `engines.together.Batches`."""
        if self.reference is not None and len(asked) == 1:
            return [asked[0].by(self.reference)]
        first = asked[0]
        remembers, regions = first.look.smoothing > 0, first.mask is not None
        with self.running():
            sizes = (first.working.shape[:2], first.guided.guidance.shape[1:])
            plan, styles = self.paint_plan(len(asked), *sizes, remembers=remembers, regions=regions)
            for place, one in enumerate(asked):
                self._put(plan, styles, place, one)
            painted, *more = plan.run()
            sources = more[0] if more else [one.recalled.small for one in asked]
            return list(zip(painted, sources, strict=True))

    def wholes(self, asked: Sequence[WholeAsked]) -> list[Picture]:
        """See `engines.together.Batches`."""
        first = asked[0].look
        with self.running():
            plan, styles = self.whole_plan(len(asked), asked[0].image.shape[:2], first)
            for place, one in enumerate(asked):
                plan.host["image"][place] = one.image
                self.put_whole(plan, styles, place, one.look)
            return list(plan.run()[0])

    def put_styles(self, plan: Plan, styles: list[Any], place: int, kind: str, style: Style) -> None:
        """Write a style into a plan of `guide_plan` (kind "guide") or `paint_plan` ("frame")."""
        names = GUIDE_TENSORS if kind == "guide" else self._painted_with
        self._put_style(plan, styles, place, {name: (style, name) for name in names})

    def put_whole(self, plan: Plan, styles: list[Any], place: int, look: Look) -> None:
        """Write all of a look into a plan of `whole_plan`."""
        plan.host["strength"][place] = look.strength
        for name in extras_of(look):
            plan.host[name][place] = getattr(look, name)
        self._put_style(plan, styles, place, {name: (look.style, name) for name in self.style(look.style)})

    def _put(self, plan: Plan, styles: list[Any], place: int, one: PaintAsked) -> None:
        fed: dict[str, Any] = {
            "frame": one.working,
            "guidance": one.guided.guidance[0],
            "colour_map": one.guided.colour_map,
        }
        if one.mask is None:
            fed["strength"] = one.look.strength
        else:
            fed |= {"mask": one.mask, "background_colour_map": one.guided.background_map}
        if one.look.smoothing > 0:
            recalled = one.recalled
            fed |= {"small": recalled.small, "painting": recalled.painting, "source": recalled.source}
            fed["smoothing"] = one.smoothing
        for name, value in fed.items():
            if name in plan.host:  # without a guide there is nothing of it
                plan.host[name][place] = value
        wanted = {name: (one.look.style, name) for name in self._painted_with}
        if one.look.behind is not None:
            wanted |= {f"{BEHIND}{name}": (one.look.behind, name) for name in self._painted_with}
        self._put_style(plan, styles, place, wanted)

    def guide_plan(self, count: int, size: tuple[int, ...]) -> tuple[Plan, list[Any]]:
        """The plan for so many guides of this height and width, and whose styles are in it."""
        return self._plan(guides_wanted(self._guide, count, size), self._shapes(GUIDE_TENSORS))

    def paint_plan(
        self,
        count: int,
        size: tuple[int, ...],
        guidance: tuple[int, ...],
        *,
        remembers: bool = True,
        regions: bool = False,
    ) -> tuple[Plan, list[Any]]:
        """The plan for so many frames. size: height and width; guidance: channels, rows and columns."""
        device, names = self.place.device, self._painted_with
        if regions:
            names = (*names, *(f"{BEHIND}{name}" for name in names))
        if self.guided:
            make, graph = (regions_wanted, self._regions) if regions else (frames_wanted, self._frame)
            wanted = make(graph, count, size, guidance, device, remembers=remembers)
        elif regions:
            wanted = plain_regions_wanted(self._regions, count, size, names, remembers=remembers)
        else:
            wanted = plain_wanted(self._frame, count, size, names, remembers=remembers)
        return self._plan(wanted, self._shapes(names))

    def whole_plan(
        self, count: int, size: tuple[int, ...], look: Look, *, matrix: str | None = None
    ) -> tuple[Plan, list[Any]]:
        """The plan for so many frames of this height and width, painted with all that is around the graphs.

        look, matrix: see `engines.torch_wanted.wholes_wanted`.
        """
        shapes = {name: tuple(tensor.shape[1:]) for name, tensor in self.style(look.style).items()}
        wanted = wholes_wanted(self._whole, count, size, look, tuple(shapes), self.place.device, matrix=matrix)
        return self._plan(wanted, shapes)

    def _shapes(self, names: Sequence[str]) -> dict[str, tuple[int, ...]]:
        """Of a style's tensors, without their leading 1."""
        shapes = {info.name: tuple(int(side) for side in info.shape[1:]) for info in self.bundle.style_tensors}
        return {name: shapes[name.removeprefix(BEHIND)] for name in names}

    def _dtype(self, tensor: str) -> torch.dtype:
        """In which precision a style's tensor is on the device."""
        return torch.float32 if tensor in MEASURED_TENSORS else self.place.dtype

    def _plan(self, wanted: Wanted, styles: Mapping[str, tuple[int, ...]]) -> tuple[Plan, list[Any]]:
        """A plan that is kept, or made now, and whose styles are in it. styles: shapes of their tensors."""
        made = self._plans.get(wanted.key)
        if made is None:
            rooms = {
                name: torch.zeros((wanted.count, *sides), dtype=self._dtype(name), device=self.place.device)
                for name, sides in styles.items()
            }
            kept = {**wanted.constants, **rooms}
            made = (Plan(wanted.program, wanted.fed, kept, self.place), [None] * wanted.count)
        self._plans[wanted.key] = made
        self._plans.move_to_end(wanted.key)
        while len(self._plans) > _MOST_PLANS:
            self._plans.popitem(last=False)
        return made

    def _put_style(self, plan: Plan, styles: list[Any], place: int, wanted: Mapping[str, tuple[Style, str]]) -> None:
        """Write styles in place, where they are not the ones that are there."""
        now = [style for style, _ in wanted.values()]
        if styles[place] is not None and all(one is other for one, other in zip(styles[place], now, strict=True)):
            return
        for name, (style, tensor) in wanted.items():
            plan.inputs[name][place].copy_(self.style(style)[tensor][0])
        styles[place] = now

    @contextmanager
    def running(self) -> Iterator[None]:
        """Whatever touches the device: one at a time, in the engine's stream, errors in one line."""
        with self._lock, torch.inference_mode():
            try:
                if not self.place.cuda:
                    yield
                    return
                with torch.cuda.device(self.place.device), torch.cuda.stream(self.place.stream), exact():
                    yield
            except RuntimeError as error:
                if isinstance(error, EngineError):
                    raise
                raise failure(self.how.device, error) from error

    def _made(self, graph: Callable[..., Any]) -> Callable[..., Any]:
        if self.how.mode != "compile":
            return graph
        # Every number and size of frames is compiled by itself; the usual limit is eight.
        torch._dynamo.config.recompile_limit = max(torch._dynamo.config.recompile_limit, 8 * _MOST_PLANS)
        made: Callable[..., Any] = torch.compile(graph, fullgraph=True, dynamic=False)
        return made

    def close(self) -> None:
        """Free what is held."""
        with self._lock:
            self.closed = True
            self._plans.clear()
            self._styles.clear()
            threads, self._threads = self._threads, None
        if threads is not None:
            threads.shutdown()
