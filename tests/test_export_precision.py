from __future__ import annotations

from collections import Counter

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from engines.providers import CPU, Provider, open_with, session_options
from export.checks import checked
from export.precision import to_half
from export.quantise import quantised_graph
from export.simplify import simplified

SHAPE = ("height", "width", 3)


def painter() -> onnx.ModelProto:
    """Bytes in, bytes out; convolutions, a mean over places, and a division by a number that fp16 would make 0."""
    node = helper.make_node
    weights = np.random.default_rng(0).normal(0, 0.1, (8, 3, 3, 3)).astype(np.float16).astype(np.float32)
    constants = {
        "first": np.array([0], np.int64),
        "mix": np.array([[0.8, 0.1, 0.1], [0.0, 1.0, 0.0], [0.2, 0.0, 0.8]], np.float32).reshape(3, 3, 1, 1),
        "weights": weights,
        "bias": np.full(8, 0.25, np.float32),
        "places": np.array([2, 3], np.int64),
        "tiny": np.float32(1e-8),
        "white": np.full((1, 8, 1, 1), 40, np.float32),
    }
    nodes = [
        node("Transpose", ["frame"], ["planes"], perm=[2, 0, 1]),
        node("Unsqueeze", ["planes", "first"], ["one"]),
        node("Cast", ["one"], ["image"], to=TensorProto.FLOAT),
        node("Conv", ["image", "mix"], ["mixed"]),
        node("Conv", ["mixed", "weights", "bias"], ["seen"], pads=[1, 1, 1, 1]),
        node("Relu", ["seen"], ["kept"]),
        node("ReduceMean", ["kept", "places"], ["mean"], keepdims=1),
        node("Add", ["mean", "tiny"], ["safe"]),
        node("Div", ["kept", "safe"], ["even"]),
        node("Mul", ["even", "white"], ["bright"]),
        node("Mul", ["bright", "strength"], ["scaled"]),
        node("Cast", ["scaled"], ["painted"], to=TensorProto.UINT8),
        node("Identity", ["mean"], ["told"]),
    ]
    graph = helper.make_graph(
        nodes,
        "painter",
        [
            helper.make_tensor_value_info("frame", TensorProto.UINT8, SHAPE),
            helper.make_tensor_value_info("strength", TensorProto.FLOAT, ()),
        ],
        [
            helper.make_tensor_value_info("painted", TensorProto.UINT8, (1, 8, "height", "width")),
            helper.make_tensor_value_info("told", TensorProto.FLOAT, (1, 8, 1, 1)),
        ],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def frames() -> list[dict[str, np.ndarray]]:
    rng = np.random.default_rng(3)
    return [
        {"frame": rng.integers(0, 256, (20, 31, 3)).astype(np.uint8), "strength": np.ones((), np.float32)}
        for _ in range(4)
    ]


def answers(model: onnx.ModelProto, feeds: dict[str, np.ndarray]) -> list[np.ndarray]:
    """What the engine's own sessions compute: int8 right on every CPU."""
    provider = Provider(CPU)
    return open_with(model.SerializeToString(), session_options(provider, threads=1), provider, {}).run(None, feeds)


def kinds(model: onnx.ModelProto) -> dict[str, int]:
    values = (*model.graph.value_info, *model.graph.input, *model.graph.output)
    return {value.name: value.type.tensor_type.elem_type for value in values}


def test_half_keeps_statistics_divisions_and_borders_in_fp32() -> None:
    full = checked(simplified(painter()), "painter")
    half = checked(to_half(full), "painter")
    types = kinds(half)
    made = {node.op_type: types[node.output[0]] for node in half.graph.node}
    assert made["Conv"] == made["Mul"] == TensorProto.FLOAT16
    # The Relu feeds the mean and the division alone.
    assert made["ReduceMean"] == made["Div"] == made["Add"] == made["Relu"] == TensorProto.FLOAT
    assert [types[value.name] for value in half.graph.input] == [TensorProto.UINT8, TensorProto.FLOAT]
    assert [types[value.name] for value in half.graph.output] == [TensorProto.UINT8, TensorProto.FLOAT]
    black = {"frame": np.zeros((20, 31, 3), np.uint8), "strength": np.ones((), np.float32)}
    for feeds in (*frames(), black):
        (painted, told), (reference, mean) = answers(half, feeds), answers(full, feeds)
        assert np.isfinite(told).all() and np.allclose(told, mean, rtol=2e-3, atol=1e-3)
        assert np.abs(painted.astype(int) - reference).max() <= 1


def test_a_constant_beyond_fp16_keeps_its_node_in_fp32() -> None:
    model = painter()
    (white,) = (constant for constant in model.graph.initializer if constant.name == "white")
    white.CopyFrom(numpy_helper.from_array(np.full((1, 8, 1, 1), 1e5, np.float32), "white"))
    half = checked(to_half(checked(model, "painter", native=False)), "painter", native=False)
    types = kinds(half)
    assert types["bright"] == TensorProto.FLOAT
    assert types["seen"] == TensorProto.FLOAT16


def test_int8_is_symmetric_and_near_and_the_last_convolution_in_fp32() -> None:
    full = checked(simplified(painter()), "painter")
    narrow = checked(quantised_graph(full, frames()), "painter")  # checked: TensorRT would parse it
    count = Counter(node.op_type for node in narrow.graph.node)
    assert count["QuantizeLinear"] >= 1 and count["DequantizeLinear"] >= 2
    made_by = {name: node.op_type for node in narrow.graph.node for name in node.output}
    first, last = (node for node in narrow.graph.node if node.op_type == "Conv")
    assert {made_by[name] for name in first.input} == {"DequantizeLinear"}
    assert last.input[1] not in made_by  # weights as they were
    for feeds in frames():
        off = np.abs(answers(narrow, feeds)[0].astype(int) - answers(full, feeds)[0])
        assert 0 < off.mean() < 2


@pytest.mark.parametrize("convolves", [True, False])
def test_a_single_convolution_is_in_int8_and_a_graph_without_stays_as_it_is(convolves: bool) -> None:
    node = helper.make_node
    weights = numpy_helper.from_array(np.full((3, 3, 1, 1), 0.5, np.float32), "weights")
    nodes = [node("Conv", ["x", "weights"], ["seen"])] if convolves else [node("Neg", ["x"], ["seen"])]
    sides = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, (1, 3, "height", "width")) for name in ("x", "seen", "y")
    ]
    nodes.append(node("Relu", ["seen"], ["y"]))
    graph = helper.make_graph(nodes, "g", sides[:1], sides[2:], [weights] * convolves, value_info=sides[1:2])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    narrow = quantised_graph(model, [{"x": np.random.default_rng(0).normal(size=(1, 3, 8, 9)).astype(np.float32)}])
    assert ("QuantizeLinear" in {node.op_type for node in narrow.graph.node}) == convolves


def test_bytes_are_cast_before_they_are_moved_and_sizes_are_written_in() -> None:
    small = checked(simplified(painter(), {"height": 20, "width": 31}), "painter")
    first = next(node for node in small.graph.node if "frame" in node.input)
    assert first.op_type == "Cast"
    assert [side.dim_value for side in small.graph.input[0].type.tensor_type.shape.dim] == [20, 31, 3]
    for feeds in frames():
        assert all(np.array_equal(a, b) for a, b in zip(answers(small, feeds), answers(painter(), feeds), strict=True))
