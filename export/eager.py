"""The torch modules as functions of named arrays: what exports are made of, and compared with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from engines.bundle import FRAME_GRAPH, GUIDE_GRAPH, REGIONS_GRAPH, GraphInfo
from engines.nets.cin import CinNet
from engines.nets.frame_graph import FrameGraph, GuideGraph, RegionsGraph, StyleGraph
from engines.nets.plain_graph import PlainFrame, PlainRegions
from engines.nets.style_kernel import GUIDE_TENSORS, PAINT_TENSORS, StyleKernelNet
from export.graph import frame_info, guide_info, plain_info, plain_regions_info, regions_info
from export.parity import Arrays, Graph, scene

Tensors = dict[str, NDArray[np.float32]]


@dataclass(frozen=True, slots=True)
class Part:
    """One of the graphs that engines run. key: its entry in bundle.json; file: where it is written; module:

    module: in torch.
    """

    key: str
    file: str
    module: nn.Module
    info: GraphInfo

    def eager(self) -> Graph:
        """The module as a function of named arrays."""
        return eager(self.module, self.info)


def parts(net: Any) -> dict[str, Part]:
    """The graphs of a network of `engines.nets.catalogue`, dynamic, by their keys: guide, frame and regions.

    Only style kernels have a guide, and networks that know one style no regions.
    """
    style = example_style(net)
    if isinstance(net, StyleKernelNet):
        painting = {name: style[name] for name in PAINT_TENSORS}
        guiding = {name: style[name] for name in GUIDE_TENSORS}
        found = [
            Part("guide", GUIDE_GRAPH, GuideGraph(net), guide_info(guiding, net.guidance_channels)),
            Part("frame", FRAME_GRAPH, FrameGraph(net), frame_info(painting, net.guidance_channels)),
            Part("regions", REGIONS_GRAPH, RegionsGraph(net), regions_info(painting, net.guidance_channels)),
        ]
    else:
        found = [Part("frame", FRAME_GRAPH, PlainFrame(net), plain_info(style))]
        if style:
            found.append(Part("regions", REGIONS_GRAPH, PlainRegions(net), plain_regions_info(style)))
    return {part.key: part for part in found}


def eager(module: nn.Module, info: GraphInfo) -> Graph:
    """A module that takes and gives the tensors of `info`, in their order, as a function of named arrays."""
    module.eval()

    def run(feeds: Arrays) -> Arrays:
        with torch.inference_mode():
            answers = module(*(torch.tensor(feeds[entry.name]) for entry in info.inputs))
        answers = answers if isinstance(answers, tuple) else (answers,)
        return {entry.name: answer.numpy() for entry, answer in zip(info.outputs, answers, strict=True)}

    return run


def eager_styles(net: Any) -> Graph:
    """The eager style graph of a network that looks at pictures, as a function of named arrays."""
    graph = StyleGraph(net).eval()

    def run(feeds: Arrays) -> Arrays:
        with torch.inference_mode():
            tensors = graph(torch.tensor(feeds["picture"]))
        return {f"style.{name}": tensor.numpy() for name, tensor in zip(net.style_tensors, tensors, strict=True)}

    return run


def looks_at_pictures(net: Any) -> bool:
    """Whether a picture tells the network a style; others know their styles by names, or one alone."""
    return bool(net.style_tensors) and not isinstance(net, CinNet)


def table_of(net: CinNet, names: tuple[str, ...]) -> dict[str, Tensors]:
    """The styles that a network knows, by their names in the order of its table."""
    return {
        name: {key: row.detach().numpy() for key, row in net.encode_seen({"index": torch.tensor([place])}).items()}
        for place, name in enumerate(names)
    }


def example_style(net: Any) -> Tensors:
    """Any of a network's styles: of a made-up picture, the first one of a table; empty where it has only one."""
    if isinstance(net, CinNet):
        return table_of(net, ("first",))["first"]
    return style_of(net, scene(192, 256, 5)) if net.style_tensors else {}


def style_of(net: Any, picture: NDArray[np.uint8]) -> Tensors:
    """Style tensors of a picture, RGB uint8 (h, w, 3), in the graph's order."""
    answer: Mapping[str, Any] = eager_styles(net)({"picture": picture})
    return {name: answer[f"style.{name}"].astype(np.float32) for name in net.style_tensors}
