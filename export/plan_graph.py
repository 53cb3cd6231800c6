"""A bundle's graph made ready for TensorRT's strongly typed networks, and the checks that need no TensorRT."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper, shape_inference

from engines.errors import EngineError
from engines.plans import Shapes
from export.checks import checked
from export.precision import to_half

# Of what is computed with: int64 is TensorRT's since 10, float64 is not at all, and uint8 is at the border alone.
_TYPES = ("FLOAT", "FLOAT16", "INT64", "INT32", "INT8", "BOOL")
_NUMBERS = ".numbers"  # behind the name of what are bytes outside


def prepared(model: onnx.ModelProto, precision: str) -> onnx.ModelProto:
    """A copy of a graph as TensorRT takes it: its precision in the graph, and bytes cast where they come in.

    TensorRT has bytes as inputs and outputs only, and can do nothing with them but cast: not even transpose them.
    precision: "fp32", or "fp16" (statistics stay fp32).
    """
    ready = onnx.ModelProto()
    ready.CopyFrom(model)
    graph = ready.graph
    _unpack(graph)
    come, go = ({value.name for value in side if _is_bytes(value)} for side in (graph.input, graph.output))
    makers = {name: node.op_type for node in graph.node for name in node.output}
    # What makes bytes by a cast may go on doing so; what merely hands them on has numbers now.
    go = {name for name in go if makers.get(name) != "Cast"}
    for node in graph.node:
        for names, changed in ((node.input, come | go), (node.output, go)):
            for place, name in enumerate(names):
                if name in changed:
                    names[place] = name + _NUMBERS
    first = [_cast(name, name + _NUMBERS, TensorProto.FLOAT) for name in sorted(come)]
    last = [_cast(name + _NUMBERS, name, TensorProto.UINT8) for name in sorted(go)]
    nodes = [*first, *graph.node, *last]
    del graph.node[:]
    graph.node.extend(nodes)
    del graph.value_info[:]  # types of what has been cast by now
    if precision == "fp16":
        ready = to_half(ready)
    onnx.checker.check_model(ready)
    return ready


def check_graph(model: onnx.ModelProto, name: str, shapes: Shapes) -> None:
    """Raise EngineError unless the graph is one that TensorRT can be asked to build for these shapes.

    Looked at: operators and types (`export.checks`), and shapes at the least, usual and largest sizes. model: as
    `prepared` gives it; name: of the graph, for people. What TensorRT itself says counts in the end.
    """
    _check_types(checked(model, name), name)
    wanted = {value.name: _sides(value) for value in model.graph.output}
    for which, size in enumerate(("least", "usual", "largest")):
        fixed = _sizes(model, shapes, which)
        for value in _inferred(model, name, fixed).graph.output:
            for side, found in zip(wanted[value.name], _sides(value), strict=True):
                known = fixed.get(side) if isinstance(side, str) else side
                if isinstance(found, int) and known is not None and found != known:
                    raise EngineError(f"{name} at its {size} sizes: {value.name} has a side of {found}, not {known}")


def _unpack(graph: onnx.GraphProto) -> None:
    """Constants that are stored as fp16 with a Cast behind become fp32 constants."""
    stored = {constant.name: constant for constant in graph.initializer}
    kept = []
    for node in graph.node:
        constant = stored.get(node.input[0]) if node.op_type == "Cast" else None
        if constant is None or helper.get_node_attr_value(node, "to") != TensorProto.FLOAT:
            kept.append(node)
        else:
            full = numpy_helper.to_array(constant).astype(np.float32)
            graph.initializer.append(numpy_helper.from_array(full, node.output[0]))
    used = {name for node in kept for name in node.input} | {value.name for value in graph.output}
    constants = [constant for constant in graph.initializer if constant.name in used]
    del graph.initializer[:]
    graph.initializer.extend(constants)
    del graph.node[:]
    graph.node.extend(kept)


def _cast(name: str, to: str, kind: int) -> onnx.NodeProto:
    return helper.make_node("Cast", [name], [to], name=f"{to}.cast", to=kind)


def _is_bytes(value: onnx.ValueInfoProto) -> bool:
    return bool(value.type.tensor_type.elem_type == TensorProto.UINT8)


def _check_types(model: onnx.ModelProto, name: str) -> None:
    border = {value.name for value in (*model.graph.input, *model.graph.output)}
    found = {value.name: value.type.tensor_type.elem_type for value in model.graph.value_info}
    found |= {constant.name: constant.data_type for constant in model.graph.initializer}
    for tensor, kind in found.items():
        told = TensorProto.DataType.Name(kind)
        if told not in _TYPES and tensor not in border:
            raise EngineError(f"{name} computes with {told.lower()} ({tensor}), which TensorRT cannot")


def _sizes(model: onnx.ModelProto, shapes: Shapes, which: int) -> dict[str, int]:
    """What the named dimensions are, in one of the three shapes. Raises EngineError where they contradict."""
    known: dict[str, int] = {}
    for value in model.graph.input:
        sides = _sides(value)
        if not any(isinstance(side, str) for side in sides):
            continue
        for side, size in zip(sides, shapes[value.name][which], strict=True):
            if (known.setdefault(side, size) if isinstance(side, str) else side) != size:
                raise EngineError(f"{value.name}: {side} is {size} here and {known.get(str(side), side)} elsewhere")
    return known


def _inferred(model: onnx.ModelProto, name: str, fixed: Mapping[str, int]) -> onnx.ModelProto:
    """With all types, and all shapes that follow from fixed sizes of the inputs. Raises EngineError."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    for value in copy.graph.input:
        for side in value.type.tensor_type.shape.dim:
            if side.dim_param in fixed:
                side.dim_value = fixed[side.dim_param]
    if fixed:  # what is written of the outputs would be believed; it is to be found out
        for value in copy.graph.output:
            for side in value.type.tensor_type.shape.dim:
                side.Clear()
    try:
        return shape_inference.infer_shapes(copy, check_type=True, strict_mode=True, data_prop=True)
    except shape_inference.InferenceError as error:
        raise EngineError(f"{name} is not well typed: {str(error).strip().splitlines()[-1][:300]}") from error


def _sides(value: onnx.ValueInfoProto) -> list[int | str | None]:
    return [
        side.dim_value if side.HasField("dim_value") else side.dim_param or None
        for side in value.type.tensor_type.shape.dim
    ]
