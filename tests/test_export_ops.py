from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from engines.bundle import Bundle
from engines.errors import EngineError
from export.checks import checked
from export.graph import stored_whole
from export.ops import OPERATORS, foreign
from export.simplify import simplified


def model(nodes: Sequence[onnx.NodeProto], kind: int = TensorProto.FLOAT, opset: int = 20) -> onnx.ModelProto:
    zero = numpy_helper.from_array(np.zeros((), np.uint8), "zero")
    scale = numpy_helper.from_array(np.ones((), np.float32), "scale")
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", kind, ("a", "b"))],
        [helper.make_tensor_value_info(nodes[-1].output[0], TensorProto.UNDEFINED, None)],
        [zero, scale],
    )
    del graph.output[0].type.tensor_type.shape.dim[:]
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)


@pytest.mark.parametrize(
    ("nodes", "kind", "opset", "told"),
    [
        ([helper.make_node("NonZero", ["x"], ["y"])], TensorProto.FLOAT, 20, "NonZero"),
        ([helper.make_node("Relu", ["x"], ["y"])], TensorProto.FLOAT, 22, "opset 22"),
        ([helper.make_node("Transpose", ["x"], ["y"])], TensorProto.UINT8, 20, "Transpose of uint8"),
        ([helper.make_node("QuantizeLinear", ["x", "scale", "zero"], ["y"])], TensorProto.FLOAT, 20, "zero point"),
        ([helper.make_node("FusedConv", ["x"], ["y"], domain="com.microsoft")], TensorProto.FLOAT, 20, "FusedConv"),
    ],
)
def test_what_tensorrt_does_not_parse(nodes: list[onnx.NodeProto], kind: int, opset: int, told: str) -> None:
    assert any(told in found for found in foreign(model(nodes, kind, opset)))


def test_what_it_parses() -> None:
    assert foreign(model([helper.make_node("Relu", ["x"], ["y"])])) == []
    assert {"NonZero", "DynamicQuantizeLinear", "QLinearConv", "MatMulInteger", "Compress"} & OPERATORS == set()


def test_the_released_graphs_are_native_once_they_are_simplified(live_bundle: Bundle) -> None:
    for path in (live_bundle.guide_graph, live_bundle.frame_graph, live_bundle.regions_graph):
        checked(simplified(stored_whole(onnx.load_model(path))), path.name)


def test_a_model_that_is_not_valid() -> None:
    broken = model([helper.make_node("Relu", ["not there"], ["y"])])
    with pytest.raises(EngineError, match=r"refused: the graph is not valid ONNX"):
        checked(broken, "the graph")
