"""Fold one style into a frame graph as constants, on a copy: the fastest form, one bundle per style."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import numpy_helper

from engines.bundle import FRAME_GRAPH, Bundle
from engines.errors import BundleError
from engines.styles import Style


def bake(bundle: Bundle, style: Style) -> onnx.ModelProto:
    """The bundle's frame graph without style inputs: the tensors of `style` are constants in it.

    What follows from constants alone (scaled convolution weights, keys and values) is folded by ONNX Runtime when it
    loads the graph, for the machine it runs on. The bundle's own file is not changed.
    Raises StyleError (a style of another bundle), BundleError (already baked, or the graph cannot be read).
    """
    if bundle.form == "baked":
        raise BundleError(f"{bundle.folder} is baked already; bake from a dynamic bundle")
    bundle.check_style(style)
    try:
        model = onnx.load_model(bundle.frame_graph)
    except Exception as error:
        raise BundleError(f"{bundle.folder / FRAME_GRAPH} cannot be read as ONNX; export the bundle anew") from error
    return fold_style(model, style)


def fold_style(model: onnx.ModelProto, style: Style) -> onnx.ModelProto:
    """A copy of a dynamic frame graph in which every input named style.* is a constant."""
    baked = onnx.ModelProto()
    baked.CopyFrom(model)
    kept = [value for value in baked.graph.input if not value.name.startswith("style.")]
    folded = [value.name for value in baked.graph.input if value.name.startswith("style.")]
    del baked.graph.input[:]
    baked.graph.input.extend(kept)
    for name in folded:
        tensor = np.ascontiguousarray(style.tensors[name.removeprefix("style.")], np.float32)
        baked.graph.initializer.append(numpy_helper.from_array(tensor, name))
    onnx.checker.check_model(baked)
    return baked
