"""What every exported graph must pass before it is compared: valid, shapes known to the end, TensorRT's operators."""

from __future__ import annotations

import onnx
from onnx import shape_inference

from engines.errors import EngineError
from export.ops import demand_native


def checked(model: onnx.ModelProto, what: str, *, native: bool = True) -> onnx.ModelProto:
    """A copy with every value's type and shape inferred, strictly and with values of shapes followed, fully checked.

    what: for people, such as "frame.onnx". native: whether it must keep to TensorRT's operators.
    Raises EngineError: not valid, a value without type or rank, an operator that TensorRT does not parse.
    """
    bare = onnx.ModelProto()
    bare.CopyFrom(model)
    del bare.graph.value_info[:]
    try:
        inferred = shape_inference.infer_shapes(bare, check_type=True, strict_mode=True, data_prop=True)
        onnx.checker.check_model(inferred, full_check=True)
    except (onnx.checker.ValidationError, shape_inference.InferenceError) as error:
        reason = str(error).strip().partition("\n")[0][:300]
        raise EngineError(f"refused: {what} is not valid ONNX: {reason}") from error
    if lacking := _rankless(inferred):
        raise EngineError(f"refused: in {what} the shape of {lacking[0]} is not known (of {len(lacking)} values)")
    if native:
        demand_native(inferred, what)
    return inferred


def _rankless(model: onnx.ModelProto) -> list[str]:
    graph = model.graph
    known = {
        value.name
        for value in (*graph.value_info, *graph.input, *graph.output)
        if value.type.tensor_type.elem_type and value.type.tensor_type.HasField("shape")
    }
    return [name for node in graph.node for name in node.output if name and name not in known]
