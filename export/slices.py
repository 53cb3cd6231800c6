"""Join slices in an ONNX graph: a crop along two axes is one copy, not two. The numbers stay the same."""

from __future__ import annotations

from collections import Counter

import numpy as np
import onnx
from onnx import helper, numpy_helper

AXES = 3  # where a Slice's inputs tell its axes


def join_slices(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy of `model` in which a Slice of nothing but a Slice, along other axes, is one Slice of both.

    Slices along axes that are not constant or the same, or that count from the end, stay as they are.
    """
    joined = onnx.ModelProto()
    joined.CopyFrom(model)
    graph = joined.graph
    constants = {constant.name: constant for constant in graph.initializer}
    makers = {output: node for node in graph.node for output in node.output}
    uses = Counter(name for node in graph.node for name in node.input)
    uses.update(value.name for value in graph.output)

    def axes(node: onnx.NodeProto) -> list[int] | None:
        if len(node.input) <= AXES or node.input[AXES] not in constants:
            return None
        told = [int(axis) for axis in numpy_helper.to_array(constants[node.input[AXES]])]
        return told if min(told) >= 0 else None

    nodes: list[onnx.NodeProto] = []
    gone: set[str] = set()
    for node in graph.node:
        if node.op_type != "Slice" or (own := axes(node)) is None:
            nodes.append(node)
            continue
        first = makers.get(node.input[0])
        if first is None or first.op_type != "Slice" or uses[first.output[0]] != 1 or first.output[0] in gone:
            nodes.append(node)
            continue
        others = axes(first)
        both_step = len(first.input) == len(node.input)  # both tell their steps, or neither
        if others is None or set(own) & set(others) or not both_step:
            nodes.append(node)
            continue
        gone.add(first.output[0])
        parts = [f"{node.output[0]}.joined.{place}" for place in range(1, len(node.input))]
        for place, name in enumerate(parts, 1):
            if place == AXES:
                constants[name] = numpy_helper.from_array(np.array([*others, *own], np.int64), name)
                graph.initializer.append(constants[name])
            else:
                nodes.append(helper.make_node("Concat", [first.input[place], node.input[place]], [name], axis=0))
        nodes.append(helper.make_node("Slice", [first.input[0], *parts], list(node.output), name=node.name))
        makers[node.output[0]] = nodes[-1]
    del graph.node[:]
    graph.node.extend(node for node in nodes if not (node.op_type == "Slice" and node.output[0] in gone))
    onnx.checker.check_model(joined)
    return joined
