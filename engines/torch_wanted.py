"""Which plans a torch engine wants for given sizes: what is fed, what stays, and the graph in between."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
from torch import Tensor

from engines.api import Look
from engines.guide import guidance_size, guide_size
from engines.memory import small_size
from engines.nets.guidance import spreading
from engines.nets.style_kernel import GUIDE_TENSORS
from engines.nets.surfaces import rgb, surfaces
from engines.nets.whole_graph import BatchWhole, Sizes
from engines.together import extras_of
from engines.torch_plans import Program
from engines.working import working_size

Shape: TypeAlias = tuple[int, ...]
Graph: TypeAlias = Callable[..., Any]  # of `engines.nets.batch_graph`


@dataclass(frozen=True, slots=True)
class Wanted:
    """A plan that is to be had. key: the same for the same plan; count: of frames in it.

    fed: shape and dtype of what comes with every run, by name. constants: what stays, on the device. program: from
    these, and the tensors of styles, by their names, to the answers.
    """

    key: tuple[Any, ...]
    count: int
    program: Program
    fed: Mapping[str, tuple[Shape, str]]
    constants: Mapping[str, Tensor]


def guides_wanted(graph: Graph, count: int, size: Shape) -> Wanted:
    """For so many guides of this height and width."""
    fed = {"guide": ((count, *size, 3), "uint8"), "colour_map": ((count, 12), "float32")}

    def program(at: Mapping[str, Tensor]) -> tuple[Tensor, ...]:
        return (graph(at["guide"], at["colour_map"], *(at[name] for name in GUIDE_TENSORS)),)

    return Wanted(("guide", count, *size), count, program, fed, {})


def frames_wanted(
    graph: Graph, count: int, size: Shape, guidance: Shape, device: torch.device, *, remembers: bool
) -> Wanted:
    """For so many frames. size: height and width; guidance: channels, rows and columns; remembers: with a memory."""
    fed = {**_painted(count, size, guidance, remembers=remembers), "strength": ((count,), "float32")}

    def program(at: Mapping[str, Tensor]) -> tuple[Tensor, ...]:
        told = (at["frame"], at["guidance"], at["down"], at["across"], at["colour_map"], at["modulation"])
        return _answers(graph(*told, at["strength"], _memory(at, remembers=remembers)))

    key = ("frame", count, *size, *guidance, remembers)
    return Wanted(key, count, program, fed, _spread(guidance, size, device))


def regions_wanted(
    graph: Graph, count: int, size: Shape, guidance: Shape, device: torch.device, *, remembers: bool
) -> Wanted:
    """For so many frames with two styles each; see `frames_wanted`."""
    fed = {
        **_painted(count, size, guidance, remembers=remembers),
        "mask": ((count, *small_size(size[0], size[1])), "float32"),
        "background_colour_map": ((count, 12), "float32"),
    }

    def program(at: Mapping[str, Tensor]) -> tuple[Tensor, ...]:
        maps = (at["colour_map"], at["background_colour_map"])
        styles = (at["modulation"], at["background_modulation"])
        told = (at["frame"], at["mask"], at["guidance"], at["down"], at["across"], *maps, *styles)
        return _answers(graph(*told, _memory(at, remembers=remembers)))

    key = ("regions", count, *size, *guidance, remembers)
    return Wanted(key, count, program, fed, _spread(guidance, size, device))


def plain_wanted(graph: Graph, count: int, size: Shape, names: Sequence[str], *, remembers: bool) -> Wanted:
    """For so many frames of a network without a guide; names: of its style tensors. See `frames_wanted`."""
    fed = {"frame": ((count, *size, 3), "uint8"), **_remembered(count, size, remembers=remembers)}
    fed["strength"] = ((count,), "float32")

    def program(at: Mapping[str, Tensor]) -> tuple[Tensor, ...]:
        tensors = [at[name] for name in names]
        return _answers(graph(at["frame"], tensors, at["strength"], _memory(at, remembers=remembers)))

    return Wanted(("plain", count, *size, remembers), count, program, fed, {})


def plain_regions_wanted(graph: Graph, count: int, size: Shape, names: Sequence[str], *, remembers: bool) -> Wanted:
    """The same for frames with two styles each; names: of the tensors of both."""
    fed = {"frame": ((count, *size, 3), "uint8"), **_remembered(count, size, remembers=remembers)}
    fed["mask"] = ((count, *small_size(size[0], size[1])), "float32")

    def program(at: Mapping[str, Tensor]) -> tuple[Tensor, ...]:
        tensors = [at[name] for name in names]
        return _answers(graph(at["frame"], at["mask"], tensors, _memory(at, remembers=remembers)))

    return Wanted(("plain regions", count, *size, remembers), count, program, fed, {})


def wholes_wanted(
    graph: BatchWhole,
    count: int,
    size: Shape,
    look: Look,
    names: Sequence[str],
    device: torch.device,
    *,
    matrix: str | None = None,
) -> Wanted:
    """For so many frames of this height and width, painted with all that is around the graphs.

    look: for its sizes, and what it adds (`engines.together.extras_of`). names: of a style's tensors. matrix: the
    frames lie on the device, as "luma" (n, H, W) and "chroma" (n, H/2, W/2, 2), see `engines.nets.surfaces`, and the
    paintings stay there as such.
    """
    working = working_size(size[0], size[1], look.render_scale)
    sizes = Sizes(working, guide_size(*working, look.stroke))
    extras = extras_of(look)
    fed: dict[str, tuple[Shape, str]] = {"strength": ((count,), "float32")}
    fed |= dict.fromkeys(extras, ((count,), "float32"))
    constants = _spread((1, *guidance_size(*sizes.guide)), working, device)
    if matrix is None:
        fed["image"] = ((count, *size, 3), "uint8")
    else:
        sides = {"luma": (count, *size), "chroma": (count, size[0] // 2, size[1] // 2, 2)}
        constants |= {name: torch.zeros(shape, dtype=torch.uint8, device=device) for name, shape in sides.items()}

    def program(at: Mapping[str, Tensor]) -> tuple[Tensor, ...]:
        image = at["image"] if matrix is None else rgb(at["luma"], at["chroma"], matrix)
        style = {name: at[name] for name in names}
        spread, more = (at["down"], at["across"]), (at.get("keep_colours"), at.get("oil"))
        painting = graph(image, style, spread, at["strength"], *more, sizes)
        return (painting,) if matrix is None else surfaces(painting, matrix)

    key = (matrix or "whole", count, *size, *sizes.working, *sizes.guide, *extras)
    return Wanted(key, count, program, fed, constants)


def _painted(count: int, size: Shape, guidance: Shape, *, remembers: bool) -> dict[str, tuple[Shape, str]]:
    """What is fed to the graphs of frames and regions alike."""
    return {
        "frame": ((count, *size, 3), "uint8"),
        "guidance": ((count, *guidance), "float32"),
        "colour_map": ((count, 12), "float32"),
        **_remembered(count, size, remembers=remembers),
    }


def _remembered(count: int, size: Shape, *, remembers: bool) -> dict[str, tuple[Shape, str]]:
    """What is fed of the memory, where there is one."""
    if not remembers:
        return {}
    small = ((count, *small_size(size[0], size[1]), 3), "uint8")
    painting = ((count, *size, 3), "uint8")
    return {"small": small, "source": small, "painting": painting, "smoothing": ((count,), "float32")}


def _spread(guidance: Shape, size: Shape, device: torch.device) -> dict[str, Tensor]:
    """The matrices that spread guidance (channels, rows, columns) over a frame of this height and width."""
    down, across = spreading(torch.zeros((1, *guidance), device=device), (size[0], size[1]))
    return {"down": down, "across": across}


def _memory(at: Mapping[str, Tensor], *, remembers: bool) -> tuple[Tensor, ...] | None:
    return (at["small"], at["painting"], at["source"], at["smoothing"]) if remembers else None


def _answers(told: tuple[Tensor, Tensor | None]) -> tuple[Tensor, ...]:
    """Paintings, and the next small sources where something is remembered."""
    painted, source = told
    return (painted,) if source is None else (painted, source)
