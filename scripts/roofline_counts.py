"""What a node of an ONNX Runtime graph has to do: multiply-adds, arithmetic operations and bytes, from its shapes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any, Literal

from engines.errors import EngineError

Arithmetic = Literal["fp32", "int8"]

# ONNX Runtime's names of types in a profile -> bytes an element.
TYPE_BYTES = {
    **dict.fromkeys(("bool", "int8", "uint8", "float8e4m3fn", "float8e5m2"), 1),
    **dict.fromkeys(("float16", "bfloat16", "int16", "uint16"), 2),
    **dict.fromkeys(("float", "int32", "uint32"), 4),
    **dict.fromkeys(("double", "int64", "uint64"), 8),
}
_CONVOLUTIONS_INT8 = frozenset(("QLinearConv", "ConvInteger"))
CONVOLUTIONS = frozenset(("Conv", "FusedConv", "NhwcFusedConv", "ConvTranspose")) | _CONVOLUTIONS_INT8
_PRODUCTS_INT8 = frozenset((
    "DynamicQuantizeMatMul", "MatMulInteger", "MatMulIntegerToFloat", "QGemm", "QLinearMatMul",
))  # fmt: skip
PRODUCTS = frozenset(("MatMul", "FusedMatMul", "Gemm", "FusedGemm")) | _PRODUCTS_INT8
_INT8 = _CONVOLUTIONS_INT8 | _PRODUCTS_INT8

# Shapes are worked on and nothing is moved: the output is the input's memory under another shape.
VIEWS = frozenset(("Reshape", "Squeeze", "Unsqueeze", "Flatten", "Identity", "Shape", "Size", "If", "Loop", "Scan"))
# Only as much of the input is read as is put out.
PARTS = frozenset(("Slice", "Gather", "GatherElements", "GatherND"))
MOVES = PARTS | frozenset((
    "Cast", "Concat", "ConstantOfShape", "DepthToSpace", "Expand", "Pad", "Range", "ReorderInput", "ReorderOutput",
    "Scatter", "ScatterElements", "ScatterND", "SpaceToDepth", "Split", "Tile", "Transpose",
))  # fmt: skip
# One operation for each element put out.
ELEMENTWISE = frozenset((
    "Abs", "Add", "And", "BiasGelu", "Ceil", "Clip", "Cos", "DequantizeLinear", "Div", "Elu", "Equal", "Erf", "Exp",
    "FastGelu", "Floor", "Gelu", "Greater", "GreaterOrEqual", "HardSigmoid", "HardSwish", "LeakyRelu", "Less",
    "LessOrEqual", "Log", "Max", "Min", "Mod", "Mul", "Neg", "Not", "Or", "PRelu", "Pow", "QLinearAdd",
    "QLinearLeakyRelu", "QLinearMul", "QLinearSigmoid", "QuantizeLinear", "QuickGelu", "Reciprocal", "Relu", "Round",
    "Sigmoid", "Sign", "Sin", "Softplus", "Sqrt", "Sub", "Sum", "Tanh", "Where", "Xor",
))  # fmt: skip
# One for each element that is read.
REDUCTIONS = frozenset((
    "ArgMax", "ArgMin", "CumSum", "DynamicQuantizeLinear", "GlobalAveragePool", "GlobalMaxPool",
    "QLinearGlobalAveragePool", "ReduceL1", "ReduceL2", "ReduceMax", "ReduceMean", "ReduceMin", "ReduceProd",
    "ReduceSum", "ReduceSumSquare",
))  # fmt: skip
# One for each element of the window of each element put out.
POOLS = frozenset(("AveragePool", "MaxPool", "QLinearAveragePool"))
# So many for each element put out. Softmax: largest, subtract, exponential, sum, divide. Normalisation: mean,
# subtract, square, sum, scale. Bilinear sampling: three interpolations of a subtraction and a multiply-add each.
SEVERAL = {
    "Softmax": 5,
    "LogSoftmax": 5,
    "InstanceNormalization": 5,
    "LayerNormalization": 5,
    "SimplifiedLayerNormalization": 5,
    "Resize": 9,
    "Upsample": 9,
    "GridSample": 9,
}
_KNOWN = CONVOLUTIONS | PRODUCTS | VIEWS | MOVES | ELEMENTWISE | REDUCTIONS | POOLS | SEVERAL.keys()


@dataclass(frozen=True, slots=True)
class Tensor:
    """dtype: as ONNX Runtime names it in a profile ("float", "uint8", ...). A scalar's shape is ()."""

    dtype: str
    shape: tuple[int, ...]

    @property
    def elements(self) -> int:
        return prod(self.shape)

    @property
    def bytes(self) -> int:
        """Raises EngineError for a type of unknown size."""
        if self.dtype not in TYPE_BYTES:
            raise EngineError(f"the profile has a tensor of {self.dtype}; known are {', '.join(TYPE_BYTES)}")
        return prod(self.shape) * TYPE_BYTES[self.dtype]


@dataclass(frozen=True, slots=True)
class Node:
    """A node as ONNX Runtime runs it.

    op: without the domain, "Conv" also where it is a blocked one. ms: median time of a run.
    inputs, outputs: without those left out; channels of blocked layouts are filled up to whole blocks.
    weight: of a convolution, the shape (outputs, inputs / groups, height, width) before it was filled up; None where
    it is as among the inputs. attributes: those that the counts need.
    """

    name: str
    op: str
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    ms: float
    weight: tuple[int, ...] | None = None
    attributes: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Work:
    """What a node has to do. macs: multiply-adds that the network needs; filled_macs: with those of filled-up channels.

    operations: 2 for a multiply-add, 1 for anything else. bytes: read and written once. known: False where the
    operations of such a node are not known here, and 0 was taken.
    """

    macs: int
    filled_macs: int
    operations: int
    bytes: int
    arithmetic: Arithmetic
    known: bool = True


def work_of(node: Node) -> Work:
    """Raises EngineError for a type of unknown size."""
    macs, filled = _macs(node)
    operations = 2 * macs if macs else _operations(node)
    return Work(macs, filled, operations, bytes_of(node), "int8" if node.op in _INT8 else "fp32", node.op in _KNOWN)


def bytes_of(node: Node) -> int:
    """Every input read once and every output written once, as far as the node has to."""
    if node.op in VIEWS:
        return 0
    written = sum(tensor.bytes for tensor in node.outputs)
    if node.op in PARTS:
        return 2 * written
    return written + sum(tensor.bytes for tensor in node.inputs)


def _macs(node: Node) -> tuple[int, int]:
    """Multiply-adds that are needed, and those that are done with filled-up channels."""
    if not node.inputs or not node.outputs:
        return 0, 0
    first, out = node.inputs[0], node.outputs[0]
    if node.op in PRODUCTS:
        # The side that is summed over: the last of the first matrix, or the one before it where that is transposed.
        transposed = bool(node.attributes.get("transA")) and len(first.shape) > 1
        depth = first.shape[-2 if transposed else -1] if first.shape else 1
        return out.elements * depth, out.elements * depth
    if node.op not in CONVOLUTIONS:
        return 0, 0
    weight = _weight_among(node)
    if node.op == "ConvTranspose":
        macs = first.elements * prod(weight[1:])
        return macs, macs
    filled = out.elements * prod(weight[1:])
    if node.weight is None:
        return filled, filled
    return out.elements // weight[0] * node.weight[0] * prod(node.weight[1:]), filled


def _weight_among(node: Node) -> Sequence[int]:
    place = 3 if node.op == "QLinearConv" else 1
    if len(node.inputs) <= place:
        raise EngineError(f"the profile does not tell the weights of {node.op} {node.name}; save the graph's too")
    return node.inputs[place].shape


def _operations(node: Node) -> int:
    written = sum(tensor.elements for tensor in node.outputs)
    if node.op in ELEMENTWISE:
        return written
    if node.op in REDUCTIONS:
        return node.inputs[0].elements if node.inputs else 0
    if node.op in POOLS:
        window: Sequence[int] = node.attributes.get("kernel_shape", (1,))
        return node.outputs[0].elements * prod(window)
    if node.op in SEVERAL and node.attributes.get("mode") not in (b"nearest", "nearest"):
        return SEVERAL[node.op] * written
    return 0
