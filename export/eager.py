"""The torch modules as functions of named arrays: what exports are compared with."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from engines.bundle import GraphInfo
from engines.nets.frame_graph import FrameGraph, GuideGraph, RegionsGraph, StyleGraph
from engines.nets.style_kernel import GUIDE_TENSORS, PAINT_TENSORS, STYLE_TENSORS, StyleKernelNet
from export.graph import frame_info, guide_info, regions_info
from export.parity import Arrays, Graph, scene

Tensors = dict[str, NDArray[np.float32]]


def eager(module: nn.Module, info: GraphInfo) -> Graph:
    """A module that takes and gives the tensors of `info`, in their order, as a function of named arrays."""
    module.eval()

    def run(feeds: Arrays) -> Arrays:
        with torch.inference_mode():
            answers = module(*(torch.tensor(feeds[entry.name]) for entry in info.inputs))
        answers = answers if isinstance(answers, tuple) else (answers,)
        return {entry.name: answer.numpy() for entry, answer in zip(info.outputs, answers, strict=True)}

    return run


def eager_styles(net: StyleKernelNet) -> Graph:
    """The eager style graph as a function of named arrays."""
    graph = StyleGraph(net).eval()

    def run(feeds: Arrays) -> Arrays:
        with torch.inference_mode():
            tensors = graph(torch.tensor(feeds["picture"]))
        return {f"style.{name}": tensor.numpy() for name, tensor in zip(STYLE_TENSORS, tensors, strict=True)}

    return run


def eager_graphs(net: StyleKernelNet) -> tuple[Graph, Graph, Graph]:
    """The eager graphs as functions of named arrays: guide, frame, regions."""
    guide, frame, regions = graph_infos(net, example_style(net))
    return eager(GuideGraph(net), guide), eager(FrameGraph(net), frame), eager(RegionsGraph(net), regions)


def graph_infos(
    net: StyleKernelNet, style: Mapping[str, NDArray[np.float32]]
) -> tuple[GraphInfo, GraphInfo, GraphInfo]:
    """What the dynamic graphs of a network take and give: guide, frame, regions. style: any of its styles."""
    painting = {name: style[name] for name in PAINT_TENSORS}
    return (
        guide_info({name: style[name] for name in GUIDE_TENSORS}, net.guidance_channels),
        frame_info(painting, net.guidance_channels),
        regions_info(painting, net.guidance_channels),
    )


def example_style(net: StyleKernelNet) -> Tensors:
    """Style tensors of a made-up picture, in the graph's order."""
    return style_of(net, scene(192, 256, 5))


def style_of(net: StyleKernelNet, picture: NDArray[np.uint8]) -> Tensors:
    """Style tensors of a picture, RGB uint8 (h, w, 3), in the graph's order."""
    answer = eager_styles(net)({"picture": picture})
    return {name: answer[f"style.{name}"].astype(np.float32) for name in STYLE_TENSORS}
