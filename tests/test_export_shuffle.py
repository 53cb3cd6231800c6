from __future__ import annotations

from collections import Counter

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

from export.shuffle import split_shuffles


def graph_of(node: onnx.NodeProto, shape: list[int | str]) -> onnx.ModelProto:
    graph = helper.make_graph(
        [node],
        "shuffles",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    return onnx.shape_inference.infer_shapes(model)


def run(model: onnx.ModelProto, x: np.ndarray) -> np.ndarray:  # type: ignore[type-arg]
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {"x": x})[0])


def shuffle(shape: list[int | str], mode: str = "CRD", size: int = 2) -> onnx.ModelProto:
    return graph_of(helper.make_node("DepthToSpace", ["x"], ["y"], mode=mode, blocksize=size), shape)


@pytest.mark.parametrize("height", [1, 5, 8])
def test_a_shuffle_gives_the_same_numbers(height: int) -> None:
    model = shuffle([1, 12, "height", "width"])
    split = split_shuffles(model)
    assert "DepthToSpace" not in Counter(node.op_type for node in split.graph.node)
    x = np.random.default_rng(0).random((1, 12, height, 7)).astype(np.float32)
    answer = run(split, x)
    assert answer.shape == (1, 3, 2 * height, 14)
    assert np.array_equal(answer, run(model, x))


@pytest.mark.parametrize(
    "model",
    [
        shuffle([1, 12, "height", "width"], mode="DCR"),
        shuffle([1, 27, "height", "width"], size=3),
        shuffle([2, 12, "height", "width"]),
        shuffle([1, "channels", "height", "width"]),
        graph_of(helper.make_node("Transpose", ["x"], ["y"], perm=[0, 2, 1]), [1, 2, 3]),
    ],
)
def test_everything_else_stays_as_it_is(model: onnx.ModelProto) -> None:
    assert split_shuffles(model).graph.node == model.graph.node
