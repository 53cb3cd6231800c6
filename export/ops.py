"""What TensorRT's ONNX parser takes without plug-ins, as far as our graphs can use it; tested on every export.

Source: docs/operators.md of onnx/onnx-tensorrt. Every operator here is in its tables of TensorRT 8.5 and of 10.15, and
so of all between; 10.0 takes opsets 9 to 20, 10.15 and 11 take 9 to 24 (of 11 the table itself was not at hand). The
restrictions of 10.15 that a graph of ours could break are checked as well: uint8 is a type of inputs and outputs alone,
so that nothing but a Cast may touch it; zero points of quantisation are 0 and its type is int8; Resize has no
anti-aliasing; Reduce operators run over constant axes.

style.onnx is not held to it: it runs once for a picture, by ONNX Runtime, whatever paints the frames.
"""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from engines.errors import EngineError

OPSETS = (9, 20)  # both counted in
OPERATORS = frozenset(
    """
    Abs Add And ArgMax ArgMin AveragePool BatchNormalization Cast Ceil Clip Concat Constant ConstantOfShape Conv
    ConvTranspose Cos CumSum DepthToSpace DequantizeLinear Div Einsum Equal Erf Exp Expand Flatten Floor Gather
    GatherElements GatherND Gemm GlobalAveragePool GlobalMaxPool Greater GreaterOrEqual HardSigmoid HardSwish
    Identity InstanceNormalization LeakyRelu Less LessOrEqual Log LogSoftmax MatMul Max MaxPool Mean Min Mod Mul
    Neg Not Or Pad Pow PRelu QuantizeLinear Range Reciprocal ReduceL1 ReduceL2 ReduceMax ReduceMean ReduceMin
    ReduceProd ReduceSum ReduceSumSquare Relu Reshape Resize Round ScatterElements ScatterND Shape Sigmoid Sign
    Sin Size Slice Softmax Softplus SpaceToDepth Split Sqrt Squeeze Sub Sum Tanh Tile TopK Transpose Trilu
    Unsqueeze Where Xor
    """.split()  # noqa: SIM905
)


def foreign(model: onnx.ModelProto) -> list[str]:
    """What of the model TensorRT would not parse, in words, without repeats; its shapes must have been inferred."""
    graph = model.graph
    constants = {constant.name: constant for constant in graph.initializer}
    kinds = {value.name: value.type.tensor_type.elem_type for value in (*graph.input, *graph.value_info, *graph.output)}
    kinds |= {name: constant.data_type for name, constant in constants.items()}
    found = [
        f"opset {entry.version} of {entry.domain or 'ai.onnx'}"
        for entry in model.opset_import
        if entry.domain or not OPSETS[0] <= entry.version <= OPSETS[1]
    ]
    for node in graph.node:
        if node.domain or node.op_type not in OPERATORS:
            found.append(node.op_type)
            continue
        told = {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}
        bytes_here = any(kinds.get(name) == TensorProto.UINT8 for name in (*node.input, *node.output))
        if bytes_here and node.op_type not in ("Cast", "Shape"):
            found.append(f"{node.op_type} of uint8")
        if node.op_type in ("QuantizeLinear", "DequantizeLinear") and not _even(node, constants):
            found.append(f"{node.op_type} with a zero point or another type than int8")
        if node.op_type == "Resize" and told.get("antialias"):
            found.append("Resize with anti-aliasing")
        if node.op_type.startswith("Reduce") and any(name and name not in constants for name in node.input[1:]):
            found.append(f"{node.op_type} over axes that are not constant")
    return list(dict.fromkeys(found))


def demand_native(model: onnx.ModelProto, what: str) -> None:
    """Raise EngineError if there is anything `foreign` in the model. what: for people, such as "the frame graph"."""
    if found := foreign(model):
        raise EngineError(f"refused: {what} has what TensorRT's parser does not take: {', '.join(found)}")


def _even(node: onnx.NodeProto, constants: dict[str, onnx.TensorProto]) -> bool:
    """Whether a (de)quantising node is symmetric int8."""
    if len(node.input) < 3 or node.input[2] not in constants:
        return False
    zero = constants[node.input[2]]
    # Biases are int32 in ONNX Runtime's form of QDQ: such a node is not allowed either.
    return zero.data_type == TensorProto.INT8 and not np.any(numpy_helper.to_array(zero))
