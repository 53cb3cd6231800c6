"""Rewrite pixel-shuffles in an ONNX graph so that ONNX Runtime's CPU kernels copy rows and pairs, not single numbers.

DepthToSpace walks through memory element by element. A Transpose that moves one axis has a kernel of its own that is
several times as fast, so each shuffle becomes two of them. Nothing is computed: the numbers are the same to the last
bit. The graph must hold inferred shapes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import onnx
from onnx import helper, numpy_helper


def split_shuffles(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy of `model` in which pixel-shuffles by 2 of one picture (n = 1) are two moves of a single axis each.

    What has no known channel count, another factor, or more than one picture stays as it is.
    """
    split = onnx.ModelProto()
    split.CopyFrom(model)
    graph = split.graph
    shapes = {value.name: _shape(value) for value in (*graph.value_info, *graph.input, *graph.output)}
    nodes: list[onnx.NodeProto] = []
    constants: dict[str, onnx.TensorProto] = {}
    for node in graph.node:
        shape = shapes.get(node.input[0]) if node.input else None
        if node.op_type == "DepthToSpace" and shape is not None:
            nodes += _shuffle(node, shape, constants)
        else:
            nodes.append(node)
    del graph.node[:]
    graph.node.extend(nodes)
    graph.initializer.extend(constants.values())
    onnx.checker.check_model(split)
    return split


def _shuffle(
    node: onnx.NodeProto, shape: Sequence[int | str], constants: dict[str, onnx.TensorProto]
) -> list[onnx.NodeProto]:
    """(1, c dy dx, h, w) -> (1, c, 2h, 2w), mode CRD, through (c dy, h w, dx) and (c, dy, h, w dx)."""
    told = _attributes(node)
    if told.get("mode") != b"CRD" or told.get("blocksize") != 2 or len(shape) != 4 or shape[0] != 1:
        return [node]
    if not isinstance(shape[1], int):
        return [node]
    channels = shape[1] // 4
    x, y, own = node.input[0], node.output[0], f"{node.output[0]}.split"

    def constant(name: str, values: list[int]) -> str:
        return _constant(f"{own}.{name}", values, constants)

    return [
        helper.make_node("Reshape", [x, constant("pairs", [channels * 2, 2, -1])], [f"{own}.a"]),
        helper.make_node("Transpose", [f"{own}.a"], [f"{own}.b"], perm=[0, 2, 1]),
        # (c, dy, h, w dx): the height is read from the input.
        helper.make_node("Shape", [x], [f"{own}.height"], start=2, end=3),
        helper.make_node(
            "Concat",
            [constant("front", [channels, 2]), f"{own}.height", constant("rest", [-1])],
            [f"{own}.rows"],
            axis=0,
        ),
        helper.make_node("Reshape", [f"{own}.b", f"{own}.rows"], [f"{own}.c"]),
        helper.make_node("Transpose", [f"{own}.c"], [f"{own}.d"], perm=[0, 2, 1, 3]),
        helper.make_node("Mul", [f"{own}.height", constant("two", [2])], [f"{own}.double"]),
        helper.make_node(
            "Concat",
            [constant("picture", [1, channels]), f"{own}.double", constant("rest", [-1])],
            [f"{own}.whole"],
            axis=0,
        ),
        helper.make_node("Reshape", [f"{own}.d", f"{own}.whole"], [y]),
    ]


def _constant(name: str, values: list[int], constants: dict[str, onnx.TensorProto]) -> str:
    constants[name] = numpy_helper.from_array(np.array(values, np.int64), name)
    return name


def _attributes(node: onnx.NodeProto) -> Mapping[str, object]:
    return {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}


def _shape(value: onnx.ValueInfoProto) -> list[int | str]:
    return [
        side.dim_value if side.HasField("dim_value") else side.dim_param for side in value.type.tensor_type.shape.dim
    ]
