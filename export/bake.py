"""Fold one style into a model's graphs as constants, on a copy: the fastest form, one bundle per style."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import numpy_helper

from engines.bundle import STYLE_PREFIX, Bundle
from engines.errors import BundleError
from engines.styles import Style


def bake(bundle: Bundle, style: Style) -> dict[str, onnx.ModelProto]:
    """The bundle's graphs, by their files' names, without style inputs: the tensors of `style` are constants in them.

    What follows from constants alone (scaled convolution weights, keys and values) is folded by ONNX Runtime when it
    loads the graphs, for the machine it runs on. The bundle's own files are not changed.
    Raises StyleError (a style of another bundle), BundleError (already baked, or a graph cannot be read).
    """
    if bundle.form == "baked":
        raise BundleError(f"{bundle.folder} is baked already; bake from a dynamic bundle")
    bundle.check_style(style)
    baked = {}
    for path in (bundle.guide_graph, bundle.frame_graph):
        try:
            model = onnx.load_model(path)
        except Exception as error:
            raise BundleError(f"{path} cannot be read as ONNX; export the bundle anew") from error
        baked[path.name] = fold_style(model, style)
    return baked


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
