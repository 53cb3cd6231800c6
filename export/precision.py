"""A graph's arithmetic in fp16, with fp32 where fp16 would not do; what goes in and out keeps its type.

In fp32 stay: statistics (a sum over a whole picture in fp16 has no digits left, and instance normalisation breaks:
onnxruntime#10079, TensorRT#2691), what divides by a computed number, what grows or shrinks fast (softmax, powers,
roots), everything that follows from sizes alone (places of a large frame go beyond 2048, from where on fp16 leaves
whole numbers out), what a constant takes part in that fp16 cannot hold, and what is computed for these alone, element
by element (a difference of small shares is nothing in fp16, and their sum divides). TensorRT 11 takes the precision
from the graph, so this is what its plans compute as well.
"""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper, shape_inference

IN_FULL = frozenset(
    """
    InstanceNormalization ReduceMean ReduceSum ReduceMax ReduceMin AveragePool GlobalAveragePool Softmax Div Pow
    Sqrt Log Exp Reciprocal Range TopK QuantizeLinear DequantizeLinear
    """.split()  # noqa: SIM905
)
_ELEMENTWISE = frozenset({"Abs", "Add", "Clip", "Max", "Min", "Mul", "Neg", "Relu", "Sub"})
# Inputs, by place, whose type is float32 whatever the data's is.
_ALWAYS_FLOAT = {"Resize": (1, 2)}
_HALF_MAX = float(np.finfo(np.float16).max)
_HALF_LEAST = float(np.finfo(np.float16).tiny)


def to_half(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy of an fp32 graph that computes in fp16 but for what the module's text tells."""
    half = onnx.ModelProto()
    half.CopyFrom(shape_inference.infer_shapes(model, data_prop=True))
    graph = half.graph
    constants = {constant.name: constant for constant in graph.initializer}
    floats = _floats(graph)
    depends = _depends_on_data(graph)
    chosen = [
        any(name in floats for name in node.output)
        and node.op_type not in IN_FULL
        and any(name in depends for name in node.output)
        and not any(name in constants and name in floats and not _fits(constants[name]) for name in node.input)
        for node in graph.node
    ]
    outputs = {value.name for value in graph.output}
    _spare(graph, chosen, outputs)
    narrow: set[str] = set()  # values that are fp16 where they are made
    made: set[str] = set()
    nodes: list[onnx.NodeProto] = []

    def cast(name: str, to_narrow: bool) -> str:
        """The same value in the other type."""
        label = f"{name}.{'half' if to_narrow else 'full'}"
        if label not in made:
            made.add(label)
            if to_narrow and name in constants:
                values = numpy_helper.to_array(constants[name]).astype(np.float16)
                graph.initializer.append(numpy_helper.from_array(values, label))
            else:
                kind = TensorProto.FLOAT16 if to_narrow else TensorProto.FLOAT
                nodes.append(helper.make_node("Cast", [name], [label], to=kind))
        return label

    for node, in_half in zip(list(graph.node), chosen, strict=True):
        for place, name in enumerate(node.input):
            if name not in floats:
                continue
            wants_narrow = in_half and place not in _ALWAYS_FLOAT.get(node.op_type, ())
            if node.op_type == "Cast":
                continue  # takes any type
            if wants_narrow != (name in narrow):
                node.input[place] = cast(name, wants_narrow)
        if in_half:
            _narrow_attributes(node)
            for place, name in enumerate(node.output):
                if name in floats and name in outputs:
                    node.output[place] = f"{name}.half"
                    made.add(f"{name}.half")
                elif name in floats:
                    narrow.add(name)
        nodes.append(node)
        nodes += [
            helper.make_node("Cast", [name], [name.removesuffix(".half")], to=TensorProto.FLOAT)
            for name in node.output
            if name.endswith(".half") and name.removesuffix(".half") in outputs
        ]
    used = {name for node in nodes for name in node.input}
    kept = [constant for constant in graph.initializer if constant.name in used]
    del graph.node[:], graph.initializer[:], graph.value_info[:]
    graph.node.extend(nodes)
    graph.initializer.extend(kept)
    return half


def _floats(graph: onnx.GraphProto) -> set[str]:
    values = (*graph.input, *graph.value_info, *graph.output)
    found = {value.name for value in values if value.type.tensor_type.elem_type == TensorProto.FLOAT}
    return found | {constant.name for constant in graph.initializer if constant.data_type == TensorProto.FLOAT}


def _depends_on_data(graph: onnx.GraphProto) -> set[str]:
    """Values that follow from what inputs hold, not from constants and sizes alone."""
    found = {value.name for value in graph.input}
    for node in graph.node:
        if node.op_type not in ("Shape", "Size") and any(name in found for name in node.input):
            found.update(node.output)
    return found


def _spare(graph: onnx.GraphProto, chosen: list[bool], outputs: set[str]) -> None:
    """Take elementwise nodes that feed nothing but nodes in fp32 out of the chosen ones, in place."""
    users: dict[str, list[int]] = {}
    for place, node in enumerate(graph.node):
        for name in node.input:
            users.setdefault(name, []).append(place)
    for place in reversed(range(len(chosen))):
        node = graph.node[place]
        after = [user for name in node.output for user in users.get(name, [])]
        if node.op_type not in _ELEMENTWISE or not after or any(name in outputs for name in node.output):
            continue
        # A Cast makes bytes of a painting, whatever it gets.
        if not any(chosen[user] or graph.node[user].op_type == "Cast" for user in after):
            chosen[place] = False


def _fits(constant: onnx.TensorProto) -> bool:
    values = np.abs(numpy_helper.to_array(constant))
    # A tiny weight among others is nothing; a constant that is nothing but tiny keeps a division from 0.
    return bool(values.size == 0 or (values.max() <= _HALF_MAX and not 0 < values.max() < _HALF_LEAST))


def _narrow_attributes(node: onnx.NodeProto) -> None:
    for attribute in node.attribute:
        if node.op_type == "Cast" and attribute.name == "to" and attribute.i == TensorProto.FLOAT:
            attribute.i = TensorProto.FLOAT16
        elif attribute.type == onnx.AttributeProto.TENSOR and attribute.t.data_type == TensorProto.FLOAT:
            narrow = numpy_helper.to_array(attribute.t).astype(np.float16)
            attribute.t.CopyFrom(numpy_helper.from_array(narrow, attribute.t.name))
