from __future__ import annotations

import importlib
import json
import shutil
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import cv2
import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from engines.bundle import Bundle, seal
from engines.errors import EngineError

NAMES = ("promises", "clips", "roofline_counts", "roofline_ceilings", "roofline_graph", "roofline_plot")


@pytest.fixture
def programs(monkeypatch: pytest.MonkeyPatch) -> dict[str, ModuleType]:
    """The program and its parts as if imported for the first time."""
    names = (*NAMES, "roofline_report", "roofline")
    for name in names:
        monkeypatch.delitem(sys.modules, name, raising=False)
    return {name: importlib.import_module(name) for name in names}


@pytest.fixture
def quick(programs: dict[str, ModuleType], monkeypatch: pytest.MonkeyPatch) -> Any:
    """The program's `main`, with ceilings measured on next to nothing."""
    measure = programs["roofline_ceilings"].measure_ceilings

    def measure_little(threads: int, repeats: int) -> Any:
        return measure(threads, repeats, ((64, 64, 64),), (16, 16, 8, 8), (2**20,))

    monkeypatch.setattr(programs["roofline_ceilings"], "LEAST_COPIED", 2**20)
    monkeypatch.setattr(programs["roofline"], "measure_ceilings", measure_little)
    return programs["roofline"].main


class SameFeeds:
    """A load that runs the same feeds over and over."""

    def __init__(self, feeds: dict[str, NDArray[Any]]) -> None:
        self.feeds = feeds
        self.outputs: dict[str, NDArray[Any]] = {}

    def before(self) -> dict[str, NDArray[Any]]:
        return self.feeds

    def after(self, outputs: dict[str, NDArray[Any]]) -> None:
        self.outputs = outputs


def node_of(
    programs: dict[str, ModuleType],
    op: str,
    inputs: list[tuple[int, ...]],
    output: tuple[int, ...],
    weight: tuple[int, ...] | None = None,
    types: str = "float",
    **attributes: Any,
) -> Any:
    counts = programs["roofline_counts"]
    tensors = tuple(counts.Tensor(types, shape) for shape in inputs)
    return counts.Node("a", op, tensors, (counts.Tensor(types, output),), 1.0, weight, attributes)


def ceilings_of(programs: dict[str, ModuleType], rates: dict[str, float], copies: Any) -> Any:
    ceilings = programs["roofline_ceilings"]
    products = (ceilings.Product(kind, "int8" if kind == "int8" else "fp32", rate) for kind, rate in rates.items())
    return ceilings.Ceilings(tuple(products), copies)


def test_multiply_adds_of_convolutions_and_products(programs: dict[str, ModuleType]) -> None:
    image, scalar = (1, 64, 10, 20), ()
    counted: list[tuple[Any, ...]] = [
        ("Conv", [image, (32, 64, 3, 3), (32,)], (1, 32, 10, 20), {}, 200 * 32 * 64 * 9),
        ("FusedConv", [image, (64, 1, 3, 3), (64,), image], image, {}, 200 * 64 * 9),
        ("ConvTranspose", [image, (64, 8, 2, 2)], (1, 8, 20, 40), {}, 200 * 64 * 8 * 4),
        ("MatMul", [(1, 5, 7), (1, 7, 11)], (1, 5, 11), {}, 5 * 7 * 11),
        ("FusedMatMul", [(2, 7, 5), (2, 7, 11)], (2, 5, 11), {"transA": 1}, 2 * 5 * 7 * 11),
        ("Gemm", [(5, 7), (11, 7), (11,)], (5, 11), {"transB": 1}, 5 * 7 * 11),
        ("QLinearConv", [image, scalar, scalar, (32, 64, 3, 3), scalar], (1, 32, 10, 20), {}, 200 * 32 * 64 * 9),
    ]
    for op, inputs, output, attributes, expected in counted:
        work = programs["roofline_counts"].work_of(node_of(programs, op, inputs, output, **attributes))
        assert (work.macs, work.filled_macs, work.operations) == (expected, expected, 2 * expected), op
        assert work.arithmetic == ("int8" if op.startswith("Q") else "fp32")


def test_channels_that_fill_a_block_up_are_told_apart(programs: dict[str, ModuleType]) -> None:
    inputs = [(1, 16, 8, 8), (16, 16, 3, 3), (16,)]
    node = node_of(programs, "Conv", inputs, (1, 16, 8, 8), weight=(12, 3, 3, 3))
    work = programs["roofline_counts"].work_of(node)
    assert work.macs == 64 * 12 * 3 * 9
    assert work.filled_macs == 64 * 16 * 16 * 9
    assert work.bytes == 4 * (16 * 64 + 16 * 16 * 9 + 16 + 16 * 64)


def test_operations_and_bytes_of_other_nodes(programs: dict[str, ModuleType]) -> None:
    picture = (4, 6, 3)
    counted: list[tuple[Any, ...]] = [
        ("Add", [picture, (3,)], picture, {}, 72, 4 * (72 + 3 + 72)),
        ("ReduceMean", [picture, (2,)], (3,), {}, 72, 4 * (72 + 2 + 3)),
        ("AveragePool", [(1, 1, 4, 6)], (1, 1, 2, 3), {"kernel_shape": [2, 2]}, 24, 4 * (24 + 6)),
        ("Softmax", [picture], picture, {}, 5 * 72, 8 * 72),
        ("Upsample", [(1, 1, 2, 2)], (1, 1, 4, 4), {"mode": b"nearest"}, 0, 4 * (4 + 16)),
        ("Transpose", [picture], (3, 4, 6), {}, 0, 8 * 72),
        ("Reshape", [picture, (1,)], (72,), {}, 0, 0),
        ("Slice", [(4000, 6, 3), (1,)], picture, {}, 0, 8 * 72),
    ]
    work_of = programs["roofline_counts"].work_of
    for op, inputs, output, attributes, operations, moved in counted:
        work = work_of(node_of(programs, op, inputs, output, **attributes))
        assert (work.macs, work.operations, work.bytes) == (0, operations, moved), op
        assert work.known, op
    assert work_of(node_of(programs, "Cast", [picture], picture, types="uint8")).bytes == 144
    assert work_of(node_of(programs, "Einsum", [picture], picture)).known is False
    with pytest.raises(EngineError, match="tensor of string"):
        work_of(node_of(programs, "Add", [picture], picture, types="string"))
    with pytest.raises(EngineError, match="weights of Conv a"):
        work_of(node_of(programs, "Conv", [picture], picture))


def test_constants_that_a_profile_leaves_out_are_put_back(programs: dict[str, ModuleType]) -> None:
    tensor, fill = programs["roofline_counts"].Tensor, programs["roofline_graph"].with_constants
    x, weight, bias = tensor("float", (5, 7)), tensor("float", (7, 11)), tensor("float", (11,))
    constants = {"weight": weight, "bias": bias}
    assert fill((x,), ("x", "weight"), constants) == (x, weight)
    assert fill((x, bias), ("x", "weight", "bias"), constants) == (x, weight, bias)
    assert fill((x, weight, bias), ("x", "weight", "bias"), constants) == (x, weight, bias)
    assert fill((x, bias), ("x", "", "bias"), constants) == (x, bias)


def test_a_profile_is_read_by_runs(programs: dict[str, ModuleType]) -> None:
    def event(name: str, start: int, length: int, op: str = "", index: str = "0") -> dict[str, Any]:
        arguments: dict[str, Any] = {}
        if op:
            shapes = [{"float": [2, 3]}]
            arguments = {"op_name": op, "node_index": index, "input_type_shape": shapes, "output_type_shape": shapes}
        return {"cat": "Node" if op else "Session", "name": name, "ts": start, "dur": length, "args": arguments}

    events = [event("session_initialization", 0, 90)]
    for number, length in enumerate((5000, 10, 20, 90)):
        begin = 10_000 * (number + 1)
        events.append(event("add_kernel_time", begin + 5, length, "Add"))
        events.append(event("if_kernel_time", begin + 100, 500, "If", "1"))
        events += [event("inner_kernel_time", begin + 110 + 20 * turn, 7, "Mul", "0") for turn in range(3)]
        events.append(event("model_run", begin, 9000))
    empty = onnx.ModelProto()
    read = programs["roofline_graph"].read_profile
    add, inner = read(events, empty, empty, warm_ups=1)
    assert (add.name, add.op, add.ms, add.outputs[0].shape) == ("add", "Add", pytest.approx(0.020), (2, 3))
    assert (inner.name, inner.ms) == ("inner", pytest.approx(0.021)), "three times in each run; the branch not twice"
    with pytest.raises(EngineError, match="no run after 4 warm-ups"):
        read(events, empty, empty, warm_ups=4)


def test_nodes_of_a_graph_as_it_really_runs(programs: dict[str, ModuleType], tmp_path: Path) -> None:
    """The library fuses, blocks and lays out anew what it likes; the counts are those of the network written down."""
    random = np.random.default_rng(0)
    constants: dict[str, NDArray[Any]] = {
        "kernels": random.standard_normal((20, 3, 3, 3)).astype(np.float32),
        "more": random.standard_normal((12, 20, 1, 1)).astype(np.float32),
        "bias": np.zeros(20, np.float32),
        "matrix": random.standard_normal((16, 24)).astype(np.float32),
        "shape": np.array([12, 256], np.int64),
        "rows": np.array([192, 16], np.int64),
    }
    nodes = [
        helper.make_node("Conv", ["x", "kernels", "bias"], ["features"], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["features"], ["positive"]),
        helper.make_node("Conv", ["positive", "more"], ["thin"]),
        helper.make_node("Reshape", ["thin", "rows"], ["table"]),
        helper.make_node("MatMul", ["table", "matrix"], ["y"], name="product"),
    ]
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, "height", 16])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["rows", 24])],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    path = tmp_path / "small.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), path)
    loads = [SameFeeds({"x": random.standard_normal((1, 3, 16, 16)).astype(np.float32)}) for _ in range(2)]
    options = programs["roofline_graph"].ort.SessionOptions
    measured = programs["roofline_graph"].measure_graph(path, *loads, threads=1, repeats=3)
    assert programs["roofline_graph"].ort.SessionOptions is options, "given back"
    assert loads[0].outputs["y"].shape == (192, 24)
    assert measured.run_ms > 0 and measured.profiled_ms >= sum(node.ms for node in measured.nodes) * 0.5
    work = [(node, programs["roofline_counts"].work_of(node)) for node in measured.nodes]
    convolutions = [told for node, told in work if node.op in programs["roofline_counts"].CONVOLUTIONS]
    assert [told.macs for told in convolutions] == [256 * 20 * 3 * 9, 256 * 12 * 20]
    assert all(told.filled_macs >= told.macs for told in convolutions)
    (product,) = [told for node, told in work if node.name == "product"]
    assert product.macs == 192 * 16 * 24
    assert product.bytes == 4 * (192 * 16 + 16 * 24 + 192 * 24)
    assert not list(Path.cwd().glob("profile*.json"))


def test_limits_and_what_binds(programs: dict[str, ModuleType]) -> None:
    ceilings = ceilings_of(programs, {"slow": 1e8, "fp32": 1e9, "int8": 4e9}, ((1000, 8e6), (10_000, 2e6)))
    assert ceilings.limit(1_000_000, 1000, "fp32") == (pytest.approx(1e-3), "fp32")
    assert ceilings.limit(1_000_000, 1000, "int8") == (pytest.approx(2.5e-4), "int8")
    assert ceilings.limit(0, 1000, "fp32") == (pytest.approx(1.25e-4), "memory"), "as fast as a cache"
    assert ceilings.limit(0, 1001, "fp32") == (pytest.approx(1001 / 2e6), "memory")
    assert ceilings.limit(0, 10**6, "fp32") == (pytest.approx(0.5), "memory"), "beyond the largest copy"
    assert ceilings.limit(0, 0, "fp32") == (0.0, "nothing")


def test_ceilings_are_measured(programs: dict[str, ModuleType]) -> None:
    ceilings = programs["roofline_ceilings"].measure_ceilings(
        1, 2, ((64, 32, 16), (8, 8, 8)), (16, 32, 8, 8), (2**21, 2**20)
    )
    assert [(product.name, product.arithmetic) for product in ceilings.products if product.operations > 0] == [
        ("matrix product 64x32 by 32x16", "fp32"),
        ("matrix product 8x8 by 8x8", "fp32"),
        ("matrix product 64x32 by 32x16", "int8"),
        ("matrix product 8x8 by 8x8", "int8"),
        ("3x3 convolution 16 to 32 at 8x8", "fp32"),
    ]
    told = ceilings.told()["operations_per_s"]
    assert told["fp32"] == max(product.operations for product in ceilings.products if product.arithmetic == "fp32")
    assert [size for size, rate in ceilings.copies if rate > 0] == [2**20, 2**21]


def test_fractions_and_sums(programs: dict[str, ModuleType]) -> None:
    convolution = node_of(programs, "Conv", [(1, 10, 10, 10), (10, 10, 1, 1)], (1, 10, 10, 10))
    add = node_of(programs, "Add", [(100,), (100,)], (100,))
    view = node_of(programs, "Reshape", [(100,), (1,)], (100,))
    ceilings = ceilings_of(programs, {"fp32": 4e7, "int8": 4e7}, ((10**6, 2.4e6),))
    measured = programs["roofline_graph"].Measured(2.5, 4.0, (add, view, convolution))
    told = programs["roofline_report"].describe(measured, ceilings, pixels=100)
    by_op = {node["op"]: node for node in told["nodes"]}
    # 20,000 operations but 8,400 bytes: 0.5 ms and 3.5 ms. The sum of 1,200 bytes: 0.5 ms.
    assert by_op["Conv"]["bound"] == "memory" and by_op["Conv"]["fraction"] == pytest.approx(3.5)
    assert by_op["Add"]["fraction"] == pytest.approx(0.5) and by_op["Add"]["share"] == pytest.approx(1 / 3)
    assert by_op["Reshape"]["bound"] == "nothing" and by_op["Reshape"]["fraction"] == 0
    (bar,) = told["bars"]
    assert (bar["value"], bar["met"]) == (pytest.approx(0.5), False), "of the arithmetic's ceiling, whatever binds"
    graph = told["graph"]
    assert (graph["ms"], graph["between_ms"], graph["run_ms"]) == (3.0, 1.0, 2.5)
    assert (graph["macs"], graph["macs_per_pixel"], graph["operations_per_pixel"]) == (10_000, 100, 201)
    assert graph["limit_ms"] == pytest.approx(4.0)
    assert told["convolutions"]["share"] == pytest.approx(1 / 3)
    assert {row["op"]: row["nodes"] for row in told["operators"]} == {"Conv": 1, "Add": 1, "Reshape": 1}
    assert told["not_counted"] == []


def test_a_roofline_of_a_bundle_and_what_changed(
    quick: Any, tiny_bundle: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "new" / "out"
    options = [str(tiny_bundle.folder), "--size", "96x64", "--threads", "1", "--repeats", "2"]
    assert quick([*options, "--out", str(out)]) == 0
    told = capsys.readouterr().out
    assert f"tiny ({tiny_bundle.id}) at 96x64" in told and "bound by" in told
    assert "not measured share of the ceiling reached by all convolutions together" in told
    assert sorted(path.name for path in out.iterdir()) == ["roofline.json", "roofline.png"]
    assert cv2.imread(str(out / "roofline.png")) is not None
    report = json.loads((out / "roofline.json").read_text())
    assert (report["bundle"], report["size"], report["threads"]) == (tiny_bundle.id, "96x64", 1)
    assert report["bars"][0]["value"] is None
    assert [node["ms"] for node in report["nodes"]] == sorted((n["ms"] for n in report["nodes"]), reverse=True)
    cast = next(node for node in report["nodes"] if node["op"] == "Cast" and node["output"] == "64x96x3")
    assert (cast["bytes"], cast["macs"], cast["bound"]) == (64 * 96 * 3 * 5, 0, "memory")
    assert sum(row["share"] for row in report["operators"]) == pytest.approx(1)

    old = report | {"size": "640x360", "threads": 7}
    for row in (*old["operators"], old["graph"]):
        row["ms"] = row["ms"] / 4 if row["op"] != "Cast" else 0.0
    old["operators"].append({"op": "Gone", "ms": 1e6})
    (tmp_path / "old.json").write_text(json.dumps(old))
    assert quick([*options, "--out", str(out), "--before", str(tmp_path / "old.json")]) == 0
    _, _, beside = capsys.readouterr().out.partition("before and now")
    rows = {line[:24].strip(): line[24:].split() for line in beside.splitlines()}
    now = json.loads((out / "roofline.json").read_text())
    assert rows["Gone"] == ["1000000.000", "0.000", "0.00"] and rows["Cast"][2] == "new"
    assert float(rows["all nodes"][2]) == pytest.approx(now["graph"]["ms"] / old["graph"]["ms"], abs=0.006)
    assert "not the same: size 640x360 -> 96x64, threads 7 -> 1" in beside


def test_wrong_input_is_told_in_one_line(
    quick: Any, tiny_bundle: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = Path(shutil.copytree(tiny_bundle.folder, tmp_path / "bare"))
    shutil.rmtree(folder / "styles")
    seal(folder, tiny_bundle.manifest)
    (tmp_path / "other.json").write_text('{"operators": [{"op": "Add"}], "graph": {}}')
    (tmp_path / "file").write_text("")
    tiny = str(tiny_bundle.folder)
    wrong = [
        (["no-such-bundle"], "no-such-bundle"),
        ([str(folder)], "comes with no style"),
        ([tiny, "--size", "640"], "WIDTHxHEIGHT"),
        ([tiny, "--size", "20000x64"], "at most 16384"),
        ([tiny, "--threads", "0"], "at least 1"),
        ([tiny, "--repeats", "0"], "at least 1"),
        ([tiny, "--before", str(tmp_path / "none.json")], "cannot be read"),
        ([tiny, "--before", str(tmp_path / "other.json")], "not a roofline.json"),
        ([tiny, "--out", str(tmp_path / "file")], "cannot be made"),
    ]
    for arguments, expected in wrong:
        given = [*arguments, "--out", str(tmp_path / "out")] if "--out" not in arguments else arguments
        assert quick(given) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith("roofline: ") and expected in line
