"""Fold one style into a model's graphs as constants, on copies: the fastest form, one bundle per style."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx
from onnx import numpy_helper

from engines.bundle import FRAME_GRAPH, GUIDE_GRAPH, STYLE_PREFIX
from engines.styles import Style


def bake(models: Mapping[str, onnx.ModelProto], style: Style) -> dict[str, onnx.ModelProto]:
    """Of dynamic graphs, by their files' names, guide (if any) and frame, the tensors of `style` constants in them.

    The graph for two styles has no baked form. What follows from constants alone is folded later (`simplified`).
    """
    return {name: fold_style(models[name], style) for name in (GUIDE_GRAPH, FRAME_GRAPH) if name in models}


def fold_style(model: onnx.ModelProto, style: Style) -> onnx.ModelProto:
    """A copy of a dynamic graph in which every input named style.* is a constant."""
    baked = onnx.ModelProto()
    baked.CopyFrom(model)
    kept = [value for value in baked.graph.input if not value.name.startswith(STYLE_PREFIX)]
    folded = [value.name for value in baked.graph.input if value.name.startswith(STYLE_PREFIX)]
    del baked.graph.input[:]
    baked.graph.input.extend(kept)
    for name in folded:
        tensor = np.ascontiguousarray(style.tensors[name.removeprefix(STYLE_PREFIX)], np.float32)
        baked.graph.initializer.append(numpy_helper.from_array(tensor, name))
    onnx.checker.check_model(baked)
    return baked
