from __future__ import annotations

from collections import Counter

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from export.slices import join_slices


def crop(*slices: tuple[list[int], list[int], list[int]], seen: bool = False) -> onnx.ModelProto:
    """x, sliced again and again by (starts, ends, axes); with `seen` what lies between is an output too."""
    nodes, constants, last = [], [], "x"
    for i, numbers in enumerate(slices):
        names = [f"{i}.{what}" for what in ("starts", "ends", "axes")]
        constants += [
            numpy_helper.from_array(np.array(n, np.int64), name) for n, name in zip(numbers, names, strict=True)
        ]
        nodes.append(helper.make_node("Slice", [last, *names], [last := f"y{i}"]))
    outputs = [f"y{i}" for i in range(len(slices))] if seen else [last]
    graph = helper.make_graph(
        nodes,
        "crops",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["a", "b", "c"])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["d", "e", "f"]) for name in outputs],
        constants,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def run(model: onnx.ModelProto) -> np.ndarray:  # type: ignore[type-arg]
    x = np.arange(6 * 7 * 8, dtype=np.float32).reshape(6, 7, 8)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {"x": x})[-1])


def slices(model: onnx.ModelProto) -> int:
    return Counter(node.op_type for node in model.graph.node)["Slice"]


@pytest.mark.parametrize(
    "model",
    [
        crop(([1], [5], [0]), ([2], [6], [1])),
        crop(([1], [5], [0]), ([2], [6], [1]), ([3], [8], [2])),
        crop(([1, 2], [5, 6], [0, 2]), ([2], [2**62], [1])),
    ],
)
def test_slices_along_different_axes_become_one(model: onnx.ModelProto) -> None:
    joined = join_slices(model)
    assert slices(joined) == 1
    assert np.array_equal(run(joined), run(model))


@pytest.mark.parametrize(
    "model",
    [
        crop(([1], [5], [0]), ([1], [3], [0])),
        crop(([1], [5], [0]), ([1], [3], [-1])),
        crop(([1], [5], [0]), ([1], [3], [1]), seen=True),
        crop(([1], [5], [0])),
    ],
)
def test_others_stay_as_they_are(model: onnx.ModelProto) -> None:
    assert join_slices(model).graph.node == model.graph.node
