"""Make a graph smaller without a change to its numbers: fixed sizes written in, constants folded, dead nodes gone.

The folding is onnxscript's optimiser, which comes with the exporter. Measured on the released model: frame and guide
answer the same to the last bit, and are as fast on the CPU as before (ONNX Runtime folds for itself when it loads); a
graph for one size has half the nodes.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping

import onnx
from onnx import TensorProto, helper
from onnxscript import optimizer

# What only moves numbers, so that it may as well come after a change of their type.
_MOVES = ("Transpose", "Unsqueeze", "Squeeze", "Reshape", "Identity")


def simplified(model: onnx.ModelProto, sides: Mapping[str, int] | None = None) -> onnx.ModelProto:
    """A copy without what can be computed now. sides: sizes of free dimensions by name that are written in first."""
    smaller = onnx.ModelProto()
    smaller.CopyFrom(model)
    if sides is not None:
        fix_sides(smaller, sides)
    cast_first(smaller)
    noisy = logging.getLogger("onnxscript")
    level = noisy.level
    noisy.setLevel(logging.ERROR)
    try:
        # Not `optimizer.optimize`: its rules take x + 1e-8 for x, and a division by a sum loses what keeps it from 0.
        folded = onnx.ModelProto()
        folded.CopyFrom(smaller)
        optimizer.fold_constants(folded, onnx_shape_inference=True)
        optimizer.remove_unused_nodes(folded)
    finally:
        noisy.setLevel(level)
    for node in folded.graph.node:
        node.doc_string = ""
        del node.metadata_props[:]
    for value in (*folded.graph.input, *folded.graph.output, *folded.graph.value_info, *folded.graph.initializer):
        value.doc_string = ""
        del value.metadata_props[:]
    del folded.graph.metadata_props[:]
    return folded


def fix_sides(model: onnx.ModelProto, sides: Mapping[str, int]) -> None:
    """Write sizes into inputs and outputs whose dimensions are free and have these names; in place."""
    for value in (*model.graph.input, *model.graph.output):
        for side in value.type.tensor_type.shape.dim:
            if side.dim_param in sides:
                side.dim_value = sides[side.dim_param]
    del model.graph.value_info[:]


def cast_first(model: onnx.ModelProto) -> None:
    """Turn bytes into floats before they are moved, not after; in place.

    TensorRT takes uint8 for inputs and outputs alone: nothing but a Cast may follow. The numbers are the same.
    """
    graph = model.graph
    users: dict[str, list[onnx.NodeProto]] = {}
    for node in graph.node:
        for name in node.input:
            users.setdefault(name, []).append(node)
    casts: list[onnx.NodeProto] = []
    for value in graph.input:
        if value.type.tensor_type.elem_type != TensorProto.UINT8:
            continue
        early = f"{value.name}.float"
        moved = [node for node in users.get(value.name, []) if node.op_type in _MOVES]
        if not moved or not all(_ends_in_float(node, users) for node in moved):
            continue
        casts.append(helper.make_node("Cast", [value.name], [early], to=TensorProto.FLOAT))
        for node in moved:
            node.input[0] = early
    ordered = list(graph.node)  # the Casts of before do nothing now, and are folded away
    del graph.node[:]
    graph.node.extend([*casts, *ordered])
    if casts:
        del graph.value_info[:]


def _ends_in_float(node: onnx.NodeProto, users: Mapping[str, list[onnx.NodeProto]]) -> bool:
    """Whether all that uses what a move gives is a Cast to float, perhaps after more moves."""
    after = users.get(node.output[0], [])
    return bool(after) and all(
        (use.op_type == "Cast" and use.attribute[0].i == TensorProto.FLOAT)
        or (use.op_type in _MOVES and _ends_in_float(use, users))
        for use in after
    )
